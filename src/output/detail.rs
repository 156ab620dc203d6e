//! All fields of a record, over several lines with aligned labels.

use std::io::{self, Write};

use crate::alarm::Alarm;
use crate::diagnose::finding::Counts;
use crate::diagnose::pointer;
use crate::handshakes::Counter;
use crate::listener::{Listener, Queue};
use crate::merge::Recorded;
use crate::output::Output;
use crate::output::look::{Look, alarm_style, state_style};
use crate::output::summary::{self, Zeros};
use crate::output::table::{lost_line, process, reason};
use crate::places::Places;
use crate::reason::error_name;
use crate::record::{Activity, Conn, Ident, Meters, Role, Transition};
use crate::state::State;
use crate::summary::Summary;
use crate::text::{cut, endpoint, pad, printable, shorten, shorten_path, width};
use crate::time::{duration, span};

/// A label and its value.
type Field = (&'static str, String);

/// Columns of the first of two fields, so that two fit 80 columns.
const FIELD: usize = 18;

/// Prints all fields.
pub struct Detail {
    look: Look,
    places: Places,
    label: usize,
}

impl Detail {
    pub fn new(look: Look, places: Places) -> Self {
        let l = look.labels;
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
            look,
            places,
            label,
        }
    }

    /// Lines of one or two fields.
    fn lines(&self, out: &mut dyn Write, fields: &[&[Field]]) -> io::Result<()> {
        for line in fields {
            let cells: Vec<_> = line
                .iter()
                .map(|(l, v)| format!("{} {v}", pad(l, self.label)))
                .collect();
            match &cells[..] {
                [left, right] => {
                    writeln!(out, "  {} {right}", pad(left, self.label + 1 + FIELD))?;
                }
                _ => writeln!(out, "  {}", cells.concat())?,
            }
        }
        Ok(())
    }

    fn addresses(&self, out: &mut dyn Write, who: &Ident) -> io::Result<()> {
        let l = self.look.labels;
        self.lines(
            out,
            &[
                &[(l.local, endpoint(who.local(), who.lport))],
                &[(l.remote, endpoint(who.remote(), who.rport))],
            ],
        )?;
        let listener = who.listener().map(|(ip, port)| endpoint(ip, port));
        self.known(out, l.listener, listener, shorten)
    }

    /// A line of one field, made fit for the terminal, if its value is known.
    fn known(
        &self,
        out: &mut dyn Write,
        label: &'static str,
        value: Option<String>,
        fit: fn(&str, usize) -> String,
    ) -> io::Result<()> {
        let Some(value) = value else {
            return Ok(());
        };
        let value = match self.look.width {
            Some(columns) => fit(&value, columns.saturating_sub(self.label + 3)),
            None => value,
        };
        self.lines(out, &[&[(label, value)]])
    }

    fn identity(&mut self, out: &mut dyn Write, who: &Ident) -> io::Result<()> {
        let l = self.look.labels;
        let place = self.places.of(who);
        let namespace = match &place.netns {
            Some(name) => format!("{} ({})", who.netns, printable(name)),
            None => who.netns.to_string(),
        };
        let conn = if who.conn == 0 {
            unknown()
        } else {
            who.conn.to_string()
        };
        self.lines(
            out,
            &[
                &[
                    (l.process, process(who)),
                    (l.user, who.uid.map_or_else(unknown, |u| u.to_string())),
                ],
                &[
                    (l.connection, conn),
                    (l.role, who.role.map_or("-", Role::name).to_owned()),
                ],
            ],
        )?;
        let cgroup = match place.cgroup_path() {
            Some(path) => Some(printable(path)),
            None => who.cgroup.map(|id| id.to_string()),
        };
        let container = place.container().map(printable);
        self.known(out, l.namespace, Some(namespace), cut)?;
        self.known(out, l.container, container, cut)?;
        self.known(out, l.cgroup, cgroup, shorten_path)
    }

    /// Lines of what a full socket does.
    fn activity(&self, out: &mut dyn Write, activity: Option<Activity>) -> io::Result<()> {
        let Some(a) = activity else {
            return Ok(());
        };
        let l = self.look.labels;
        let ago = |ms: u32| format!("{} {}", duration(u64::from(ms) * 1_000_000), l.ago);
        self.lines(
            out,
            &[
                &[
                    (l.last_recv, ago(a.last_recv_ms)),
                    (l.last_sent, ago(a.last_sent_ms)),
                ],
                &[
                    (l.unacked, a.unacked.to_string()),
                    (l.retransmits, a.retransmits.to_string()),
                ],
                &[(l.probes, a.probes.to_string()), (l.socket, socket(a))],
            ],
        )
    }

    /// Now, at most, and where it is full.
    fn queue(&self, queue: Queue) -> String {
        let l = self.look.labels;
        let Queue { length, max, limit } = queue;
        format!("{length}, {} {max}, {} {limit}", l.most, l.limit)
    }

    /// The counters that have counted.
    fn handshakes(&self, out: &mut dyn Write, counters: &[Counter]) -> io::Result<()> {
        let l = self.look.labels;
        let counted = |c: &Counter| Some(((c.label)(l), c.count.filter(|n| *n > 0)?));
        for (index, (label, count)) in counters.iter().filter_map(counted).enumerate() {
            if index == 0 {
                writeln!(out, "  {}", l.handshakes)?;
            }
            writeln!(out, "    {label}: {count}")?;
        }
        Ok(())
    }

    /// Lines of what only a full socket has.
    fn meters(
        &self,
        out: &mut dyn Write,
        meters: Option<Meters>,
        listener: bool,
    ) -> io::Result<()> {
        let Some(m) = meters else {
            return Ok(());
        };
        let l = self.look.labels;
        let text = |n: u64| n.to_string();
        let srtt = match m.srtt_us {
            0 => "-".into(),
            us => duration(u64::from(us) * 1000),
        };
        self.lines(
            out,
            &[
                &[
                    (l.snd_wnd, text(m.snd_wnd.into())),
                    (l.rcv_wnd, text(m.rcv_wnd.into())),
                ],
                &[
                    (l.sndbuf, text(m.sndbuf.into())),
                    (l.sndbuf_used, text(m.sndbuf_used.into())),
                ],
                &[
                    (l.rcvbuf, text(m.rcvbuf.into())),
                    (l.rcvbuf_used, text(m.rcvbuf_used.into())),
                ],
                &[
                    (l.bytes_sent, text(m.bytes_sent)),
                    (l.bytes_received, text(m.bytes_received)),
                ],
                &[
                    (l.bytes_acked, text(m.bytes_acked)),
                    (l.retrans, text(m.retrans.into())),
                ],
                &[
                    (l.backlog, queue(m.backlog, listener)),
                    (l.max_backlog, queue(m.max_backlog, listener)),
                ],
                &[(l.snd_cwnd, text(m.snd_cwnd.into())), (l.srtt, srtt)],
            ],
        )
    }
}

