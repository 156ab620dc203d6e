//! JSON lines for scripts. The order of the fields is part of the interface; unknown values are
//! omitted.

mod counts;
mod life;
mod object;
mod summary;

use std::io::{self, Write};

use serde::Serialize;

use crate::fmt::line::{Line, Put};
use crate::host::names::{ConnNames, Names};
use crate::model::alarm::{Alarm, AlarmKind};
use crate::model::conn::{Activity, Conn};
use crate::model::count::CountTable;
use crate::model::event::Recorded;
use crate::model::handshakes::Counter;
use crate::model::holders::Holders;
use crate::model::ident::{Ident, Owner, Role};
use crate::model::life::Life;
use crate::model::listener::Listener;
use crate::model::meters::Meters;
use crate::model::reason::error_name;
use crate::model::span::Span;
use crate::model::summary::{FindingCounts, Summary};
use crate::model::transition::Transition;
use crate::render::Sink;
use crate::render::time::{Clock, Form};
use object::{Any, Raw, Value, Word, put_field, put_fields};

pub use summary::CausesJson;
use summary::Counts;

/// Prints JSON lines.
pub struct Json {
    clock: Clock,
    names: Names,
    line: Line,
}

impl Json {
    pub fn new(clock: Clock, names: Names) -> Self {
        Self {
            clock,
            names,
            line: Line::new(),
        }
    }

    /// Starts an object; returns the line for its fields, and the clock.
    fn begin(&mut self, kind: &str) -> (&mut Line, &Clock) {
        self.line.clear();
        "{\"type\":\"".put(&mut self.line);
        kind.put(&mut self.line);
        "\"".put(&mut self.line);
        (&mut self.line, &self.clock)
    }

    /// Ends the object and writes it as a line.
    fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        "}\n".put(&mut self.line);
        out.write_all(&self.line)
    }
}

fn time(clock: &Clock, ns: u64) -> impl Value {
    Word(clock.moment(ns, Form::Rfc3339))
}

fn put_tuple(line: &mut Line, who: &Ident, names: &ConnNames) {
    let listener = who.listener();
    put_fields!(line,
        "conn": some(who.conn),
        "netns": who.netns,
        "netns_name": names.netns.as_deref(),
        "family": who.family,
        "laddr": who.local(),
        "lport": some(who.lport),
        "raddr": who.remote(),
        "rport": who.rport,
        "listener_addr": listener.map(|end| end.0),
        "listener_port": listener.map(|end| end.1),
    );
    put_dev(line, who, names);
}

/// Appends the device, which the addresses do not include.
fn put_dev(line: &mut Line, who: &Ident, names: &ConnNames) {
    put_fields!(line,
        "ifindex": some(who.ifindex),
        "dev": names.dev.as_ref().and_then(|dev| dev.name.as_deref()),
    );
}

fn put_owner(line: &mut Line, who: &Ident, names: &ConnNames) {
    let comm = who.owner.as_ref().map(Owner::comm_bytes);
    let (path, container) = match &names.cgroup {
        Some(cgroup) => (Some(&cgroup.json.0), cgroup.json.1.as_ref()),
        None => (None, None),
    };
    put_fields!(line,
        "pid": who.owner.map(|o| o.pid),
        "comm": comm,
        "uid": who.uid,
        "cgroup": path.map(|text| Raw(text)),
        "cgroup_id": who.cgroup,
        "container": container.map(|text| Raw(text)),
        "subflow": who.subflow.then_some(true),
    );
}

/// A process, as an object.
#[derive(Serialize)]
pub struct OwnerJson {
    pid: u32,
    comm: String,
}

impl OwnerJson {
    pub fn new(owner: &Owner) -> Self {
        Self {
            pid: owner.pid,
            comm: String::from_utf8_lossy(owner.comm_bytes()).into_owned(),
        }
    }
}

