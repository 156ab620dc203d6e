//! Builds a playback from the events and the live connections of a recording.

use rustc_hash::FxHashMap;

use crate::model::alarm::Alarm;
use crate::model::conn::Conn;
use crate::model::event::{Event, RingState};
use crate::model::ident::Ident;
use crate::model::reason::Reason;
use crate::model::span::Span;
use crate::model::state::State;
use crate::model::stats::Stats;
use crate::model::top::playback::{Before, Counts, MARK, Playback, Step, count};
use crate::model::transition::Transition;

/// A playback under construction.
#[derive(Debug, Default)]
pub struct Builder {
    steps: Vec<Step>,
    idents: Vec<Ident>,
    alarms: Vec<Alarm>,
    /// The index of each connection, by the module's id.
    known: FxHashMap<u64, u32>,
    /// Position and time of the oldest event of each CPU.
    oldest: FxHashMap<u32, (u64, u64)>,
    /// The states at the end, by index.
    end: FxHashMap<u32, State>,
    counts: Counts,
    /// Live connections without a recorded transition, and when they were first seen.
    silent: Vec<(Ident, State, u64)>,
}

impl Builder {
    /// Adds a recorded event, in the order of time.
    pub fn event(&mut self, event: &Event) {
        let (cpu, seq) = event.position();
        self.oldest.entry(cpu).or_insert((seq, event.ts()));
        match event {
            Event::Alarm(event) => self.alarms.push(event.record),
            // Those of untracked sockets change no count.
            Event::Transition(event) if event.record.who.conn != 0 => self.step(&event.record),
            Event::Transition(_) => {}
        }
    }

    fn step(&mut self, event: &Transition) {
        let who = self.index(&event.who);
        self.steps.push(Step {
            ts: event.ts,
            old: event.old,
            new: event.new,
            reason: event.reason,
            in_old: event.in_old,
            who,
            after: event.new,
            recorded: true,
        });
    }

    /// The index of a connection. The process may become known later than the addresses.
    fn index(&mut self, who: &Ident) -> u32 {
        let idents = &mut self.idents;
        let index = *self.known.entry(who.conn).or_insert_with(|| {
            idents.push(*who);
            u32::try_from(idents.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(known) = self.idents.get_mut(index as usize) {
            let owner = who.owner.or(known.owner);
            *known = Ident { owner, ..*who };
        }
        index
    }

    /// Adds a connection that is live at the end, after all events.
    pub fn live(&mut self, conn: &Conn) {
        count(&mut self.counts, conn.state, true);
        match self.known.get(&conn.who.conn) {
            Some(index) => {
                self.end.insert(*index, conn.state);
            }
            None if conn.who.seeded => {}
            None => self.silent.push((conn.who, conn.state, conn.first_seen_ns)),
        }
    }

    /// Completes it; `stats` are those of the end.
    pub fn finish(mut self, stats: &Stats, rings: &[RingState]) -> Playback {
        let (from_ns, before) = self.start(stats, rings);
        for (who, state, first_seen_ns) in std::mem::take(&mut self.silent) {
            if first_seen_ns > from_ns {
                let who = self.index(&who);
                self.end.insert(who, state);
                self.steps.push(birth(who, state, first_seen_ns));
            }
        }
        self.steps.sort_by_key(|step| step.ts);
        let last = self.counts;
        let marks = self.undo();
        Playback {
            steps: self.steps,
            idents: self.idents,
            alarms: self.alarms,
            marks,
            last,
            from_ns: from_ns.min(stats.now_ns),
            end_ns: stats.now_ns,
            before,
        }
    }

    /// The first moment from which on the rings of all CPUs have all events.
    fn start(&self, stats: &Stats, rings: &[RingState]) -> (u64, Before) {
        let gone = |ring: &RingState| match self.oldest.get(&ring.cpu) {
            Some((seq, ts)) if *seq > 0 => Some((*seq, *ts)),
            None if ring.head > 0 => Some((ring.head, stats.now_ns)),
            _ => None,
        };
        let gone: Vec<_> = rings.iter().filter_map(gone).collect();
        match gone.iter().map(|(_, ts)| *ts).max() {
            Some(latest) => {
                let lost = gone
                    .iter()
                    .map(|(seq, _)| *seq)
                    .fold(0, u64::saturating_add);
                (latest, Before::Overwritten(lost))
            }
            None => (stats.activated_ns, Before::Activation),
        }
    }

    /// Undoes all steps: finds the state after each, and the counts before some.
    fn undo(&mut self) -> Vec<Counts> {
        let (mut counts, mut marks) = (self.counts, Vec::new());
        for (index, step) in self.steps.iter_mut().enumerate().rev() {
            let current = self.end.insert(step.who, step.old);
            step.after = current.unwrap_or(State::CLOSE);
            count(&mut counts, step.after, false);
            count(&mut counts, step.old, true);
            if index % MARK == 0 {
                marks.push(counts);
            }
        }
        marks.reverse();
        marks
    }
}

/// The start of a connection of which no transition was recorded.
fn birth(who: u32, state: State, ts: u64) -> Step {
    Step {
        ts,
        old: State::NEW,
        new: state,
        reason: Reason::NONE,
        in_old: Span::Unknown,
        who,
        after: state,
        recorded: false,
    }
}
