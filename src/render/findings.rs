//! Findings as JSON lines or paragraphs.

use std::io::{self, Write};
use std::net::IpAddr;

use anstyle::{AnsiColor, Style as Ansi};
use serde::{Serialize, Serializer};

use crate::diagnose::Diagnosis;
use crate::diagnose::finding::{Finding, Peer, Remedy, Severity, Subject};
use crate::diagnose::history::{Gone, Seen};
use crate::fmt::escape::printable;
use crate::fmt::line::{Line, Put};
use crate::fmt::text::Text;
use crate::fmt::width::{pad, width};
use crate::fmt::{json, line};
use crate::model::endpoint::{Address, Dev, endpoint};
use crate::model::summary::FindingCounts;
use crate::render::Style;
use crate::render::i18n::labels::Labels;
use crate::render::i18n::{Lang, findings as words};
use crate::render::json::OwnerJson;
use crate::render::process::{put_others, put_past};
use crate::render::time::{Clock, duration};

/// The language of the texts in JSON.
const JSON: Lang = Lang::En;

#[derive(Serialize)]
struct PeerJson<'a> {
    addr: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    ifindex: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dev: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    count: u64,
}

#[derive(Serialize)]
struct SubjectJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    netns: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    netns_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    laddr: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lport: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raddr: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rport: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ifindex: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dev: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_gone: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opened_by: Option<OwnerJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'a str>,
    processes: u64,
    peers: Vec<PeerJson<'a>>,
    peer_count: u64,
}

impl<'a> SubjectJson<'a> {
    fn new(subject: &'a Subject) -> Self {
        let name = |dev: &'a Option<Dev>| dev.as_ref().and_then(|dev| dev.name.as_deref());
        let comm = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let peer = |peer: &'a Peer| PeerJson {
            addr: peer.addr,
            ifindex: peer.dev.as_ref().map(|dev| dev.index),
            dev: name(&peer.dev),
            port: peer.port,
            count: peer.count,
        };
        Self {
            netns: subject.netns,
            netns_name: subject.netns_name.as_deref(),
            laddr: subject.local.map(|(addr, _)| addr),
            lport: subject.local.and_then(|(_, port)| port),
            raddr: subject.remote.map(|(addr, _)| addr),
            rport: subject.remote.and_then(|(_, port)| port),
            ifindex: subject.dev.as_ref().map(|dev| dev.index),
            dev: name(&subject.dev),
            pid: subject.owner.map(|o| o.pid),
            comm: subject.owner.as_ref().map(|o| comm(o.comm_bytes())),
            owner_gone: subject.owner_gone.then_some(true),
            opened_by: subject.opened_by.as_ref().map(OwnerJson::new),
            uid: subject.uid,
            cgroup: subject.cgroup.as_deref(),
            container: subject.container.as_deref(),
            processes: subject.processes,
            peers: subject.peers.iter().map(peer).collect(),
            peer_count: subject.peer_count,
        }
    }
}

#[derive(Serialize)]
struct RemedyJson<'a> {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    setting: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
}

impl<'a> RemedyJson<'a> {
    fn new(remedy: &'a Remedy) -> Self {
        let setting = remedy.setting.as_ref();
        Self {
            text: words::remedy(JSON, remedy),
            setting: setting.map(|s| s.name),
            value: setting.and_then(|s| s.value.as_deref()),
        }
    }
}

#[derive(Serialize)]
struct FindingJson<'a> {
    r#type: &'static str,
    id: &'a str,
    rule: &'static str,
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    ts: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_seen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<String>,
    summary: String,
    subject: SubjectJson<'a>,
    #[serde(serialize_with = "in_order")]
    numbers: &'a [(&'static str, u64)],
    advice: Vec<RemedyJson<'a>>,
}

