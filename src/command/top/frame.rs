//! Makes what is drawn from what was collected: only the lines of the window get names.

use crate::command::select::Selector;
use crate::command::top::App;
use crate::command::top::ui::Over;
use crate::fmt::line::{self, Put};
use crate::model::alarm::Alarm;
use crate::model::conn::Conn;
use crate::model::endpoint::End;
use crate::model::holders::{Attachment, of_listener};
use crate::model::ident::Ident;
use crate::model::lives::reason_name;
use crate::model::reason::Reason;
use crate::model::span::Span;
use crate::model::top::groups::Group;
use crate::model::top::rates::{sort_reasons, sort_states};
use crate::model::top::screen::{By, Order, Screen};
use crate::model::transition::Transition;
use crate::render::time::Form;
use crate::render::tui::view::{
    Below, Body, ConnRow, EventRow, Findings, GroupRow, Head, Lines, ListenerRow, Mode, ReasonView,
    Slider, StateView, View,
};
use crate::render::tui::{Areas, finding_lines};

/// Events of a moment that are listed at most.
const EVENTS: usize = 200;

impl App<'_> {
    /// The frame for a terminal with these parts.
    pub(super) fn view(&mut self, areas: Option<Areas>) -> View {
        let page = areas.map_or(1, |areas| areas.page());
        let width = areas.map_or(80, |areas| areas.body.width);
        let (body, lines) = self.body(page, width);
        let opens = match &body {
            Body::States(..) | Body::Connections(_) | Body::Listeners(..) => true,
            Body::Groups(by, _) => *by == By::Process,
            _ => false,
        };
        let over = matches!(body, Body::Help | Body::TimeLine(_) | Body::Waiting);
        View {
            theme: self.theme,
            labels: self.style.labels,
            texts: self.style.labels.lang.tui(),
            head: self.head(),
            screen: self.ui.screen,
            order: self.ui.order().filter(|_| !over),
            filter: self.ui.filter.clone(),
            slider: self.slider(),
            body,
            lines,
            opens,
        }
    }

    fn head(&self) -> Head {
        let look = self.look.as_ref();
        let stats = look.map(|look| &look.sample.stats);
        let lost = stats.map_or(0, |s| {
            [s.ringless, s.kprobe_missed, s.untracked, s.stale]
                .iter()
                .fold(0, |sum: u64, n| sum.saturating_add(*n))
        });
        Head {
            mode: match (&self.recorded, look) {
                (Some(_), _) => Mode::Capture(!self.ui.paused),
                (None, None) => Mode::Waiting,
                (None, Some(_)) if self.ui.paused => Mode::Paused,
                (None, Some(_)) => Mode::Live,
            },
            clock: match stats {
                Some(stats) => self.day(stats.now_ns),
                None => self.day(self.now_ns),
            },
            active_ns: stats.map_or(0, |stats| stats.active_ns()),
            tracked: stats.map_or(0, |stats| stats.tracked),
            changes: look.and_then(|look| look.sample.changes),
            ends: look.and_then(|look| look.sample.ends),
            lost,
            trend: look.map_or(Vec::new(), |look| look.trends.changes.clone()),
            findings: self.found.counts(),
        }
    }

    fn slider(&self) -> Option<Slider> {
        let recorded = self.recorded.as_ref()?;
        let playback = &recorded.playback;
        Some(Slider {
            ends: [playback.from_ns, playback.end_ns].map(|ns| self.day(ns)),
            now: self.moment(recorded.now_ns),
            place: recorded.place(),
            step_ns: recorded.step_ns,
            before: playback.before,
        })
    }

    fn body(&mut self, page: usize, width: u16) -> (Body, Lines) {
        match self.ui.over {
            Over::Help => (Body::Help, self.ui.window(page.saturating_add(20), 0, page)),
            _ if self.look.is_none() => (Body::Waiting, Lines::default()),
            Over::TimeLine(conn) => self.time_line(conn, page),
            Over::Nothing => match self.ui.screen {
                Screen::States => self.states(page),
                Screen::Listeners => self.listeners(page),
                Screen::Connections => self.connections(page),
                Screen::Processes => self.groups(page),
                Screen::Reasons => self.reasons(page),
                Screen::Findings => self.findings(page, width),
            },
        }
    }

    fn states(&mut self, page: usize) -> (Body, Lines) {
        let Some(look) = &self.look else {
            return (Body::Waiting, Lines::default());
        };
        let mut rows = look.sample.states.clone();
        if let Some((order, reversed)) = self.ui.order() {
            sort_states(&mut rows, order);
            if reversed {
                rows.reverse();
            }
        }
        let view = |row: crate::model::top::rates::StateRow| StateView {
            trend: look.trends.state(row.state),
            row,
        };
        let rows: Vec<_> = rows.into_iter().map(view).collect();
        let below = self.below();
        let (rows, lines) = self.windowed(rows, page);
        (Body::States(rows, below), lines)
    }

    fn below(&mut self) -> Below {
        let Some(recorded) = &self.recorded else {
            return Below::Chart;
        };
        let from = recorded.now_ns.saturating_sub(recorded.step_ns);
        let alarms = recorded.playback.alarms(from, recorded.now_ns);
        let alarms: Vec<_> = alarms.filter(|alarm| self.show.alarm(alarm)).collect();
        let events: Vec<_> = recorded.events(&self.show).collect();
        let (people, selector) = (&mut self.people, Selector::at_any_time(&self.show));
        let mut shows = |who: &Ident| people.shows_recorded(&selector, who);
        let alarms: Vec<_> = alarms
            .into_iter()
            .filter(|alarm| shows(&alarm.who))
            .collect();
        let events: Vec<_> = events
            .into_iter()
            .filter(|event| shows(&event.who))
            .collect();
        let all = alarms.len() + events.len();
        let latest = events.iter().rev().take(EVENTS);
        let latest = latest.map(|event| (event.ts, self.event(event)));
        let alarms = alarms.iter().map(|alarm| (alarm.ts, self.alarm(alarm)));
        let mut rows: Vec<_> = alarms.chain(latest).collect();
        rows.sort_by_key(|(ts, _)| *ts);
        Below::Events(rows.into_iter().map(|(_, row)| row).collect(), all)
    }

    pub(super) fn event(&self, event: &Transition) -> EventRow {
        let who = &event.who;
        let ends = format!(
            "{} {}",
            line::text(&End::local(who, None)),
            line::text(&End::remote(who, None))
        );
        let reason = match event.reason {
            Reason::NONE => String::new(),
            reason => reason_name(reason),
        };
        EventRow {
            time: self.moment(event.ts),
            ends,
            change: Some((event.old, event.new)),
            in_old: event.in_old,
            reason,
        }
    }

    fn alarm(&self, alarm: &Alarm) -> EventRow {
        let l = self.style.labels;
        let local = line::text(&alarm.who.local());
        let ends = match alarm.is_pair() {
            true => format!("{local} {}", line::text(&alarm.who.remote())),
            false => line::text(&End::local(&alarm.who, None)),
        };
        let what = if alarm.raised { l.raised } else { l.cleared };
        EventRow {
            time: self.moment(alarm.ts),
            ends,
            change: None,
            in_old: Span::Unknown,
            reason: format!("{what} {} {}", alarm.kind.name(), alarm.value),
        }
    }

    fn reasons(&mut self, page: usize) -> (Body, Lines) {
        let Some(look) = &self.look else {
            return (Body::Waiting, Lines::default());
        };
        let mut rows = look.sample.reasons.clone();
        if let Some((order, reversed)) = self.ui.order() {
            sort_reasons(&mut rows, order);
            if reversed {
                rows.reverse();
            }
        }
        let view = |row: crate::model::top::rates::ReasonRow| ReasonView {
            trend: look.trends.reason(row.reason),
            row,
        };
        let rows: Vec<_> = rows.into_iter().map(view).collect();
        let (rows, lines) = self.windowed(rows, page);
        (Body::Reasons(rows), lines)
    }

    fn listeners(&mut self, page: usize) -> (Body, Lines) {
        let all = self.collected.listeners.clone();
        let (window, lines) = self.windowed(all, page);
        let inodes = &self.collected.inodes;
        let people = &mut self.people;
        let row = |(listener, overflows): (crate::model::listener::Listener, Option<u64>)| {
            let who = &listener.who;
            ListenerRow {
                dev: people.dev(who),
                process: people.process(who, of_listener(inodes, who)),
                listener,
                overflows,
            }
        };
        let rows = window.into_iter().map(row).collect();
        let past = self.recorded.as_ref().is_some_and(|r| !r.is_at_end());
        (Body::Listeners(rows, past), lines)
    }

    fn connections(&mut self, page: usize) -> (Body, Lines) {
        let total = self.collected.conns.len();
        let lines = self.ui.window(total, self.collected.matched, page);
        let window: Vec<Conn> = self.collected.conns[lines.first.min(total)..]
            .iter()
            .take(page)
            .copied()
            .collect();
        let now_ns = self.collected.now_ns;
        let rows = window.into_iter().map(|conn| ConnRow {
            age: conn.age(now_ns),
            dev: self.people.dev(&conn.who),
            process: self.people.process(&conn.who, Attachment::of(&conn)),
            container: self.people.container(&conn.who),
            speed: self.collected.speeds.get(&conn.who.conn).copied(),
            conn,
        });
        (Body::Connections(rows.collect()), lines)
    }

    fn groups(&mut self, page: usize) -> (Body, Lines) {
        let by = self.ui.by;
        let all = self.collected.groups.clone();
        let (window, lines) = self.windowed(all, page);
        let rows = window.into_iter().map(|group| GroupRow {
            name: self.group_name(by, &group),
            group,
        });
        (Body::Groups(by, rows.collect()), lines)
    }

    fn group_name(&mut self, by: By, group: &Group) -> String {
        let t = self.style.labels.lang.tui();
        match (by, group.owner, group.cgroup, self.collected.example) {
            (By::Process, Some(owner), ..) => line::text(&owner),
            (By::Process, None, ..) => format!("- ({})", t.no_process),
            (By::Container, _, Some(id), Some(example)) => {
                let name = self.people.group(group, &example);
                name.unwrap_or_else(|| id.to_string())
            }
            _ => format!("- ({})", t.unknown),
        }
    }

    fn findings(&mut self, page: usize, width: u16) -> (Body, Lines) {
        let (rows, at, error) = match &self.found.last {
            Some(Ok(diagnosis)) => {
                let lines = finding_lines(&self.style, diagnosis, width);
                (lines, self.day(diagnosis.now_ns), None)
            }
            Some(Err(error)) => {
                let error = error.of(self.style.labels.lang);
                (Vec::new(), String::new(), Some(error.to_owned()))
            }
            None => (Vec::new(), String::new(), None),
        };
        let (rows, lines) = self.windowed(rows, page);
        let found = Findings {
            at,
            repeats: self.recorded.is_none(),
            rows,
            error,
        };
        (Body::Findings(found), lines)
    }

    /// The lines in the window.
    fn windowed<T>(&mut self, all: Vec<T>, page: usize) -> (Vec<T>, Lines) {
        let total = all.len();
        let lines = self.ui.window(total, total as u64, page);
        let window = all.into_iter().skip(lines.first).take(page).collect();
        (window, lines)
    }

    /// Local time of day.
    pub(super) fn day(&self, ns: u64) -> String {
        line::text(&self.style.clock.moment(ns, Form::Day))
    }

    /// The same with milliseconds.
    pub(super) fn moment(&self, ns: u64) -> String {
        // `11-14 22:13:20.000`
        let text = line::text(&self.style.clock.moment(ns, Form::Short));
        text.get(6..).unwrap_or(&text).to_owned()
    }

    /// The filter of the connections that the selected line stands for.
    pub(super) fn filter_of_selected(&mut self, page: usize) -> Option<String> {
        let (body, lines) = self.body(page, 80);
        let at = lines.selected.checked_sub(lines.first)?;
        let more = match &body {
            Body::States(rows, _) => format!("state={}", rows.get(at)?.row.state.shown()),
            Body::Listeners(rows, _) => {
                let who = &rows.get(at)?.listener.who;
                format!("lport={} netns={}", who.lport, who.netns)
            }
            Body::Groups(By::Process, rows) => {
                format!("pid={}", rows.get(at)?.group.owner?.pid)
            }
            _ => return None,
        };
        Some(merged(&self.ui.filter.applied, &more))
    }

    /// The ends of a connection as text.
    pub(super) fn ends(&mut self, conn: &Conn) -> [String; 2] {
        let dev = self.people.dev(&conn.who);
        [
            line::text(&End::local(&conn.who, dev.as_ref())),
            line::text(&End::remote(&conn.who, dev.as_ref())),
        ]
    }
}

/// A filter with other pairs; those of the same keys are replaced.
fn merged(filter: &str, more: &str) -> String {
    let key = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let new: Vec<_> = more.split(' ').map(key).collect();
    let separator = |c: char| c == ',' || c.is_whitespace();
    let old = filter.split(separator).filter(|pair| !pair.is_empty());
    let kept = old.filter(|pair| !new.contains(&key(pair)));
    let all: Vec<_> = kept.chain(more.split(' ')).collect();
    all.join(" ")
}

/// A value as text; `-` if unknown.
pub(super) fn text_of(value: Option<impl Put>) -> String {
    line::text(&value)
}

/// The order of connections if their screen is not shown.
pub(super) const FIRST: Order = Order::Time;

#[cfg(test)]
mod tests {
    use super::merged;

    #[test]
    fn a_filter_gets_other_pairs() {
        assert_eq!(merged("", "state=CLOSE_WAIT"), "state=CLOSE_WAIT");
        assert_eq!(
            merged("state=LISTEN, addr=10.0.0.1", "state=CLOSE_WAIT lport=80"),
            "addr=10.0.0.1 state=CLOSE_WAIT lport=80"
        );
    }
}
