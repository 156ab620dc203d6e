//! The device's data, in all output formats.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diagnose_tools::abi::{RawRecord, TCPSTATES_SINCE_KNOWN};
use diagnose_tools::backend::Backend;
use diagnose_tools::command::diagnose::diagnose;
use diagnose_tools::command::options::{DiagnoseOptions, ReportOptions, SettingsOptions};
use diagnose_tools::command::report::report;
use diagnose_tools::command::settings::settings;
use diagnose_tools::diagnose::Scope;
use diagnose_tools::diagnose::limits::Limits;
use diagnose_tools::error::{Error, Result};
use diagnose_tools::host::names::Names;
use diagnose_tools::model::order::Sort;
use diagnose_tools::model::state::State;
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::time::Clock;
use diagnose_tools::render::{Format, Style, sink};
use jiff::tz::TimeZone;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use testkit::host::Unobserved;
use testkit::strange::Strange;
use testkit::untrusted::{Untrusted, VIEW, elements, kind};

use crate::config;
use crate::is_harmful;
use crate::page;

/// The folder of cursors, which no report here has.
const NO_CURSORS: &str = "/nonexistent";

/// Makes a device from the input, and prints it in all output formats.
pub fn records(input: &[u8]) {
    let (device, view) = (Untrusted::new(input), View::new(input));
    for format in [Format::Table, Format::Detail] {
        let text = printed(|out| {
            let mut sink = sink(format, view.style(&device), names());
            sink.lost(out, view.bits.into(), view.bits.into())
                .map_err(Error::Write)?;
            report(
                &device,
                &mut Unobserved::default(),
                &view.report(format),
                Path::new(NO_CURSORS),
                &mut *sink,
                out,
            )
        });
        assert_text(&text, view.color);
    }
    let lines = printed(|out| {
        let mut sink = sink(Format::Json, view.style(&device), names());
        sink.lost(out, view.bits.into(), view.bits.into())
            .map_err(Error::Write)?;
        report(
            &device,
            &mut Unobserved::default(),
            &view.report(Format::Json),
            Path::new(NO_CURSORS),
            &mut *sink,
            out,
        )
    });
    assert_report(&lines, &device, &view);
    let page = printed(|out| {
        let (mut host, scope) = (Strange::new(input), view.diagnose(false).scope);
        page::write(&device, &mut host, scope, &view.style(&device), out)
    });
    if !page.is_empty() {
        page::assert_page(&page);
    }
    for json in [false, true] {
        let style = view.style(&device);
        let told =
            printed(|out| settings(&device, &SettingsOptions { json, from: None }, &style, out));
        let options = view.diagnose(json);
        let found =
            printed(|out| diagnose(&device, &options, &mut Strange::new(input), &style, out));
        for text in [told, found] {
            match json {
                true => drop(objects(&text)),
                false => assert_text(&text, view.color),
            }
        }
    }
}

/// The style of the output, from the last element of this kind in the input.
#[derive(Default)]
struct View {
    lang: Lang,
    width: Option<usize>,
    color: bool,
    sort: Sort,
    limit: Option<u64>,
    bits: u8,
}

impl View {
    fn new(input: &[u8]) -> Self {
        let said = elements(input).filter(|(byte, _)| kind(*byte) == VIEW);
        let Some(&[bits, width, limit]) = said.last().and_then(|(_, body)| body.first_chunk())
        else {
            return Self::default();
        };
        let sorts = [Sort::Time, Sort::Age, Sort::Bytes, Sort::Retrans];
        Self {
            lang: if bits & 1 == 0 { Lang::En } else { Lang::Zh },
            width: (width > 0).then_some(width.into()),
            color: bits & 2 != 0,
            sort: sorts[usize::from(bits / 4 % 4)],
            limit: (limit > 0).then_some(limit.into()),
            bits,
        }
    }

    fn style(&self, device: &Untrusted) -> Style {
        let stats = device.stats().expect("the device gives them");
        Style {
            labels: self.lang.labels(),
            clock: Clock::with_zone(&stats, TimeZone::UTC),
            width: self.width,
            color: self.color,
        }
    }

    fn report(&self, format: Format) -> ReportOptions {
        ReportOptions {
            transitions: Some(true),
            alarms: true,
            connections: Some(true),
            listeners: Some(true),
            summary: true,
            format,
            peek: true,
            sort: self.sort,
            limit: self.limit,
            ..ReportOptions::default()
        }
    }

    fn diagnose(&self, json: bool) -> DiagnoseOptions {
        let limits = match self.bits & 0x50 {
            0 => Limits::default(),
            // Every condition that occurs becomes a finding.
            0x10 => config::all_at(|range| range.0),
            _ => config::all_at(|range| range.1),
        };
        DiagnoseOptions {
            json,
            scope: Scope {
                limits,
                patience: Duration::from_secs((self.bits & 32).into()),
                ..Scope::default()
            },
            ..DiagnoseOptions::default()
        }
    }
}

