//! Reads the markup of a page, or of a browser, without a parser for all of HTML.

/// A piece of markup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A start tag: its name, its attributes, and whether it ends the element, too.
    Start(String, Vec<(String, String)>, bool),
    /// An end tag.
    End(String),
    /// Text.
    Text(String),
}

/// The pieces of a text that is markup, but for the content of `<style>`.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        if at > 0 {
            pieces.push(Piece::Text(unescaped(&rest[..at])));
        }
        let end = rest[at..].find('>').expect("a tag ends") + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        match tag.strip_prefix('/') {
            Some(name) => pieces.push(Piece::End(name.into())),
            None if tag.starts_with('!') => {}
            None => pieces.push(start(tag)),
        }
    }
    pieces.push(Piece::Text(unescaped(rest)));
    pieces
}

fn start(tag: &str) -> Piece {
    let (tag, is_empty) = match tag.strip_suffix('/') {
        Some(tag) => (tag.trim_end(), true),
        None => (tag, false),
    };
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    let mut attributes = Vec::new();
    while !rest.trim().is_empty() {
        let (name, after) = rest.trim_start().split_once("=\"").expect("a quoted value");
        let (value, after) = after.split_once('"').expect("the end of a value");
        assert!(!name.contains(' ') && !value.contains('<'), "{tag}");
        attributes.push((name.to_owned(), unescaped(value)));
        rest = after;
    }
    Piece::Start(name.into(), attributes, is_empty)
}

fn unescaped(text: &str) -> String {
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", "\u{a0}"),
        ("&amp;", "&"),
    ];
    let replace = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
    entities.iter().fold(text.to_owned(), replace)
}

/// Checks that all elements are closed in order, that no `id` is used twice, and that every
/// reference to one leads to it.
pub fn assert_well_formed(page: &str) {
    let (mut open, mut ids, mut references) = (Vec::new(), Vec::new(), Vec::new());
    for piece in pieces(page) {
        match piece {
            Piece::Start(name, attributes, is_empty) => {
                for (attribute, value) in attributes {
                    match attribute.as_str() {
                        "id" => ids.push(value),
                        "aria-labelledby" => {
                            references.extend(value.split(' ').map(str::to_owned));
                        }
                        "href" => references.push(value.trim_start_matches('#').into()),
                        _ => {}
                    }
                }
                if !is_empty {
                    open.push(name);
                }
            }
            Piece::End(name) => assert_eq!(open.pop(), Some(name)),
            Piece::Text(_) => {}
        }
    }
    assert_eq!(open, [""; 0]);
    let mut once = ids.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "{ids:?}");
    for reference in references {
        assert!(ids.contains(&reference), "{reference}");
    }
}

/// A table: its caption, and its rows, the first of which has the headings.
pub struct Table {
    pub caption: String,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// The cell of a row in a column, by their names.
    pub fn cell(&self, row: &str, column: &str) -> &str {
        let at = self.rows[0].iter().position(|head| head == column);
        let at = at.unwrap_or_else(|| panic!("no column {column}: {:?}", self.rows[0]));
        let row = self.rows.iter().skip(1).find(|cells| cells[0] == row);
        row.map_or("", |cells| &cells[at])
    }

    /// The number of a cell; 0 if it is empty or missing.
    pub fn number(&self, row: &str, column: &str) -> u64 {
        number(self.cell(row, column))
    }
}

/// A number with its digits in groups; 0 if there is none.
pub fn number(text: &str) -> u64 {
    let digits = text.replace(',', "");
    match digits.is_empty() {
        true => 0,
        false => digits.parse().unwrap_or_else(|_| panic!("{text}")),
    }
}

/// All tables of a page.
pub fn tables(page: &str) -> Vec<Table> {
    let (mut tables, mut text): (Vec<Table>, String) = (Vec::new(), String::new());
    for piece in pieces(page) {
        let name = match &piece {
            Piece::Start(name, ..) | Piece::End(name) => name.as_str(),
            Piece::Text(more) => {
                text.push_str(more);
                continue;
            }
        };
        let Some(table) = tables.last_mut().filter(|_| name != "table") else {
            if matches!(piece, Piece::Start(..)) && name == "table" {
                tables.push(Table {
                    caption: String::new(),
                    rows: Vec::new(),
                });
            }
            continue;
        };
        match (&piece, name) {
            (Piece::Start(..), "tr") => table.rows.push(Vec::new()),
            (Piece::Start(..), "th" | "td" | "caption") => text.clear(),
            (Piece::End(_), "caption") => table.caption.clone_from(&text),
            (Piece::End(_), "th" | "td") => {
                table.rows.last_mut().unwrap().push(text.trim().into());
            }
            _ => {}
        }
    }
    tables
}

/// The table with this caption.
pub fn table(page: &str, caption: &str) -> Table {
    let found = tables(page).into_iter().find(|t| t.caption == caption);
    found.unwrap_or_else(|| panic!("no table {caption}"))
}

/// The text of a page without its tags.
pub fn text(page: &str) -> String {
    let text = |piece| match piece {
        Piece::Text(text) => text,
        _ => String::new(),
    };
    pieces(page).into_iter().map(text).collect()
}
