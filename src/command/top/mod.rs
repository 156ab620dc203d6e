//! `--top`: a live view in the terminal, or a capture that is played back. It has no position of its
//! own in the module, so it takes no events from a report.

mod collect;
mod found;
mod frame;
mod input;
mod line;
mod live;
pub mod people;
mod recorded;
mod source;
mod terminal;
pub mod ui;

use std::fs::File;
use std::time::{Duration, Instant};

use ratatui_core::layout::Rect;
use ratatui_core::terminal::Frame;
use ratatui_crossterm::crossterm::event::KeyEvent;

use crate::backend::{Backend, session};
use crate::command::options::TopOptions;
use crate::command::top::collect::{Bytes, Collected, Wanted, add_inodes, collect};
use crate::command::top::found::Found;
use crate::command::top::line::Opened;
use crate::command::top::live::Live;
use crate::command::top::people::{MakeHost, People};
use crate::command::top::recorded::Recorded;
use crate::command::top::source::{Look, Source};
use crate::command::top::terminal::{Terminal, Wake};
use crate::command::top::ui::{Go, Over, Todo, Ui};
use crate::error::{Error, Result};
use crate::model::conn::Conn;
use crate::model::filter::Show;
use crate::model::top::screen::Screen;
use crate::render::Style;
use crate::render::tui::theme::Theme;
use crate::render::tui::{self, Areas};

pub use terminal::require;

/// Reads a filter that was typed.
pub type ParseFilter<'a> = &'a dyn Fn(&str) -> Result<Show>;

/// What a live view needs.
pub struct Context<'a> {
    /// The activation, or a capture.
    pub backend: &'a dyn Backend,
    /// Makes the host of the connections.
    pub host: MakeHost<'a>,
    /// Reads filters.
    pub parse: ParseFilter<'a>,
    /// Language and clock.
    pub style: Style,
    /// Whether the locale has block characters.
    pub unicode: bool,
}

/// Draws the view until the user ends it, or a signal.
///
/// # Errors
/// Not active, a damaged capture, or the terminal fails.
pub fn top(context: Context, options: &TopOptions, stdout: &File) -> Result<()> {
    if options.from.is_none() {
        session::active_settings(context.backend)?;
    }
    let mut app = App::new(context, options)?;
    let mut terminal = Terminal::new(stdout)?;
    match app.run(&mut terminal) {
        // The terminal is gone, which a signal has also said.
        Err(Error::System { .. }) if terminal.is_over() => Ok(()),
        other => other,
    }
}

/// The live view.
pub struct App<'a> {
    backend: &'a dyn Backend,
    parse: ParseFilter<'a>,
    style: Style,
    theme: Theme,
    interval: Duration,
    ui: Ui,
    show: Show,
    live: Live<'a>,
    /// The capture, if it is one.
    recorded: Option<Recorded<'a>>,
    people: People<'a>,
    look: Option<Look>,
    collected: Collected,
    bytes: Bytes,
    found: Found,
    opened: Option<Opened>,
    /// The moment of the last look in monotonic nanoseconds.
    now_ns: u64,
}

impl<'a> App<'a> {
    /// A view that has not looked yet.
    ///
    /// # Errors
    /// The capture is damaged.
    pub fn new(context: Context<'a>, options: &TopOptions) -> Result<Self> {
        let interval = Duration::from_millis(options.interval_ms.into());
        let step_ns = u64::try_from(interval.as_nanos()).ok();
        let step_ns = step_ns.filter(|_| options.interval_given);
        let is_capture = options.from.is_some();
        let recorded = match is_capture {
            true => Some(Recorded::new(context.backend, step_ns)?),
            false => None,
        };
        let mut ui = Ui::new(options.screen, options.sort, is_capture);
        ui.applied(&options.filter);
        Ok(Self {
            backend: context.backend,
            parse: context.parse,
            theme: Theme {
                color: context.style.color,
                unicode: context.unicode,
            },
            style: context.style,
            interval,
            ui,
            show: options.show.clone(),
            live: Live::new(context.backend),
            recorded,
            people: People::new(context.host, !is_capture),
            look: None,
            collected: Collected::default(),
            bytes: Bytes::default(),
            found: Found::default(),
            opened: None,
            now_ns: 0,
        })
    }