impl<'a> FindingJson<'a> {
    fn new(clock: &Clock, ts: &'a str, finding: &'a Finding) -> Self {
        let seen = finding.seen;
        Self {
            r#type: "finding",
            id: &finding.id,
            rule: finding.rule,
            severity: finding.severity.name(),
            status: seen.map(|s| if s.is_new { "new" } else { "still" }),
            ts,
            first_seen: seen.map(|s| clock.rfc3339(s.first_ns)),
            last_seen: seen.map(|s| clock.rfc3339(s.last_ns)),
            summary: words::problem(JSON, &finding.problem),
            subject: SubjectJson::new(&finding.subject),
            numbers: &finding.numbers,
            advice: finding.remedies.iter().map(RemedyJson::new).collect(),
        }
    }
}

#[derive(Serialize)]
struct GoneJson<'a> {
    r#type: &'static str,
    id: &'a str,
    rule: &'a str,
    severity: &'a str,
    ts: &'a str,
    first_seen: String,
    last_seen: String,
}

impl<'a> GoneJson<'a> {
    fn new(clock: &Clock, ts: &'a str, gone: &'a Gone) -> Self {
        Self {
            r#type: "finding_gone",
            id: &gone.id,
            rule: &gone.rule,
            severity: &gone.severity,
            ts,
            first_seen: clock.rfc3339(gone.first_ns),
            last_seen: clock.rfc3339(gone.last_ns),
        }
    }
}

fn in_order<S: Serializer>(
    numbers: &&[(&'static str, u64)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(numbers.iter().copied())
}

#[derive(Serialize)]
struct UnreadableJson<'a> {
    netns: u32,
    reason: &'a str,
}

impl<'a> UnreadableJson<'a> {
    fn new((netns, reason): &'a (u32, Text)) -> Self {
        Self {
            netns: *netns,
            reason: reason.en(),
        }
    }
}

#[derive(Serialize)]
struct EndJson<'a> {
    r#type: &'static str,
    ts: &'a str,
    findings: FindingCounts,
    checked: &'a [&'static str],
    connections: u64,
    listeners: u64,
    unreadable: Vec<UnreadableJson<'a>>,
}

/// Writes the findings, one JSON object per line, then those that are gone, then what was checked.
pub fn json(out: &mut dyn Write, clock: &Clock, diagnosis: &Diagnosis) -> io::Result<()> {
    let ts = clock.rfc3339(diagnosis.now_ns);
    for finding in &diagnosis.findings {
        json::line(out, &FindingJson::new(clock, &ts, finding))?;
    }
    for gone in &diagnosis.gone {
        json::line(out, &GoneJson::new(clock, &ts, gone))?;
    }
    json::line(
        out,
        &EndJson {
            r#type: "diagnosis",
            ts: &ts,
            findings: diagnosis.counts(),
            checked: &diagnosis.checked,
            connections: diagnosis.connections,
            listeners: diagnosis.listeners,
            unreadable: diagnosis
                .unreadable
                .iter()
                .map(UnreadableJson::new)
                .collect(),
        },
    )
}

/// Writes a paragraph for each finding, then those that are gone, then what was checked.
pub fn text(out: &mut dyn Write, style: &Style, diagnosis: &Diagnosis) -> io::Result<()> {
    for finding in &diagnosis.findings {
        paragraph(out, style, finding)?;
        writeln!(out)?;
    }
    for gone in &diagnosis.gone {
        let (label, id) = (style.labels.gone, printable(&gone.id));
        let when = was_there(&style.clock, gone, diagnosis.now_ns);
        writeln!(out, "{label} {id}: {when}")?;
    }
    for (netns, reason) in &diagnosis.unreadable {
        let reason = printable(reason.of(style.labels.lang));
        writeln!(
            out,
            "{} {netns}: {}: {reason}",
            style.labels.namespace, style.labels.unreadable
        )?;
    }
    let (l, found) = (style.labels, diagnosis.counts());
    let what = match found.all() {
        0 => l.nothing_found.to_owned(),
        _ => counts(l, found),
    };
    let checked = diagnosis.checked.len();
    writeln!(
        out,
        "{} {}: {what} ({} {checked}, {} {}, {} {})",
        style.heading(l.diagnosis),
        style.clock.local(diagnosis.now_ns),
        l.situations,
        l.connections,
        diagnosis.connections,
        l.listeners_counted,
        diagnosis.listeners,
    )
}

