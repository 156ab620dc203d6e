//! All fields of a record on several lines with aligned labels.

use std::borrow::Borrow;
use std::io::{self, Write};

use anstyle::Style as Ansi;

use crate::fmt::escape::Printable;
use crate::fmt::line::{self, Line, Put, put_spaces};
use crate::fmt::width::{columns, cut, shorten, shorten_path, width};
use crate::host::names::Names;
use crate::model::alarm::Alarm;
use crate::model::conn::{Activity, Conn};
use crate::model::count::CountTable;
use crate::model::endpoint::{Address, End};
use crate::model::event::Recorded;
use crate::model::handshakes::Counter;
use crate::model::holders::Holders;
use crate::model::ident::{Ident, Role};
use crate::model::life::Life;
use crate::model::listener::{Listener, Queue};
use crate::model::meters::Meters;
use crate::model::reason::error_name;
use crate::model::state::State;
use crate::model::summary::{FindingCounts, Summary};
use crate::model::transition::Transition;
use crate::render::Sink;
use crate::render::counts;
use crate::render::findings::pointer;
use crate::render::process::{Live, Recorded as Owner};
use crate::render::style::{Style, alarm_style, state_style};
use crate::render::summary::{self, Zeros};
use crate::render::table::lost_line;
use crate::render::time::{Clock, Duration, Form};

/// Width of the first of two fields, so that both fit in 80 columns.
const FIELD: usize = 18;

/// Prints all fields.
pub struct Detail {
    style: Style,
    names: Names,
    label: usize,
    line: Line,
}

impl Detail {
    pub fn new(style: Style, names: Names) -> Self {
        let l = style.labels;
        let longest = [
            l.snd_cwnd,
            l.namespace,
            l.bytes_acked,
            l.sndbuf_used,
            l.rcvbuf_used,
            l.in_old_long,
            l.retransmits,
        ];
        let label = longest.into_iter().map(width).max().unwrap_or(0);
        Self {
            style,
            names,
            label,
            line: Line::new(),
        }
    }

    /// Starts a paragraph; its first line starts with the time.
    fn begin(&mut self, ns: u64) -> Fields<'_> {
        let (line, style) = (&mut self.line, &self.style);
        line.clear();
        style.put(
            line,
            Ansi::new().bold(),
            style.clock.moment(ns, Form::Local),
        );
        "  ".put(line);
        Fields {
            line,
            style,
            label: self.label,
            names: &mut self.names,
        }
    }
}

/// A paragraph under construction; its lines have one or two fields.
struct Fields<'a> {
    line: &'a mut Line,
    style: &'a Style,
    /// Width of a label.
    label: usize,
    names: &'a mut Names,
}

