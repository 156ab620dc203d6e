//! JSON lines: the format that scripts parse. The order of the fields is the
//! interface's; what is unknown is absent.

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use crate::merge::Event;
use crate::output::Output;
use crate::record::{Conn, Ident, Meters, Owner};
use crate::state::State;
use crate::summary::{EdgeTotal, Summary, ThisReport};
use crate::time::Clock;

/// Prints JSON lines.
pub struct Json {
    clock: Clock,
}

impl Json {
    pub fn new(clock: Clock) -> Self {
        Self { clock }
    }
}

#[derive(Serialize)]
struct TupleJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    conn: Option<u64>,
    netns: u32,
    family: u8,
    laddr: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    lport: Option<u16>,
    raddr: IpAddr,
    rport: u16,
}

impl TupleJson {
    fn new(who: &Ident) -> Self {
        Self {
            conn: some(who.conn),
            netns: who.netns,
            family: who.family,
            laddr: who.local(),
            lport: some(who.lport),
            raddr: who.remote(),
            rport: who.rport,
        }
    }
}

#[derive(Serialize)]
struct OwnerJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
}

impl OwnerJson {
    fn new(who: &Ident) -> Self {
        let comm = |owner: &Owner| String::from_utf8_lossy(owner.comm_bytes()).into_owned();
        Self {
            role: who.role.map(|r| r.name()),
            pid: who.owner.map(|o| o.pid),
            comm: who.owner.as_ref().map(comm),
            uid: who.uid,
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
struct TransitionJson {
    r#type: &'static str,
    ts: String,
    cpu: u32,
    seq: u64,
    #[serde(flatten)]
    tuple: TupleJson,
    old: Cow<'static, str>,
    new: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_old_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_old_exact: Option<bool>,
    #[serde(flatten)]
    owner: OwnerJson,
    #[serde(flatten)]
    meters: MetersJson,
}

#[derive(Serialize)]
struct ConnectionJson {
    r#type: &'static str,
    ts: String,
    #[serde(flatten)]
    tuple: TupleJson,
    #[serde(flatten)]
    owner: OwnerJson,
    state: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_exact: Option<bool>,
    first_seen: String,
    seeded: bool,
    #[serde(flatten)]
    meters: MetersJson,
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
    tracked: u64,
    untracked: u64,
    lost: CausesJson,
    unmatched: u64,
    seeded: u64,
    seen: u64,
    filtered: u64,
    too_short: u64,
    recorded: u64,
    reported: u64,
    pending: u64,
    this_report: ThisReportJson,
}

/// Why transitions, or the ends of connections, are missing.
#[derive(Serialize)]
pub(super) struct CausesJson {
    pub overwritten: u64,
    pub kprobe_missed: u64,
    pub stale: u64,
}

#[derive(Serialize)]
struct ThisReportJson {
    transitions: u64,
    shown: u64,
    connections: u64,
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
            connections: this.connections,
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
    fn transition(&mut self, out: &mut dyn Write, event: &Event) -> io::Result<()> {
        let record = &event.record;
        let object = TransitionJson {
            r#type: "transition",
            ts: self.clock.rfc3339(record.ts),
            cpu: event.cpu,
            seq: event.seq,
            tuple: TupleJson::new(&record.who),
            old: record.old.shown(),
            new: record.new.shown(),
            in_old_ns: record.in_old.ns(),
            in_old_exact: record.in_old.exact(),
            owner: OwnerJson::new(&record.who),
            meters: MetersJson::new(&record.meters, record.is_listener()),
        };
        line(out, &object)
    }

    fn connection(&mut self, out: &mut dyn Write, conn: &Conn, now_ns: u64) -> io::Result<()> {
        let age = conn.age(now_ns);
        let object = ConnectionJson {
            r#type: "connection",
            ts: self.clock.rfc3339(now_ns),
            tuple: TupleJson::new(&conn.who),
            owner: OwnerJson::new(&conn.who),
            state: conn.state.shown(),
            age_ns: age.ns(),
            age_exact: age.exact(),
            first_seen: self.clock.rfc3339(conn.first_seen_ns),
            seeded: conn.who.seeded,
            meters: MetersJson::new(&conn.meters, conn.is_listener()),
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

    fn summary(&mut self, out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
        let stats = &summary.stats;
        let object = SummaryJson {
            r#type: "summary",
            ts: self.clock.rfc3339(stats.now_ns),
            since: self.clock.rfc3339(stats.activated_ns),
            active_ns: stats.active_ns(),
            states: &stats.states,
            transitions: summary.edges.iter().map(EdgeJson::new).collect(),
            tracked: stats.tracked,
            untracked: stats.untracked,
            lost: CausesJson {
                overwritten: summary.overwritten,
                kprobe_missed: stats.kprobe_missed,
                stale: stats.stale,
            },
            unmatched: stats.unmatched,
            seeded: stats.seeded,
            seen: stats.seen,
            filtered: stats.filtered,
            too_short: stats.too_short,
            recorded: stats.recorded,
            reported: stats.reported,
            pending: summary.pending,
            this_report: ThisReportJson::new(&summary.this_report),
        };
        line(out, &object)
    }
}
