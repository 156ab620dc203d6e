//! The totals as text.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, TableComponent, presets};

use crate::diagnose::tally::sum;
use crate::fmt::escape::printable;
use crate::host::names::Names;
use crate::model::lives::{InCgroup, Lives, Which, reason_name};
use crate::model::state::State;
use crate::model::summary::{Summary, TransitionTotal};
use crate::render::i18n::labels::Labels;
use crate::render::style::Style;
use crate::render::time::duration;

/// Maximum number of cgroups in short totals.
const TOP_CGROUPS: usize = 5;

/// Whether zero counts are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Zeros {
    /// Zero counts are omitted.
    Left,
    /// Zero counts are printed.
    Told,
}

/// Writes all totals. `zeros` applies to the handshakes, and to whether all cgroups are printed.
pub fn write(
    out: &mut dyn Write,
    style: &Style,
    names: &mut Names,
    summary: &Summary,
    zeros: Zeros,
) -> io::Result<()> {
    let (l, stats) = (style.labels, &summary.stats);
    let now = style.clock.local(stats.now_ns);
    let since = style.clock.local(stats.activated_ns);
    let active = duration(stats.active_ns());
    writeln!(
        out,
        "{} {now}, {} {since} ({active})",
        style.heading(l.summary),
        l.active_since
    )?;
    writeln!(out, "\n{}\n", states(style, summary))?;
    if !summary.transition_counts.is_empty() {
        writeln!(out, "{}\n", transitions(style, &summary.transition_counts))?;
    }
    if let Some(handshakes) = handshakes(style, summary, zeros) {
        writeln!(out, "{handshakes}\n")?;
    }
    let more = [
        ended(style, &summary.lives),
        lived(style, &summary.lives),
        cgroups(style, names, &summary.cgroups, zeros),
    ];
    for table in more.into_iter().flatten() {
        writeln!(out, "{table}\n")?;
    }
    write_counts(out, l, summary)
}

