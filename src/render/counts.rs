//! Counts by fields as a table.

use std::io::{self, Write};

use anstyle::Style as Ansi;

use crate::fmt::escape::{Printable, printable_bytes};
use crate::fmt::line::{self, Line};
use crate::fmt::width::width;
use crate::model::count::{CountTable, Field, Part, Tally};
use crate::model::endpoint::{Address, End};
use crate::model::ident::{Owner, Role};
use crate::render::columns::{Column, Kind, Row, column, put_head};
use crate::render::i18n::labels::Labels;
use crate::render::style::Style;

/// Width of a number of connections or events, of a number of bytes, and of a time.
const NUMBER: usize = 11;
const BYTES: usize = 14;
const TIME: usize = 9;
/// A field is at least and at most this wide on a terminal.
const FIELD: [usize; 2] = [8, 47];

/// Writes the heading and one line per row.
pub fn write(out: &mut dyn Write, style: &Style, counts: &CountTable) -> io::Result<()> {
    let labels = style.labels;
    let columns = columns(style, counts);
    let mut text = Line::new();
    put_head(&mut text, style, &columns);
    out.write_all(&text)?;
    for (key, tally) in &counts.rows {
        let fields = counts.fields.iter().zip(key);
        let cells = fields.map(|(_, part)| cell(part));
        row(out, style, &columns, cells, tally)?;
    }
    if let Some((rows, tally)) = &counts.others {
        let mut cells = vec![String::new(); counts.fields.len()];
        if let Some(first) = cells.first_mut() {
            *first = format!("{rows} {}", labels.others_cgroups);
        }
        row(out, style, &columns, cells, tally)?;
    }
    Ok(())
}

fn row(
    out: &mut dyn Write,
    style: &Style,
    columns: &[Column],
    cells: impl IntoIterator<Item = String>,
    tally: &Tally,
) -> io::Result<()> {
    let mut text = Line::new();
    let mut row = Row::new(&mut text, style, columns);
    for cell in cells {
        row.text(Ansi::new(), cell.as_str());
    }
    row.cell(tally.connections);
    row.cell(tally.transitions);
    row.cell(tally.ends);
    row.cell(tally.bytes_sent);
    row.cell(tally.bytes_received);
    row.cell(tally.retrans);
    row.cell(tally.oldest);
    out.write_all(&text)
}

/// The columns: each field is as wide as its widest value, as far as the terminal allows.
fn columns(style: &Style, counts: &CountTable) -> Vec<Column> {
    let l = style.labels;
    let most = match style.width {
        None => usize::MAX,
        Some(columns) => {
            let numbers = 4 * (NUMBER + 1) + 2 * (BYTES + 1) + TIME + 1;
            let room = columns.saturating_sub(numbers) / counts.fields.len().max(1);
            room.clamp(FIELD[0], FIELD[1])
        }
    };
    let mut columns: Vec<_> = counts
        .fields
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let head = heading(l, *field);
            let cells = counts.rows.iter().map(|(key, _)| width(&cell(&key[index])));
            let widest = cells.max().unwrap_or(0).max(width(head)).max(FIELD[0]);
            column(head, widest.min(most), Kind::Text)
        })
        .collect();
    for head in [l.connections_short, l.transitions, l.ends] {
        columns.push(column(head, NUMBER, Kind::Number));
    }
    columns.push(column(l.sent, BYTES, Kind::Number));
    columns.push(column(l.received, BYTES, Kind::Number));
    columns.push(column(l.retrans_short, NUMBER, Kind::Number));
    columns.push(column(l.oldest, TIME, Kind::Number));
    columns
}

fn heading(l: &Labels, field: Field) -> &'static str {
    match field {
        Field::State => l.state,
        Field::Process | Field::Comm => l.process,
        Field::Pid => "PID",
        Field::Uid => l.user,
        Field::Container => l.container,
        Field::Cgroup => l.cgroup,
        Field::Netns => l.namespace,
        Field::Laddr => l.local,
        Field::Lport => l.local_port,
        Field::Raddr => l.remote,
        Field::Rport => l.remote_port,
        Field::Listener => l.listener,
        Field::Role => l.role,
        Field::Reason => l.reason,
        Field::Family => l.family,
    }
}

/// The text of a value.
fn cell(part: &Part) -> String {
    match part {
        Part::None => "-".into(),
        Part::State(state) => state.shown().into_owned(),
        Part::Process(owner) => line::text(owner),
        Part::Comm(comm) => {
            let owner = Owner {
                pid: 0,
                comm: *comm,
            };
            printable_bytes(owner.comm_bytes())
        }
        Part::Number(number) => number.to_string(),
        Part::Container(name) => line::text(&Printable::text(name)),
        Part::Cgroup(id, None) => id.to_string(),
        Part::Cgroup(_, Some(path)) => line::text(&Printable::text(path)),
        Part::Netns(inode, None) => inode.to_string(),
        Part::Netns(_, Some(name)) => line::text(&Printable::text(name)),
        Part::Address(address, dev) => line::text(&Address(*address, dev.as_ref())),
        Part::End(address, dev, port) => line::text(&End(Address(*address, dev.as_ref()), *port)),
        Part::Role(role) => Role::name(*role).into(),
        Part::Reason(reason) => reason.name().unwrap_or_default().into_owned(),
    }
}
