//! A capture as a source: it is looked at as it was at a chosen moment.

use std::ops::ControlFlow;

use crate::backend::session::{Listeners, Session, active_settings};
use crate::backend::{Backend, Start};
use crate::command::select::Selector;
use crate::command::top::live::is_cut;
use crate::command::top::people::People;
use crate::command::top::source::{Look, Source, Trends};
use crate::command::top::ui::Go;
use crate::error::Result;
use crate::model::conn::Conn;
use crate::model::filter::Show;
use crate::model::stats::Stats;
use crate::model::top::playback::{Builder, Counts, Playback};
use crate::model::top::rates::{Counters, Sample};
use crate::model::top::tally::Tally;
use crate::model::transition::Transition;

/// Steps of the slider from the start to the end, if the user does not say how long one is.
const STEPS: u64 = 100;
/// How far back the recent times reach, in nanoseconds.
const LATELY_NS: u64 = 60_000_000_000;
/// Moments before the current one whose numbers are charted.
const CHARTED: u64 = 120;

/// A capture at a moment.
pub struct Recorded<'a> {
    backend: &'a dyn Backend,
    /// The recording.
    pub playback: Playback,
    /// The moment in monotonic nanoseconds.
    pub now_ns: u64,
    /// Length of a step in nanoseconds.
    pub step_ns: u64,
    stats: Stats,
}

impl<'a> Recorded<'a> {
    /// Reads all events of a capture; a step of the slider takes `step_ns`.
    ///
    /// # Errors
    /// The capture is damaged.
    pub fn new(backend: &'a dyn Backend, step_ns: Option<u64>) -> Result<Self> {
        let settings = active_settings(backend)?;
        let stats = backend.stats()?;
        let mut builder = Builder::default();
        backend
            .events(&settings, Start::Since(0))?
            .try_each(&mut |event| {
                builder.event(event);
                Ok(ControlFlow::Continue(()))
            })?;
        for batch in backend.live() {
            batch?.iter().for_each(|conn| builder.live(conn));
        }
        let playback = builder.finish(&stats, &backend.rings()?);
        let length = playback.end_ns.saturating_sub(playback.from_ns);
        Ok(Self {
            backend,
            now_ns: playback.end_ns,
            step_ns: step_ns.unwrap_or_else(|| round(length / STEPS)).max(1),
            playback,
            stats,
        })
    }

    /// Goes to another moment; returns whether it is another one.
    pub fn go(&mut self, go: Go) -> bool {
        let (from, end) = (self.playback.from_ns, self.playback.end_ns);
        let steps = |count: i64| self.step_ns.saturating_mul(count.unsigned_abs());
        let to = match go {
            Go::Start => from,
            Go::End => end,
            Go::Steps(back @ ..0) => self.now_ns.saturating_sub(steps(back)),
            Go::Steps(count) => self.now_ns.saturating_add(steps(count)),
            Go::Event(forwards) => {
                let event = self.playback.neighbour(self.now_ns, forwards);
                event.unwrap_or(if forwards { end } else { from })
            }
        };
        let before = std::mem::replace(&mut self.now_ns, to.clamp(from, end));
        before != self.now_ns
    }

    /// Whether the moment is the last one.
    pub fn is_at_end(&self) -> bool {
        self.now_ns >= self.playback.end_ns
    }

    /// The place of the moment, in thousandths of the recording.
    pub fn place(&self) -> u64 {
        let (from, end) = (self.playback.from_ns, self.playback.end_ns);
        let part = u128::from(self.now_ns.saturating_sub(from)) * 1_000;
        let place = part.checked_div(u128::from(end.saturating_sub(from)));
        u64::try_from(place.unwrap_or(1_000)).unwrap_or(1_000)
    }

