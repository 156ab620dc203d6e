//! One page about an activation: a file without scripts that needs no other file.

mod ends;
mod findings;
mod listeners;
mod machine;
mod markup;
mod page;
mod settings;
mod svg;
mod table;
mod time;
mod totals;
mod who;

use std::io::{self, Write};
use std::net::IpAddr;

use crate::diagnose::Diagnosis;
use crate::fmt::escape::printable;
use crate::model::endpoint::Dev;
use crate::model::handshakes::Counter;
use crate::model::holders::Holders;
use crate::model::ident::Owner;
use crate::model::listener::Listener;
use crate::model::summary::Summary;
use crate::model::timeline::{Counts, Timeline};
use crate::render::html::table::Cell;
use crate::render::i18n::labels::Labels;
use crate::render::i18n::page::PageLabels;
use crate::render::settings::SettingsView;
use crate::render::style::Style;

/// Data of a page.
pub struct Page {
    /// The capture that was read; `None`: this host.
    pub source: Option<String>,
    /// The filter as the user writes it; empty: everything.
    pub filter: String,
    /// Number of recorded events that were read.
    pub events: u64,
    /// Settings, hooks and counters of the activation.
    pub settings: SettingsView,
    /// The totals.
    pub summary: Summary,
    /// Live connections by displayed state.
    pub live: Counts,
    /// Connections by state over time.
    pub timeline: Timeline,
    /// Live connections by process, by container and by remote address.
    pub crowds: [Crowd; 3],
    /// Listeners.
    pub listeners: Vec<Listed>,
    /// Number of listeners that are not in the list.
    pub more_listeners: u64,
    /// The findings.
    pub diagnosis: Diagnosis,
}

/// Live connections, without listeners, by who they belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Crowd {
    /// Those with the most connections, the largest first.
    pub rows: Vec<Row>,
    /// Number of the others.
    pub others: u64,
    /// Their connections by displayed state.
    pub of_others: Counts,
}

/// Connections of one process, container or remote address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Who it is.
    pub who: Who,
    /// Connections by displayed state.
    pub states: Counts,
}

/// Who connections belong to. Names are as the host has them: any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A process that has the sockets open, or had them.
    Process(Option<Owner>, Holders),
    /// The name of a container, or the path of a control group.
    Container(String),
    /// A control group without a name.
    Cgroup(Option<u64>),
    /// A remote host.
    Remote(IpAddr, Option<Dev>),
}

/// A listener with what belongs to it.
pub struct Listed {
    /// The listener.
    pub listener: Listener,
    /// The processes that have it open.
    pub holders: Holders,
    /// The device that it is bound to.
    pub dev: Option<Dev>,
    /// The counters of its handshakes.
    pub handshakes: Vec<Counter>,
}

/// Writes a page.
///
/// # Errors
/// Errors of `out`.
pub fn write(out: &mut dyn Write, style: &Style, page: &Page) -> io::Result<()> {
    let view = View {
        page,
        style,
        l: style.labels,
        w: style.labels.lang.page(),
    };
    page::write(out, &view)
}

/// A page with the language and the clock of its reader.
struct View<'a> {
    page: &'a Page,
    style: &'a Style,
    l: &'static Labels,
    w: &'static PageLabels,
}

impl View<'_> {
    /// Says that this number of rows is left out.
    fn more(&self, count: u64) -> String {
        let w = self.w;
        format!("{} {} {}", w.and_more, grouped(count), w.more)
    }

    /// Adds a row that says that this number of rows is left out, unless it is 0.
    fn add_more(&self, rows: &mut Vec<Vec<Cell>>, count: u64) {
        if count > 0 {
            rows.push(vec![Cell::text(self.more(count))]);
        }
    }
}

/// Greatest length of a name, and of another text with names of strangers, in characters.
const NAME: usize = 96;
const TEXT: usize = 2_000;

/// A name of a stranger as text: escaped, and without its middle if it is long.
fn name(text: &str) -> String {
    shortened(&printable(text), NAME)
}

/// A text without its middle if it has more than `most` characters.
fn shortened(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let tail = most / 3;
    let head = text.chars().take(most - tail - 1);
    let tail = text.chars().skip(count - tail);
    head.chain(['…']).chain(tail).collect()
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_in_groups_of_three() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (123_456, "123,456"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_long_name_loses_its_middle() {
        assert_eq!(name("nginx"), "nginx");
        assert_eq!(name("a\u{202e}<b>\n"), "a\\u{202e}<b>\\n");
        for long in ["x".repeat(97), "进".repeat(5_000), "\n".repeat(300)] {
            let short = name(&long);
            assert_eq!(short.chars().count(), NAME);
            assert!(short.contains('…'), "{short}");
        }
        let path = format!("/begin{}/end", "x".repeat(200));
        let short = name(&path);
        assert!(short.starts_with("/beginx") && short.ends_with("x/end"));
    }
}