/// The socket's options and what has become of it, by the names in JSON.
fn socket(activity: Activity) -> String {
    let flags = [
        (activity.keepalive, "keepalive"),
        (activity.user_timeout, "user_timeout"),
        (activity.orphan, "orphan"),
    ];
    let set: Vec<_> = flags.iter().filter(|f| f.0).map(|f| f.1).collect();
    if set.is_empty() {
        unknown()
    } else {
        set.join(" ")
    }
}

fn synacks(sent: Option<u16>) -> String {
    sent.map_or_else(unknown, |n| n.to_string())
}

fn unknown() -> String {
    "-".into()
}

/// The accept queue is a listener's.
fn queue(length: u32, listener: bool) -> String {
    if listener {
        length.to_string()
    } else {
        "-".into()
    }
}

impl Output for Detail {
    fn transition(&mut self, out: &mut dyn Write, event: &Recorded<Transition>) -> io::Result<()> {
        let (l, record) = (self.look.labels, &event.record);
        let state = |s| self.look.paint(state_style(s), &s.shown());
        let time = self.look.heading(&self.look.clock.local(record.ts));
        writeln!(
            out,
            "{time}  {} -> {}",
            state(record.old),
            state(record.new)
        )?;
        self.addresses(out, &record.who)?;
        self.lines(
            out,
            &[
                &[
                    (l.old, record.old.shown().into_owned()),
                    (l.new, record.new.shown().into_owned()),
                ],
                &[
                    (l.in_old_long, span(record.in_old)),
                    (l.reason, reason(record.reason)),
                ],
                &[
                    (l.error, error_name(record.error).unwrap_or_else(unknown)),
                    (l.synacks, synacks(record.synacks)),
                ],
            ],
        )?;
        self.meters(out, record.meters, record.is_listener())?;
        self.identity(out, &record.who)?;
        writeln!(out)
    }