    /// The recorded transitions of the step up to the moment that match a filter.
    pub fn events<'s>(&'s self, show: &'s Show) -> impl DoubleEndedIterator<Item = Transition> {
        let from = self.now_ns.saturating_sub(self.step_ns);
        let steps = self.playback.between(from, self.now_ns);
        let steps = steps.map(move |step| self.playback.transition(step));
        steps.filter(move |event| show.transition(event))
    }

    fn counters(&self, ns: u64, tally: &Tally, states: Counts) -> Counters {
        let tracked = states.iter().fold(0, |sum: u64, n| sum.saturating_add(*n));
        Counters {
            stats: Stats {
                now_ns: ns,
                states,
                tracked,
                ..self.stats
            },
            transitions: tally.transitions(),
            lives: tally.lives(),
        }
    }

    /// The connections by state that match a filter, now.
    fn states(&self, show: &Show, people: &mut People) -> Result<Counts> {
        let selector = Selector::at_any_time(show);
        if selector.takes_all() {
            return Ok(self.playback.counts_at(self.now_ns));
        }
        let mut states = Counts::default();
        self.connections(&mut |conn| {
            if people.shows(&selector, conn, self.now_ns) {
                if let Some(count) = states.get_mut(usize::from(conn.state.0)) {
                    *count += 1;
                }
            }
        })?;
        Ok(states)
    }

    /// The numbers of the moments before, one step apart.
    fn trends(&self, show: &Show, people: &mut People, sample: &Sample) -> Trends {
        let mut trends = Trends::default();
        let all = *show == Show::default();
        for back in (1..CHARTED).rev() {
            let ns = self
                .now_ns
                .saturating_sub(self.step_ns.saturating_mul(back));
            if ns < self.playback.from_ns {
                continue;
            }
            let states = match all {
                true => self.playback.counts_at(ns),
                false => Counts::default(),
            };
            trends.add(&self.between(show, people, ns, states));
        }
        trends.add(sample);
        trends
    }

    /// The numbers of one step.
    fn between(&self, show: &Show, people: &mut People, ns: u64, states: Counts) -> Sample {
        let from = ns.saturating_sub(self.step_ns);
        let mut tally = Tally::default();
        let before = self.counters(from, &tally, Counts::default());
        self.count(show, people, (from, ns), &mut tally);
        Sample::new(&self.counters(ns, &tally, states), Some(&before), None)
    }

    /// Counts the transitions after the first and up to the second moment.
    fn count(&self, show: &Show, people: &mut People, (from, to): (u64, u64), tally: &mut Tally) {
        let selector = Selector::at_any_time(show);
        for step in self.playback.between(from, to) {
            let shown = |people: &mut People| {
                show.transition(&self.playback.transition(step))
                    && people.shows_recorded(&selector, self.playback.who(step))
            };
            if selector.takes_all() || shown(people) {
                tally.add(&self.playback.counted(step));
            }
        }
    }
}

/// A length of 1, 2 or 5 of a unit, not shorter than `ns`.
fn round(ns: u64) -> u64 {
    let mut unit = 1_000_000u64;
    loop {
        for times in [1, 2, 5] {
            if ns <= unit.saturating_mul(times) {
                return unit.saturating_mul(times);
            }
        }
        unit = unit.saturating_mul(10);
    }
}

impl Source for Recorded<'_> {
    fn look(&mut self, show: &Show, people: &mut People) -> Result<Option<Look>> {
        let (from, now) = (self.playback.from_ns, self.now_ns);
        let step = now.saturating_sub(self.step_ns).max(from);
        let lately = now.saturating_sub(LATELY_NS).max(from).min(step);
        let mut tally = Tally::default();
        let states = self.states(show, people)?;
        let mut until = |from: u64, to: u64, states| {
            self.count(show, people, (from, to), &mut tally);
            self.counters(to, &tally, states)
        };
        // Events before the start are incomplete.
        let lately = until(from.saturating_sub(1), lately, Counts::default());
        let before = until(lately.stats.now_ns, step, Counts::default());
        let now = until(step, now, states);
        let sample = Sample::new(&now, Some(&before), Some(&lately));
        let trends = self.trends(show, people, &sample);
        Ok(Some(Look { sample, trends }))
    }

    fn connections(&self, take: &mut dyn FnMut(&Conn)) -> Result<u64> {
        let mut changed = self.playback.changed_since(self.now_ns);
        for batch in self.backend.live() {
            for conn in batch? {
                match changed.remove(&conn.who.conn) {
                    None if self.is_at_end() => take(&conn),
                    // Its counters are those of the end.
                    None => take(&Conn {
                        meters: None,
                        activity: None,
                        recv_q: None,
                        ..conn
                    }),
                    Some(None) => {}
                    Some(Some(earlier)) => take(&Conn {
                        first_seen_ns: conn.first_seen_ns,
                        ..earlier
                    }),
                }
            }
        }
        // Those that have ended since.
        changed.values().flatten().for_each(take);
        Ok(self.now_ns)
    }

    fn listeners(&self) -> Result<Listeners> {
        Session::now(self.backend)?.listeners()
    }

    fn steps(&mut self, conn: &Conn) -> Result<(Vec<Transition>, bool)> {
        let steps = self.playback.of_conn(conn.who.conn);
        let steps: Vec<_> = steps.map(|step| self.playback.transition(step)).collect();
        let cut = is_cut(&steps);
        Ok((steps, cut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        for (ns, rounded) in [
            (0, 1_000_000),
            (1_500_000, 2_000_000),
            (3_000_000_000, 5_000_000_000),
            (60_000_000_000, 100_000_000_000),
        ] {
            assert_eq!(round(ns), rounded);
        }
        assert_eq!(round(u64::MAX), u64::MAX);
    }
}
