//! Lines with fixed columns, printed one by one: a report may be larger than memory.

use std::mem;
use std::slice::Iter;

use anstyle::Style as Ansi;

use crate::fmt::line::{Line, Put, put_spaces, put_spaces_before};
use crate::fmt::width::{columns, cut, shorten};
use crate::render::style::{self, Style};

/// One column.
pub struct Column {
    /// Its heading.
    pub head: &'static str,
    /// Its width; wider cells that are not cut shift the following columns.
    pub width: usize,
    /// Alignment and shortening of its cells.
    pub kind: Kind,
}

/// Creates a column.
pub fn column(head: &'static str, width: usize, kind: Kind) -> Column {
    Column { head, width, kind }
}

/// Alignment and shortening of the cells of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Left-aligned; the end is cut on a terminal.
    Text,
    /// Right-aligned.
    Number,
    /// Left-aligned; shortened in the middle on a terminal.
    Endpoint,
}

impl Column {
    /// Shortens a cell that is too wide for a terminal.
    fn shorten(&self, line: &mut Line, start: usize) {
        let text = String::from_utf8_lossy(&line[start..]);
        let fitting = match self.kind {
            Kind::Number => return,
            Kind::Endpoint => shorten(&text, self.width),
            Kind::Text => cut(&text, self.width),
        };
        line.truncate(start);
        line.extend_from_slice(fitting.as_bytes());
    }
}

/// A line under construction: one cell per column, from left to right.
pub struct Row<'a> {
    line: &'a mut Line,
    style: &'a Style,
    columns: Iter<'a, Column>,
}

impl<'a> Row<'a> {
    /// Starts a row at the end of `line`.
    pub fn new(line: &'a mut Line, style: &'a Style, columns: &'a [Column]) -> Self {
        Self {
            line,
            style,
            columns: columns.iter(),
        }
    }

    /// Appends a cell of ASCII text.
    pub fn cell(&mut self, what: impl Put) {
        self.styled(Ansi::new, what);
    }

    /// Appends a cell of ASCII text in a style, which is only computed if colour is wanted.
    #[inline(always)]
    pub fn styled(&mut self, ansi: impl Fn() -> Ansi, what: impl Put) {
        // The width is the number of bytes; computing it for any text would take longer than
        // writing the cell.
        self.put(ansi, what, <[u8]>::len);
    }

    /// Appends a cell of any text in a style.
    pub fn text(&mut self, ansi: Ansi, what: impl Put) {
        self.put(|| ansi, what, columns);
    }

    /// Appends a cell; cells after the last column are ignored.
    #[inline(always)]
    fn put(&mut self, ansi: impl Fn() -> Ansi, what: impl Put, width: impl Fn(&[u8]) -> usize) {
        let Some(column) = self.columns.next() else {
            return;
        };
        let last = self.columns.len() == 0;
        let ansi = self.style.color.then(ansi);
        if let Some(ansi) = ansi {
            style::begin(self.line, ansi);
        }
        let start = self.line.len();
        what.put(self.line);
        // Number of spaces after the cell.
        let mut behind = 0;
        // The width of a last text column is only relevant on a terminal.
        if !last || column.kind == Kind::Number || self.style.width.is_some() {
            let used = width(&self.line[start..]);
            let missing = column.width.saturating_sub(used);
            match self.style.width {
                Some(_) if used > column.width => column.shorten(self.line, start),
                _ if column.kind == Kind::Number => put_spaces_before(self.line, start, missing),
                _ if last => {}
                _ => behind = missing,
            }
        }
        if let Some(ansi) = ansi {
            put_spaces(self.line, mem::take(&mut behind));
            style::end(self.line, ansi);
        }
        match last {
            true => self.line.push(b'\n'),
            // Includes the space between two columns, so that all are written at once.
            false => put_spaces(self.line, behind + 1),
        }
    }
}

/// Appends the headings.
pub fn put_head(line: &mut Line, style: &Style, columns: &[Column]) {
    let mut row = Row::new(line, style, columns);
    for column in columns {
        row.text(Ansi::new().bold(), column.head);
    }
}
