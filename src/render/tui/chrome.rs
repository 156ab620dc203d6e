//! The lines around the contents: title, tabs, filter and order, slider, keys.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::{Position, Rect};
use ratatui_core::style::Style;

use crate::fmt::width::{cut, shorten_path, width};
use crate::model::top::playback::Before;
use crate::model::top::screen::Screen;
use crate::render::time::duration;
use crate::render::tui::number::{count, rate};
use crate::render::tui::view::{Body, Head, Mode, Slider, View};
use crate::render::tui::{Cursor, put};

/// Width of the chart on the first line.
const TREND: u16 = 20;

/// Draws the title line.
pub fn head(buffer: &mut Buffer, line: Rect, view: &View) {
    let (t, theme, head) = (view.texts, view.theme, &view.head);
    let (mode, style) = mode(view);
    let mut x = put(buffer, line, line.x, "tcpstates ", theme.title());
    x = put(buffer, line, x, &format!("[{mode}]"), style);
    x = put(buffer, line, x, &format!(" {} ", head.clock), theme.title());
    if head.mode == Mode::Waiting {
        return;
    }
    x = lost(buffer, line, x, view, head);
    for (number, what) in [
        (count(head.tracked), t.tracked),
        (rate(head.changes), t.changes),
        (rate(head.ends), t.ends),
    ] {
        let room = usize::from(line.right().saturating_sub(x));
        if width(&number) + width(what) + 3 > room {
            return;
        }
        x = put(buffer, line, x, &format!(" {number} "), theme.title());
        x = put(buffer, line, x, what, Style::new());
        x = put(buffer, line, x, " ", Style::new());
    }
    let active = format!(" {} {} ", t.active, duration(head.active_ns));
    x = put(buffer, line, x, &active, theme.dim());
    if x.saturating_add(TREND) < line.right() {
        let chart = theme.spark(&head.trend, TREND);
        put(buffer, line, line.right() - TREND, &chart, theme.chart());
    }
}

fn lost(buffer: &mut Buffer, line: Rect, x: u16, view: &View, head: &Head) -> u16 {
    match head.lost {
        0 => x,
        lost => {
            let text = format!(" {} {} ", view.texts.lost, count(lost));
            put(buffer, line, x, &text, view.theme.bad())
        }
    }
}

fn mode(view: &View) -> (&'static str, Style) {
    let (t, theme) = (view.texts, view.theme);
    match view.head.mode {
        Mode::Live => (t.live, theme.good()),
        Mode::Paused => (t.paused, theme.warn()),
        Mode::Capture(_) => (t.playback, theme.key()),
        Mode::Waiting => (t.waiting, theme.warn()),
    }
}

/// Draws the names of the screens.
pub fn tabs(buffer: &mut Buffer, line: Rect, view: &View) {
    let titles = Screen::ALL.map(|screen| view.texts.screen(screen));
    let full: usize = titles.iter().map(|title| width(title) + 4).sum();
    // On a narrow terminal only the current one has its name.
    let narrow = full + 4 > usize::from(line.width);
    let mut x = line.x;
    for (at, (screen, title)) in Screen::ALL.into_iter().zip(titles).enumerate() {
        let current = screen == view.screen;
        let title = match narrow && !current {
            true => cut(title, 6),
            false => title.to_owned(),
        };
        let style = if current {
            view.theme.selected()
        } else {
            Style::new()
        };
        let key = if current { style } else { view.theme.key() };
        x = put(buffer, line, x, &format!(" {}", at + 1), key);
        x = put(buffer, line, x, &format!(" {title} "), style);
        if screen == Screen::Findings {
            badge(buffer, line, x, view);
        }
    }
}

/// The number of findings that are at least warnings.
fn badge(buffer: &mut Buffer, line: Rect, x: u16, view: &View) {
    if let Some(found) = view.head.findings.filter(|found| found.bad() > 0) {
        let style = match found.critical {
            0 => view.theme.warn(),
            _ => view.theme.bad(),
        };
        put(buffer, line, x, &format!("!{}", found.bad()), style);
    }
}

/// Draws the order, the number of lines and the filter.
pub fn info(buffer: &mut Buffer, line: Rect, view: &View) {
    let (t, theme, lines) = (view.texts, view.theme, view.lines);
    let mut x = line.x + 1;
    if let Some((order, reversed)) = view.order {
        let mut text = format!("{}: {}", t.sort, t.order(order));
        if reversed {
            text += &format!(", {}", t.reversed);
        }
        x = put(buffer, line, x, &format!("{text}   "), theme.dim());
    }
    if lines.matched > lines.total as u64 {
        let [shown, all] = [lines.total as u64, lines.matched].map(count);
        let text = format!("{} {shown} {} {all}   ", t.shown, t.of);
        x = put(buffer, line, x, &text, theme.dim());
    }
    if matches!(view.body, Body::Listeners(_, true)) {
        x = put(buffer, line, x, &format!("{}   ", t.at_end), theme.dim());
    }
    if !view.filter.applied.is_empty() {
        x = put(buffer, line, x, &format!("{}: ", t.filter), theme.warn());
        put(buffer, line, x, &view.filter.applied, Style::new());
    }
}

