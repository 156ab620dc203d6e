//! A backend that records while it is read.

use diagnose_tools::backend::{Backend, Events, Start, Take};
use diagnose_tools::error::Result;
use diagnose_tools::model::activation::Settings;
use diagnose_tools::model::clock::ClockChange;
use diagnose_tools::model::conn::Conn;
use diagnose_tools::model::event::{Progress, RingState};
use diagnose_tools::model::hook::Hook;
use diagnose_tools::model::listener::Listener;
use diagnose_tools::model::lives::{InCgroup, Lives};
use diagnose_tools::model::pair::Pair;
use diagnose_tools::model::stats::Stats;
use diagnose_tools::model::transition_count::TransitionCount;
use testkit::fake::{Fake, NOW};

/// Records one event more on CPU 0 when its events were read for the first time.
pub struct Recording<'a>(pub &'a Fake);

struct Reading<'a> {
    events: Box<dyn Events + 'a>,
    fake: Option<&'a Fake>,
}

impl Events for Reading<'_> {
    fn try_each(&mut self, take: &mut Take) -> Result<()> {
        self.events.try_each(take)?;
        if let Some(fake) = self.fake.take() {
            fake.record(0, 1, NOW, 1);
        }
        Ok(())
    }

    fn progress(&self) -> Vec<Progress> {
        self.events.progress()
    }

    fn extend(&mut self) -> Result<bool> {
        self.events.extend()
    }
}

macro_rules! as_the_fake {
    ($($name:ident -> $type:ty;)*) => {$(
        fn $name(&self) -> Result<$type> {
            self.0.$name()
        }
    )*};
}

impl Backend for Recording<'_> {
    as_the_fake! {
        settings -> Option<Settings>;
        stats -> Stats;
        clocks -> Vec<ClockChange>;
        transition_counts -> Vec<TransitionCount>;
        lives -> Lives;
        cgroups -> Vec<InCgroup>;
        hooks -> Vec<Hook>;
        listeners -> Vec<Listener>;
        pairs -> Vec<Pair>;
        rings -> Vec<RingState>;
    }

    fn live(&self) -> Box<dyn Iterator<Item = Result<Vec<Conn>>> + '_> {
        self.0.live()
    }

    fn events(&self, settings: &Settings, start: Start) -> Result<Box<dyn Events + '_>> {
        Ok(Box::new(Reading {
            events: self.0.events(settings, start)?,
            fake: Some(self.0),
        }))
    }
}
