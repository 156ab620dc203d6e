//! Names of strangers are text, whatever they are.

use std::mem::offset_of;
use std::time::Duration;

use diagnose_tools::abi::RawConn;
use diagnose_tools::command::options::HtmlOptions;
use diagnose_tools::fmt::text::Text;
use diagnose_tools::host::names::{ConnNames, Names};
use diagnose_tools::host::netns::Namespace;
use diagnose_tools::host::sample::{Carried, Target};
use diagnose_tools::host::{Descriptors, Host};
use diagnose_tools::model::ident::Ident;
use diagnose_tools::render::i18n::Lang;
use testkit::fake::Fake;
use testkit::records::Bytes;
use testkit::scene::{Conn, NETNS, Socket, healthy, slow};

use crate::markup::{assert_well_formed, table, text};
use crate::support::page_with;

/// What somebody may call a process, and longer names of control groups and namespaces.
pub const COMMS: [&str; 6] = [
    "<script>x</scr>",
    "\"'><b onx=1>",
    "\u{202e}gpj.exe",
    "a\nb\r\0",
    "&lt;&#x41;",
    "\u{1b}[2J\u{7}",
];
const PATH: &str =
    "/x\"><img src=x onerror=alert(1)>\u{2066}\n\u{fffe}'&amp;]]>--><style>*{}</style>";

/// A host whose names are not to be trusted.
pub struct Hostile(Names);

impl Default for Hostile {
    fn default() -> Self {
        let long = format!("{PATH}{}", "/long".repeat(4_000));
        Self(Names::known(&[(7, long)], &[(NETNS, PATH.into())]))
    }
}

impl Host for Hostile {
    fn names(&mut self, who: &Ident) -> ConnNames {
        self.0.of(who)
    }

    fn namespace(&mut self, _: u32, _: &[u32]) -> Namespace {
        Namespace {
            closed: Some(Text::same(PATH.repeat(300))),
            ..Namespace::default()
        }
    }

    fn descriptors(&mut self, _: u32) -> Option<Descriptors> {
        None
    }

    fn sample(&mut self, targets: &[Target], _: Duration) -> Vec<Carried> {
        vec![Carried::default(); targets.len()]
    }
}

/// Processes with these names have connections, one of them so many that there is a finding.
pub fn recording() -> Fake {
    let mut fake = Fake::new(1, 64);
    let named = |number: usize| Conn {
        comm: COMMS[number % COMMS.len()],
        pid: 100 + (number % COMMS.len()) as u32,
        ..healthy(number as u64)
    };
    let conns = (0..60).map(named).map(|conn| {
        let mut bytes = Bytes(conn.bytes());
        bytes.place(offset_of!(RawConn, who), 7, NETNS);
        bytes.0
    });
    let slow = (0..300).map(|number| Conn {
        comm: COMMS[0],
        ..slow(number)
    });
    *fake.conns.borrow_mut() = conns.chain(slow.map(|conn| conn.bytes())).collect();
    fake.listeners = vec![Socket::default().bytes()];
    fake
}

pub fn assert_harmless(page: &str) {
    for element in ["<script", "<img", "<b onx", "onerror=alert(1)\""] {
        assert!(!page.contains(element), "{element}");
    }
    assert_eq!(page.matches("<style").count(), 1);
    let is_bad = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert_eq!(page.find(is_bad), None);
    assert_eq!(page.find(['\u{202e}', '\u{2066}', '\u{fffe}']), None);
}

#[test]
fn hostile_names_are_text() {
    for lang in [Lang::En, Lang::Zh] {
        let options = HtmlOptions::default();
        let page = page_with(&recording(), &mut Hostile::default(), &options, lang);
        assert_well_formed(&page);
        assert_harmless(&page);
        assert!(page.len() < 300_000, "{}", page.len());
    }
    let page = page_with(
        &recording(),
        &mut Hostile::default(),
        &HtmlOptions::default(),
        Lang::En,
    );
    let told = text(&page);
    for name in [
        "100/<script>x</scr>",
        "102/\\u{202e}gpj.exe",
        "104/&lt;&#x41;",
    ] {
        assert!(told.contains(name), "{name}");
    }
    let groups = table(&page, "By container or control group");
    let name = &groups.rows[1..]
        .iter()
        .find(|row| row[0].starts_with("/x"))
        .unwrap()[0];
    assert!(
        name.starts_with("/x\"><img src=x") && name.ends_with("/long/long"),
        "{name}"
    );
    assert_eq!(name.chars().count(), 96);
}