impl Fields<'_> {
    fn end(&mut self) {
        self.line.push(b'\n');
    }

    /// Appends a word to the first line.
    fn styled(&mut self, ansi: Ansi, what: impl Put) {
        self.style.put(self.line, ansi, what);
    }

    fn state(&mut self, state: State) {
        self.styled(state_style(state), state.shown());
    }

    fn label(&mut self, label: &str) {
        label.put(self.line);
        put_spaces(self.line, self.label.saturating_sub(width(label)) + 1);
    }

    /// Appends a line with one field.
    fn one(&mut self, label: &str, value: impl Put) {
        "  ".put(self.line);
        self.label(label);
        value.put(self.line);
        self.end();
    }

    /// Appends a line with two fields.
    fn two(&mut self, left: (&str, impl Put), right: (&str, impl Put)) {
        "  ".put(self.line);
        let start = self.line.len();
        self.label(left.0);
        left.1.put(self.line);
        let used = columns(&self.line[start..]);
        put_spaces(self.line, (self.label + 1 + FIELD).saturating_sub(used) + 1);
        self.label(right.0);
        right.1.put(self.line);
        self.end();
    }

    /// Appends a line with one field, shortened to the terminal, if its value is known.
    fn known(&mut self, label: &str, value: Option<impl Put>, fit: fn(&str, usize) -> String) {
        let Some(value) = value else {
            return;
        };
        match self.style.width {
            Some(columns) => {
                let room = columns.saturating_sub(self.label + 3);
                self.one(label, fit(&line::text(&value), room).as_str());
            }
            None => self.one(label, value),
        }
    }

    fn addresses(&mut self, who: &Ident) {
        let l = self.style.labels;
        let dev = self.names.dev(who);
        self.one(l.local, End::local(who, dev.as_ref()));
        self.one(l.remote, End::remote(who, dev.as_ref()));
        let end = |(ip, port)| End(Address::remote(ip, dev.as_ref()), port);
        let listener = who.listener().map(end);
        self.known(l.listener, listener, shorten);
    }

    /// Appends what is known of a live socket, with its processes.
    fn live(&mut self, who: &Ident, holders: &Holders) {
        let l = self.style.labels;
        self.identity(who, Live(who.owner, holders));
        let several = |line: &mut Line| {
            for (index, owner) in holders.several.iter().enumerate() {
                if index > 0 {
                    ", ".put(line);
                }
                owner.put(line);
            }
        };
        self.known(l.held_by, (holders.count > 1).then_some(several), cut);
        self.known(l.opened_by, holders.opened_by, cut);
    }

    /// Appends what is known of the connection or listener of an event at `ts`.
    fn recorded(&mut self, who: &Ident, ts: u64) {
        let gone = self.names.has_ended(who, ts);
        self.identity(who, who.owner.map(|owner| Owner { owner, gone }));
    }

    fn identity(&mut self, who: &Ident, owner: impl Put) {
        let l = self.style.labels;
        let names = self.names.of(who);
        let namespace = |line: &mut Line| {
            who.netns.put(line);
            if let Some(name) = &names.netns {
                " (".put(line);
                Printable::text(name).put(line);
                line.push(b')');
            }
        };
        let conn = (who.conn != 0).then_some(who.conn);
        self.two((l.process, owner), (l.user, who.uid));
        self.two((l.connection, conn), (l.role, who.role.map(Role::name)));
        self.known(l.namespace, Some(namespace), cut);
        self.known(l.container, names.container().map(Printable::text), cut);
        match names.cgroup_path() {
            Some(path) => self.known(l.cgroup, Some(Printable::text(path)), shorten_path),
            None => self.known(l.cgroup, who.cgroup, shorten_path),
        }
    }

    /// Appends the activity of a full socket.
    fn activity(&mut self, activity: Option<Activity>) {
        let Some(a) = activity else {
            return;
        };
        let l = self.style.labels;
        let ago = |ms: Option<u64>| {
            move |line: &mut Line| match ms {
                Some(ms) => {
                    Duration(ms.saturating_mul(1_000_000)).put(line);
                    line.push(b' ');
                    l.ago.put(line);
                }
                None => line.push(b'-'),
            }
        };
        self.two(
            (l.last_recv, ago(a.last_recv_ms)),
            (l.last_sent, ago(a.last_sent_ms)),
        );
        self.two((l.unacked, a.unacked), (l.retransmits, a.retransmits));
        self.two((l.probes, a.probes), (l.socket, socket(a).as_str()));
    }

    /// Appends the current length of a queue, the highest length and the limit.
    fn queue(&mut self, label: &str, queue: Queue) {
        let l = self.style.labels;
        let Queue { length, max, limit } = queue;
        let text = format!("{length}, {} {max}, {} {limit}", l.most, l.limit);
        self.one(label, text.as_str());
    }

    /// Appends the counters that are not zero.
    fn handshakes(&mut self, counters: &[Counter]) {
        let l = self.style.labels;
        let counted = |c: &Counter| Some((l.handshake(c.name), c.count.filter(|n| *n > 0)?));
        for (index, (label, count)) in counters.iter().filter_map(counted).enumerate() {
            if index == 0 {
                format!("  {}\n", l.handshakes).as_str().put(self.line);
            }
            format!("    {label}: {count}\n").as_str().put(self.line);
        }
    }

    /// Appends the states in order, each with the time at which it began, as far as that is known.
    fn stays(&mut self, life: &Life) {
        let l = self.style.labels;
        format!("  {}\n", l.states).as_str().put(self.line);
        let mut at = Some(life.start_ns);
        for stay in &life.stays {
            let begin = at.map(|ns| self.style.clock.local(ns));
            let begin = begin.unwrap_or_else(|| "-".into());
            format!("    {begin:23}  {:11}  ", stay.state.shown())
                .as_str()
                .put(self.line);
            stay.time.put(self.line);
            self.end();
            let next = at.zip(stay.time.ns()).map(|(at, ns)| at.saturating_add(ns));
            at = next.filter(|_| !life.gaps);
        }
        if life.gaps {
            format!("    {}\n", l.gaps).as_str().put(self.line);
        }
    }

    /// Appends the meters of a full socket.
    fn meters(&mut self, meters: Option<Meters>, listener: bool) {
        let Some(m) = meters else {
            return;
        };
        let l = self.style.labels;
        let srtt = (m.srtt_us != 0).then_some(Duration(u64::from(m.srtt_us) * 1000));
        // Only a listener has an accept queue.
        let queue = |length: u32| listener.then_some(length);
        self.two((l.snd_wnd, m.snd_wnd), (l.rcv_wnd, m.rcv_wnd));
        self.two((l.sndbuf, m.sndbuf), (l.sndbuf_used, m.sndbuf_used));
        self.two((l.rcvbuf, m.rcvbuf), (l.rcvbuf_used, m.rcvbuf_used));
        self.two(
            (l.bytes_sent, m.bytes_sent),
            (l.bytes_received, m.bytes_received),
        );
        self.two((l.bytes_acked, m.bytes_acked), (l.retrans, m.retrans));
        self.two(
            (l.backlog, queue(m.backlog)),
            (l.max_backlog, queue(m.max_backlog)),
        );
        self.two((l.snd_cwnd, m.snd_cwnd), (l.srtt, srtt));
    }

    /// Writes the paragraph, followed by an empty line.
    fn write(mut self, out: &mut dyn Write) -> io::Result<()> {
        self.end();
        out.write_all(self.line)
    }
}

