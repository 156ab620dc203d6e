//! One line each, in columns that fit the terminal.

use std::borrow::Cow;
use std::io::{self, Write};

use anstyle::Style;

use crate::alarm::Alarm;
use crate::diagnose::finding::Counts;
use crate::diagnose::pointer;
use crate::handshakes::Counter;
use crate::i18n::Labels;
use crate::listener::Listener;
use crate::merge::Recorded;
use crate::output::Output;
use crate::output::columns::{Cell, Column, Kind, column, write_cells, write_head};
use crate::output::listeners::ListenerColumns;
use crate::output::look::{Look, alarm_style, state_style};
use crate::output::room::{ENDPOINT, PROCESS, Room};
use crate::output::summary::{self, Zeros};
use crate::places::{Place, Places};
use crate::reason::Reason;
use crate::record::{Conn, Ident, Meters, Transition};
use crate::state::State;
use crate::summary::Summary;
use crate::text::{endpoint, printable, printable_bytes};
use crate::time::{duration, span};

const STATE: usize = 11;
const SPAN: usize = 9;
/// Time of day, and the same with month, day and milliseconds.
const TIME: [usize; 2] = [8, 18];
/// The longest name of a reason.
const REASON: usize = 18;
/// How much of a container's id is shown.
const CONTAINER: usize = 12;
const BYTES: usize = 11;
const RETRANS: usize = 7;

/// Which part the headings on the terminal belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Transitions,
    Alarms,
    Connections,
    Listeners,
}

/// Prints one line each.
pub struct Table {
    look: Look,
    places: Places,
    part: Option<Part>,
    transitions: TransitionColumns,
    connections: ConnectionColumns,
    listeners: ListenerColumns,
}

impl Table {
    pub fn new(look: Look, places: Places) -> Self {
        Self {
            transitions: TransitionColumns::for_width(look.width),
            connections: ConnectionColumns::for_width(look.width),
            listeners: ListenerColumns::for_width(look.width),
            look,
            places,
            part: None,
        }
    }

    /// Writes headings where a part begins.
    fn enter(&mut self, out: &mut dyn Write, part: Part) -> io::Result<()> {
        if self.part == Some(part) {
            return Ok(());
        }
        if self.part.replace(part).is_some() {
            writeln!(out)?;
        }
        let columns = match part {
            Part::Transitions => self.transitions.columns(&self.look),
            Part::Alarms => self.transitions.alarm_columns(&self.look),
            Part::Connections => self.connections.columns(&self.look),
            Part::Listeners => self.listeners.columns(self.look.labels),
        };
        write_head(out, &self.look, &columns)
    }

    fn time(&self, ns: u64) -> Cell {
        match self.transitions.time == TIME[0] {
            true => self.look.clock.local_day(ns),
            false => self.look.clock.local_short(ns),
        }
        .into()
    }
}

/// Widths of the columns of transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TransitionColumns {
    time: usize,
    endpoint: usize,
    reason: bool,
    /// 0: no such column.
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
        // The time, two states, the span, and the gaps between six columns.
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

    fn columns(&self, look: &Look) -> Vec<Column> {
        let l = look.labels;
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

    /// The same time and ends, and words where the states are.
    fn alarm_columns(&self, look: &Look) -> Vec<Column> {
        let l = look.labels;
        let used = self.time + 2 * self.endpoint + 3;
        let left = look.width.map_or(0, |width| width.saturating_sub(used));
        vec![
            column(l.time, self.time, Kind::Text),
            column(l.local, self.endpoint, Kind::Endpoint),
            column(l.remote, self.endpoint, Kind::Endpoint),
            column(l.alarm, left, Kind::Text),
        ]
    }
}

