//! JSON lines: the format that scripts parse. The order of the fields is the
//! interface's; what is unknown is absent.

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use crate::alarm::{Alarm, AlarmKind};
use crate::diagnose::finding::Counts as Findings;
use crate::handshakes::Counter;
use crate::listener::Listener;
use crate::merge::Recorded;
use crate::output::Output;
use crate::places::{Place, Places};
use crate::reason::error_name;
use crate::record::{Activity, Conn, Ident, Meters, Owner, Role, Transition};
use crate::state::State;
use crate::summary::{EdgeTotal, Summary, ThisReport};
use crate::time::Clock;

/// Prints JSON lines.
pub struct Json {
    clock: Clock,
    places: Places,
}

impl Json {
    pub fn new(clock: Clock, places: Places) -> Self {
        Self { clock, places }
    }
}

#[derive(Serialize)]
struct TupleJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    conn: Option<u64>,
    netns: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    netns_name: Option<&'a str>,
    family: u8,
    laddr: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    lport: Option<u16>,
    raddr: IpAddr,
    rport: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener_addr: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener_port: Option<u16>,
}

impl<'a> TupleJson<'a> {
    fn new(who: &Ident, place: &'a Place) -> Self {
        let (listener_addr, listener_port) = who.listener().unzip();
        Self {
            conn: some(who.conn),
            netns: who.netns,
            netns_name: place.netns.as_deref(),
            family: who.family,
            laddr: who.local(),
            lport: some(who.lport),
            raddr: who.remote(),
            rport: who.rport,
            listener_addr,
            listener_port,
        }
    }
}

#[derive(Serialize)]
struct CauseJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    synacks: Option<u16>,
}

#[derive(Serialize)]
struct OwnerJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'a str>,
}

impl<'a> OwnerJson<'a> {
    fn new(who: &Ident, place: &'a Place) -> Self {
        let comm = |owner: &Owner| String::from_utf8_lossy(owner.comm_bytes()).into_owned();
        Self {
            pid: who.owner.map(|o| o.pid),
            comm: who.owner.as_ref().map(comm),
            uid: who.uid,
            cgroup: place.cgroup_path(),
            cgroup_id: who.cgroup,
            container: place.container(),
        }
    }
}

#[derive(Serialize)]
struct MetersJson {
    bytes_sent: u64,
    bytes_acked: u64,
    bytes_received: u64,
    snd_cwnd: u32,
    snd_wnd: u32,
    rcv_wnd: u32,
    sndbuf: u32,
    sndbuf_used: u32,
    rcvbuf: u32,
    rcvbuf_used: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    backlog: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_backlog: Option<u32>,
    retrans: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    srtt_us: Option<u32>,
}

impl MetersJson {
    fn new(meters: &Meters, listener: bool) -> Self {
        Self {
            bytes_sent: meters.bytes_sent,
            bytes_acked: meters.bytes_acked,
            bytes_received: meters.bytes_received,
            snd_cwnd: meters.snd_cwnd,
            snd_wnd: meters.snd_wnd,
            rcv_wnd: meters.rcv_wnd,
            sndbuf: meters.sndbuf,
            sndbuf_used: meters.sndbuf_used,
            rcvbuf: meters.rcvbuf,
            rcvbuf_used: meters.rcvbuf_used,
            backlog: listener.then_some(meters.backlog),
            max_backlog: listener.then_some(meters.max_backlog),
            retrans: meters.retrans,
            srtt_us: some(meters.srtt_us),
        }
    }
}

/// A number of which 0 says that it is unknown.
fn some<T: Default + PartialEq>(number: T) -> Option<T> {
    (number != T::default()).then_some(number)
}

#[derive(Serialize)]
struct TransitionJson<'a> {
    r#type: &'static str,
    ts: String,
    cpu: u32,
    seq: u64,
    #[serde(flatten)]
    tuple: TupleJson<'a>,
    old: Cow<'static, str>,
    new: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_old_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_old_exact: Option<bool>,
    #[serde(flatten)]
    cause: CauseJson,
    #[serde(flatten)]
    owner: OwnerJson<'a>,
    #[serde(flatten)]
    meters: Option<MetersJson>,
}