    fn alarm(&mut self, out: &mut dyn Write, event: &Recorded<Alarm>) -> io::Result<()> {
        let (l, alarm) = (self.look.labels, &event.record);
        let who = &alarm.who;
        let time = self.look.heading(&self.look.clock.local(alarm.ts));
        let word = if alarm.raised { l.raised } else { l.cleared };
        let what = format!("{word} {}", alarm.kind.name());
        let what = self.look.paint(alarm_style(alarm.raised), &what);
        writeln!(out, "{time}  {what}")?;
        match alarm.is_pair() {
            true => self.lines(
                out,
                &[
                    &[(l.local, who.local().to_string())],
                    &[(l.remote, who.remote().to_string())],
                ],
            ),
            false => self.lines(out, &[&[(l.local, endpoint(who.local(), who.lport))]]),
        }?;
        let number = |n: u32| n.to_string();
        self.lines(
            out,
            &[
                &[
                    (l.value, alarm.value.to_string()),
                    (l.threshold, alarm.threshold.to_string()),
                ],
                &[
                    (l.peak, alarm.peak.to_string()),
                    (l.lasted, duration(alarm.lasted_ns())),
                ],
                &[
                    (l.half_open, number(alarm.half_open)),
                    (l.established, number(alarm.established)),
                ],
                &[
                    (l.closing, number(alarm.closing)),
                    (l.timewait, number(alarm.timewait)),
                ],
            ],
        )?;
        self.identity(out, who)?;
        writeln!(out)
    }

    fn connection(&mut self, out: &mut dyn Write, conn: &Conn, now_ns: u64) -> io::Result<()> {
        let l = self.look.labels;
        let time = self.look.heading(&self.look.clock.local(now_ns));
        let state = self
            .look
            .paint(state_style(conn.state), &conn.state.shown());
        writeln!(out, "{time}  {state}")?;
        self.addresses(out, &conn.who)?;
        let seen = self.look.clock.local(conn.first_seen_ns);
        let seen = if conn.who.seeded {
            format!("{seen} ({})", l.older)
        } else {
            seen
        };
        self.lines(
            out,
            &[
                &[
                    (l.state, conn.state.shown().into_owned()),
                    (l.in_state, span(conn.age(now_ns))),
                ],
                &[(l.first_seen, seen)],
                &[
                    (l.reason, reason(conn.reason)),
                    (l.synacks, synacks(conn.synacks)),
                ],
            ],
        )?;
        self.meters(out, conn.meters, conn.is_listener())?;
        self.activity(out, conn.activity)?;
        self.identity(out, &conn.who)?;
        writeln!(out)
    }

    fn listener(
        &mut self,
        out: &mut dyn Write,
        listener: &Listener,
        handshakes: &[Counter],
        now_ns: u64,
    ) -> io::Result<()> {
        let (l, who) = (self.look.labels, &listener.who);
        let time = self.look.heading(&self.look.clock.local(now_ns));
        let state = State::LISTEN;
        let state = self.look.paint(state_style(state), &state.shown());
        writeln!(out, "{time}  {state}")?;
        let number = |n: u32| n.to_string();
        let raised: Vec<_> = listener.raised().map(|kind| kind.name()).collect();
        let raised = if raised.is_empty() {
            unknown()
        } else {
            raised.join(" ")
        };
        let unfinished = format!(
            "{}, {} {}",
            listener.unfinished, l.most, listener.unfinished_max
        );
        self.lines(
            out,
            &[
                &[(l.local, endpoint(who.local(), who.lport))],
                &[(l.listening, span(listener.age(now_ns)))],
                &[(l.alarms_raised, raised)],
                &[(l.accept_queue, self.queue(listener.accept_queue))],
                &[(l.half_open, self.queue(listener.half_open))],
                &[(l.unfinished, unfinished)],
                &[
                    (l.established, number(listener.established)),
                    (l.closing, number(listener.closing)),
                ],
                &[
                    (l.timewait, number(listener.timewait)),
                    (l.drops, listener.drops.to_string()),
                ],
            ],
        )?;
        self.identity(out, who)?;
        self.handshakes(out, handshakes)?;
        writeln!(out)
    }

    fn lost(&mut self, out: &mut dyn Write, cpu: u32, count: u64) -> io::Result<()> {
        lost_line(out, &self.look, cpu, count)
    }

    fn findings(&mut self, out: &mut dyn Write, findings: Counts) -> io::Result<()> {
        match pointer(&self.look, findings) {
            Some(line) => writeln!(out, "{line}"),
            None => Ok(()),
        }
    }

    fn summary(&mut self, out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
        summary::write(out, &self.look, summary, Zeros::Told)
    }
}
