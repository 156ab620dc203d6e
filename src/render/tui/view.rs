//! What a frame shows. Texts in it are safe to print: names of strangers are escaped.

use crate::model::conn::Conn;
use crate::model::endpoint::Dev;
use crate::model::listener::Listener;
use crate::model::span::Span;
use crate::model::state::State;
use crate::model::summary::FindingCounts;
use crate::model::top::groups::Group;
use crate::model::top::playback::Before;
use crate::model::top::rates::{Rate, ReasonRow, StateRow};
use crate::model::top::screen::{By, Order, Screen};
use crate::render::i18n::labels::Labels;
use crate::render::i18n::tui::Texts;
use crate::render::tui::theme::Theme;

/// A frame.
#[derive(Debug, Clone)]
pub struct View {
    /// What the terminal can show.
    pub theme: Theme,
    /// The labels of reports.
    pub labels: &'static Labels,
    /// The texts of the live view.
    pub texts: &'static Texts,
    /// The first line.
    pub head: Head,
    /// The current screen.
    pub screen: Screen,
    /// The contents.
    pub body: Body,
    /// Which lines the contents are.
    pub lines: Lines,
    /// The order of the lines, and whether it is reversed.
    pub order: Option<(Order, bool)>,
    /// What the user has typed, or is typing, as a filter.
    pub filter: Filter,
    /// The place in a capture.
    pub slider: Option<Slider>,
    /// Whether Enter opens the selected line.
    pub opens: bool,
}

/// What is drawn: a recording, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The activation, now.
    Live,
    /// The activation, at the moment of the pause.
    Paused,
    /// A capture; whether it is being played.
    Capture(bool),
    /// Nothing is active.
    Waiting,
}

/// The first line.
#[derive(Debug, Clone)]
pub struct Head {
    /// What is drawn.
    pub mode: Mode,
    /// Local time of day.
    pub clock: String,
    /// Nanoseconds since the activation.
    pub active_ns: u64,
    /// Connections and listeners.
    pub tracked: u64,
    /// Transitions per second.
    pub changes: Option<Rate>,
    /// Ends per second.
    pub ends: Option<Rate>,
    /// Events and connections that the recording has lost.
    pub lost: u64,
    /// Transitions per second of the last looks, in thousandths.
    pub trend: Vec<u64>,
    /// Findings of the last diagnosis.
    pub findings: Option<FindingCounts>,
}

/// A window into all lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lines {
    /// Number of the first line of the window.
    pub first: usize,
    /// Number of the selected line.
    pub selected: usize,
    /// All lines that can be scrolled to.
    pub total: usize,
    /// All that there are; more than `total` if only the first of them are kept.
    pub matched: u64,
}

/// The filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The filter that is in force; empty: none.
    pub applied: String,
    /// The text that is being typed, and the cursor in it, in characters.
    pub typed: Option<(String, usize)>,
    /// Why the typed text is no filter.
    pub error: Option<String>,
}

/// The place in a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slider {
    /// First and last moment, as local time.
    pub ends: [String; 2],
    /// The current moment, as local time with milliseconds.
    pub now: String,
    /// The place of the current moment, in thousandths.
    pub place: u64,
    /// Length of a step in nanoseconds.
    pub step_ns: u64,
    /// Why it does not begin earlier.
    pub before: Before,
}

/// The contents of a frame: the lines of a window.
#[derive(Debug, Clone)]
pub enum Body {
    /// Connections by state.
    States(Vec<StateView>, Below),
    /// Listeners; whether they are those of the end of a capture.
    Listeners(Vec<ListenerRow>, bool),
    /// Live connections.
    Connections(Vec<ConnRow>),
    /// Connections of processes or containers.
    Groups(By, Vec<GroupRow>),
    /// Ends by reason.
    Reasons(Vec<ReasonView>),
    /// Lines of a diagnosis.
    Findings(Findings),
    /// The time line of a connection.
    TimeLine(TimeLine),
    /// The keys.
    Help,
    /// Nothing is active.
    Waiting,
}

/// What is below the states.
#[derive(Debug, Clone)]
pub enum Below {
    /// A chart of the transitions per second.
    Chart,
    /// The latest events up to this moment, and how many there are.
    Events(Vec<EventRow>, usize),
}

/// A state with its history.
#[derive(Debug, Clone)]
pub struct StateView {
    /// Its numbers.
    pub row: StateRow,
    /// Connections in it at the last looks.
    pub trend: Vec<u64>,
}

/// A reason with its history.
#[derive(Debug, Clone)]
pub struct ReasonView {
    /// Its numbers.
    pub row: ReasonRow,
    /// Ends per second at the last looks, in thousandths.
    pub trend: Vec<u64>,
}

/// A listener.
#[derive(Debug, Clone)]
pub struct ListenerRow {
    /// Its numbers.
    pub listener: Listener,
    /// The device that it is bound to.
    pub dev: Option<Dev>,
    /// Its process.
    pub process: String,
    /// SYNs and last ACKs that found the accept queue full, if known.
    pub overflows: Option<u64>,
}

/// A live connection.
#[derive(Debug, Clone)]
pub struct ConnRow {
    /// Its numbers.
    pub conn: Conn,
    /// Time in its state.
    pub age: Span,
    /// The device that it is bound to.
    pub dev: Option<Dev>,
    /// Its process.
    pub process: String,
    /// Its container.
    pub container: String,
    /// Bytes per second since the last look.
    pub speed: Option<Rate>,
}

/// The connections of a process or container.
#[derive(Debug, Clone)]
pub struct GroupRow {
    /// Its name.
    pub name: String,
    /// Its numbers.
    pub group: Group,
}

/// A transition or an alarm.
#[derive(Debug, Clone)]
pub struct EventRow {
    /// Local time of day with milliseconds.
    pub time: String,
    /// The ends of the connection.
    pub ends: String,
    /// The old and the new state; `None`: an alarm.
    pub change: Option<(State, State)>,
    /// Time in the old state.
    pub in_old: Span,
    /// The reason, or what the alarm says.
    pub reason: String,
}

/// A connection and what has happened to it.
#[derive(Debug, Clone)]
pub struct TimeLine {
    /// Labels and values.
    pub facts: Vec<(&'static str, String)>,
    /// Nanoseconds in each state, in order; the last one lasts until now.
    pub stays: Vec<(State, u64)>,
    /// The events of the window.
    pub rows: Vec<EventRow>,
    /// Whether the first of its events are missing.
    pub cut: bool,
}

/// A diagnosis.
#[derive(Debug, Clone)]
pub struct Findings {
    /// When it was made, as local time of day; empty: not yet.
    pub at: String,
    /// Whether it is repeated.
    pub repeats: bool,
    /// Lines of the window: a style for the first word of a finding's first line, and the text.
    pub rows: Vec<FindingLine>,
    /// Why there is no diagnosis.
    pub error: Option<String>,
}

/// A line of a diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingLine {
    /// The severity, on the first line of a finding.
    pub severity: Option<crate::diagnose::finding::Severity>,
    /// The text.
    pub text: String,
}

impl View {
    /// Why there are no lines.
    pub fn nothing(&self) -> &'static str {
        match self.filter.applied.is_empty() {
            true => self.texts.nothing,
            false => self.texts.nothing_matches,
        }
    }
}