#[derive(Serialize)]
struct ConnectionJson<'a> {
    r#type: &'static str,
    ts: String,
    #[serde(flatten)]
    tuple: TupleJson<'a>,
    #[serde(flatten)]
    cause: CauseJson,
    #[serde(flatten)]
    owner: OwnerJson<'a>,
    state: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_exact: Option<bool>,
    first_seen: String,
    seeded: bool,
    #[serde(flatten)]
    meters: Option<MetersJson>,
    #[serde(flatten)]
    activity: Option<ActivityJson>,
}

#[derive(Serialize)]
struct ActivityJson {
    last_recv_ms: u32,
    last_sent_ms: u32,
    unacked: u32,
    retransmits: u8,
    probes: u8,
    keepalive: bool,
    orphan: bool,
    user_timeout: bool,
}

impl ActivityJson {
    fn new(activity: Activity) -> Self {
        Self {
            last_recv_ms: activity.last_recv_ms,
            last_sent_ms: activity.last_sent_ms,
            unacked: activity.unacked,
            retransmits: activity.retransmits,
            probes: activity.probes,
            keepalive: activity.keepalive,
            orphan: activity.orphan,
            user_timeout: activity.user_timeout,
        }
    }
}

/// Of a pair two addresses, of a listener its own end.
#[derive(Serialize)]
struct AlarmJson<'a> {
    r#type: &'static str,
    ts: String,
    cpu: u32,
    seq: u64,
    kind: Cow<'static, str>,
    raised: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn: Option<u64>,
    netns: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    netns_name: Option<&'a str>,
    family: u8,
    laddr: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    lport: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raddr: Option<IpAddr>,
    #[serde(flatten)]
    owner: OwnerJson<'a>,
    value: u64,
    threshold: u64,
    peak: u64,
    since: String,
    half_open: u32,
    established: u32,
    closing: u32,
    timewait: u32,
}

#[derive(Serialize)]
struct ListenerJson<'a> {
    r#type: &'static str,
    ts: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn: Option<u64>,
    netns: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    netns_name: Option<&'a str>,
    family: u8,
    laddr: IpAddr,
    lport: u16,
    #[serde(flatten)]
    owner: OwnerJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_exact: Option<bool>,
    seeded: bool,
    accept_queue: u32,
    accept_queue_max: u32,
    accept_queue_limit: u32,
    half_open: u32,
    half_open_max: u32,
    half_open_limit: u32,
    established: u32,
    closing: u32,
    timewait: u32,
    unfinished: u32,
    unfinished_max: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    unfinished_at: Option<String>,
    drops: u64,
    alarms: Vec<Cow<'static, str>>,
    #[serde(serialize_with = "counts")]
    handshakes: &'a [Counter],
}

#[derive(Serialize)]
struct LostJson {
    r#type: &'static str,
    cpu: u32,
    count: u64,
}

#[derive(Serialize)]
struct SummaryJson<'a> {
    r#type: &'static str,
    ts: String,
    since: String,
    active_ns: u64,
    #[serde(serialize_with = "states")]
    states: &'a [(State, u64)],
    transitions: Vec<EdgeJson>,
    #[serde(serialize_with = "counts")]
    handshakes: &'a [Counter],
    tracked: u64,
    untracked: u64,
    groups: u64,
    listeners: u64,
    lost: CausesJson,
    unmatched: u64,
    seeded: u64,
    seen: u64,
    alarms: u64,
    filtered: u64,
    too_short: u64,
    recorded: u64,
    reported: u64,
    pending: u64,
    this_report: ThisReportJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<Findings>,
}

/// Why transitions, the ends of connections, or what is counted of pairs and listeners, are missing.
#[derive(Serialize)]
pub(super) struct CausesJson {
    pub overwritten: u64,
    pub kprobe_missed: u64,
    pub stale: u64,
    pub evicted: u64,
    pub ungrouped: u64,
    pub unlisted: u64,
}