/// Appends the processes of a live socket beside its owner.
fn put_holders(line: &mut Line, holders: &Holders) {
    let several = (holders.count > 1).then(|| {
        let all = holders.several.iter().map(OwnerJson::new);
        Any(all.collect::<Vec<_>>())
    });
    put_fields!(line,
        "owner_gone": holders.gone.then_some(true),
        "holders": several,
        "holder_count": (holders.count > 1).then_some(holders.count),
        "opened_by": holders.opened_by.as_ref().map(|owner| Any(OwnerJson::new(owner))),
    );
}

/// Appends whether the owner of an event does not exist any more.
fn put_gone(line: &mut Line, gone: bool) {
    put_fields!(line, "owner_gone": gone.then_some(true),);
}

fn put_meters(line: &mut Line, meters: Option<Meters>, listener: bool) {
    let Some(meters) = meters else {
        return;
    };
    put_fields!(line,
        "bytes_sent": meters.bytes_sent,
        "bytes_acked": meters.bytes_acked,
        "bytes_received": meters.bytes_received,
        "snd_cwnd": meters.snd_cwnd,
        "snd_wnd": meters.snd_wnd,
        "rcv_wnd": meters.rcv_wnd,
        "sndbuf": meters.sndbuf,
        "sndbuf_used": meters.sndbuf_used,
        "rcvbuf": meters.rcvbuf,
        "rcvbuf_used": meters.rcvbuf_used,
        "backlog": listener.then_some(meters.backlog),
        "max_backlog": listener.then_some(meters.max_backlog),
        "retrans": meters.retrans,
        "srtt_us": some(meters.srtt_us),
    );
}

fn put_activity(line: &mut Line, activity: Option<Activity>) {
    let Some(activity) = activity else {
        return;
    };
    put_fields!(line,
        "ino": activity.ino,
        "last_recv_ms": activity.last_recv_ms,
        "last_sent_ms": activity.last_sent_ms,
        "unacked": activity.unacked,
        "retransmits": activity.retransmits,
        "probes": activity.probes,
        "keepalive": activity.keepalive,
        "orphan": activity.orphan,
        "user_timeout": activity.user_timeout,
    );
}

fn put_age(line: &mut Line, age: Span) {
    put_fields!(line,
        "age_ns": age.ns(),
        "age_exact": age.exact(),
    );
}

/// A number for which 0 means unknown.
fn some<T: Default + PartialEq>(number: T) -> Option<T> {
    (number != T::default()).then_some(number)
}

impl Sink for Json {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn transition(&mut self, out: &mut dyn Write, event: &Recorded<Transition>) -> io::Result<()> {
        let record = &event.record;
        let names = self.names.of(&record.who);
        let gone = self.names.has_ended(&record.who, record.ts);
        let (line, clock) = self.begin("transition");
        put_fields!(line,
            "ts": time(clock, record.ts),
            "cpu": event.cpu,
            "seq": event.seq,
        );
        put_tuple(line, &record.who, &names);
        put_fields!(line,
            "old": Word(record.old.shown()),
            "new": Word(record.new.shown()),
            "in_old_ns": record.in_old.ns(),
            "in_old_exact": record.in_old.exact(),
            "role": record.who.role.map(Role::name),
            "reason": record.reason.name().map(Word),
            "error": error_name(record.error).as_deref(),
            "synacks": record.synacks,
        );
        put_owner(line, &record.who, &names);
        put_gone(line, gone);
        put_meters(line, record.meters, record.is_listener());
        self.write(out)
    }

    /// For a pair the two addresses, for a listener its own address and port.
    fn alarm(&mut self, out: &mut dyn Write, event: &Recorded<Alarm>) -> io::Result<()> {
        let alarm = &event.record;
        let who = &alarm.who;
        let names = self.names.of(who);
        let gone = self.names.has_ended(who, alarm.ts);
        let pair = alarm.is_pair();
        let (line, clock) = self.begin("alarm");
        put_fields!(line,
            "ts": time(clock, alarm.ts),
            "cpu": event.cpu,
            "seq": event.seq,
            "kind": Word(alarm.kind.name()),
            "raised": alarm.raised,
            "conn": some(who.conn),
            "netns": who.netns,
            "netns_name": names.netns.as_deref(),
            "family": who.family,
            "laddr": who.local(),
            "lport": (!pair).then_some(who.lport),
            "raddr": pair.then(|| who.remote()),
        );
        put_dev(line, who, &names);
        put_owner(line, who, &names);
        put_gone(line, gone);
        put_fields!(line,
            "value": alarm.value,
            "threshold": alarm.threshold,
            "peak": alarm.peak,
            "since": time(clock, alarm.raised_ns),
            "half_open": alarm.half_open,
            "established": alarm.established,
            "closing": alarm.closing,
            "timewait": alarm.timewait,
        );
        self.write(out)
    }

