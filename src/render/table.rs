//! One line per record, in columns that fit the terminal.

use std::io::{self, Write};

use anstyle::Style as Ansi;

use crate::fmt::escape::Printable;
use crate::fmt::line::{self, Line, Put};
use crate::host::names::Names;
use crate::model::alarm::Alarm;
use crate::model::conn::Conn;
use crate::model::count::CountTable;
use crate::model::endpoint::{Address, End};
use crate::model::event::Recorded;
use crate::model::handshakes::Counter;
use crate::model::holders::Holders;
use crate::model::life::Life;
use crate::model::listener::Listener;
use crate::model::summary::{FindingCounts, Summary};
use crate::model::transition::Transition;
use crate::render::Sink;
use crate::render::columns::{Column, Kind, Row, column, put_head};
use crate::render::counts;
use crate::render::findings::pointer;
use crate::render::i18n::labels::Labels;
use crate::render::layout::{ENDPOINT, PROCESS, Room};
use crate::render::listeners::ListenerColumns;
use crate::render::process::{Live, Recorded as Owner};
use crate::render::style::{Style, alarm_style, state_style};
use crate::render::summary::{self, Zeros};
use crate::render::time::{Clock, Form, duration};

const STATE: usize = 11;
const SPAN: usize = 9;
/// Width of the time of day, and of the time with month, day and milliseconds.
const TIME: [usize; 2] = [8, 18];
/// Width of the longest name of a reason.
const REASON: usize = 18;
/// Number of characters of a container id that are printed.
const CONTAINER: usize = 12;
const BYTES: usize = 11;
const RETRANS: usize = 7;

/// The part that the headings on the terminal belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Transitions,
    Alarms,
    Lives,
    Connections,
    Listeners,
}

/// Prints one line per record.
pub struct Table {
    style: Style,
    names: Names,
    part: Option<Part>,
    transitions: TransitionColumns,
    lives: LifeColumns,
    connections: ConnectionColumns,
    listeners: ListenerColumns,
    /// Columns of the current part.
    columns: Vec<Column>,
    /// Columns of alarms among transitions.
    alarm_columns: Vec<Column>,
    line: Line,
}

impl Table {
    pub fn new(style: Style, names: Names) -> Self {
        let transitions = TransitionColumns::for_width(style.width);
        Self {
            alarm_columns: transitions.alarm_columns(&style),
            transitions,
            lives: LifeColumns::for_width(style.width),
            connections: ConnectionColumns::for_width(style.width),
            listeners: ListenerColumns::for_width(style.width),
            style,
            names,
            part: None,
            columns: Vec::new(),
            line: Line::new(),
        }
    }

    /// Starts the line; prints the headings first if a new part starts.
    fn enter(&mut self, part: Part) {
        self.line.clear();
        if self.part == Some(part) {
            return;
        }
        if self.part.replace(part).is_some() {
            self.line.push(b'\n');
        }
        self.columns = match part {
            Part::Transitions => self.transitions.columns(&self.style),
            Part::Alarms => self.transitions.alarm_columns(&self.style),
            Part::Lives => self.lives.columns(&self.style),
            Part::Connections => self.connections.columns(&self.style),
            Part::Listeners => self.listeners.columns(self.style.labels),
        };
        put_head(&mut self.line, &self.style, &self.columns);
    }
}

/// Widths of the columns of transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TransitionColumns {
    time: usize,
    endpoint: usize,
    reason: bool,
    /// Width of the process column; 0: none.
    process: usize,
}

impl TransitionColumns {
    fn for_width(width: Option<usize>) -> Self {
        let Some(width) = width else {
            return Self {
                time: TIME[1],
                endpoint: ENDPOINT[0],
                reason: true,
                process: PROCESS[1],
            };
        };
        // Width of the time, two states, the span, and the gaps between six columns.
        let mut room = Room::new(width, TIME[0] + 2 * STATE + SPAN + 5, 2);
        let reason = room.take(REASON + 1);
        let process = room.take(PROCESS[0] + 1);
        let long = room.take(TIME[1] - TIME[0]);
        Self {
            time: TIME[usize::from(long)],
            reason,
            process: room.process(process),
            endpoint: room.endpoint(),
        }
    }

    fn columns(&self, style: &Style) -> Vec<Column> {
        let l = style.labels;
        let mut columns = vec![
            column(l.time, self.time, Kind::Text),
            column(l.local, self.endpoint, Kind::Endpoint),
            column(l.remote, self.endpoint, Kind::Endpoint),
            column(l.old, STATE, Kind::Text),
            column(l.new, STATE, Kind::Text),
            column(l.in_old, SPAN, Kind::Number),
        ];
        if self.reason {
            columns.push(column(l.reason, REASON, Kind::Text));
        }
        if self.process > 0 {
            columns.push(column(l.process, self.process, Kind::Text));
        }
        columns
    }