    fn run(&mut self, terminal: &mut Terminal) -> Result<()> {
        let mut next = Instant::now();
        loop {
            if Instant::now() >= next {
                let start = Instant::now();
                self.tick()?;
                // Looking takes at most half of the time.
                next = (next + self.interval).max(Instant::now() + start.elapsed());
            }
            terminal.draw(|frame| self.frame(frame))?;
            let todo = match terminal.wait(Some(next))? {
                Wake::Keys(keys) => self.keys(terminal, keys)?,
                Wake::Continued => {
                    terminal.take_again()?;
                    Todo::Draw
                }
                Wake::Stop => Todo::Stop,
                Wake::End => Todo::Quit,
                Wake::Time => Todo::Draw,
            };
            match todo {
                Todo::Quit => return Ok(()),
                Todo::Stop => terminal.stop()?,
                Todo::Redraw => terminal.clear()?,
                _ => {}
            }
        }
    }

    /// Draws into a frame.
    pub fn frame(&mut self, frame: &mut Frame) {
        let areas = Areas::new(frame.area(), self.recorded.is_some());
        let view = self.view(areas);
        tui::draw(frame, &view);
    }

    /// Number of lines in the window on a terminal of this size.
    pub fn page(&self, all: Rect) -> usize {
        let areas = Areas::new(all, self.recorded.is_some());
        areas.map_or(1, |areas| areas.page())
    }

    /// Handles keys; returns what the terminal is to do.
    fn keys(&mut self, terminal: &Terminal, keys: Vec<KeyEvent>) -> Result<Todo> {
        let page = self.page(terminal.area()?);
        for key in keys {
            let todo = self.key(key, page)?;
            if matches!(todo, Todo::Quit | Todo::Stop | Todo::Redraw) {
                return Ok(todo);
            }
        }
        Ok(Todo::Draw)
    }

    /// Handles a key; `page` is the number of lines in the window.
    ///
    /// # Errors
    /// A call fails.
    pub fn key(&mut self, key: KeyEvent, page: usize) -> Result<Todo> {
        let mut todo = self.ui.key(key, page);
        if todo == Todo::Open {
            todo = self.open(page)?;
        }
        match &todo {
            Todo::Filter(text) => self.filter(text)?,
            Todo::Collect => self.gather(false)?,
            Todo::Pause(paused) => self.pause(*paused)?,
            Todo::Go(go) => self.go(*go)?,
            _ => {}
        }
        Ok(todo)
    }

    /// The source of the numbers.
    fn source(&mut self) -> &mut dyn Source {
        match &mut self.recorded {
            Some(recorded) => recorded,
            None => &mut self.live,
        }
    }

    /// A look, when its time has come.
    ///
    /// # Errors
    /// A call fails.
    pub fn tick(&mut self) -> Result<()> {
        match (&mut self.recorded, self.ui.paused) {
            (Some(_), true) if self.look.is_some() => Ok(()),
            (Some(recorded), false) => {
                if !recorded.go(Go::Steps(1)) {
                    self.ui.paused = true;
                    return Ok(());
                }
                self.look(true)
            }
            (None, true) if self.look.is_some() => Ok(()),
            _ => self.look(true),
        }
    }

    /// Looks at the counters, and collects the lines of the screen.
    fn look(&mut self, tick: bool) -> Result<()> {
        self.style.clock.learn(&session::clocks(self.backend)?);
        self.now_ns = self.backend.stats()?.now_ns;
        let people = &mut self.people;
        self.look = match &mut self.recorded {
            Some(recorded) => recorded.look(&self.show, people)?,
            None => self.live.look(&self.show, people)?,
        };
        match &self.look {
            Some(look) => {
                let sockets = look.sample.stats.tracked;
                self.people.refresh(sockets);
                self.gather(tick)
            }
            None => {
                self.found.clear();
                (self.collected, self.bytes) = Default::default();
                Ok(())
            }
        }
    }