    fn life(&mut self, out: &mut dyn Write, life: &Life) -> io::Result<()> {
        life::put(self, life);
        self.write(out)
    }

    fn counts(&mut self, out: &mut dyn Write, counts: &CountTable) -> io::Result<()> {
        counts::write(self, out, counts)
    }

    fn connection(
        &mut self,
        out: &mut dyn Write,
        conn: &Conn,
        holders: &Holders,
        now_ns: u64,
    ) -> io::Result<()> {
        let names = self.names.of(&conn.who);
        let (line, clock) = self.begin("connection");
        put_fields!(line, "ts": time(clock, now_ns),);
        put_tuple(line, &conn.who, &names);
        put_fields!(line,
            "role": conn.who.role.map(Role::name),
            "reason": conn.reason.name().map(Word),
            "synacks": conn.synacks,
        );
        put_owner(line, &conn.who, &names);
        put_holders(line, holders);
        put_fields!(line, "state": Word(conn.state.shown()),);
        put_age(line, conn.age(now_ns));
        put_fields!(line,
            "first_seen": time(clock, conn.first_seen_ns),
            "seeded": conn.who.seeded,
        );
        put_meters(line, conn.meters, conn.is_listener());
        put_activity(line, conn.activity);
        self.write(out)
    }

    fn listener(
        &mut self,
        out: &mut dyn Write,
        listener: &Listener,
        holders: &Holders,
        handshakes: &[Counter],
        now_ns: u64,
    ) -> io::Result<()> {
        let who = &listener.who;
        let names = self.names.of(who);
        let (accept_queue, half_open) = (listener.accept_queue, listener.half_open);
        let (line, clock) = self.begin("listener");
        put_fields!(line,
            "ts": time(clock, now_ns),
            "conn": some(who.conn),
            "netns": who.netns,
            "netns_name": names.netns.as_deref(),
            "family": who.family,
            "laddr": who.local(),
            "lport": who.lport,
        );
        put_dev(line, who, &names);
        put_owner(line, who, &names);
        put_holders(line, holders);
        put_age(line, listener.age(now_ns));
        put_fields!(line,
            "seeded": who.seeded,
            "accept_queue": accept_queue.length,
            "accept_queue_max": accept_queue.max,
            "accept_queue_limit": accept_queue.limit,
            "half_open": half_open.length,
            "half_open_max": half_open.max,
            "half_open_limit": half_open.limit,
            "established": listener.established,
            "closing": listener.closing,
            "timewait": listener.timewait,
            "unfinished": listener.unfinished,
            "unfinished_max": listener.unfinished_max,
            "unfinished_at": listener.unfinished_ns.map(|ns| time(clock, ns)),
            "drops": listener.drops,
            "alarms": Any(listener.raised().map(AlarmKind::name).collect::<Vec<_>>()),
            "handshakes": Any(Counts(handshakes)),
            "accepted": listener.accepted,
            "accept_wait_ns": listener.accept_wait_ns,
            "accept_wait_max_ns": listener.accept_wait_max_ns,
        );
        self.write(out)
    }

    fn lost(&mut self, out: &mut dyn Write, cpu: u32, count: u64) -> io::Result<()> {
        let (line, _) = self.begin("lost");
        put_fields!(line,
            "cpu": cpu,
            "count": count,
        );
        self.write(out)
    }

    fn findings(&mut self, _: &mut dyn Write, _: FindingCounts) -> io::Result<()> {
        Ok(())
    }

    fn summary(&mut self, out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
        summary::write(out, &self.clock, &mut self.names, summary)
    }
}
