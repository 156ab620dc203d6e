//! Tables. Every picture has one beside it, so nothing is told by a picture alone.

use std::io;

use crate::render::html::markup::{Attr, Markup};

/// A cell: its text, and how it looks.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    class: String,
    style: String,
}

impl Cell {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// A number, or another text that is aligned as one.
    pub fn number(text: impl Into<String>) -> Self {
        Self::text(text).class("n")
    }

    /// The same with another class.
    pub fn class(mut self, class: &str) -> Self {
        if !self.class.is_empty() {
            self.class.push(' ');
        }
        self.class.push_str(class);
        self
    }

    /// A number with a bar behind it, as long as its part of the largest one.
    pub fn bar(text: impl Into<String>, number: u64, most: u64) -> Self {
        let percent = u128::from(number) * 100 / u128::from(most.max(1));
        Self {
            style: format!("--part: {}%", percent.min(100)),
            ..Self::number(text).class("bar")
        }
    }

    fn write(&self, m: &mut Markup, name: &'static str, is_head: bool) -> io::Result<()> {
        let mut attrs: Vec<Attr> = Vec::new();
        if is_head {
            attrs.push(("scope", &"row"));
        }
        if !self.class.is_empty() {
            attrs.push(("class", &self.class));
        }
        if !self.style.is_empty() {
            attrs.push(("style", &self.style));
        }
        m.leaf(name, &attrs, &self.text)
    }
}

/// A table whose first column names the rows.
pub struct Table<'a> {
    /// The heading of the table.
    pub caption: &'a str,
    /// The headings of the columns; those from `numbers` on are of numbers.
    pub heads: Vec<String>,
    /// The first column of numbers.
    pub numbers: usize,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
}

impl Table<'_> {
    /// Writes the table, which scrolls if it is wider than the page.
    pub fn write(&self, m: &mut Markup) -> io::Result<()> {
        let region: [Attr; 4] = [
            ("class", &"scroll"),
            ("role", &"region"),
            ("tabindex", &0),
            ("aria-label", &self.caption),
        ];
        m.element("div", &region, |m| {
            m.element("table", &[], |m| {
                m.leaf("caption", &[], self.caption)?;
                m.element("thead", &[], |m| m.element("tr", &[], |m| self.heads(m)))?;
                m.element("tbody", &[], |m| {
                    self.rows.iter().try_for_each(|row| self.row(m, row))
                })
            })
        })
    }

    fn heads(&self, m: &mut Markup) -> io::Result<()> {
        for (at, head) in self.heads.iter().enumerate() {
            let class = if at >= self.numbers { "n" } else { "t" };
            m.leaf("th", &[("scope", &"col"), ("class", &class)], head)?;
        }
        Ok(())
    }

    fn row(&self, m: &mut Markup, row: &[Cell]) -> io::Result<()> {
        m.element("tr", &[], |m| {
            for (at, cell) in row.iter().enumerate() {
                cell.write(m, if at == 0 { "th" } else { "td" }, at == 0)?;
            }
            Ok(())
        })
    }
}