    /// Collects the lines of the screen; if it was deactivated meanwhile, nothing is shown.
    fn gather(&mut self, tick: bool) -> Result<()> {
        if self.look.is_none() {
            return Ok(());
        }
        match self.gather_now(tick) {
            Err(Error::NotActive | Error::Stale) => {
                self.look = None;
                Ok(())
            }
            other => other,
        }
    }

    fn gather_now(&mut self, tick: bool) -> Result<()> {
        let wanted = self.wanted();
        let source: &dyn Source = match &self.recorded {
            Some(recorded) => recorded,
            None => &self.live,
        };
        let state = (&mut self.bytes, tick);
        let (people, now_ns) = (&mut self.people, self.now_ns);
        let now_ns = self.recorded.as_ref().map_or(now_ns, |r| r.now_ns);
        self.collected = collect(source, people, &self.show, &wanted, state, now_ns)?;
        if wanted.listeners.is_some() && people.is_exact() {
            add_inodes(source, &mut self.collected)?;
        }
        if self.ui.screen == Screen::Findings {
            let changes = self.recorded.is_none();
            self.found
                .look(self.backend, &mut self.people, &self.show.filter, changes);
        }
        self.reopen()
    }

    /// What the current screen needs.
    fn wanted(&self) -> Wanted {
        let order = self.ui.order().unwrap_or((frame::FIRST, false));
        let on = |screen| self.ui.screen == screen;
        Wanted {
            connections: on(Screen::Connections).then_some(order),
            groups: on(Screen::Processes).then_some((self.ui.by, order.0, order.1)),
            listeners: on(Screen::Listeners).then_some(order),
        }
    }

    fn pause(&mut self, paused: bool) -> Result<()> {
        self.ui.paused = paused;
        match &mut self.recorded {
            // At the end it starts again.
            Some(recorded) if !paused && recorded.is_at_end() => {
                recorded.go(Go::Start);
                self.look(false)
            }
            Some(_) => Ok(()),
            None if paused => Ok(()),
            None => self.look(true),
        }
    }

    fn go(&mut self, go: Go) -> Result<()> {
        let recorded = self.recorded.as_mut();
        match recorded.is_some_and(|recorded| recorded.go(go)) {
            true => self.look(false),
            false => Ok(()),
        }
    }

    fn filter(&mut self, text: &str) -> Result<()> {
        match (self.parse)(text) {
            Ok(show) => {
                self.show = show;
                self.ui.applied(text);
                self.look(true)
            }
            Err(error) => {
                let error = error.text();
                let error = error.of(self.style.labels.lang);
                self.ui.refused(text, error.to_owned());
                Ok(())
            }
        }
    }

    /// Opens the selected line: the time line of a connection, or the connections that it counts.
    fn open(&mut self, page: usize) -> Result<Todo> {
        if self.ui.screen != Screen::Connections {
            let filter = self.filter_of_selected(page);
            return Ok(filter.map_or(Todo::Draw, |filter| self.ui.open_connections(filter)));
        }
        let total = self.collected.conns.len();
        let lines = self.ui.window(total, total as u64, page);
        if let Some(conn) = self.collected.conns.get(lines.selected).copied() {
            self.ui.open(conn.who.conn);
            self.read_steps(conn)?;
        }
        Ok(Todo::Draw)
    }

    /// Reads the time line again, if it is open.
    fn reopen(&mut self) -> Result<()> {
        let (Over::TimeLine(id), Some(opened)) = (self.ui.over, &self.opened) else {
            return Ok(());
        };
        let mut conn = None;
        let before = opened.conn;
        self.source().connections(&mut |live| {
            if live.who.conn == id {
                conn = Some(*live);
            }
        })?;
        let ended = conn.is_none();
        self.read_steps(conn.unwrap_or(before))?;
        if let Some(opened) = self.opened.as_mut().filter(|_| ended) {
            opened.end();
        }
        Ok(())
    }

    fn read_steps(&mut self, conn: Conn) -> Result<()> {
        let (steps, cut) = self.source().steps(&conn)?;
        let now_ns = match &self.recorded {
            Some(recorded) => recorded.now_ns,
            None => self.backend.stats()?.now_ns,
        };
        self.opened = Some(Opened {
            conn,
            steps,
            cut,
            now_ns,
        });
        Ok(())
    }
}