    /// Format of the time.
    fn form(&self) -> Form {
        match self.time == TIME[0] {
            true => Form::Day,
            false => Form::Short,
        }
    }

    /// The same columns for time and endpoints, and a text instead of the states.
    fn alarm_columns(&self, style: &Style) -> Vec<Column> {
        let l = style.labels;
        let used = self.time + 2 * self.endpoint + 3;
        let left = style.width.map_or(0, |width| width.saturating_sub(used));
        vec![
            column(l.time, self.time, Kind::Text),
            column(l.local, self.endpoint, Kind::Endpoint),
            column(l.remote, self.endpoint, Kind::Endpoint),
            column(l.alarm, left, Kind::Text),
        ]
    }
}

/// Widths of the columns of connections that have ended. The first three are those of transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LifeColumns {
    time: usize,
    endpoint: usize,
    /// Whether there are columns for bytes and retransmissions.
    meters: bool,
    /// Width of the process column; 0: none.
    process: usize,
    /// Width of the states with the time in each; 0: none.
    stays: usize,
}

/// Minimum width of the states of a connection.
const STAYS: usize = 40;

impl LifeColumns {
    fn for_width(width: Option<usize>) -> Self {
        let Some(width) = width else {
            return Self {
                time: TIME[1],
                endpoint: ENDPOINT[0],
                meters: true,
                process: PROCESS[1],
                stays: STAYS,
            };
        };
        // Width of the time, the span, the reason, and the gaps between five columns.
        let mut room = Room::new(width, TIME[0] + SPAN + REASON + 4, 2);
        let process = room.take(PROCESS[0] + 1);
        let meters = room.take(2 * (BYTES + 1) + RETRANS + 1);
        let long = room.take(TIME[1] - TIME[0]);
        let stays = room.take(STAYS + 1);
        let process = room.process(process);
        // The endpoints stay short where the states are shown: these take what is left.
        let stays = match stays {
            true => STAYS + room.rest(),
            false => 0,
        };
        Self {
            time: TIME[usize::from(long)],
            meters,
            process,
            stays,
            endpoint: room.endpoint(),
        }
    }

    fn columns(&self, style: &Style) -> Vec<Column> {
        let l = style.labels;
        let mut columns = vec![
            column(l.time, self.time, Kind::Text),
            column(l.local, self.endpoint, Kind::Endpoint),
            column(l.remote, self.endpoint, Kind::Endpoint),
            column(l.duration, SPAN, Kind::Number),
        ];
        if self.meters {
            columns.push(column(l.sent, BYTES, Kind::Number));
            columns.push(column(l.received, BYTES, Kind::Number));
            columns.push(column(l.retrans_short, RETRANS, Kind::Number));
        }
        columns.push(column(l.reason, REASON, Kind::Text));
        if self.process > 0 {
            columns.push(column(l.process, self.process, Kind::Text));
        }
        if self.stays > 0 {
            columns.push(column(l.states, self.stays, Kind::Text));
        }
        columns
    }

    /// Format of the time.
    fn form(&self) -> Form {
        match self.time == TIME[0] {
            true => Form::Day,
            false => Form::Short,
        }
    }
}

/// The states of a connection in order, with the time in each: `SYN_SENT 0.2 ms, ESTABLISHED 3.0 s`.
struct Stays<'a>(&'a Life);

impl Put for Stays<'_> {
    fn put(&self, line: &mut Line) {
        for (index, stay) in self.0.stays.iter().enumerate() {
            if index > 0 {
                ", ".put(line);
            }
            stay.state.shown().put(line);
            line.push(b' ');
            stay.time.put(line);
        }
    }
}

/// Widths of the columns of live connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ConnectionColumns {
    endpoint: usize,
    /// Whether there are columns for bytes and retransmissions.
    meters: bool,
    container: bool,
    /// Width of the process column; 0: none.
    process: usize,
}

impl ConnectionColumns {
    fn for_width(width: Option<usize>) -> Self {
        let Some(width) = width else {
            return Self {
                endpoint: ENDPOINT[0],
                meters: true,
                container: true,
                process: PROCESS[1],
            };
        };
        // Width of the state, the span, and the gaps between four columns.
        let mut room = Room::new(width, STATE + SPAN + 3, 2);
        let meters = room.take(2 * (BYTES + 1) + RETRANS + 1);
        let process = room.take(PROCESS[0] + 1);
        let container = room.take(CONTAINER + 1);
        Self {
            meters,
            container,
            process: room.process(process),
            endpoint: room.endpoint(),
        }
    }

