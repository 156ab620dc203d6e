//! Tables whose columns adapt to the width of the terminal.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::Style;

use crate::fmt::width::{cut, shorten, width};
use crate::model::top::screen::Order;
use crate::render::tui::theme::Theme;

/// Alignment and shortening of a column's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Left-aligned; the end is cut.
    Text,
    /// Right-aligned.
    Number,
    /// Left-aligned; shortened in the middle.
    Endpoint,
}

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    head: &'static str,
    /// Least and most columns of the terminal that it takes.
    widths: [u16; 2],
    kind: Kind,
    /// Columns of the highest rank are left out first; those of rank 0 stay.
    rank: u8,
    /// The order that sorts by it.
    order: Option<Order>,
}

/// A column of numbers, or of anything else of constant width.
pub fn number(head: &'static str, width: u16, rank: u8) -> Column {
    Column {
        head,
        widths: [width, width],
        kind: Kind::Number,
        rank,
        order: None,
    }
}

/// A column of text.
pub fn text(head: &'static str, widths: [u16; 2], rank: u8) -> Column {
    Column {
        widths,
        kind: Kind::Text,
        ..number(head, 0, rank)
    }
}

/// A column of addresses with ports.
pub fn endpoint(head: &'static str) -> Column {
    Column {
        widths: [21, 47],
        kind: Kind::Endpoint,
        ..number(head, 0, 0)
    }
}

impl Column {
    /// The same, marked if lines are in this order.
    pub fn order(self, order: Order) -> Self {
        let order = Some(order);
        Self { order, ..self }
    }

    /// A heading may be wider than its numbers, in each language.
    fn least(&self) -> u16 {
        let head = match self.kind {
            Kind::Number => width(self.head) + usize::from(self.order.is_some()),
            _ => 0,
        };
        self.widths[0].max(u16::try_from(head).unwrap_or(u16::MAX))
    }
}

/// A cell.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    style: Style,
}

/// A cell in a style.
pub fn styled(text: impl Into<String>, style: Style) -> Cell {
    let text = text.into();
    Cell { text, style }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        styled(text, Style::new())
    }
}

/// The width of each column in `room` columns; 0: it is left out.
pub fn fit(columns: &[Column], room: u16) -> Vec<u16> {
    let mut widths: Vec<u16> = columns.iter().map(Column::least).collect();
    let used = |widths: &[u16]| {
        let shown = widths.iter().filter(|width| **width > 0);
        let sum: u32 = shown.map(|width| u32::from(*width) + 1).sum();
        sum.saturating_sub(1)
    };
    while used(&widths) > u32::from(room) {
        let ranked = columns.iter().zip(&widths).enumerate();
        let shown = ranked.filter(|(_, (column, width))| column.rank > 0 && **width > 0);
        let Some((last, _)) = shown.max_by_key(|(at, (column, _))| (column.rank, *at)) else {
            break;
        };
        widths[last] = 0;
    }
    let mut spare = u32::from(room).saturating_sub(used(&widths));
    while spare > 0 {
        let before = spare;
        for (column, width) in columns.iter().zip(&mut widths) {
            if spare > 0 && *width > 0 && *width < column.widths[1] {
                (*width, spare) = (*width + 1, spare - 1);
            }
        }
        if spare == before {
            break;
        }
    }
    widths
}

/// A table under construction, line by line.
pub struct Table<'a> {
    columns: &'a [Column],
    widths: Vec<u16>,
    theme: Theme,
    area: Rect,
    y: u16,
}

impl<'a> Table<'a> {
    /// Draws the headings; `order` is that of the lines.
    pub fn new(
        buffer: &mut Buffer,
        area: Rect,
        theme: Theme,
        columns: &'a [Column],
        order: Option<(Order, bool)>,
    ) -> Self {
        let mut table = Self {
            columns,
            widths: fit(columns, area.width),
            theme,
            area,
            y: area.y,
        };
        let head = |column: &Column| match order {
            Some((order, reversed)) if column.order == Some(order) => {
                let arrow = theme.arrow(reversed);
                styled(format!("{}{arrow}", column.head), theme.head())
            }
            _ => styled(column.head, theme.head()),
        };
        let heads: Vec<_> = columns.iter().map(head).collect();
        table.line(buffer, &heads, false);
        table
    }

    /// The width of a column.
    pub fn width(&self, column: usize) -> u16 {
        self.widths.get(column).copied().unwrap_or(0)
    }

    /// Lines that are left.
    pub fn left(&self) -> u16 {
        self.area.bottom().saturating_sub(self.y)
    }

    /// Draws a line.
    pub fn line(&mut self, buffer: &mut Buffer, cells: &[Cell], selected: bool) {
        if self.left() == 0 {
            return;
        }
        let mut x = self.area.x;
        for ((column, width), cell) in self.columns.iter().zip(&self.widths).zip(cells) {
            let room = (*width).min(self.area.right().saturating_sub(x));
            if *width == 0 || room == 0 {
                continue;
            }
            let text = fitting(&cell.text, column.kind, room.into());
            buffer.set_stringn(x, self.y, text, room.into(), cell.style);
            x += width + 1;
        }
        if selected {
            let line = Rect::new(self.area.x, self.y, self.area.width, 1);
            buffer.set_style(line, self.theme.selected());
        }
        self.y += 1;
    }
}

/// A text in exactly `room` columns.
fn fitting(text: &str, kind: Kind, room: usize) -> String {
    let text = match kind {
        _ if width(text) <= room => text.to_owned(),
        Kind::Endpoint => shorten(text, room),
        Kind::Text | Kind::Number => cut(text, room),
    };
    let spaces = " ".repeat(room.saturating_sub(width(&text)));
    match kind {
        Kind::Number => spaces + &text,
        Kind::Text | Kind::Endpoint => text + &spaces,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        vec![
            endpoint("Local"),
            text("Process", [8, 12], 1),
            number("N", 5, 2),
            number("Long heading", 5, 3),
        ]
    }

    #[test]
    fn columns_are_left_out_and_grow() {
        assert_eq!(fit(&columns(), 60), [28, 12, 5, 12]);
        assert_eq!(fit(&columns(), 48), [29, 12, 5, 0]);
        assert_eq!(fit(&columns(), 36), [21, 8, 5, 0]);
        assert_eq!(fit(&columns(), 35), [24, 10, 0, 0]);
        assert_eq!(fit(&columns(), 21)[1..], [0, 0, 0]);
        assert_eq!(fit(&columns(), 500), [47, 12, 5, 12]);
    }

    #[test]
    fn cells_have_their_width() {
        for (text, kind, expected) in [
            ("abc", Kind::Text, "abc  "),
            ("abc", Kind::Number, "  abc"),
            ("abcdefg", Kind::Text, "abcd~"),
            ("全连接队列", Kind::Text, "全连~"),
            ("全连", Kind::Number, " 全连"),
            ("10.0.0.1:80", Kind::Endpoint, "1~:80"),
        ] {
            let cell = fitting(text, kind, 5);
            assert_eq!((cell.as_str(), width(&cell)), (expected, 5));
        }
    }
}