/// A table as wide as the terminal allows; columns from `first` on are right-aligned.
pub(super) fn table(style: &Style, head: &[&str], first: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head);
    if let Some(width) = style.width {
        table.set_style(TableComponent::HeaderLines, '─');
        table.set_style(TableComponent::MiddleHeaderIntersections, '─');
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index >= first {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A table of all states, including those with zero connections.
fn states(style: &Style, summary: &Summary) -> String {
    let l = style.labels;
    let mut table = table(style, &[l.state, l.connections], 1);
    for (state, count) in summary.stats.by_state() {
        let name = state.name().into_owned();
        // Included in SYN_RECV, so it must not be added.
        let row = match state {
            State::NEW_SYN_RECV => [format!("{name}, {}", l.in_syn_recv), format!("({count})")],
            _ => [name, count.to_string()],
        };
        table.add_row(row);
    }
    table.add_row([l.total.to_owned(), summary.stats.tracked.to_string()]);
    table.trim_fmt()
}

fn transitions(style: &Style, transitions: &[TransitionTotal]) -> String {
    let l = style.labels;
    let mut table = table(
        style,
        &[l.old, l.new, l.count, l.median, l.p99, l.longest],
        2,
    );
    for transition in transitions {
        let time = |ns: Option<u64>| ns.map_or("-".into(), duration);
        let [median, p99] =
            [0, 1].map(|index: usize| time(transition.percentiles.map(|p| p[index])));
        let names = [
            transition.old.name().into_owned(),
            transition.new.name().into_owned(),
        ];
        let numbers = [
            transition.count.to_string(),
            median,
            p99,
            time(transition.max_ns),
        ];
        table.add_row(names.into_iter().chain(numbers));
    }
    table.trim_fmt()
}

/// The outcome of the SYNs; `None` if there is nothing to print.
fn handshakes(style: &Style, summary: &Summary, zeros: Zeros) -> Option<String> {
    let l = style.labels;
    let told = |count: Option<u64>| zeros == Zeros::Told || count.is_some_and(|n| n > 0);
    let counters: Vec<_> = summary
        .handshakes
        .iter()
        .filter(|c| told(c.count))
        .collect();
    let mut table = table(style, &[l.handshakes, l.count], 1);
    for counter in &counters {
        let count = counter.count.map_or("-".into(), |n| n.to_string());
        table.add_row([l.handshake(counter.name).to_owned(), count]);
    }
    (!counters.is_empty()).then(|| table.trim_fmt())
}

/// Reasons of ended connections; `None` if there are none.
fn ended(style: &Style, lives: &Lives) -> Option<String> {
    let l = style.labels;
    let mut table = table(style, &[l.ended, l.reason, l.count], 2);
    for of_role in &lives.ended {
        for (reason, count) in &of_role.ends {
            let role = of_role.role_name().to_owned();
            table.add_row([role, reason_name(*reason), count.to_string()]);
        }
    }
    (table.row_count() > 0).then(|| table.trim_fmt())
}

/// Lifetimes of connections, and waits for accept().
fn lived(style: &Style, lives: &Lives) -> Option<String> {
    let l = style.labels;
    let mut table = table(style, &[l.lived, l.count, l.median, l.p99, l.longest], 1);
    let of_roles = lives.ended.iter().map(|e| (e.role_name(), &e.life));
    for (name, of) in of_roles.chain([(l.accept_wait_all, &lives.accept_wait)]) {
        if let Some(times) = of.times {
            let [median, p99, longest] = times.map(duration);
            table.add_row([name.to_owned(), of.count.to_string(), median, p99, longest]);
        }
    }
    (table.row_count() > 0).then(|| table.trim_fmt())
}

/// The cgroups with the most connections, if there are several.
fn cgroups(style: &Style, names: &mut Names, all: &[InCgroup], zeros: Zeros) -> Option<String> {
    let l = style.labels;
    let told = if zeros == Zeros::Told {
        all.len()
    } else {
        TOP_CGROUPS.min(all.len())
    };
    let (told, left) = all.split_at(told);
    let mut table = table(style, &[l.cgroup, l.connections, l.established], 1);
    let of = |cgroup: &InCgroup, state| cgroup.states.get(&state).copied().unwrap_or(0);
    for cgroup in told {
        let name = match cgroup.cgroup {
            Which::Id(id) => match names.cgroup(id) {
                Some(cgroup) => printable(&cgroup.path),
                None => id.to_string(),
            },
            Which::Unknown => "-".into(),
            Which::Others => l.others_cgroups.to_owned(),
        };
        let established = of(cgroup, State::ESTABLISHED).to_string();
        table.add_row([name, cgroup.total.to_string(), established]);
    }
    if !left.is_empty() {
        let total = sum(left.iter().map(|c| c.total));
        let established = sum(left.iter().map(|c| of(c, State::ESTABLISHED)));
        let name = format!("{} ({})", l.others_cgroups, left.len());
        table.add_row([name, total.to_string(), established.to_string()]);
    }
    (all.len() > 1).then(|| table.trim_fmt())
}

/// A sign, a label and a number of a line of counts.
pub(super) type Count = (&'static str, &'static str, u64);

fn write_line(out: &mut dyn Write, title: &str, counts: &[Count]) -> io::Result<()> {
    let text: String = counts
        .iter()
        .map(|(sign, label, n)| format!("{sign} {label} {n}"))
        .collect();
    writeln!(out, "{title}:{text}")
}

fn write_counts(out: &mut dyn Write, l: &Labels, summary: &Summary) -> io::Result<()> {
    for (title, counts) in counts(l, summary) {
        write_line(out, title, &counts)?;
    }
    let this = &summary.this_report;
    let read = [
        ("", l.read, this.transitions),
        (",", l.shown, this.shown),
        (",", l.alarms, this.alarms),
        (",", l.overwritten, this.overwritten),
        (",", l.unknown, this.unknown_records),
    ];
    write_line(out, l.this_report, &read)
}

/// The lines of counts since the activation, with their titles. The numbers of a line with `=` add
/// up.
pub(super) fn counts(l: &Labels, summary: &Summary) -> Vec<(&'static str, Vec<Count>)> {
    let s = &summary.stats;
    let tracked = vec![
        ("", l.tracked, s.tracked),
        (",", l.untracked, s.untracked),
        (",", l.unmatched, s.unmatched),
        (",", l.seeded, s.seeded),
    ];
    let pairs = vec![
        ("", l.tracked, s.pairs),
        (",", l.evicted, s.evicted),
        (",", l.uncounted, s.uncounted),
    ];
    let listeners = vec![("", l.tracked, s.listeners), (",", l.untracked, s.unlisted)];
    let lost = vec![
        ("", l.overwritten, summary.overwritten),
        (",", l.kprobe_missed, s.kprobe_missed),
        (",", l.ringless, s.ringless),
        (",", l.stale, s.stale),
    ];
    let seen = vec![
        ("", l.seen, s.seen),
        (" +", l.alarms, s.alarms),
        (" =", l.recorded, s.recorded),
        (" +", l.filtered, s.filtered),
        (" +", l.too_short, s.too_short),
        (" +", l.ringless, s.ringless),
    ];
    let recorded = vec![
        ("", l.recorded, s.recorded),
        (" =", l.reported, s.reported),
        (" +", l.overwritten, summary.overwritten),
        (" +", l.pending, summary.pending),
    ];
    vec![
        (l.connections, tracked),
        (l.pairs, pairs),
        (l.listeners, listeners),
        (l.events, seen),
        (l.events, recorded),
        (l.lost, lost),
    ]
}