    fn columns(&self, style: &Style) -> Vec<Column> {
        let l = style.labels;
        let mut columns = vec![
            column(l.local, self.endpoint, Kind::Endpoint),
            column(l.remote, self.endpoint, Kind::Endpoint),
            column(l.state, STATE, Kind::Text),
            column(l.in_state, SPAN, Kind::Number),
        ];
        if self.meters {
            columns.push(column(l.sent, BYTES, Kind::Number));
            columns.push(column(l.received, BYTES, Kind::Number));
            columns.push(column(l.retrans_short, RETRANS, Kind::Number));
        }
        if self.container {
            columns.push(column(l.container, CONTAINER, Kind::Text));
        }
        if self.process > 0 {
            columns.push(column(l.process, self.process, Kind::Text));
        }
        columns
    }
}

/// The text of an alarm, most important first, because the end is cut on a terminal.
fn alarm_words(l: &Labels, alarm: &Alarm, gone: bool) -> String {
    let (kind, value, threshold) = (alarm.kind.name(), alarm.value, alarm.threshold);
    let word = if alarm.raised { l.raised } else { l.cleared };
    let mut words = format!("{word} {kind} {value}, {} {threshold}", l.threshold_short);
    if !alarm.raised {
        let lasted = duration(alarm.lasted_ns());
        words += &format!(", {} {}, {} {lasted}", l.most, alarm.peak, l.lasted_short);
    }
    if let Some(owner) = alarm.who.owner {
        words += &format!(", {}", line::text(&Owner { owner, gone }));
    }
    words
}

/// The first characters of a container id.
struct ShortId<'a>(&'a str);

impl Put for ShortId<'_> {
    fn put(&self, line: &mut Line) {
        let start = line.len();
        Printable::text(self.0).put(line);
        let shown = String::from_utf8_lossy(&line[start..]);
        if let Some((end, _)) = shown.char_indices().nth(CONTAINER) {
            line.truncate(start + end);
        }
    }
}

impl Sink for Table {
    fn clock(&self) -> &Clock {
        &self.style.clock
    }

    fn transition(&mut self, out: &mut dyn Write, event: &Recorded<Transition>) -> io::Result<()> {
        self.enter(Part::Transitions);
        let (record, who) = (&event.record, &event.record.who);
        let form = self.transitions.form();
        let dev = self.names.dev(who);
        let gone = self.transitions.process > 0 && self.names.has_ended(who, record.ts);
        let mut row = Row::new(&mut self.line, &self.style, &self.columns);
        row.cell(self.style.clock.moment(record.ts, form));
        row.cell(End::local(who, dev.as_ref()));
        row.cell(End::remote(who, dev.as_ref()));
        row.styled(|| state_style(record.old), record.old.shown());
        row.styled(|| state_style(record.new), record.new.shown());
        row.cell(record.in_old);
        if self.transitions.reason {
            row.cell(record.reason.name());
        }
        row.text(Ansi::new(), who.owner.map(|owner| Owner { owner, gone }));
        out.write_all(&self.line)
    }

    /// Printed among transitions and lives in their first columns, without headings of its own.
    fn alarm(&mut self, out: &mut dyn Write, event: &Recorded<Alarm>) -> io::Result<()> {
        let among = [Part::Transitions, Part::Lives];
        let among = self.part.filter(|part| among.contains(part));
        self.enter(among.unwrap_or(Part::Alarms));
        let (alarm, who) = (&event.record, &event.record.who);
        let form = self.transitions.form();
        let dev = self.names.dev(who);
        let mut row = Row::new(&mut self.line, &self.style, &self.alarm_columns);
        row.cell(self.style.clock.moment(alarm.ts, form));
        if alarm.is_pair() {
            row.cell(Address(who.local(), dev.as_ref()));
            row.cell(Address::remote(who.remote(), dev.as_ref()));
        } else {
            row.cell(End::local(who, dev.as_ref()));
            row.cell("-");
        }
        let gone = self.names.has_ended(who, alarm.ts);
        let words = alarm_words(self.style.labels, alarm, gone);
        row.text(alarm_style(alarm.raised), words.as_str());
        out.write_all(&self.line)
    }

    fn life(&mut self, out: &mut dyn Write, life: &Life) -> io::Result<()> {
        self.enter(Part::Lives);
        let who = &life.who;
        let dev = self.names.dev(who);
        let gone = self.lives.process > 0 && self.names.has_ended(who, life.end_ns);
        let mut row = Row::new(&mut self.line, &self.style, &self.columns);
        row.cell(self.style.clock.moment(life.end_ns, self.lives.form()));
        row.cell(End::local(who, dev.as_ref()));
        row.cell(End::remote(who, dev.as_ref()));
        row.cell(life.duration());
        if self.lives.meters {
            row.cell(life.carried.bytes_sent);
            row.cell(life.carried.bytes_received);
            row.cell(life.carried.retrans);
        }
        row.cell(life.reason.name());
        if self.lives.process > 0 {
            row.text(Ansi::new(), who.owner.map(|owner| Owner { owner, gone }));
        }
        if self.lives.stays > 0 {
            row.cell(Stays(life));
        }
        out.write_all(&self.line)
    }

