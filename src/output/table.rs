//! One line each, in columns that fit the terminal.

use std::io::{self, Write};

use anstyle::Style;

use crate::merge::Event;
use crate::output::columns::{Cell, Column, Kind, write_cells, write_head};
use crate::output::look::{Look, state_style};
use crate::output::{Output, summary};
use crate::record::{Conn, Ident};
use crate::state::State;
use crate::summary::Summary;
use crate::text::{endpoint, printable_bytes};
use crate::time::span;

const STATE: usize = 11;
const SPAN: usize = 9;
/// Time of day, and the same with month, day and milliseconds.
const TIME: [usize; 2] = [8, 18];
/// `255.255.255.255:65535`, and the longest IPv6 endpoint.
const ENDPOINT: [usize; 2] = [21, 47];
/// What an endpoint is shortened to at most.
const SHORTEST: usize = 12;
/// `PID/NAME`: what is worth a column, and the longest.
const PROCESS: [usize; 2] = [12, 23];
const BYTES: usize = 11;
const RETRANS: usize = 7;

/// Which part the headings on the terminal belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Transitions,
    Connections,
}

/// Prints one line each.
pub struct Table {
    look: Look,
    part: Option<Part>,
    transitions: TransitionColumns,
    connections: ConnectionColumns,
}

impl Table {
    pub fn new(look: Look) -> Self {
        Self {
            transitions: TransitionColumns::for_width(look.width),
            connections: ConnectionColumns::for_width(look.width),
            look,
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
            Part::Connections => self.connections.columns(&self.look),
        };
        write_head(out, &self.look, &columns)
    }
}

/// Widths of the columns of transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TransitionColumns {
    time: usize,
    endpoint: usize,
    /// 0: no such column.
    process: usize,
}

impl TransitionColumns {
    fn for_width(width: Option<usize>) -> Self {
        let Some(width) = width else {
            return Self {
                time: TIME[1],
                endpoint: ENDPOINT[0],
                process: PROCESS[1],
            };
        };
        // Two states, the span, and the gaps between six columns.
        let room = width.saturating_sub(2 * STATE + SPAN + 5);
        let long = room >= TIME[1] + 2 * ENDPOINT[0];
        let time = TIME[usize::from(long)];
        let room = room.saturating_sub(time);
        let process = process_width(room);
        let endpoint = (room - process.map_or(0, |p| p + 1)) / 2;
        Self {
            time,
            endpoint: endpoint.clamp(SHORTEST, ENDPOINT[1]),
            process: process.unwrap_or(0),
        }
    }

    fn columns(&self, look: &Look) -> Vec<Column> {
        let l = look.labels;
        let mut columns = vec![
            Column {
                head: l.time,
                width: self.time,
                kind: Kind::Text,
            },
            Column {
                head: l.local,
                width: self.endpoint,
                kind: Kind::Endpoint,
            },
            Column {
                head: l.remote,
                width: self.endpoint,
                kind: Kind::Endpoint,
            },
            Column {
                head: l.old,
                width: STATE,
                kind: Kind::Text,
            },
            Column {
                head: l.new,
                width: STATE,
                kind: Kind::Text,
            },
            Column {
                head: l.in_old,
                width: SPAN,
                kind: Kind::Number,
            },
        ];
        if self.process > 0 {
            columns.push(Column {
                head: l.process,
                width: self.process,
                kind: Kind::Text,
            });
        }
        columns
    }
}

/// Width of the process column beside two endpoints in `room` columns, if it is worth one.
fn process_width(room: usize) -> Option<usize> {
    let left = room.checked_sub(2 * ENDPOINT[0] + 1)?;
    (left >= PROCESS[0]).then_some(left.min(PROCESS[1]))
}

/// Widths of the columns of live connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ConnectionColumns {
    endpoint: usize,
    /// Whether bytes and retransmissions have columns.
    meters: bool,
    /// 0: no such column.
    process: usize,
}

impl ConnectionColumns {
    fn for_width(width: Option<usize>) -> Self {
        let Some(width) = width else {
            return Self {
                endpoint: ENDPOINT[0],
                meters: true,
                process: PROCESS[1],
            };
        };
        // The state, the span, and the gaps between four columns.
        let room = width.saturating_sub(STATE + SPAN + 3);
        let wanted = 2 * (BYTES + 1) + RETRANS + 1;
        let meters = room >= wanted + 2 * ENDPOINT[0];
        let room = if meters { room - wanted } else { room };
        let process = process_width(room);
        let endpoint = (room - process.map_or(0, |p| p + 1)) / 2;
        Self {
            endpoint: endpoint.clamp(SHORTEST, ENDPOINT[1]),
            meters,
            process: process.unwrap_or(0),
        }
    }