/// Widths of the columns of live connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ConnectionColumns {
    endpoint: usize,
    /// Whether bytes and retransmissions have columns.
    meters: bool,
    container: bool,
    /// 0: no such column.
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
        // The state, the span, and the gaps between four columns.
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

    fn columns(&self, look: &Look) -> Vec<Column> {
        let l = look.labels;
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

fn state_cell(state: State) -> Cell {
    Cell(state.shown().into_owned(), state_style(state))
}

/// What an alarm says: most important first, as a terminal cuts the end.
fn alarm_words(l: &Labels, alarm: &Alarm) -> String {
    let (kind, value, threshold) = (alarm.kind.name(), alarm.value, alarm.threshold);
    let word = if alarm.raised { l.raised } else { l.cleared };
    let mut words = format!("{word} {kind} {value}, {} {threshold}", l.threshold_short);
    if !alarm.raised {
        let lasted = duration(alarm.lasted_ns());
        words += &format!(", {} {}, {} {lasted}", l.most, alarm.peak, l.lasted_short);
    }
    if alarm.who.owner.is_some() {
        words += &format!(", {}", process(&alarm.who));
    }
    words
}

/// The word of a reason, or `-`.
pub(super) fn reason(reason: Reason) -> String {
    reason.name().map_or_else(|| "-".into(), Cow::into_owned)
}

/// The beginning of a container's id, or `-`.
fn container(place: &Place) -> String {
    let short = |id: &str| printable(id).chars().take(CONTAINER).collect();
    place.container().map_or_else(|| "-".into(), short)
}

/// `PID/NAME`, or `-`.
pub(super) fn process(who: &Ident) -> String {
    match &who.owner {
        Some(owner) => format!("{}/{}", owner.pid, printable_bytes(owner.comm_bytes())),
        None => "-".into(),
    }
}

impl Output for Table {
    fn transition(&mut self, out: &mut dyn Write, event: &Recorded<Transition>) -> io::Result<()> {
        self.enter(out, Part::Transitions)?;
        let (record, who) = (&event.record, &event.record.who);
        let mut cells: Vec<Cell> = vec![
            self.time(record.ts),
            endpoint(who.local(), who.lport).into(),
            endpoint(who.remote(), who.rport).into(),
            state_cell(record.old),
            state_cell(record.new),
            span(record.in_old).into(),
        ];
        if self.transitions.reason {
            cells.push(reason(record.reason).into());
        }
        cells.push(process(who).into());
        write_cells(
            out,
            &self.look,
            &self.transitions.columns(&self.look),
            &cells,
        )
    }

    /// Among transitions in their columns, without headings of its own.
    fn alarm(&mut self, out: &mut dyn Write, event: &Recorded<Alarm>) -> io::Result<()> {
        if self.part != Some(Part::Transitions) {
            self.enter(out, Part::Alarms)?;
        }
        let (alarm, who) = (&event.record, &event.record.who);
        let [local, remote] = match alarm.is_pair() {
            true => [who.local().to_string(), who.remote().to_string()],
            false => [endpoint(who.local(), who.lport), "-".into()],
        };
        let words = alarm_words(self.look.labels, alarm);
        let cells = [
            self.time(alarm.ts),
            local.into(),
            remote.into(),
            Cell(words, alarm_style(alarm.raised)),
        ];
        let columns = self.transitions.alarm_columns(&self.look);
        write_cells(out, &self.look, &columns, &cells)
    }

    fn connection(&mut self, out: &mut dyn Write, conn: &Conn, now_ns: u64) -> io::Result<()> {
        self.enter(out, Part::Connections)?;
        let who = &conn.who;
        let mut cells: Vec<Cell> = vec![
            endpoint(who.local(), who.lport).into(),
            endpoint(who.remote(), who.rport).into(),
            state_cell(conn.state),
            span(conn.age(now_ns)).into(),
        ];
        if self.connections.meters {
            let number = |of: fn(&Meters) -> u64| match &conn.meters {
                Some(meters) => of(meters).to_string(),
                None => "-".into(),
            };
            cells.push(number(|m| m.bytes_sent).into());
            cells.push(number(|m| m.bytes_received).into());
            cells.push(number(|m| m.retrans.into()).into());
        }
        if self.connections.container {
            cells.push(container(&self.places.of(who)).into());
        }
        cells.push(process(who).into());
        write_cells(
            out,
            &self.look,
            &self.connections.columns(&self.look),
            &cells,
        )
    }

    fn listener(
        &mut self,
        out: &mut dyn Write,
        listener: &Listener,
        handshakes: &[Counter],
        _now_ns: u64,
    ) -> io::Result<()> {
        self.enter(out, Part::Listeners)?;
        let columns = self.listeners.columns(self.look.labels);
        let cells = self.listeners.cells(listener, handshakes);
        write_cells(out, &self.look, &columns, &cells)
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
        if self.part.is_some() {
            writeln!(out)?;
        }
        summary::write(out, &self.look, summary, Zeros::Left)
    }
}

/// Says in a line of its own that a follower was too slow.
pub(super) fn lost_line(out: &mut dyn Write, look: &Look, cpu: u32, count: u64) -> io::Result<()> {
    let text = format!("*** {count} {} {cpu}", look.labels.lost_here);
    let red = Style::new().fg_color(Some(anstyle::AnsiColor::Red.into()));
    writeln!(out, "{}", look.paint(red, &text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::room::SHORTEST;

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
