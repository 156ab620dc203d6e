//! Whose connections they are: processes, containers and remote addresses by state. The more
//! connections, the darker the cell.

use std::io;

use crate::diagnose::tally::sum;
use crate::fmt::line;
use crate::model::endpoint::Address;
use crate::model::state::State;
use crate::model::timeline::{Counts, index};
use crate::render::html::markup::Markup;
use crate::render::html::table::{Cell, Table};
use crate::render::html::{Crowd, NAME, View, Who, grouped, name, shortened};
use crate::render::process::Live;

/// Number of shades beside none.
const SHADES: u64 = 5;

/// Writes the section.
pub fn write(m: &mut Markup, view: &View) -> io::Result<()> {
    let (l, w) = (view.l, view.w);
    let crowds = &view.page.crowds;
    if crowds.iter().all(|crowd| crowd.rows.is_empty()) {
        return m.leaf("p", &[], w.none);
    }
    m.leaf("p", &[("class", &"note")], w.who_note)?;
    let captions = [
        (w.by_process, l.process),
        (w.by_container, l.container),
        (w.by_remote, l.remote),
    ];
    captions
        .iter()
        .zip(crowds)
        .try_for_each(|(texts, crowd)| table(view, *texts, crowd).write(m))
}

fn table<'a>(view: &View, (caption, head): (&'a str, &str), crowd: &Crowd) -> Table<'a> {
    let all = crowd.rows.iter().map(|row| &row.states);
    let all: Vec<_> = all.chain([&crowd.of_others]).collect();
    let is_used = |state: &State| of(*state, &all).any(|count| count > 0);
    let states = State::all().filter(|state| *state == state.known_as());
    let states: Vec<State> = states.filter(is_used).collect();
    let most = crowd.rows.iter().flat_map(|row| row.states);
    let most = most.max().unwrap_or(0);
    let cells = |name: String, counts: &Counts| {
        let counted = states.iter().map(|state| of(*state, &[counts]).next());
        let counted = counted.map(|count| shaded(count.unwrap_or(0), most));
        let total = Cell::number(grouped(sum(counts.iter().copied())));
        [Cell::text(name)]
            .into_iter()
            .chain(counted)
            .chain([total.class("total")])
            .collect::<Vec<_>>()
    };
    let mut rows: Vec<_> = crowd
        .rows
        .iter()
        .map(|row| cells(text(&row.who), &row.states))
        .collect();
    if crowd.others > 0 {
        rows.push(cells(view.more(crowd.others), &crowd.of_others));
    }
    let names = states.iter().map(|state| state.name().into_owned());
    Table {
        caption,
        heads: [head.to_owned()]
            .into_iter()
            .chain(names)
            .chain([view.l.total.to_owned()])
            .collect(),
        numbers: 1,
        rows,
    }
}

/// The counts of a state.
fn of<'a>(state: State, all: &'a [&'a Counts]) -> impl Iterator<Item = u64> + 'a {
    let at = index(state);
    all.iter().map(move |counts| at.map_or(0, |at| counts[at]))
}

fn text(who: &Who) -> String {
    match who {
        Who::Process(owner, holders) => line::text(&Live(*owner, holders)),
        Who::Container(text) => name(text),
        Who::Cgroup(Some(id)) => id.to_string(),
        Who::Cgroup(None) => "-".into(),
        Who::Remote(addr, dev) => shortened(&line::text(&Address(*addr, dev.as_ref())), NAME),
    }
}

/// A count whose background says how many they are, on a logarithmic scale.
fn shaded(count: u64, most: u64) -> Cell {
    match shade(count, most) {
        0 => Cell::number("").class("shade0"),
        shade => Cell::number(grouped(count)).class(&format!("shade{shade}")),
    }
}

/// 0 for none, otherwise 1 to [`SHADES`].
fn shade(count: u64, most: u64) -> u64 {
    let log = |number: u64| (number as f64).ln();
    match (count, most) {
        (0, _) => 0,
        (_, ..=1) => 1,
        _ => {
            // Rounding must not make a thousand less than three quarters of ten thousand.
            let part = log(count) / log(most) * (SHADES - 1) as f64 + 1e-9;
            1 + (part as u64).min(SHADES - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_are_logarithmic() {
        let shades = [0, 1, 9, 10, 100, 1_000, 9_999, 10_000].map(|n| shade(n, 10_000));
        assert_eq!(shades, [0, 1, 1, 2, 3, 4, 4, 5]);
        assert_eq!([shade(1, 1), shade(1, 0), shade(7, 2)], [1, 1, 5]);
        assert_eq!(shade(u64::MAX, u64::MAX), 5);
    }
}
