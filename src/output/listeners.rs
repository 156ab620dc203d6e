//! The table of listeners: one line each, as `ss` has it and more.

use anstyle::Style;

use crate::alarm::AlarmKind;
use crate::handshakes::Counter;
use crate::i18n::Labels;
use crate::listener::{Listener, Queue};
use crate::output::columns::{Cell, Column, Kind, column};
use crate::output::look::alarm_style;
use crate::output::room::{ENDPOINT, PROCESS, Room};
use crate::output::table::process;
use crate::text::endpoint;

/// `4096/4096/4096`.
const QUEUE: usize = 14;
/// The longest heading of the states' numbers.
const STATE: usize = 8;
const COUNT: usize = 9;

/// Widths of the columns of listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerColumns {
    endpoint: usize,
    /// Whether the states of its connections have columns.
    states: bool,
    overflows: bool,
    drops: bool,
    /// 0: no such column.
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
                process: PROCESS[1],
            };
        };
        // Two queues, and the gaps between three columns.
        let mut room = Room::new(width, 2 * QUEUE + 2, 1);
        let process = room.take(PROCESS[0] + 1);
        let overflows = room.take(COUNT + 1);
        let drops = room.take(COUNT + 1);
        let states = room.take(3 * (STATE + 1));
        Self {
            states,
            overflows,
            drops,
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
        if self.process > 0 {
            columns.push(column(l.process, self.process, Kind::Text));
        }
        columns
    }

    /// The cells of one line.
    pub fn cells(&self, listener: &Listener, handshakes: &[Counter]) -> Vec<Cell> {
        let who = &listener.who;
        let mut cells = vec![
            endpoint(who.local(), who.lport).into(),
            queue(listener, listener.accept_queue, &[AlarmKind::ACCEPT_QUEUE]),
            queue(
                listener,
                listener.half_open,
                &[AlarmKind::HALF_OPEN, AlarmKind::UNFINISHED],
            ),
        ];
        if self.states {
            let states = [listener.established, listener.closing, listener.timewait];
            cells.extend(states.map(|n| Cell::from(n.to_string())));
        }
        if self.overflows {
            let overflows = overflows(handshakes).map_or("-".into(), |n| n.to_string());
            cells.push(overflows.into());
        }
        if self.drops {
            cells.push(listener.drops.to_string().into());
        }
        cells.push(process(who).into());
        cells
    }
}

/// Now, at most, and where it is full; as an alarm while one of `kinds` is raised.
fn queue(listener: &Listener, queue: Queue, kinds: &[AlarmKind]) -> Cell {
    let Queue { length, max, limit } = queue;
    let style = match listener.raised().any(|kind| kinds.contains(&kind)) {
        true => alarm_style(true),
        false => Style::new(),
    };
    Cell(format!("{length}/{max}/{limit}"), style)
}

/// What found no room in the accept queue, SYNs and last ACKs, as `ListenOverflows` counts it;
/// `None` when that is not known.
fn overflows(handshakes: &[Counter]) -> Option<u64> {
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
            let used = c.endpoint + 2 * QUEUE + 2 + process + states + counts;
            assert!(used <= width, "{width}: {c:?} takes {used}");
        }
        let at = |width| {
            let c = ListenerColumns::for_width(Some(width));
            (c.endpoint, c.process, [c.overflows, c.drops, c.states])
        };
        assert_eq!(at(80), (21, 18, [true, false, false]));
        assert_eq!(at(100), (26, 23, [true, true, false]));
        assert_eq!(at(132), (31, 23, [true, true, true]));
    }
}