    fn counts(&mut self, out: &mut dyn Write, counts: &CountTable) -> io::Result<()> {
        self.part = Some(Part::Connections);
        counts::write(out, &self.style, counts)
    }

    fn connection(
        &mut self,
        out: &mut dyn Write,
        conn: &Conn,
        holders: &Holders,
        now_ns: u64,
    ) -> io::Result<()> {
        self.enter(Part::Connections);
        let who = &conn.who;
        let dev = self.names.dev(who);
        let mut row = Row::new(&mut self.line, &self.style, &self.columns);
        row.cell(End::local(who, dev.as_ref()));
        row.cell(End::remote(who, dev.as_ref()));
        row.styled(|| state_style(conn.state), conn.state.shown());
        row.cell(conn.age(now_ns));
        if self.connections.meters {
            row.cell(conn.meters.map(|m| m.bytes_sent));
            row.cell(conn.meters.map(|m| m.bytes_received));
            row.cell(conn.meters.map(|m| m.retrans));
        }
        if self.connections.container {
            let cgroup = self.names.cgroup_of(who);
            let container = cgroup.as_ref().and_then(|c| c.container.as_deref());
            row.text(Ansi::new(), container.map(ShortId));
        }
        row.text(Ansi::new(), Live(who.owner, holders));
        out.write_all(&self.line)
    }

    fn listener(
        &mut self,
        out: &mut dyn Write,
        listener: &Listener,
        holders: &Holders,
        handshakes: &[Counter],
        _now_ns: u64,
    ) -> io::Result<()> {
        self.enter(Part::Listeners);
        let dev = self.names.dev(&listener.who);
        let mut row = Row::new(&mut self.line, &self.style, &self.columns);
        self.listeners
            .cells(&mut row, listener, holders, dev.as_ref(), handshakes);
        out.write_all(&self.line)
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
        if self.part.is_some() {
            writeln!(out)?;
        }
        summary::write(out, &self.style, &mut self.names, summary, Zeros::Left)
    }
}

/// Writes a line that `--follow` was too slow.
pub(super) fn lost_line(
    out: &mut dyn Write,
    style: &Style,
    cpu: u32,
    count: u64,
) -> io::Result<()> {
    let text = format!("*** {count} {} {cpu}", style.labels.lost_here);
    let red = Ansi::new().fg_color(Some(anstyle::AnsiColor::Red.into()));
    writeln!(out, "{}", style.paint(red, &text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::layout::SHORTEST;

    #[test]
    fn transitions_fit_every_terminal() {
        for width in 72..260 {
            let c = TransitionColumns::for_width(Some(width));
            let process = if c.process > 0 { c.process + 1 } else { 0 };
            let reason = if c.reason { REASON + 1 } else { 0 };
            let used = c.time + 2 * c.endpoint + 2 * STATE + SPAN + 5 + process + reason;
            assert!(used <= width, "{width}: {c:?} takes {used}");
        }
        let at = |width| {
            let c = TransitionColumns::for_width(Some(width));
            (c.time, c.endpoint, c.reason, c.process)
        };
        assert_eq!(at(80), (8, 18, false, 0));
        assert_eq!(at(99), (8, 21, false, 12));
        assert_eq!(at(105), (8, 21, true, 0));
        assert_eq!(at(120), (8, 21, true, 14));
        assert_eq!(at(132), (18, 21, true, 16));
        assert_eq!(at(200), (18, 47, true, 23));
        assert_eq!(at(0), (8, SHORTEST, false, 0));
    }

    #[test]
    fn connections_fit_every_terminal() {
        for width in 50..260 {
            let c = ConnectionColumns::for_width(Some(width));
            let process = if c.process > 0 { c.process + 1 } else { 0 };
            let meters = if c.meters {
                2 * (BYTES + 1) + RETRANS + 1
            } else {
                0
            };
            let container = if c.container { CONTAINER + 1 } else { 0 };
            let used = 2 * c.endpoint + STATE + SPAN + 3 + process + meters + container;
            assert!(used <= width, "{width}: {c:?} takes {used}");
        }
        assert!(ConnectionColumns::for_width(Some(100)).meters);
        assert!(!ConnectionColumns::for_width(Some(80)).meters);
        assert!(ConnectionColumns::for_width(Some(132)).container);
    }
}
