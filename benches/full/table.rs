//! Results as tables, for a terminal and for docs/benchmarks.md.

use std::fs;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use crate::figure::Figure;
use crate::results::{Made, Results};

/// The part of docs/benchmarks.md between these lines is generated.
const BEGIN: &str = "<!-- made by `make bench-publish`: begin -->";
const END: &str = "<!-- made by `make bench-publish`: end -->";

/// Names of the cases, in the order in which they are shown.
pub const CASES: [(&str, &str); 12] = [
    ("idle", "nothing attached"),
    ("floor", "an empty probe at the tracepoint"),
    ("main_hook", "this tool, its main hook alone"),
    ("all", "**this tool, recording everything**"),
    ("kprobe", "this tool with `hook=kprobe`"),
    (
        "drained",
        "this tool, and `--report` into a file every second",
    ),
    ("bpftrace", "bpftrace, counting"),
    ("trace_event", "the kernel's trace event, into its ring"),
    (
        "libbpf_stopped",
        "libbpf-tools `tcpstates`, its process stopped",
    ),
    ("conntrack", "`nf_conntrack` with a rule, `conntrack -E`"),
    ("libbpf", "libbpf-tools `tcpstates` into a file"),
    ("bcc", "bcc `tcpstates` into a file"),
];

/// Digits in groups of three.
fn number(value: f64) -> String {
    if value.fract() != 0.0 && value.abs() < 10.0 {
        return format!("{value:.3}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

fn show(value: Option<f64>) -> String {
    value.map_or_else(String::new, number)
}

/// The first column is left-aligned, all others are right-aligned.
fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(head.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn recording(results: &Results) -> Table {
    let get = |case, what| results.get("recording", case, what);
    let ours = get("all", "over_idle");
    let mut table = table(&[
        "recorder",
        "instructions/connection",
        "over idle",
        "x this tool",
        "events recorded",
        "lost",
    ]);
    for (case, label) in CASES {
        if let Some(cost) = get(case, "cost") {
            let over = get(case, "over_idle");
            let times = over
                .zip(ours)
                .map(|(over, ours)| format!("{:.1}", over / ours));
            table.add_row([
                label.to_owned(),
                number(cost),
                show(over),
                times.unwrap_or_default(),
                show(get(case, "recorded")),
                show(get(case, "lost")),
            ]);
        }
    }
    table
}

/// The cases of a part, with the measurements of each, in the order in which they ran.
fn by_case(results: &Results, part: &str) -> Option<Table> {
    let figures: Vec<&Figure> = results.figures.iter().filter(|f| f.part == part).collect();
    figures.first()?;
    let mut table = table(&[part, "what", "value", "unit"]);
    table.column_mut(1)?.set_cell_alignment(CellAlignment::Left);
    table.column_mut(3)?.set_cell_alignment(CellAlignment::Left);
    for figure in figures {
        table.add_row([
            figure.case.replace('_', " "),
            figure.what.replace('_', " "),
            number(figure.value),
            figure.unit.clone(),
        ]);
    }
    Some(table)
}

fn bars(results: &Results) -> Table {
    let mut table = table(&["wanted", "bar", "measured", "unit", "holds"]);
    for bar in &results.bars {
        let sign = if bar.at_most { "<=" } else { ">=" };
        table.add_row([
            bar.what.clone(),
            format!("{sign} {}", number(bar.bar)),
            number(bar.measured),
            bar.unit.clone(),
            if bar.holds { "yes" } else { "**no**" }.into(),
        ]);
    }
    table
}

/// All measurements.
pub fn all(results: &Results) -> String {
    let mut tables = Vec::new();
    if results.get("recording", "idle", "cost").is_some() {
        tables.push(recording(results));
    }
    for part in ["growth", "looking", "cpus", "cookies", "burst", "decode"] {
        tables.extend(by_case(results, part));
    }
    if !results.bars.is_empty() {
        tables.push(bars(results));
    }
    let Made {
        kernel,
        date,
        commit,
    } = &results.made;
    let mut text = format!("Measured on {kernel}, {date}, commit {commit}.\n");
    for table in tables {
        text += &format!("\n{}\n", table.trim_fmt());
    }
    text
}

/// The published part: costs compared with those of other tools, and the targets that are met.
pub fn published(results: &Results) -> String {
    let Made {
        kernel,
        date,
        commit,
    } = &results.made;
    format!(
        "Made by `make bench-publish` on {date}, {kernel}, commit {commit}; all figures: \
         [docs/bench/results.json](bench/results.json).\n\n\
         {}\n\n![cost by recorder](bench/cost.svg)\n![cost by live connections](bench/growth.svg)\n\n{}\n",
        recording(results).trim_fmt(),
        bars(results).trim_fmt()
    )
}

/// The document with these results inserted.
pub fn document_with(results: &Results, document: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!(
        "{before}{BEGIN}\n{}{END}{after}",
        published(results)
    ))
}

pub fn into_document(results: &Results, path: &Path) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let old = fs::read_to_string(path).map_err(failed)?;
    let no_markers = || format!("{}: the markers of the results are missing", path.display());
    let new = document_with(results, &old).ok_or_else(no_markers)?;
    fs::write(path, new).map_err(failed)
}