#[derive(Serialize)]
struct ThisReportJson {
    transitions: u64,
    shown: u64,
    alarms: u64,
    alarms_shown: u64,
    connections: u64,
    listeners: u64,
    overwritten: u64,
    unknown_records: u64,
}

#[derive(Serialize)]
struct EdgeJson {
    old: Cow<'static, str>,
    new: Cow<'static, str>,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_ns: Option<u64>,
    timed: u64,
}

fn states<S: Serializer>(states: &&[(State, u64)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(states.iter().map(|(state, n)| (state.name(), n)))
}

fn counts<S: Serializer>(counters: &&[Counter], to: S) -> Result<S::Ok, S::Error> {
    let known = counters.iter().filter_map(|c| Some((c.name, c.count?)));
    to.collect_map(known)
}

impl EdgeJson {
    fn new(edge: &EdgeTotal) -> Self {
        Self {
            old: edge.old.name(),
            new: edge.new.name(),
            count: edge.count,
            total_ns: edge.times.map(|_| edge.total_ns),
            p50_ns: edge.times.map(|t| t[0]),
            p99_ns: edge.times.map(|t| t[1]),
            max_ns: edge.times.map(|t| t[2]),
            timed: edge.timed,
        }
    }
}

impl ThisReportJson {
    fn new(this: &ThisReport) -> Self {
        Self {
            transitions: this.transitions,
            shown: this.shown,
            alarms: this.alarms,
            alarms_shown: this.alarms_shown,
            connections: this.connections,
            listeners: this.listeners,
            overwritten: this.overwritten,
            unknown_records: this.unknown_records,
        }
    }
}

/// One object, one line.
pub(super) fn line(out: &mut dyn Write, object: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, object)?;
    out.write_all(b"\n")
}

impl Output for Json {
    fn transition(&mut self, out: &mut dyn Write, event: &Recorded<Transition>) -> io::Result<()> {
        let record = &event.record;
        let place = self.places.of(&record.who);
        let listener = record.is_listener();
        let object = TransitionJson {
            r#type: "transition",
            ts: self.clock.rfc3339(record.ts),
            cpu: event.cpu,
            seq: event.seq,
            tuple: TupleJson::new(&record.who, &place),
            old: record.old.shown(),
            new: record.new.shown(),
            in_old_ns: record.in_old.ns(),
            in_old_exact: record.in_old.exact(),
            cause: CauseJson {
                role: record.who.role.map(Role::name),
                reason: record.reason.name(),
                error: error_name(record.error),
                synacks: record.synacks,
            },
            owner: OwnerJson::new(&record.who, &place),
            meters: record.meters.map(|m| MetersJson::new(&m, listener)),
        };
        line(out, &object)
    }

    fn alarm(&mut self, out: &mut dyn Write, event: &Recorded<Alarm>) -> io::Result<()> {
        let alarm = &event.record;
        let who = &alarm.who;
        let place = self.places.of(who);
        let pair = alarm.is_pair();
        let object = AlarmJson {
            r#type: "alarm",
            ts: self.clock.rfc3339(alarm.ts),
            cpu: event.cpu,
            seq: event.seq,
            kind: alarm.kind.name(),
            raised: alarm.raised,
            conn: some(who.conn),
            netns: who.netns,
            netns_name: place.netns.as_deref(),
            family: who.family,
            laddr: who.local(),
            lport: (!pair).then_some(who.lport),
            raddr: pair.then(|| who.remote()),
            owner: OwnerJson::new(who, &place),
            value: alarm.value,
            threshold: alarm.threshold,
            peak: alarm.peak,
            since: self.clock.rfc3339(alarm.raised_ns),
            half_open: alarm.half_open,
            established: alarm.established,
            closing: alarm.closing,
            timewait: alarm.timewait,
        };
        line(out, &object)
    }

