//! The live view: draws a [`View`] into a frame. Nothing here reads or waits.

mod chrome;
mod connections;
mod events;
mod findings;
mod groups;
mod help;
mod listeners;
pub mod number;
mod reasons;
mod states;
mod table;
pub mod theme;
mod time_line;
pub mod view;

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::{Position, Rect};
use ratatui_core::terminal::Frame;

use crate::fmt::width::width;
use crate::render::tui::view::{Body, View};

pub use findings::lines as finding_lines;

/// The smallest terminal that it can be drawn on: columns and lines.
pub const SMALLEST: [u16; 2] = [60, 15];

/// The parts of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Areas {
    head: Rect,
    tabs: Rect,
    info: Rect,
    /// The contents.
    pub body: Rect,
    slider: Rect,
    foot: Rect,
}

impl Areas {
    /// The parts of a terminal; `None`: it is too small.
    pub fn new(all: Rect, slider: bool) -> Option<Self> {
        if all.width < SMALLEST[0] || all.height < SMALLEST[1] {
            return None;
        }
        let rows = |y: u16, height: u16| Rect::new(all.x, all.y + y, all.width, height);
        let slider = if slider { 2 } else { 0 };
        let foot = all.height - 1;
        let body = foot - slider - 3;
        Some(Self {
            head: rows(0, 1),
            tabs: rows(1, 1),
            info: rows(2, 1),
            body: rows(3, body),
            slider: rows(foot - slider, slider),
            foot: rows(foot, 1),
        })
    }

    /// Lines of the body below its headings.
    pub fn page(&self) -> usize {
        usize::from(self.body.height.saturating_sub(1)).max(1)
    }
}

/// Draws a frame.
pub fn draw(frame: &mut Frame, view: &View) {
    let all = frame.area();
    let buffer = frame.buffer_mut();
    let Some(areas) = Areas::new(all, view.slider.is_some()) else {
        return too_small(buffer, all, view);
    };
    chrome::head(buffer, areas.head, view);
    chrome::tabs(buffer, areas.tabs, view);
    chrome::info(buffer, areas.info, view);
    body(buffer, areas.body, view);
    if let Some(slider) = &view.slider {
        chrome::slider(buffer, areas.slider, view, slider);
    }
    if let Some(cursor) = chrome::foot(buffer, areas.foot, view) {
        frame.set_cursor_position(cursor);
    }
}

fn body(buffer: &mut Buffer, area: Rect, view: &View) {
    match &view.body {
        Body::States(rows, below) => states::draw(buffer, area, view, rows, below),
        Body::Listeners(rows, _) => listeners::draw(buffer, area, view, rows),
        Body::Connections(rows) => connections::draw(buffer, area, view, rows),
        Body::Groups(by, rows) => groups::draw(buffer, area, view, *by, rows),
        Body::Reasons(rows) => reasons::draw(buffer, area, view, rows),
        Body::Findings(found) => findings::draw(buffer, area, view, found),
        Body::TimeLine(line) => time_line::draw(buffer, area, view, line),
        Body::Help => help::draw(buffer, area, view),
        Body::Waiting => {
            let (t, theme) = (view.texts, view.theme);
            middle(
                buffer,
                area,
                &[(t.not_active, theme.warn()), (t.will_resume, theme.dim())],
            );
        }
    }
}

/// One message in the middle, as much of it as there is room for.
fn too_small(buffer: &mut Buffer, all: Rect, view: &View) {
    let (t, [columns, lines]) = (view.texts, SMALLEST);
    let needed = format!("{} {columns}x{lines}", t.needed);
    let is = format!("{}: {}x{}", t.too_small, all.width, all.height);
    let style = view.theme.warn();
    middle(buffer, all, &[(&is, style), (&needed, style)]);
}

/// Lines in the middle of an area.
fn middle(buffer: &mut Buffer, area: Rect, lines: &[(&str, ratatui_core::style::Style)]) {
    let above = usize::from(area.height).saturating_sub(lines.len()) / 2;
    for (at, (text, style)) in lines.iter().enumerate() {
        let y = area.y + u16::try_from(above + at).unwrap_or(u16::MAX);
        let before = usize::from(area.width).saturating_sub(width(text)) / 2;
        let x = area.x + u16::try_from(before).unwrap_or(0);
        if y < area.bottom() {
            let room = area.right().saturating_sub(x);
            buffer.set_stringn(x, y, text, room.into(), *style);
        }
    }
}

/// Writes a text at a place of a line, and returns the place behind it.
fn put(
    buffer: &mut Buffer,
    line: Rect,
    x: u16,
    text: &str,
    style: ratatui_core::style::Style,
) -> u16 {
    if line.height == 0 || x >= line.right() {
        return x;
    }
    let room = line.right() - x;
    buffer.set_stringn(x, line.y, text, room.into(), style).0
}

/// Where the cursor is.
type Cursor = Option<Position>;

#[cfg(test)]
mod tests;
