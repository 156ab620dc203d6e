//! Encoding of connections, listeners and pairs: the fields of the model in the order of these
//! lists, which is version 1, of connections version 2. Adding a field requires a new version of
//! the kind, and a reader for the old one.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv6Net;

use crate::backend::capture::Ring;
use crate::backend::capture::codec::{Codec, Malformed, Taken, choices, fields};
use crate::model::activation::{Activation, Settings, TransitionHook};
use crate::model::alarm::{Alarm, AlarmKind};
use crate::model::clock::ClockChange;
use crate::model::conn::{Activity, Conn};
use crate::model::event::{Event, Recorded, RingState};
use crate::model::filter::{AddrRule, Filter, PortRule, Side};
use crate::model::handshakes::Handshakes;
use crate::model::hook::{Hook, HookKind};
use crate::model::ident::{Endpoint, Ident, Owner, Role};
use crate::model::listener::{Listener, Queue};
use crate::model::lives::{Durations, Ended, InCgroup, Lives, Which};
use crate::model::meters::Meters;
use crate::model::pair::Pair;
use crate::model::reason::Reason;
use crate::model::span::Span;
use crate::model::state::State;
use crate::model::stats::Stats;
use crate::model::transition::Transition;
use crate::model::transition_count::TransitionCount;

fields! {
    Endpoint { addr port }
    Owner { pid comm }
    Ident {
        conn laddr raddr lport rport listener netns cgroup owner uid family role seeded subflow
        ifindex
    }
    Meters {
        bytes_sent bytes_acked bytes_received snd_cwnd snd_wnd rcv_wnd sndbuf sndbuf_used rcvbuf
        rcvbuf_used backlog max_backlog retrans srtt_us
    }
    Transition { ts in_old old new reason error synacks who meters }
    Alarm {
        ts kind raised who value threshold peak raised_ns half_open established closing timewait
    }
    Activity {
        last_recv_ms last_sent_ms ino unacked retransmits probes keepalive orphan user_timeout
    }
    Conn { who state since first_seen_ns reason synacks meters activity recv_q }
    Queue { length max limit }
    Listener {
        who since alarms accept_queue half_open unfinished unfinished_max unfinished_ns established
        closing timewait drops accepted accept_wait_ns accept_wait_max_ns handshakes
    }
    Handshakes {
        syns requests seeded fast_open cookies_sent cookies_accepted cookies_rejected
        syn_queue_full syn_accept_queue_full ack_accept_queue_full migrated promoted expired
        accept_queue_full reset_received reset_sent unreachable aborted listener_closed netns_gone
        duplicate unknown synacks_sent_again
    }
    Pair {
        laddr raddr netns family alarm ifindex half_open established closing timewait peak started
        unfinished first_ns last_ns
    }
}

fields! {
    AddrRule { network side negate ifindex }
    PortRule { low high side negate }
    Filter { netns family addrs ports }
    Activation {
        verbose filter min_ns ring ring_bytes max_conns hook threshold unfinished max_pairs
        max_listeners
    }
    Settings {
        generation hook_used ring_records ring_bytes memory_bytes activated_ns consumed_ns
        activation
    }
    Hook { symbol id kind required attached missed }
    ClockChange { since_ns offset_ns }
    RingState { cpu head consumed overwritten }
    Ring { state read_to lost unknown }
    TransitionCount { old new count timed total_ns max_ns hist }
    Durations { count total_ns times hist }
    InCgroup { cgroup states total }
    Stats {
        now_ns now_real_ns activated_ns seen filtered too_short ringless recorded reported
        overwritten kprobe_missed tracked untracked unmatched stale seeded nodes alarms pairs
        evicted uncounted listeners unlisted states handshakes
    }
}

/// A connection in version 1, which has no `recv_q`.
pub(super) struct EarlierConn(pub(super) Conn);