    fn columns(&self, look: &Look) -> Vec<Column> {
        let l = look.labels;
        let mut columns = vec![
            Column {
                head: l.local,
                width: self.endpoint,
                kind: Kind::Endpoint,
            },
            Column {
                head: l.remote,
                width: self.endpoint,
                kind: Kind::Endpoint,
            },
            Column {
                head: l.state,
                width: STATE,
                kind: Kind::Text,
            },
            Column {
                head: l.in_state,
                width: SPAN,
                kind: Kind::Number,
            },
        ];
        if self.meters {
            columns.push(Column {
                head: l.sent,
                width: BYTES,
                kind: Kind::Number,
            });
            columns.push(Column {
                head: l.received,
                width: BYTES,
                kind: Kind::Number,
            });
            columns.push(Column {
                head: l.retrans_short,
                width: RETRANS,
                kind: Kind::Number,
            });
        }
        if self.process > 0 {
            columns.push(Column {
                head: l.process,
                width: self.process,
                kind: Kind::Text,
            });
        }
        columns
    }
}

fn state_cell(state: State) -> Cell {
    Cell(state.shown().into_owned(), state_style(state))
}

/// `PID/NAME`, or `-`.
pub(super) fn process(who: &Ident) -> String {
    match &who.owner {
        Some(owner) => format!("{}/{}", owner.pid, printable_bytes(owner.comm_bytes())),
        None => "-".into(),
    }
}

impl Output for Table {
    fn transition(&mut self, out: &mut dyn Write, event: &Event) -> io::Result<()> {
        self.enter(out, Part::Transitions)?;
        let (record, who) = (&event.record, &event.record.who);
        let time = match self.transitions.time == TIME[0] {
            true => self.look.clock.local_day(record.ts),
            false => self.look.clock.local_short(record.ts),
        };
        let cells = [
            time.into(),
            endpoint(who.local(), who.lport).into(),
            endpoint(who.remote(), who.rport).into(),
            state_cell(record.old),
            state_cell(record.new),
            span(record.in_old).into(),
            process(who).into(),
        ];
        write_cells(
            out,
            &self.look,
            &self.transitions.columns(&self.look),
            &cells,
        )
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
            cells.push(conn.meters.bytes_sent.to_string().into());
            cells.push(conn.meters.bytes_received.to_string().into());
            cells.push(conn.meters.retrans.to_string().into());
        }
        cells.push(process(who).into());
        write_cells(
            out,
            &self.look,
            &self.connections.columns(&self.look),
            &cells,
        )
    }

    fn lost(&mut self, out: &mut dyn Write, cpu: u32, count: u64) -> io::Result<()> {
        lost_line(out, &self.look, cpu, count)
    }

    fn summary(&mut self, out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
        if self.part.is_some() {
            writeln!(out)?;
        }
        summary::write(out, &self.look, summary)
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

    #[test]
    fn transitions_fit_every_terminal() {
        for width in 72..260 {
            let c = TransitionColumns::for_width(Some(width));
            let process = if c.process > 0 { c.process + 1 } else { 0 };
            let used = c.time + 2 * c.endpoint + 2 * STATE + SPAN + 5 + process;
            assert!(used <= width, "{width}: {c:?} takes {used}");
        }
        let at = |width| TransitionColumns::for_width(Some(width));
        assert_eq!(
            at(80),
            TransitionColumns {
                time: 8,
                endpoint: 18,
                process: 0
            }
        );
        assert_eq!(
            at(120),
            TransitionColumns {
                time: 18,
                endpoint: 21,
                process: 23
            }
        );
        assert_eq!(
            at(0),
            TransitionColumns {
                time: 8,
                endpoint: SHORTEST,
                process: 0
            }
        );
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
            let used = 2 * c.endpoint + STATE + SPAN + 3 + process + meters;
            assert!(used <= width, "{width}: {c:?} takes {used}");
        }
        assert!(ConnectionColumns::for_width(Some(100)).meters);
        assert!(!ConnectionColumns::for_width(Some(80)).meters);
    }
}