fn counts(l: &Labels, found: FindingCounts) -> String {
    let of = [
        (found.critical, l.critical),
        (found.warning, l.warning),
        (found.info, l.info),
    ];
    let told: Vec<_> = of
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, label)| format!("{label} {count}"))
        .collect();
    told.join(", ")
}

pub(super) fn paragraph(out: &mut dyn Write, style: &Style, finding: &Finding) -> io::Result<()> {
    let l = style.labels;
    let (label, color) = match finding.severity {
        Severity::Critical => (l.critical, AnsiColor::Red),
        Severity::Warning => (l.warning, AnsiColor::Yellow),
        Severity::Info => (l.info, AnsiColor::Cyan),
    };
    let ansi = Ansi::new().bold().fg_color(Some(color.into()));
    let problem = words::problem(l.lang, &finding.problem);
    let title = format!("{}: {}", finding.rule, problem);
    writeln!(out, "{} {title}", style.paint(ansi, label))?;
    let columns = [l.who, l.others, l.numbers, l.remedies, l.when].map(width);
    let columns = columns.into_iter().max().unwrap_or(0);
    let mut line = |label: &str, text: &str| {
        let indent = columns + 4;
        let room = style
            .width
            .map_or(usize::MAX, |w| w.saturating_sub(indent).max(20));
        let mut lines = wrap(text, room).into_iter();
        let first = lines.next().unwrap_or_default();
        writeln!(out, "  {}  {first}", pad(label, columns))?;
        lines.try_for_each(|rest| writeln!(out, "{:indent$}{rest}", ""))
    };
    let who = who(l, &finding.subject);
    if !who.is_empty() {
        line(l.who, &who)?;
    }
    if finding.subject.peer_count > 0 {
        line(l.others, &peers(l, &finding.subject))?;
    }
    let numbers: Vec<_> = finding
        .numbers
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    line(l.numbers, &numbers.join(", "))?;
    if let Some(seen) = finding.seen {
        line(l.when, &since(l, &style.clock, seen))?;
    }
    for (index, remedy) in finding.remedies.iter().enumerate() {
        let label = if index == 0 { l.remedies } else { "" };
        line(label, &words::remedy(l.lang, remedy))?;
    }
    Ok(())
}

/// `new`, or `since 12:03 (14m 03s)`.
fn since(l: &Labels, clock: &Clock, seen: Seen) -> String {
    let Seen {
        first_ns,
        last_ns,
        is_new,
    } = seen;
    if is_new {
        return l.is_new.into();
    }
    let time = minute(clock, first_ns, last_ns);
    let long = duration(last_ns.saturating_sub(first_ns));
    format!("{} {time} ({long})", l.since)
}

/// `12:03 - 12:17 (14m 03s)`.
fn was_there(clock: &Clock, gone: &Gone, now_ns: u64) -> String {
    let [first, last] = [gone.first_ns, gone.last_ns].map(|ns| minute(clock, ns, now_ns));
    let long = duration(gone.last_ns.saturating_sub(gone.first_ns));
    format!("{first} - {last} ({long})")
}

/// The local time in minutes, with the date if that is not today's.
fn minute(clock: &Clock, ns: u64, now_ns: u64) -> String {
    let (at, now) = (clock.local(ns), clock.local(now_ns));
    // `2023-11-14 22:13:20.000`
    let part = match at.get(..10) == now.get(..10) {
        true => at.get(11..16),
        false => at.get(..16),
    };
    part.unwrap_or(&at).to_owned()
}