impl Codec for EarlierConn {
    fn put(&self, out: &mut Vec<u8>) {
        let conn = &self.0;
        conn.who.put(out);
        conn.state.put(out);
        conn.since.put(out);
        conn.first_seen_ns.put(out);
        conn.reason.put(out);
        conn.synacks.put(out);
        conn.meters.put(out);
        conn.activity.put(out);
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        Ok(Self(Conn {
            who: Codec::take(bytes)?,
            state: Codec::take(bytes)?,
            since: Codec::take(bytes)?,
            first_seen_ns: Codec::take(bytes)?,
            reason: Codec::take(bytes)?,
            synacks: Codec::take(bytes)?,
            meters: Codec::take(bytes)?,
            activity: Codec::take(bytes)?,
            recv_q: None,
        }))
    }
}

/// Ended connections in version 1, which has no histograms.
pub(super) struct EarlierLives(pub(super) Lives);

/// Durations in version 1.
struct EarlierDurations(Durations);

impl Codec for EarlierDurations {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.count.put(out);
        self.0.total_ns.put(out);
        self.0.times.put(out);
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        Ok(Self(Durations {
            count: Codec::take(bytes)?,
            total_ns: Codec::take(bytes)?,
            times: Codec::take(bytes)?,
            ..Durations::default()
        }))
    }
}

/// A side in version 1.
struct EarlierEnded(Ended);

impl Codec for EarlierEnded {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.role.put(out);
        self.0.ends.put(out);
        EarlierDurations(self.0.life).put(out);
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        let ended = Ended {
            role: Codec::take(bytes)?,
            ends: Codec::take(bytes)?,
            life: EarlierDurations::take(bytes)?.0,
        };
        ended.checked().map(Self)
    }
}

impl Codec for EarlierLives {
    fn put(&self, out: &mut Vec<u8>) {
        let ended = self.0.ended.iter().cloned().map(EarlierEnded);
        ended.collect::<Vec<_>>().put(out);
        EarlierDurations(self.0.accept_wait).put(out);
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        let ended = Vec::<EarlierEnded>::take(bytes)?;
        let lives = Lives {
            ended: ended.into_iter().map(|EarlierEnded(ended)| ended).collect(),
            accept_wait: EarlierDurations::take(bytes)?.0,
        };
        lives.checked().map(Self)
    }
}

/// Encodes an address and a prefix length.
impl Codec for Ipv6Net {
    fn put(&self, out: &mut Vec<u8>) {
        self.addr().octets().put(out);
        self.prefix_len().put(out);
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        let addr = <[u8; 16]>::take(bytes)?;
        Self::new(addr.into(), u8::take(bytes)?).map_err(|_| Malformed)
    }
}

/// Each reason occurs once.
impl Codec for Ended {
    fn put(&self, out: &mut Vec<u8>) {
        self.role.put(out);
        self.ends.put(out);
        self.life.put(out);
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        let ended = Self {
            role: Codec::take(bytes)?,
            ends: Codec::take(bytes)?,
            life: Codec::take(bytes)?,
        };
        ended.checked()
    }
}

impl Ended {
    fn checked(self) -> Taken<Self> {
        distinct(self.ends.iter().map(|(reason, _)| reason.0))?;
        Ok(self)
    }
}

/// Each side occurs once.
impl Codec for Lives {
    fn put(&self, out: &mut Vec<u8>) {
        self.ended.put(out);
        self.accept_wait.put(out);
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        let lives = Self {
            ended: Codec::take(bytes)?,
            accept_wait: Codec::take(bytes)?,
        };
        lives.checked()
    }
}

impl Lives {
    fn checked(self) -> Taken<Self> {
        distinct(self.ended.iter().map(Ended::role_name))?;
        Ok(self)
    }
}

fn distinct<T: Ord>(mut items: impl Iterator<Item = T>) -> Taken<()> {
    let mut seen = BTreeSet::new();
    match items.all(|item| seen.insert(item)) {
        true => Ok(()),
        false => Err(Malformed),
    }
}

