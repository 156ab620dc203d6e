//! Lines of fixed columns, written as they come: a report may be longer than memory.

use std::io::{self, Write};

use anstyle::Style;

use crate::output::look::Look;
use crate::text::{cut, pad, shorten, width};

/// One column.
pub struct Column {
    /// Its heading.
    pub head: &'static str,
    /// Its width; wider cells that are not cut shift what follows.
    pub width: usize,
    /// How its cells lie.
    pub kind: Kind,
}

/// One column, in short.
pub fn column(head: &'static str, width: usize, kind: Kind) -> Column {
    Column { head, width, kind }
}

/// How the cells of a column lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To the left, and cut on a terminal.
    Text,
    /// To the right.
    Number,
    /// To the left, and shortened on a terminal.
    Endpoint,
}

/// A cell and its style.
pub struct Cell(pub String, pub Style);

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self(text, Style::new())
    }
}

impl Column {
    fn fit(&self, text: &str, terminal: bool, last: bool) -> String {
        match self.kind {
            Kind::Number => format!("{}{text}", pad("", self.width.saturating_sub(width(text)))),
            Kind::Endpoint if terminal => pad(&shorten(text, self.width), self.width),
            Kind::Text if terminal && width(text) > self.width => cut(text, self.width),
            _ if last => text.to_owned(),
            _ => pad(text, self.width),
        }
    }
}

/// Writes one line of cells, one per column.
pub fn write_cells(
    out: &mut dyn Write,
    look: &Look,
    columns: &[Column],
    cells: &[Cell],
) -> io::Result<()> {
    for (index, (column, Cell(text, style))) in columns.iter().zip(cells).enumerate() {
        let last = index + 1 == columns.len();
        let text = column.fit(text, look.width.is_some(), last);
        let gap = if last { "\n" } else { " " };
        write!(out, "{}{gap}", look.paint(*style, &text))?;
    }
    Ok(())
}

/// Writes the headings.
pub fn write_head(out: &mut dyn Write, look: &Look, columns: &[Column]) -> io::Result<()> {
    let bold = Style::new().bold();
    let cells: Vec<_> = columns
        .iter()
        .map(|c| Cell(c.head.to_owned(), bold))
        .collect();
    write_cells(out, look, columns, &cells)
}
