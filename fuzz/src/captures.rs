//! Captures with arbitrary bytes, in all output formats.

use std::collections::BTreeMap;
use std::path::Path;

use diagnose_tools::backend::Backend;
use diagnose_tools::backend::capture::backend::Capture;
use diagnose_tools::backend::capture::codec::Codec;
use diagnose_tools::backend::capture::format::{self, Block, END, End};
use diagnose_tools::backend::capture::{KINDS, Kind, LIVES, SETTINGS, STATS};
use diagnose_tools::command::diagnose::diagnose;
use diagnose_tools::command::options::{DiagnoseOptions, ReportOptions, SettingsOptions};
use diagnose_tools::command::report::report;
use diagnose_tools::command::settings::settings;
use diagnose_tools::diagnose::Scope;
use diagnose_tools::diagnose::limits::Limits;
use diagnose_tools::error::{Error, Result};
use diagnose_tools::host::captured::CapturedHost;
use diagnose_tools::model::activation::Settings;
use diagnose_tools::model::lives::Lives;
use diagnose_tools::model::stats::Stats;
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::time::Clock;
use diagnose_tools::render::{Format, Style, sink};
use jiff::tz::TimeZone;

use crate::assert_message;
use crate::config;
use crate::output::{assert_text, objects};

/// Reads the input as a file, and its elements as the blocks of a complete capture: random input
/// never has a valid checksum.
pub fn captures(input: &[u8]) {
    for bytes in [input.to_vec(), container(input)] {
        let capture = Capture::new(bytes, "input".into());
        let read = capture.and_then(|capture| Ok((CapturedHost::new(&capture)?, capture)));
        match read {
            Ok((host, capture)) => print_all(&capture, host),
            Err(error) => assert_message(error.text().en()),
        }
    }
}

/// Splits the input into elements: a byte for the kind, two for the length, and that number of
/// bytes.
fn elements(mut input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[kind, low, high], rest) = input.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes([low, high]));
        let (body, rest) = rest.split_at(rest.len().min(length));
        input = rest;
        Some((kind, body))
    })
}

/// A capture with these elements of the input: the first byte of each selects its kind.
fn container(input: &[u8]) -> Vec<u8> {
    let mut blocks: BTreeMap<Kind, Vec<u8>> = BTreeMap::new();
    for (byte, body) in elements(input) {
        let kind = KINDS[usize::from(byte) % KINDS.len()];
        blocks.entry(kind).or_default().extend(body);
    }
    // Blocks without which nothing is printed.
    let mut needed = |kind, put: &dyn Fn(&mut Vec<u8>)| {
        blocks.entry(kind).or_insert_with(|| {
            let mut bytes = Vec::new();
            put(&mut bytes);
            bytes
        });
    };
    needed(SETTINGS, &|out| Settings::default().put(out));
    needed(STATS, &|out| Stats::default().put(out));
    needed(LIVES, &|out| Lives::default().put(out));
    let mut end = Vec::new();
    End {
        blocks: blocks.len() as u32,
        bytes: blocks.values().map(|bytes| bytes.len() as u64).sum(),
    }
    .put(&mut end);
    let mut file = format::header(format::VERSION).to_vec();
    let all = blocks.iter().map(|(kind, bytes)| (kind.number, bytes));
    for (number, (kind, bytes)) in (0..).zip(all.chain([(END, &end)])) {
        let block = Block {
            kind,
            // Of other kinds the inputs have the first version.
            version: if kind == LIVES.number {
                LIVES.version
            } else {
                1
            },
            optional: false,
            number,
            length: bytes.len(),
            stored: bytes.len(),
        };
        file.extend(block.encode(bytes));
        file.extend(bytes);
    }
    file
}

fn print_all(capture: &Capture<Vec<u8>>, mut host: CapturedHost) {
    for format in [Format::Table, Format::Detail, Format::Json] {
        let options = ReportOptions {
            transitions: Some(true),
            alarms: true,
            connections: Some(true),
            listeners: Some(true),
            summary: true,
            format,
            ..ReportOptions::default()
        };
        let names = host.all_names();
        assert_printed(format == Format::Json, |out| {
            let mut sink = sink(format, style(capture)?, names);
            let no_cursors = Path::new("/nonexistent");
            report(capture, &mut host, &options, no_cursors, &mut *sink, out)
        });
    }
    for json in [false, true] {
        let options = SettingsOptions { json, from: None };
        assert_printed(json, |out| {
            settings(capture, &options, &style(capture)?, out)
        });
        let options = DiagnoseOptions {
            json,
            scope: Scope {
                limits: match json {
                    true => Limits::default(),
                    // Every condition that occurs becomes a finding.
                    false => config::all_at(|range| range.0),
                },
                ..Scope::default()
            },
            ..DiagnoseOptions::default()
        };
        assert_printed(json, |out| {
            diagnose(capture, &options, &mut host, &style(capture)?, out)
        });
    }
}

fn style(capture: &dyn Backend) -> Result<Style> {
    let clock = Clock::with_zone(&capture.stats()?, TimeZone::UTC);
    clock.learn(&capture.clocks()?);
    Ok(Style {
        labels: Lang::En.labels(),
        clock,
        width: None,
        color: false,
    })
}

/// Asserts that the output is safe on a terminal; an error of the capture is reported in one line.
fn assert_printed(json: bool, print: impl FnOnce(&mut Vec<u8>) -> Result<()>) {
    let mut out = Vec::new();
    match print(&mut out) {
        Ok(()) => {}
        Err(error @ Error::Other(_)) => assert_message(error.text().en()),
        Err(error) => panic!("not of the capture: {error:?}"),
    }
    let text = String::from_utf8(out).expect("text");
    match json {
        true => drop(objects(&text)),
        false => assert_text(&text, false),
    }
}
