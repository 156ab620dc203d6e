//! A live view on a terminal in memory.

use std::fs;
use std::path::{Path, PathBuf};

use diagnose_tools::backend::Backend;
use diagnose_tools::backend::capture::backend::Capture;
use diagnose_tools::cli::parse;
use diagnose_tools::command::dump;
use diagnose_tools::command::options::TopOptions;
use diagnose_tools::command::top::ui::Todo;
use diagnose_tools::command::top::{App, Context};
use diagnose_tools::error::Result;
use diagnose_tools::host::Host;
use diagnose_tools::model::filter::Show;
use diagnose_tools::render::Style;
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::time::Clock;
use jiff::tz::TimeZone;
use ratatui_core::backend::TestBackend;
use ratatui_core::layout::Rect;
use ratatui_core::terminal::Terminal;
use ratatui_crossterm::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use testkit::fake::Fake;
use testkit::host::FakeHost;

/// The screens, in the order of their numbers.
pub const SCREENS: [&str; 6] = [
    "states",
    "listeners",
    "connections",
    "processes",
    "reasons",
    "findings",
];

/// A view of a backend.
pub struct Seen<'a> {
    pub app: App<'a>,
    terminal: Terminal<TestBackend>,
}

/// How it is looked at.
#[derive(Clone, Copy)]
pub struct Look {
    pub size: [u16; 2],
    pub lang: Lang,
    pub color: bool,
    pub unicode: bool,
}

pub const LOOK: Look = Look {
    size: [100, 30],
    lang: Lang::En,
    color: true,
    unicode: true,
};

fn parse_filter(text: &str) -> Result<Show> {
    parse::show(text, None)
}

impl<'a> Seen<'a> {
    /// A view that has looked once; a capture if `keys` name one.
    pub fn new(backend: &'a dyn Backend, keys: &str, look: Look) -> Self {
        Self::with(backend, || Box::new(FakeHost::default()), keys, look)
    }

    pub fn with(
        backend: &'a dyn Backend,
        host: impl FnMut() -> Box<dyn Host> + 'a,
        keys: &str,
        look: Look,
    ) -> Self {
        let options = parse::top(keys).expect("keys");
        Self::of(backend, host, &options, look)
    }

    fn of(
        backend: &'a dyn Backend,
        host: impl FnMut() -> Box<dyn Host> + 'a,
        options: &TopOptions,
        look: Look,
    ) -> Self {
        let stats = backend.stats().expect("stats");
        let style = Style {
            labels: look.lang.labels(),
            clock: Clock::with_zone(&stats, TimeZone::UTC),
            width: Some(look.size[0].into()),
            color: look.color,
        };
        let context = Context {
            backend,
            host: Box::new(host),
            parse: &parse_filter,
            style,
            unicode: look.unicode,
        };
        let mut app = App::new(context, options).expect("a view");
        app.tick().expect("a look");
        let [columns, lines] = look.size;
        let terminal = Terminal::new(TestBackend::new(columns, lines)).expect("memory");
        Self { app, terminal }
    }

    /// A view of a capture at `path`, which is open.
    pub fn playing(capture: &'a dyn Backend, path: &Path, keys: &str, look: Look) -> Self {
        let keys = format!("from={} {keys}", path.display());
        Self::new(capture, &keys, look)
    }

    /// Draws, and returns the lines without the spaces at their ends.
    pub fn lines(&mut self) -> Vec<String> {
        let app = &mut self.app;
        self.terminal
            .draw(|frame| app.frame(frame))
            .expect("memory");
        let buffer = self.terminal.backend().buffer();
        let area = *buffer.area();
        let line = |y| {
            let (mut text, mut x) = (String::new(), 0);
            while x < area.width {
                let symbol = buffer[(x, y)].symbol();
                text += symbol;
                let columns = unicode_width::UnicodeWidthStr::width(symbol);
                x += u16::try_from(columns).unwrap().max(1);
            }
            text.trim_end().to_owned()
        };
        (0..area.height).map(line).collect()
    }

    pub fn text(&mut self) -> String {
        self.lines().join("\n") + "\n"
    }

    /// Whether any cell has a colour.
    pub fn has_colors(&mut self) -> bool {
        self.lines();
        let plain = ratatui_core::style::Color::Reset;
        let cells = &self.terminal.backend().buffer().content;
        cells
            .iter()
            .any(|cell| cell.fg != plain || cell.bg != plain)
    }

    /// All symbols of the last frame.
    pub fn symbols(&self) -> Vec<String> {
        let cells = &self.terminal.backend().buffer().content;
        cells.iter().map(|cell| cell.symbol().to_owned()).collect()
    }

    pub fn press(&mut self, code: KeyCode) -> Todo {
        let area = *self.terminal.backend().buffer().area();
        let page = self.app.page(Rect::new(0, 0, area.width, area.height));
        let key = KeyEvent::new(code, KeyModifiers::NONE);
        self.app.key(key, page).expect("a key")
    }

    pub fn type_text(&mut self, text: &str) {
        for c in text.chars() {
            self.press(KeyCode::Char(c));
        }
    }
}

/// Asserts that a line contains each of these, in this order.
#[track_caller]
pub fn assert_in_order(line: &str, parts: &[&str]) {
    let mut rest = line;
    for part in parts {
        let at = rest.find(part);
        let at = at.unwrap_or_else(|| panic!("no '{part}' in its place in: {line}"));
        rest = &rest[at + part.len()..];
    }
}

/// The line that contains this text.
#[track_caller]
pub fn line_with<'l>(lines: &'l [String], text: &str) -> &'l str {
    let line = lines.iter().find(|line| line.contains(text));
    line.unwrap_or_else(|| panic!("no line with '{text}' in:\n{}", lines.join("\n")))
}

/// A capture of a backend, which is removed when this is dropped.
pub struct File(pub PathBuf);

impl File {
    pub fn write(fake: &Fake, name: &str) -> Self {
        let name = format!("diagnose-tools-top-{}-{name}.cap", std::process::id());
        let path = std::env::temp_dir().join(name);
        let file = fs::File::create(&path).expect("a file");
        dump::write(fake, &mut FakeHost::default(), "memory", file).expect("a capture");
        Self(path)
    }

    pub fn open(&self) -> Capture<fs::File> {
        Capture::open(&self.0).expect("a capture")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