/// Flags of the socket, with the names in JSON.
fn socket(activity: Activity) -> String {
    let flags = [
        (activity.keepalive, "keepalive"),
        (activity.user_timeout, "user_timeout"),
        (activity.orphan, "orphan"),
    ];
    let set: Vec<_> = flags.iter().filter(|f| f.0).map(|f| f.1).collect();
    joined(&set)
}

/// Joins words with spaces; returns `-` if there are none.
fn joined(words: &[impl Borrow<str>]) -> String {
    match words {
        [] => "-".into(),
        words => words.join(" "),
    }
}

impl Sink for Detail {
    fn clock(&self) -> &Clock {
        &self.style.clock
    }

    fn transition(&mut self, out: &mut dyn Write, event: &Recorded<Transition>) -> io::Result<()> {
        let (l, record) = (self.style.labels, &event.record);
        let mut fields = self.begin(record.ts);
        fields.state(record.old);
        " -> ".put(fields.line);
        fields.state(record.new);
        fields.end();
        fields.addresses(&record.who);
        fields.two((l.old, record.old.shown()), (l.new, record.new.shown()));
        fields.two(
            (l.in_old_long, record.in_old),
            (l.reason, record.reason.name()),
        );
        let error = error_name(record.error);
        fields.two((l.error, error.as_deref()), (l.synacks, record.synacks));
        fields.meters(record.meters, record.is_listener());
        fields.recorded(&record.who, record.ts);
        fields.write(out)
    }

    fn alarm(&mut self, out: &mut dyn Write, event: &Recorded<Alarm>) -> io::Result<()> {
        let (l, alarm) = (self.style.labels, &event.record);
        let who = &alarm.who;
        let word = if alarm.raised { l.raised } else { l.cleared };
        let what = format!("{word} {}", alarm.kind.name());
        let mut fields = self.begin(alarm.ts);
        fields.styled(alarm_style(alarm.raised), what.as_str());
        fields.end();
        let dev = fields.names.dev(who);
        if alarm.is_pair() {
            fields.one(l.local, Address(who.local(), dev.as_ref()));
            fields.one(l.remote, Address::remote(who.remote(), dev.as_ref()));
        } else {
            fields.one(l.local, End::local(who, dev.as_ref()));
        }
        fields.two((l.value, alarm.value), (l.threshold, alarm.threshold));
        fields.two(
            (l.peak, alarm.peak),
            (l.lasted, Duration(alarm.lasted_ns())),
        );
        fields.two(
            (l.half_open, alarm.half_open),
            (l.established, alarm.established),
        );
        fields.two((l.closing, alarm.closing), (l.timewait, alarm.timewait));
        fields.recorded(who, alarm.ts);
        fields.write(out)
    }