    fn connection(&mut self, out: &mut dyn Write, conn: &Conn, now_ns: u64) -> io::Result<()> {
        let age = conn.age(now_ns);
        let place = self.places.of(&conn.who);
        let listener = conn.is_listener();
        let object = ConnectionJson {
            r#type: "connection",
            ts: self.clock.rfc3339(now_ns),
            tuple: TupleJson::new(&conn.who, &place),
            cause: CauseJson {
                role: conn.who.role.map(Role::name),
                reason: conn.reason.name(),
                error: None,
                synacks: conn.synacks,
            },
            owner: OwnerJson::new(&conn.who, &place),
            state: conn.state.shown(),
            age_ns: age.ns(),
            age_exact: age.exact(),
            first_seen: self.clock.rfc3339(conn.first_seen_ns),
            seeded: conn.who.seeded,
            meters: conn.meters.map(|m| MetersJson::new(&m, listener)),
            activity: conn.activity.map(ActivityJson::new),
        };
        line(out, &object)
    }

    fn listener(
        &mut self,
        out: &mut dyn Write,
        listener: &Listener,
        handshakes: &[Counter],
        now_ns: u64,
    ) -> io::Result<()> {
        let who = &listener.who;
        let (place, age) = (self.places.of(who), listener.age(now_ns));
        let (accept_queue, half_open) = (listener.accept_queue, listener.half_open);
        let object = ListenerJson {
            r#type: "listener",
            ts: self.clock.rfc3339(now_ns),
            conn: some(who.conn),
            netns: who.netns,
            netns_name: place.netns.as_deref(),
            family: who.family,
            laddr: who.local(),
            lport: who.lport,
            owner: OwnerJson::new(who, &place),
            age_ns: age.ns(),
            age_exact: age.exact(),
            seeded: who.seeded,
            accept_queue: accept_queue.length,
            accept_queue_max: accept_queue.max,
            accept_queue_limit: accept_queue.limit,
            half_open: half_open.length,
            half_open_max: half_open.max,
            half_open_limit: half_open.limit,
            established: listener.established,
            closing: listener.closing,
            timewait: listener.timewait,
            unfinished: listener.unfinished,
            unfinished_max: listener.unfinished_max,
            unfinished_at: listener.unfinished_ns.map(|ns| self.clock.rfc3339(ns)),
            drops: listener.drops,
            alarms: listener.raised().map(AlarmKind::name).collect(),
            handshakes,
        };
        line(out, &object)
    }

    fn lost(&mut self, out: &mut dyn Write, cpu: u32, count: u64) -> io::Result<()> {
        line(
            out,
            &LostJson {
                r#type: "lost",
                cpu,
                count,
            },
        )
    }

    fn findings(&mut self, _: &mut dyn Write, _: Findings) -> io::Result<()> {
        Ok(())
    }

    fn summary(&mut self, out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
        let stats = &summary.stats;
        let object = SummaryJson {
            r#type: "summary",
            ts: self.clock.rfc3339(stats.now_ns),
            since: self.clock.rfc3339(stats.activated_ns),
            active_ns: stats.active_ns(),
            states: &stats.states,
            transitions: summary.edges.iter().map(EdgeJson::new).collect(),
            handshakes: &summary.handshakes,
            tracked: stats.tracked,
            untracked: stats.untracked,
            groups: stats.groups,
            listeners: stats.listeners,
            lost: CausesJson {
                overwritten: summary.overwritten,
                kprobe_missed: stats.kprobe_missed,
                stale: stats.stale,
                evicted: stats.evicted,
                ungrouped: stats.ungrouped,
                unlisted: stats.unlisted,
            },
            unmatched: stats.unmatched,
            seeded: stats.seeded,
            seen: stats.seen,
            alarms: stats.alarms,
            filtered: stats.filtered,
            too_short: stats.too_short,
            recorded: stats.recorded,
            reported: stats.reported,
            pending: summary.pending,
            this_report: ThisReportJson::new(&summary.this_report),
            findings: summary.findings,
        };
        line(out, &object)
    }
}
