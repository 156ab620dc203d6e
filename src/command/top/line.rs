//! The time line of a connection.

use crate::command::top::App;
use crate::command::top::frame::text_of;
use crate::fmt::line;
use crate::model::conn::Conn;
use crate::model::holders::Attachment;
use crate::model::ident::Role;
use crate::model::lives::reason_name;
use crate::model::meters::Meters;
use crate::model::reason::Reason;
use crate::model::state::State;
use crate::model::transition::Transition;
use crate::render::time::duration;
use crate::render::tui::number::bytes;
use crate::render::tui::view::{Body, Lines, TimeLine};

/// Lines of the page that are not events, at most.
const ABOVE: usize = 10;

/// A connection whose time line is open.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The connection as it was last seen; it may have ended since.
    pub conn: Conn,
    /// Its recorded transitions.
    pub steps: Vec<Transition>,
    /// Whether earlier ones may be missing.
    pub cut: bool,
    /// The moment in monotonic nanoseconds.
    pub now_ns: u64,
}

impl Opened {
    /// Nanoseconds in each state, the last one until now. A connection that has ended stays nowhere.
    fn stays(&self) -> Vec<(State, u64)> {
        let mut stays: Vec<(State, u64)> = Vec::new();
        let exists = |state: State| ![State::NEW, State::CLOSE].contains(&state);
        for step in self.steps.iter().filter(|step| step.ts <= self.now_ns) {
            if let Some(ns) = step.in_old.ns().filter(|_| exists(step.old)) {
                stays.push((step.old.known_as(), ns));
            }
        }
        if exists(self.conn.state) {
            let age = self.conn.age(self.now_ns).ns();
            stays.push((self.conn.state.known_as(), age.unwrap_or(0)));
        }
        stays
    }

    /// The last state that is known, if the connection is not live any more.
    pub fn end(&mut self) {
        if let Some(last) = self.steps.iter().rfind(|step| step.ts <= self.now_ns) {
            self.conn.state = last.new;
            self.conn.reason = last.reason;
        }
    }
}

impl App<'_> {
    pub(super) fn time_line(&mut self, _: u64, page: usize) -> (Body, Lines) {
        let Some(opened) = self.opened.clone() else {
            return (Body::Help, Lines::default());
        };
        let facts = self.facts(&opened);
        let room = page.saturating_sub(ABOVE).max(1);
        let total = opened.steps.len();
        let lines = self.ui.window(total, total as u64, room);
        let rows = opened.steps.iter().skip(lines.first);
        let rows = rows.map(|step| self.event(step)).collect();
        let line = TimeLine {
            facts,
            stays: opened.stays(),
            rows,
            cut: opened.cut,
        };
        (Body::TimeLine(line), lines)
    }

    fn facts(&mut self, opened: &Opened) -> Vec<(&'static str, String)> {
        let (l, conn) = (self.style.labels, &opened.conn);
        let who = &conn.who;
        let [local, remote] = self.ends(conn);
        let mut facts = vec![
            (l.local, local),
            (l.remote, remote),
            (l.state, conn.state.shown().into_owned()),
            (l.in_state, line::text(&conn.age(opened.now_ns))),
            (l.process, self.people.process(who, Attachment::of(conn))),
            (l.role, who.role.map_or("-", Role::name).to_owned()),
            (l.namespace, self.people.netns(who)),
            (l.user, text_of(who.uid)),
        ];
        if conn.reason != Reason::NONE {
            facts.push((l.reason, reason_name(conn.reason)));
        }
        if let Some(meters) = &conn.meters {
            facts.extend(self.meters(meters));
        }
        if let Some(cgroup) = self.people.cgroup(who) {
            if facts.len() % 2 == 1 {
                facts.push(("", String::new()));
            }
            facts.push((l.cgroup, cgroup));
        }
        facts
    }

    fn meters(&self, meters: &Meters) -> [(&'static str, String); 4] {
        let l = self.style.labels;
        let rtt = match meters.srtt_us {
            0 => "-".to_owned(),
            us => duration(u64::from(us) * 1_000),
        };
        [
            (l.sent, bytes(meters.bytes_sent)),
            (l.received, bytes(meters.bytes_received)),
            (l.retrans, meters.retrans.to_string()),
            (l.srtt, rtt),
        ]
    }
}