    fn life(&mut self, out: &mut dyn Write, life: &Life) -> io::Result<()> {
        let l = self.style.labels;
        let began = self.style.clock.local(life.start_ns);
        let began = match life.whole {
            true => began,
            false => format!("{began} {}", l.at_least),
        };
        let mut fields = self.begin(life.end_ns);
        fields.styled(Ansi::new().bold(), l.ended_one);
        fields.end();
        fields.addresses(&life.who);
        fields.one(l.began, began.as_str());
        fields.two(
            (l.duration, life.duration()),
            (l.reason, life.reason.name()),
        );
        let error = error_name(life.error);
        fields.two((l.error, error.as_deref()), (l.synacks, life.synacks));
        let carried = life.carried;
        fields.two(
            (l.bytes_sent, carried.bytes_sent),
            (l.bytes_received, carried.bytes_received),
        );
        fields.two(
            (l.bytes_acked, carried.bytes_acked),
            (l.retrans, carried.retrans),
        );
        fields.recorded(&life.who, life.end_ns);
        fields.stays(life);
        fields.write(out)
    }

    fn counts(&mut self, out: &mut dyn Write, counts: &CountTable) -> io::Result<()> {
        counts::write(out, &self.style, counts)
    }

    fn connection(
        &mut self,
        out: &mut dyn Write,
        conn: &Conn,
        holders: &Holders,
        now_ns: u64,
    ) -> io::Result<()> {
        let l = self.style.labels;
        let mut fields = self.begin(now_ns);
        fields.state(conn.state);
        fields.end();
        fields.addresses(&conn.who);
        fields.two(
            (l.state, conn.state.shown()),
            (l.in_state, conn.age(now_ns)),
        );
        let clock = &fields.style.clock;
        fields.one(l.first_seen, |line: &mut Line| {
            clock.moment(conn.first_seen_ns, Form::Local).put(line);
            if conn.who.seeded {
                " (".put(line);
                l.older.put(line);
                line.push(b')');
            }
        });
        fields.two((l.reason, conn.reason.name()), (l.synacks, conn.synacks));
        fields.meters(conn.meters, conn.is_listener());
        fields.activity(conn.activity);
        fields.live(&conn.who, holders);
        fields.write(out)
    }

    fn listener(
        &mut self,
        out: &mut dyn Write,
        listener: &Listener,
        holders: &Holders,
        handshakes: &[Counter],
        now_ns: u64,
    ) -> io::Result<()> {
        let (l, who) = (self.style.labels, &listener.who);
        let mut fields = self.begin(now_ns);
        fields.state(State::LISTEN);
        fields.end();
        let raised: Vec<_> = listener.raised().map(|kind| kind.name()).collect();
        let unfinished = format!(
            "{}, {} {}",
            listener.unfinished, l.most, listener.unfinished_max
        );
        let dev = fields.names.dev(who);
        fields.one(l.local, End::local(who, dev.as_ref()));
        fields.one(l.listening, listener.age(now_ns));
        fields.one(l.alarms_raised, joined(&raised).as_str());
        fields.queue(l.accept_queue, listener.accept_queue);
        fields.queue(l.half_open, listener.half_open);
        fields.one(l.unfinished, unfinished.as_str());
        fields.two(
            (l.established, listener.established),
            (l.closing, listener.closing),
        );
        fields.two((l.timewait, listener.timewait), (l.drops, listener.drops));
        let wait = listener.accept_wait();
        fields.two(
            (l.accept_wait_average, wait.map(|w| Duration(w[0]))),
            (l.longest, wait.map(|w| Duration(w[1]))),
        );
        fields.live(who, holders);
        fields.handshakes(handshakes);
        fields.write(out)
    }

    fn lost(&mut self, out: &mut dyn Write, cpu: u32, count: u64) -> io::Result<()> {
        lost_line(out, &self.style, cpu, count)
    }

    fn findings(&mut self, out: &mut dyn Write, findings: FindingCounts) -> io::Result<()> {
        match pointer(&self.style, findings) {
            Some(line) => writeln!(out, "{line}"),
            None => Ok(()),
        }
    }

    fn summary(&mut self, out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
        summary::write(out, &self.style, &mut self.names, summary, Zeros::Told)
    }
}