/// Encodes types that are a number of which any value is valid.
macro_rules! numbers {
    ($($name:ident)*) => {$(
        impl Codec for $name {
            #[inline]
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }

            #[inline]
            fn take(bytes: &mut &[u8]) -> Taken<Self> {
                Codec::take(bytes).map(Self)
            }
        }
    )*};
}

numbers! { State Reason AlarmKind }

choices! {
    Role { Client = 1 Server = 2 Listener = 3 }
    Side { Either = 0 Local = 1 Remote = 2 }
    TransitionHook { Auto = 0 Tracepoint = 1 Kprobe = 2 }
    HookKind { Tracepoint = 0 Ftrace = 1 Kprobe = 2 }
}

impl Codec for Span {
    fn put(&self, out: &mut Vec<u8>) {
        let number: u8 = match self {
            Self::Unknown => 0,
            Self::AtLeast(_) => 1,
            Self::Exact(_) => 2,
        };
        number.put(out);
        if let Some(ns) = self.ns() {
            ns.put(out);
        }
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        match u8::take(bytes)? {
            0 => Ok(Self::Unknown),
            1 => u64::take(bytes).map(Self::AtLeast),
            2 => u64::take(bytes).map(Self::Exact),
            _ => Err(Malformed),
        }
    }
}

impl Codec for Which {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Unknown => out.push(0),
            Self::Id(id) => {
                out.push(1);
                id.put(out);
            }
            Self::Others => out.push(2),
        }
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        match u8::take(bytes)? {
            0 => Ok(Self::Unknown),
            1 => u64::take(bytes).map(Self::Id),
            2 => Ok(Self::Others),
            _ => Err(Malformed),
        }
    }
}

/// Encodes counts by state.
impl Codec for BTreeMap<State, u64> {
    fn put(&self, out: &mut Vec<u8>) {
        let all: Vec<_> = self.iter().map(|(state, count)| (*state, *count)).collect();
        all.put(out);
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        Ok(Vec::<(State, u64)>::take(bytes)?.into_iter().collect())
    }
}

impl<T: Codec> Codec for Recorded<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.cpu.put(out);
        self.seq.put(out);
        self.record.put(out);
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        Ok(Self {
            cpu: Codec::take(bytes)?,
            seq: Codec::take(bytes)?,
            record: Codec::take(bytes)?,
        })
    }
}