/// Who it is: the ends, the process and its names.
pub(super) fn who(l: &Labels, subject: &Subject) -> String {
    let end = |address: Address, port: Option<u16>| match port {
        Some(port) => endpoint(address, port),
        None => line::text(&address),
    };
    let dev = subject.dev.as_ref();
    let local = |(addr, port)| end(Address(addr, dev), port);
    // The device is printed once, unless the remote address is link-local.
    let remote = |(addr, port)| match subject.local {
        Some(_) => end(Address::remote(addr, dev), port),
        None => end(Address(addr, dev), port),
    };
    let process = |line: &mut Line| put_process(line, subject);
    let has_process = subject.owner.or(subject.opened_by).is_some();
    let netns = subject.netns.map(|inode| match &subject.netns_name {
        Some(name) => format!("{} ({inode})", printable(name)),
        None => inode.to_string(),
    });
    let parts = [
        (l.local, subject.local.map(local)),
        (l.remote, subject.remote.map(remote)),
        (l.process, has_process.then(|| line::text(&process))),
        (l.container, subject.container.as_deref().map(printable)),
        (l.cgroup, subject.cgroup.as_deref().map(printable)),
        (l.namespace, netns),
    ];
    let known: Vec<_> = parts
        .into_iter()
        .filter_map(|(label, value)| Some(format!("{label} {}", value?)))
        .collect();
    known.join(", ")
}

/// The process, and how many others there are; in parentheses one that has no socket open.
fn put_process(line: &mut Line, subject: &Subject) {
    match (subject.owner, subject.opened_by) {
        (Some(owner), _) if subject.owner_gone => put_past(line, &owner),
        (Some(owner), _) => owner.put(line),
        (None, Some(opener)) => put_past(line, &opener),
        (None, None) => {}
    }
    put_others(line, subject.processes);
}

/// The peers with the most connections, and how many others there are.
pub(super) fn peers(l: &Labels, subject: &Subject) -> String {
    let one = |peer: &Peer| {
        let address = Address(peer.addr, peer.dev.as_ref());
        let end = match peer.port {
            Some(port) => endpoint(address, port),
            None => line::text(&address),
        };
        format!("{end} ({})", peer.count)
    };
    let named: Vec<_> = subject.peers.iter().map(one).collect();
    let left = subject.peer_count.saturating_sub(named.len() as u64);
    match (named.is_empty(), left) {
        (true, left) => format!("{left} {}", l.none_stands_out),
        (false, 0) => named.join(", "),
        (false, left) => format!("{}, +{left}", named.join(", ")),
    }
}

/// The last line of a text report, which refers to the findings; `None` if there are none.
pub fn pointer(style: &Style, found: FindingCounts) -> Option<String> {
    let l = style.labels;
    let ansi = match found.bad() {
        0 => Ansi::new(),
        _ => Ansi::new().bold(),
    };
    let text = format!("{}: {}: {}", l.diagnosis, counts(l, found), l.see_diagnose);
    (found.all() > 0).then(|| style.paint(ansi, &text))
}

/// Wraps text into lines of at most `room` columns, at spaces and at Chinese characters. A longer
/// word has its own line.
pub(super) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let mut space = " ";
        for piece in pieces(word) {
            match lines.last_mut() {
                Some(line) if width(line) + space.len() + width(piece) <= room => {
                    line.push_str(space);
                    line.push_str(piece);
                }
                _ => lines.push(piece.to_owned()),
            }
            space = "";
        }
    }
    lines
}

/// Splits a word into pieces that may be on different lines: each Chinese character with adjacent
/// punctuation, and the text between them.
fn pieces(word: &str) -> Vec<&str> {
    let is_wide = |c: char| !c.is_ascii() && width(c.encode_utf8(&mut [0; 4])) > 1;
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, char) in word.char_indices() {
        let between = last.is_some_and(|last| {
            (is_wide(last) || is_wide(char)) && last != '（' && !"，。；：、）".contains(char)
        });
        if between {
            pieces.push(&word[start..at]);
            start = at;
        }
        last = Some(char);
    }
    pieces.push(&word[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_wrapped_between_words() {
        assert_eq!(wrap("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrap("a bc def", usize::MAX), ["a bc def"]);
        assert_eq!(wrap("abcdefgh i", 4), ["abcdefgh", "i"]);
        assert_eq!(wrap("状态 状态", 5), ["状态", "状态"]);
        assert_eq!(wrap("状态 状态", 7), ["状态 状", "态"]);
        assert_eq!(wrap("状态，状态", 4), ["状", "态，", "状态"]);
        assert_eq!(wrap("设为（net.core）", 6), ["设为", "（net.core）"]);
        assert_eq!(wrap("用 close() 关闭", 10), ["用 close()", "关闭"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
