//! Pictures: SVG in the page.

pub mod area;
pub mod bars;
pub mod edges;
pub mod machine;

use std::io;

use crate::render::html::markup::Markup;

/// What a picture shows, in words.
pub struct Caption<'a> {
    /// A name of the picture that no other one in the page has.
    pub id: &'a str,
    /// What it is.
    pub title: &'a str,
    /// What is to be seen in it.
    pub description: &'a str,
}

/// Writes a picture. `area` is the part of the plane that it shows: left, top, width, height.
pub fn picture(
    m: &mut Markup,
    class: &str,
    area: [i32; 4],
    caption: &Caption,
    content: impl FnOnce(&mut Markup) -> io::Result<()>,
) -> io::Result<()> {
    let [left, top, width, height] = area;
    let (title, description) = (format!("{}-t", caption.id), format!("{}-d", caption.id));
    let attrs: [(_, &dyn std::fmt::Display); 5] = [
        ("xmlns", &"http://www.w3.org/2000/svg"),
        ("class", &class),
        ("viewBox", &format!("{left} {top} {width} {height}")),
        ("role", &"img"),
        ("aria-labelledby", &format!("{title} {description}")),
    ];
    m.element("svg", &attrs, |m| {
        m.leaf("title", &[("id", &title)], caption.title)?;
        m.leaf("desc", &[("id", &description)], caption.description)?;
        content(m)
    })
}

/// Where a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// It starts at the point.
    Start,
    /// Its middle is at the point.
    Middle,
    /// It ends at the point.
    End,
}

impl Anchor {
    /// The value of `text-anchor`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// Writes one line of text.
pub fn label(
    m: &mut Markup,
    class: &str,
    (x, y): (i32, i32),
    anchor: Anchor,
    text: &str,
) -> io::Result<()> {
    let anchor = anchor.name();
    m.leaf(
        "text",
        &[
            ("class", &class),
            ("x", &x),
            ("y", &y),
            ("text-anchor", &anchor),
        ],
        text,
    )
}
