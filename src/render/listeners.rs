//! The table of listeners: one line each, with the fields of `ss` and more.

use anstyle::Style as Ansi;

use crate::fmt::line::{Line, Put};
use crate::model::alarm::AlarmKind;
use crate::model::endpoint::{Dev, End};
use crate::model::handshakes::Counter;
use crate::model::holders::Holders;
use crate::model::listener::{Listener, Queue};
use crate::render::columns::{Column, Kind, Row, column};
use crate::render::i18n::labels::Labels;
use crate::render::layout::{ENDPOINT, PROCESS, Room};
use crate::render::process::Live;
use crate::render::style::alarm_style;
use crate::render::time::Duration;

/// Width of `4096/4096/4096`.
const QUEUE: usize = 14;
/// Width of the longest heading of a state.
const STATE: usize = 8;
const COUNT: usize = 9;
/// Width of `999.9 ms/999.9 ms`.
const WAIT: usize = 17;

/// Widths of the columns of listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerColumns {
    endpoint: usize,
    /// Whether there are columns for the states of its connections.
    states: bool,
    overflows: bool,
    drops: bool,
    /// Whether there is a column for the wait for `accept()`.
    wait: bool,
    /// Width of the process column; 0: none.
    process: usize,
}

impl ListenerColumns {
    pub fn for_width(width: Option<usize>) -> Self {
        let Some(width) = width else {
            return Self {
                endpoint: ENDPOINT[0],
                states: true,
                overflows: true,
                drops: true,
                wait: true,
                process: PROCESS[1],
            };
        };
        // Two queues, and the gaps between three columns.
        let mut room = Room::new(width, 2 * QUEUE + 2, 1);
        let process = room.take(PROCESS[0] + 1);
        let overflows = room.take(COUNT + 1);
        let drops = room.take(COUNT + 1);
        let states = room.take(3 * (STATE + 1));
        let wait = room.take(WAIT + 1);
        Self {
            states,
            overflows,
            drops,
            wait,
            process: room.process(process),
            endpoint: room.endpoint(),
        }
    }

    pub fn columns(&self, l: &'static Labels) -> Vec<Column> {
        let mut columns = vec![
            column(l.listener, self.endpoint, Kind::Endpoint),
            column(l.accept_queue, QUEUE, Kind::Number),
            column(l.half_open, QUEUE, Kind::Number),
        ];
        if self.states {
            for head in [l.established_short, l.closing, l.timewait] {
                columns.push(column(head, STATE, Kind::Number));
            }
        }
        if self.overflows {
            columns.push(column(l.overflows, COUNT, Kind::Number));
        }
        if self.drops {
            columns.push(column(l.drops, COUNT, Kind::Number));
        }
        if self.wait {
            columns.push(column(l.accept_wait, WAIT, Kind::Number));
        }
        if self.process > 0 {
            columns.push(column(l.process, self.process, Kind::Text));
        }
        columns
    }

    /// The cells of one line.
    pub fn cells(
        &self,
        row: &mut Row,
        listener: &Listener,
        holders: &Holders,
        dev: Option<&Dev>,
        handshakes: &[Counter],
    ) {
        let who = &listener.who;
        row.cell(End::local(who, dev));
        let accept_queue = [AlarmKind::ACCEPT_QUEUE];
        row.styled(|| style(listener, &accept_queue), listener.accept_queue);
        let half_open = [AlarmKind::HALF_OPEN, AlarmKind::UNFINISHED];
        row.styled(|| style(listener, &half_open), listener.half_open);
        if self.states {
            row.cell(listener.established);
            row.cell(listener.closing);
            row.cell(listener.timewait);
        }
        if self.overflows {
            row.cell(overflows(handshakes));
        }
        if self.drops {
            row.cell(listener.drops);
        }
        if self.wait {
            let wait = listener.accept_wait();
            row.cell(wait.map(|[average, longest]| {
                move |line: &mut Line| {
                    Duration(average).put(line);
                    line.push(b'/');
                    Duration(longest).put(line);
                }
            }));
        }
        row.text(Ansi::new(), Live(who.owner, holders));
    }
}

/// Writes the current length, the highest length and the limit.
impl Put for Queue {
    fn put(&self, line: &mut Line) {
        let Self { length, max, limit } = self;
        format!("{length}/{max}/{limit}").as_str().put(line);
    }
}

/// The style of an alarm while one of `kinds` is raised.
fn style(listener: &Listener, kinds: &[AlarmKind]) -> Ansi {
    match listener.raised().any(|kind| kinds.contains(&kind)) {
        true => alarm_style(true),
        false => Ansi::new(),
    }
}

/// SYNs and last ACKs that were dropped because the accept queue was full, as in `ListenOverflows`;
/// `None` if unknown.
pub fn overflows(handshakes: &[Counter]) -> Option<u64> {
    let count = |name| handshakes.iter().find(|c| c.name == name)?.count;
    let (syns, acks) = (
        count("syn_accept_queue_full")?,
        count("ack_accept_queue_full")?,
    );
    Some(syns.saturating_add(acks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_fit_every_terminal() {
        for width in 54..260 {
            let c = ListenerColumns::for_width(Some(width));
            let process = if c.process > 0 { c.process + 1 } else { 0 };
            let states = if c.states { 3 * (STATE + 1) } else { 0 };
            let counts = (usize::from(c.overflows) + usize::from(c.drops)) * (COUNT + 1);
            let wait = if c.wait { WAIT + 1 } else { 0 };
            let used = c.endpoint + 2 * QUEUE + 2 + process + states + counts + wait;
            assert!(used <= width, "{width}: {c:?} takes {used}");
        }
        let at = |width| {
            let c = ListenerColumns::for_width(Some(width));
            (
                c.endpoint,
                c.process,
                [c.overflows, c.drops, c.states],
                c.wait,
            )
        };
        assert_eq!(at(80), (21, 18, [true, false, false], false));
        assert_eq!(at(100), (26, 23, [true, true, false], false));
        assert_eq!(at(132), (21, 15, [true, true, true], true));
    }
}
