//! Lines of fixed columns, made as they come: a report may be longer than memory.

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

impl Column {
    /// Takes away from what is too wide for a terminal.
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

/// One line in the making: its cells come from left to right, one per column.
pub struct Row<'a> {
    line: &'a mut Line,
    style: &'a Style,
    columns: Iter<'a, Column>,
}

impl<'a> Row<'a> {
    /// A row at the end of `line`.
    pub fn new(line: &'a mut Line, style: &'a Style, columns: &'a [Column]) -> Self {
        Self {
            line,
            style,
            columns: columns.iter(),
        }
    }

    /// The next cell, of ASCII.
    pub fn cell(&mut self, what: impl Put) {
        self.styled(Ansi::new, what);
    }

    /// The next cell, of ASCII, in a style, which is asked for when colour is wanted.
    #[inline(always)]
    pub fn styled(&mut self, ansi: impl Fn() -> Ansi, what: impl Put) {
        // What was just put is not looked at again, which would take longer than putting it.
        self.put(ansi, what, <[u8]>::len);
    }

    /// The next cell, of any text, in a style.
    pub fn text(&mut self, ansi: Ansi, what: impl Put) {
        self.put(|| ansi, what, columns);
    }

    /// There may be more cells than columns.
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
        // Spaces behind the cell.
        let mut behind = 0;
        // The width of a last text matters to a terminal only.
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
            // With the one between two columns, all at once.
            false => put_spaces(self.line, behind + 1),
        }
    }
}

/// Puts the headings.
pub fn put_head(line: &mut Line, style: &Style, columns: &[Column]) {
    let mut row = Row::new(line, style, columns);
    for column in columns {
        row.text(Ansi::new().bold(), column.head);
    }
}
