//! The activation as a source.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use crate::backend::session::{Listeners, Session, active_settings};
use crate::backend::{Backend, Events, Start};
use crate::command::select::Selector;
use crate::command::top::people::People;
use crate::command::top::source::{Look, Source, Trends};
use crate::error::{Error, Result};
use crate::model::conn::Conn;
use crate::model::event::Event;
use crate::model::filter::Show;
use crate::model::lives::Lives;
use crate::model::state::State;
use crate::model::stats::Stats;
use crate::model::top::rates::{Counters, Sample};
use crate::model::top::tally::{Counted, Tally};
use crate::model::transition::Transition;

/// Time between two looks that are kept for the recent times, and how far back these reach.
const KEPT_NS: u64 = 5_000_000_000;
const LATELY_NS: u64 = 60_000_000_000;
/// How long before a connection was first seen its events are looked for.
const BEFORE_NS: u64 = 1_000_000;

/// The activation, now.
pub struct Live<'a> {
    backend: &'a dyn Backend,
    /// The activation that the following is about; 0: none.
    generation: u64,
    /// The filter that it is about.
    show: Show,
    before: Option<Counters>,
    lately: VecDeque<Counters>,
    trends: Trends,
    /// The events that a filter lets through, from the moment of the filter on.
    feed: Option<Feed<'a>>,
    /// The events of a connection.
    line: Option<Line<'a>>,
}

/// The events of one connection.
struct Line<'a> {
    conn: u64,
    events: Box<dyn Events + 'a>,
    steps: Vec<Transition>,
}

/// Events that are counted one by one, because the module counts all of them.
struct Feed<'a> {
    session: Session<'a>,
    tally: Tally,
}

impl<'a> Live<'a> {
    /// The activation of a backend.
    pub fn new(backend: &'a dyn Backend) -> Self {
        Self {
            backend,
            generation: 0,
            show: Show::default(),
            before: None,
            lately: VecDeque::new(),
            trends: Trends::default(),
            feed: None,
            line: None,
        }
    }

    /// Forgets what is about another activation or another filter.
    fn start(&mut self, generation: u64, show: &Show) -> Result<()> {
        if self.generation == generation && self.show == *show {
            return Ok(());
        }
        *self = Self {
            generation,
            show: show.clone(),
            ..Self::new(self.backend)
        };
        if *show != Show::default() {
            self.feed = Some(Feed {
                session: Session::follow(self.backend)?,
                tally: Tally::default(),
            });
        }
        Ok(())
    }

    fn counters(&mut self, people: &mut People) -> Result<Counters> {
        let Some(feed) = &mut self.feed else {
            return Ok(Counters {
                transitions: self.backend.transition_counts()?,
                lives: self.backend.lives()?,
                // Read last: nothing above is younger.
                stats: self.backend.stats()?,
            });
        };
        feed.read(&self.show, people)?;
        let (transitions, lives) = (feed.tally.transitions(), feed.tally.lives());
        Ok(Counters {
            transitions,
            lives,
            stats: self.matching(people)?,
        })
    }

    /// The counters with the connections that match the filter.
    fn matching(&self, people: &mut People) -> Result<Stats> {
        let mut stats = self.backend.stats()?;
        stats.states = Default::default();
        stats.tracked = 0;
        let now_ns = stats.now_ns;
        let selector = Selector::at_any_time(&self.show);
        self.connections(&mut |conn| {
            if people.shows(&selector, conn, now_ns) {
                stats.tracked += 1;
                if let Some(count) = stats.states.get_mut(usize::from(conn.state.0)) {
                    *count += 1;
                }
            }
        })?;
        Ok(stats)
    }

    fn sample(&mut self, people: &mut People) -> Result<Look> {
        let now = self.counters(people)?;
        let sample = Sample::new(&now, self.before.as_ref(), self.lately.front());
        self.remember(now);
        self.trends.add(&sample);
        Ok(Look {
            sample,
            trends: self.trends.clone(),
        })
    }

    fn remember(&mut self, now: Counters) {
        let ns = now.stats.now_ns;
        let is_due = |last: &Counters| ns.saturating_sub(last.stats.now_ns) >= KEPT_NS;
        if self.lately.back().is_none_or(is_due) {
            self.lately.push_back(Counters {
                lives: Lives::default(),
                ..now.clone()
            });
        }
        // The oldest is as old as is wanted, or all are younger.
        while self
            .lately
            .get(1)
            .is_some_and(|next| ns.saturating_sub(next.stats.now_ns) >= LATELY_NS)
        {
            self.lately.pop_front();
        }
        self.before = Some(now);
    }
}

impl Feed<'_> {
    /// Counts the events since the last call.
    fn read(&mut self, show: &Show, people: &mut People) -> Result<()> {
        self.session.extend()?;
        let tally = &mut self.tally;
        let selector = Selector::at_any_time(show);
        self.session.events(&mut |event| {
            if let Event::Transition(event) = event {
                let t = &event.record;
                if show.transition(t) && people.shows_recorded(&selector, &t.who) {
                    tally.add(&counted(t));
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}

fn counted(t: &Transition) -> Counted {
    Counted {
        old: t.old,
        new: t.new,
        in_old: t.in_old,
        reason: t.reason,
        role: t.who.role,
    }
}

impl Source for Live<'_> {
    fn look(&mut self, show: &Show, people: &mut People) -> Result<Option<Look>> {
        let Some(settings) = self.backend.settings()? else {
            return Ok(None);
        };
        let look = self.start(settings.generation, show);
        match look.and_then(|()| self.sample(people)) {
            // It was deactivated, or another one has begun, in the meantime.
            Err(Error::NotActive | Error::Stale) => {
                self.generation = 0;
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    fn connections(&self, take: &mut dyn FnMut(&Conn)) -> Result<u64> {
        for batch in self.backend.live() {
            batch?.iter().for_each(&mut *take);
        }
        // Read after the connections.
        Ok(self.backend.stats()?.now_ns)
    }

    fn listeners(&self) -> Result<Listeners> {
        Session::now(self.backend)?.listeners()
    }

    fn steps(&mut self, conn: &Conn) -> Result<(Vec<Transition>, bool)> {
        let id = conn.who.conn;
        let line = match self.line.take().filter(|line| line.conn == id) {
            Some(line) => line,
            None => Line::start(self.backend, conn)?,
        };
        let line = self.line.insert(line);
        line.read()?;
        Ok((line.steps.clone(), is_cut(&line.steps)))
    }
}

impl<'a> Line<'a> {
    /// Starts where the connection was first seen.
    fn start(backend: &'a dyn Backend, conn: &Conn) -> Result<Self> {
        let settings = active_settings(backend)?;
        let since = conn.first_seen_ns.saturating_sub(BEFORE_NS);
        Ok(Self {
            conn: conn.who.conn,
            events: backend.events(&settings, Start::Since(since))?,
            steps: Vec::new(),
        })
    }

    /// Reads what was recorded since.
    fn read(&mut self) -> Result<()> {
        let (conn, steps) = (self.conn, &mut self.steps);
        self.events.extend()?;
        self.events.try_each(&mut |event| {
            if let Event::Transition(event) = event {
                if event.record.who.conn == conn {
                    steps.push(event.record);
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// Whether earlier transitions of a connection may be missing.
pub fn is_cut(steps: &[Transition]) -> bool {
    let begins = |step: &Transition| [State::NEW, State::CLOSE].contains(&step.old);
    !steps.first().is_some_and(begins)
}