/// Without names.
fn names() -> Names {
    Names::new(None, PathBuf::from("/nonexistent"), Duration::MAX)
}

/// The output up to the first invalid answer of the device.
fn printed(print: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> String {
    let mut out = Vec::new();
    match print(&mut out) {
        Ok(()) | Err(Error::Ring { .. } | Error::Stale) => {}
        Err(error) => panic!("neither of the output nor of a ring: {error:?}"),
    }
    String::from_utf8(out).expect("text")
}

/// Asserts that nothing in it changes a terminal, except the program's own colours.
pub(crate) fn assert_text(text: &str, color: bool) {
    let plain = match color {
        true => without_colors(text),
        false => text.to_owned(),
    };
    // Checking all bytes together is faster than checking characters one by one.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n');
    if !plain.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        let harmful = |line: &&str| line.contains(is_harmful);
        assert_eq!(plain.split('\n').find(harmful), None);
    }
}

fn without_colors(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (style, rest) = part.split_once('m').expect("a style");
        assert!(
            style.bytes().all(|b| b.is_ascii_digit() || b == b';'),
            "{style:?}"
        );
        plain += rest;
    }
    plain
}

/// The JSON objects, one per line; asserts that each has a type, and no name occurs twice.
pub(crate) fn objects(text: &str) -> Vec<Map<String, Value>> {
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "the last line is whole"
    );
    let object = |line: &str| {
        assert!(!line.contains(|c| c < ' '), "{line:?}");
        let _: Unique = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
        match serde_json::from_str(line) {
            Ok(Value::Object(object)) if object["type"].is_string() => object,
            other => panic!("{other:?}: {line:?}"),
        }
    };
    text.lines().map(object).collect()
}

/// Asserts that the transitions are those that were written, and that none is missing up to the
/// limit.
fn assert_report(text: &str, device: &Untrusted, view: &View) {
    let objects = objects(text);
    let of_type = |kind: &'static str| objects.iter().filter(move |o| o["type"] == kind);
    for object in of_type("transition") {
        let (cpu, seq) = (object["cpu"].as_u64(), object["seq"].as_u64());
        let (cpu, seq) = (cpu.expect("a CPU"), seq.expect("a position"));
        if let Some(record) = device.written(cpu as usize, seq) {
            assert_transition(object, &record);
        }
    }
    let limit = |count: usize| view.limit.map_or(count, |limit| count.min(limit as usize));
    let Some(transitions) = device.transition_counts() else {
        return;
    };
    let [conns, listeners] = device.counts();
    assert_eq!(of_type("transition").count(), limit(transitions));
    assert_eq!(of_type("connection").count(), limit(conns));
    assert_eq!(of_type("listener").count(), limit(listeners));
    assert_eq!(of_type("summary").count(), 1);
}

fn assert_transition(object: &Map<String, Value>, record: &RawRecord) {
    let who = &record.who;
    let address = |bytes: [u8; 16]| match (who.family, bytes) {
        (4, [.., a, b, c, d]) => IpAddr::from(Ipv4Addr::new(a, b, c, d)),
        _ => IpAddr::from(Ipv6Addr::from(bytes)),
    };
    let some = |number: u64| (number != 0).then(|| Value::from(number));
    let known = u32::from(record.flags) & TCPSTATES_SINCE_KNOWN != 0;
    let expected = [
        ("conn", some(who.conn)),
        ("netns", Some(who.netns.into())),
        ("family", Some(who.family.into())),
        ("laddr", Some(address(who.laddr).to_string().into())),
        ("lport", some(who.lport.into())),
        ("raddr", Some(address(who.raddr).to_string().into())),
        ("rport", Some(who.rport.into())),
        ("old", Some(State(record.old_state).shown().into())),
        ("new", Some(State(record.new_state).shown().into())),
        ("in_old_ns", known.then(|| record.in_old_ns.into())),
        ("cgroup_id", some(who.cgroup)),
    ];
    for (name, value) in expected {
        assert_eq!(object.get(name), value.as_ref(), "{name}");
    }
}

/// Any JSON in which no object has a name twice.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        from.deserialize_any(Self)
    }
}

macro_rules! any {
    ($($visit:ident($kind:ty))*) => {$(
        fn $visit<E>(self, _: $kind) -> std::result::Result<Self, E> {
            Ok(self)
        }
    )*};
}

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    any! { visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64) visit_str(&str) }

    fn visit_unit<E>(self) -> std::result::Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> std::result::Result<Self, A::Error> {
        while all.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> std::result::Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, _)) = all.next_entry::<String, Self>()? {
            if names.contains(&name) {
                return Err(A::Error::custom(format!("'{name}' comes twice")));
            }
            names.insert(name);
        }
        Ok(self)
    }
}