impl Codec for Event {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Transition(event) => {
                out.push(1);
                event.put(out);
            }
            Self::Alarm(event) => {
                out.push(2);
                event.put(out);
            }
        }
    }

    fn take(bytes: &mut &[u8]) -> Taken<Self> {
        match u8::take(bytes)? {
            1 => Codec::take(bytes).map(Self::Transition),
            2 => Codec::take(bytes).map(Self::Alarm),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::RecordBytes;
    use crate::backend::capture::codec::tests::assert_round_trip;
    use crate::fmt::random::random_bytes;

    const ROUNDS: u64 = 300;

    fn number(seed: &mut u64) -> u64 {
        u64::from_ne_bytes(random_bytes(seed))
    }

    #[test]
    fn events_come_back() {
        let mut seed = 0x0ca9_7e5e;
        for round in 0..ROUNDS {
            let mut bytes: RecordBytes = random_bytes(&mut seed);
            let kind = 1 + (round % 2) as u16;
            bytes[24..26].copy_from_slice(&kind.to_ne_bytes());
            let event = Event::decode(&bytes, round as u32, !round).unwrap();
            assert_round_trip(&event);
        }
    }

    #[test]
    fn connections_listeners_and_pairs_come_back() {
        let mut seed = 0x0ca9_7e5f;
        for _ in 0..ROUNDS {
            assert_round_trip(&Conn::decode(&random_bytes(&mut seed)));
            assert_round_trip(&Pair::decode(&random_bytes(&mut seed)));
            let listener = Listener::decode(&random_bytes(&mut seed));
            let (mut one, mut two) = (Vec::new(), Vec::new());
            listener.put(&mut one);
            Listener::take(&mut &one[..]).unwrap().put(&mut two);
            assert_eq!(one, two);
        }
    }

    #[test]
    fn settings_come_back() {
        let network = "::ffff:10.0.0.0/104".parse().unwrap();
        let addr = |side| AddrRule {
            network,
            side,
            negate: side == Side::Local,
            ifindex: 3,
        };
        let port = |side| PortRule {
            low: 80,
            high: 0xffff,
            side,
            negate: side == Side::Remote,
        };
        let filter = Filter {
            netns: 0xf000_0001,
            family: 6,
            addrs: Side::ALL.map(addr).to_vec(),
            ports: Side::ALL.map(port).to_vec(),
        };
        for hook in [
            TransitionHook::Auto,
            TransitionHook::Tracepoint,
            TransitionHook::Kprobe,
        ] {
            assert_round_trip(&Settings {
                generation: 1 << 60,
                hook_used: hook,
                ring_records: 1,
                ring_bytes: 2,
                memory_bytes: 3,
                activated_ns: 4,
                consumed_ns: Some(5),
                activation: Activation {
                    hook,
                    filter: filter.clone(),
                    ring: Some(64),
                    threshold: 6,
                    ..Activation::default()
                },
            });
        }
        for kind in [HookKind::Tracepoint, HookKind::Ftrace, HookKind::Kprobe] {
            assert_round_trip(&Hook {
                symbol: "tcp_abort".into(),
                kind,
                required: true,
                ..Hook::default()
            });
        }
    }

    #[test]
    fn totals_come_back() {
        let mut seed = 0x0ca9_7e60;
        for round in 0..20 {
            let mut stats = Stats {
                now_ns: number(&mut seed),
                unlisted: number(&mut seed),
                ..Stats::default()
            };
            stats.states = stats.states.map(|_| number(&mut seed));
            stats.handshakes.syns = number(&mut seed);
            assert_round_trip(&stats);
            let mut counted = TransitionCount::new(State(round), State(!round));
            counted.hist = counted.hist.map(|_| number(&mut seed));
            assert_round_trip(&counted);
            let life = Durations {
                count: number(&mut seed),
                total_ns: number(&mut seed),
                times: (round % 2 == 0).then(|| [1, 2, number(&mut seed)]),
                hist: counted.hist,
            };
            let ended = Ended {
                role: [None, Some(Role::Client), Some(Role::Server)][usize::from(round % 3)],
                ends: vec![(Reason(round.into()), number(&mut seed))],
                life,
            };
            let other = Ended {
                role: Some(Role::Listener),
                ..ended.clone()
            };
            assert_round_trip(&Lives {
                ended: vec![ended.clone(), other],
                accept_wait: life,
            });
            let twice = Lives {
                ended: vec![ended.clone(), ended],
                accept_wait: life,
            };
            let mut bytes = Vec::new();
            twice.put(&mut bytes);
            assert_eq!(Lives::take(&mut &bytes[..]), Err(Malformed));
            let cgroup = number(&mut seed);
            assert_round_trip(&InCgroup {
                cgroup: [Which::Unknown, Which::Others, Which::Id(cgroup)][usize::from(round % 3)],
                states: [(State(round), 7), (State::LISTEN, 8)].into(),
                total: 15,
            });
        }
        assert_round_trip(&ClockChange {
            since_ns: 1,
            offset_ns: -2,
        });
        let state = RingState {
            cpu: 1,
            head: 2,
            consumed: 3,
            overwritten: 4,
        };
        assert_round_trip(&Ring {
            state,
            read_to: 5,
            lost: 6,
            unknown: 7,
        });
    }

    #[test]
    fn numbers_of_no_meaning_are_refused() {
        assert_eq!(Role::take(&mut &[0][..]), Err(Malformed));
        assert_eq!(Role::take(&mut &[4][..]), Err(Malformed));
        assert_eq!(Which::take(&mut &[3; 9][..]), Err(Malformed));
        assert_eq!(Span::take(&mut &[3; 9][..]), Err(Malformed));
        assert_eq!(Event::take(&mut &[3; 300][..]), Err(Malformed));
    }
}