/// Draws the place in a capture.
pub fn slider(buffer: &mut Buffer, area: Rect, view: &View, slider: &Slider) {
    let theme = view.theme;
    let line = Rect { height: 1, ..area };
    let [first, last] = &slider.ends;
    let x = put(buffer, line, line.x + 1, first, theme.dim()) + 1;
    let end = line
        .right()
        .saturating_sub(u16::try_from(width(last)).unwrap_or(0) + 1);
    put(buffer, line, end, last, theme.dim());
    let room = end.saturating_sub(x + 1);
    let (rail, handle) = theme.slider();
    put(buffer, line, x, &rail.repeat(room.into()), theme.chart());
    let place = u64::from(room.saturating_sub(1)) * slider.place.min(1_000) / 1_000;
    let at = x + u16::try_from(place).unwrap_or(0);
    put(buffer, line, at, handle, theme.warn());
    let below = Rect {
        y: area.y + 1,
        ..line
    };
    slider_text(buffer, below, view, slider);
}

fn slider_text(buffer: &mut Buffer, line: Rect, view: &View, slider: &Slider) {
    let (t, theme) = (view.texts, view.theme);
    let mark = match view.head.mode {
        Mode::Capture(true) => '>',
        _ => '|',
    };
    let step = duration(slider.step_ns);
    let now = format!("{mark} {} (+/- {step})   ", slider.now);
    let x = put(buffer, line, line.x + 1, &now, theme.title());
    let first = &slider.ends[0];
    match slider.before {
        Before::Activation => {
            let text = format!("{first}: {}", t.begins_active);
            put(buffer, line, x, &text, theme.dim());
        }
        Before::Overwritten(lost) => {
            let text = format!("{first}: {} ({})", t.begins_lost, count(lost));
            put(buffer, line, x, &text, theme.warn());
        }
    }
}

/// Draws the keys, or the filter that is being typed; returns the place of the cursor.
pub fn foot(buffer: &mut Buffer, line: Rect, view: &View) -> Cursor {
    if let Some((typed, cursor)) = &view.filter.typed {
        return Some(input(buffer, line, view, typed, *cursor));
    }
    let mut x = line.x + 1;
    for (key, what) in hints(view) {
        let wide = u16::try_from(width(key) + width(what) + 3).unwrap_or(u16::MAX);
        if x.saturating_add(wide) > line.right() {
            break;
        }
        x = put(buffer, line, x, key, view.theme.key());
        x = put(buffer, line, x, &format!(" {what}  "), Style::new());
    }
    None
}

fn hints(view: &View) -> Vec<(&'static str, &'static str)> {
    let t = view.texts;
    let mut keys = vec![("?", t.key_help), ("q", t.key_quit)];
    let over = matches!(view.body, Body::Help | Body::TimeLine(_));
    match view.head.mode {
        Mode::Waiting => return keys,
        Mode::Capture(playing) => {
            keys.push(("Left/Right", t.key_time));
            keys.push(("Space", if playing { t.key_pause } else { t.key_play }));
        }
        Mode::Live => keys.push(("Space", t.key_pause)),
        Mode::Paused => keys.push(("Space", t.key_resume)),
    }
    if over {
        keys.push(("Esc", t.key_back));
        return keys;
    }
    keys.push(("/", t.key_filter));
    if view.order.is_some() {
        keys.push(("s", t.key_sort));
    }
    if view.opens {
        keys.push(("Enter", t.key_open));
    }
    if let Body::Groups(by, _) = &view.body {
        keys.push(("c", t.by(by.other())));
    }
    keys
}

/// Draws the text that is being typed; the end stays visible.
fn input(buffer: &mut Buffer, line: Rect, view: &View, typed: &str, cursor: usize) -> Position {
    let (t, theme) = (view.texts, view.theme);
    let prompt = format!("{}: ", t.filter);
    let start = put(buffer, line, line.x + 1, &prompt, theme.warn());
    let before: String = typed.chars().take(cursor).collect();
    let after: String = typed.chars().skip(cursor).collect();
    let room = usize::from(line.right().saturating_sub(start + 2));
    let at = put(
        buffer,
        line,
        start,
        &shorten_path(&before, room),
        Style::new(),
    );
    let x = put(buffer, line, at, &after, Style::new());
    match &view.filter.error {
        Some(error) => above(buffer, line, (error, theme.bad())),
        None => {
            put(buffer, line, x + 3, t.filter_hint, theme.dim());
        }
    }
    Position::new(at.min(line.right().saturating_sub(1)), line.y)
}

/// Draws an error in full, on as many lines above the typed text as it needs.
fn above(buffer: &mut Buffer, line: Rect, (text, style): (&str, Style)) {
    let room = usize::from(line.width.saturating_sub(2)).max(1);
    let lines = crate::render::findings::wrap(text, room);
    let most = usize::from(line.y.saturating_sub(3));
    let shown = &lines[..lines.len().min(most)];
    for (at, text) in shown.iter().rev().enumerate() {
        let up = u16::try_from(at + 1).unwrap_or(u16::MAX);
        let row = Rect {
            y: line.y.saturating_sub(up),
            ..line
        };
        let blank = " ".repeat(row.width.into());
        put(buffer, row, row.x, &blank, Style::reset());
        put(buffer, row, row.x + 1, text, style);
    }
}
