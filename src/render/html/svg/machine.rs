//! The state machine: each transition as a line whose width, colour and numbers say how often it
//! happened, what it was for, and how long the old state lasted.

use std::fmt::Display;
use std::io;

use crate::model::rfc::Way;
use crate::model::state::State;
use crate::model::summary::TransitionTotal;
use crate::model::timeline::index;
use crate::render::html::markup::{Attr, Markup};
use crate::render::html::svg::edges::{
    EDGES, Edge, FAILURES, HEIGHT, START, STATES, WIDTH, is_drawn_unused, is_placed, place, sign,
    start,
};
use crate::render::html::svg::{Anchor, Caption, label, picture};
use crate::render::html::{View, grouped};
use crate::render::time::duration;

/// The part of the plane that the figure takes.
const AREA: [i32; 4] = [-60, 12, 1020, 752];
/// Most lines of transitions for which the figure has no place; the table has all.
const MOST_OTHERS: usize = 8;
/// Distance of the second line of numbers.
const LINE: i32 = 14;

/// Writes the figure.
pub fn write(m: &mut Markup, view: &View, caption: &Caption) -> io::Result<()> {
    picture(m, "machine", AREA, caption, |m| {
        arrows(m)?;
        let totals = &view.page.summary.transition_counts;
        for edge in EDGES.iter().chain(&FAILURES) {
            let is_it = |total: &&TransitionTotal| (total.old, total.new) == (edge.old, edge.new);
            match totals.iter().find(is_it).filter(|total| total.count > 0) {
                Some(total) => used(m, edge, total)?,
                None if is_drawn_unused(edge) => unused(m, edge)?,
                None => {}
            }
        }
        let is_other = |total: &&TransitionTotal| !is_placed(total.old, total.new);
        let others = totals.iter().filter(is_other).filter(|t| t.count > 0);
        others
            .take(MOST_OTHERS)
            .try_for_each(|total| other(m, total))?;
        state(m, view, State::CLOSE, START)?;
        let mut states = STATES.iter();
        states.try_for_each(|(name, x, y)| state(m, view, *name, (*x, *y)))
    })
}

/// The classes of a kind of transitions, also in the style sheet.
pub fn class(way: Way) -> &'static str {
    match way {
        Way::Opening => "opening",
        Way::Closing => "closing",
        Way::Failure => "failure",
        Way::Forbidden => "forbidden",
    }
}

/// The heads of the lines.
fn arrows(m: &mut Markup) -> io::Result<()> {
    m.element("defs", &[], |m| {
        for kind in ["opening", "closing", "failure", "forbidden", "unused"] {
            let id = format!("arrow-{kind}");
            let attrs: [Attr; 8] = [
                ("id", &id),
                ("class", &kind),
                ("viewBox", &"0 0 10 10"),
                ("refX", &9),
                ("refY", &5),
                ("markerWidth", &14),
                ("markerHeight", &14),
                ("orient", &"auto"),
            ];
            let units: [Attr; 1] = [("markerUnits", &"userSpaceOnUse")];
            m.element("marker", &[&attrs[..], &units[..]].concat(), |m| {
                m.void("path", &[("d", &"M0 1 L10 5 L0 9 z")])
            })?;
        }
        Ok(())
    })
}

fn line(m: &mut Markup, kind: &str, path: &dyn Display, width: f64) -> io::Result<()> {
    let head = format!("url(#arrow-{kind})");
    let style = format!("stroke-width: {width:.1}px");
    let attrs: [Attr; 4] = [
        ("class", &"line"),
        ("d", path),
        ("style", &style),
        ("marker-end", &head),
    ];
    m.void("path", &attrs)
}

fn unused(m: &mut Markup, edge: &Edge) -> io::Result<()> {
    m.element("g", &[("class", &"unused")], |m| {
        line(m, "unused", &edge.path, 1.0)
    })
}

/// A transition that happened.
fn used(m: &mut Markup, edge: &Edge, total: &TransitionTotal) -> io::Result<()> {
    let way = Way::of(edge.old, edge.new);
    m.element("g", &[("class", &class(way))], |m| {
        m.leaf("title", &[], in_words(total))?;
        line(m, class(way), &edge.path, width(total.count))?;
        if way == Way::Failure {
            end_sign(m, edge)?;
        }
        numbers(m, edge.at, edge.anchor, total)
    })
}

/// A crossed circle: the connection is gone.
fn end_sign(m: &mut Markup, edge: &Edge) -> io::Result<()> {
    // Without a state to lead to, the line ends at a sign.
    let (x, y) = sign(edge);
    m.void(
        "circle",
        &[("class", &"sign"), ("cx", &x), ("cy", &y), ("r", &7)],
    )?;
    let (left, top) = (x - 3, y - 3);
    let path = format!("M{left} {top} l6 6 m0 -6 l-6 6");
    m.void("path", &[("class", &"cross"), ("d", &path)])
}

/// The count, and below it median and 99th percentile.
fn numbers(
    m: &mut Markup,
    (x, y): (i32, i32),
    anchor: Anchor,
    total: &TransitionTotal,
) -> io::Result<()> {
    label(m, "count", (x, y), anchor, &grouped(total.count))?;
    match total.percentiles.filter(|_| total.old != State::NEW) {
        Some(percentiles) => {
            let [median, p99] = percentiles.map(duration);
            let times = format!("{median} / {p99}");
            label(m, "times", (x, y + LINE), anchor, &times)
        }
        None => Ok(()),
    }
}

/// A transition for which the figure has no place: a bent line between the states.
fn other(m: &mut Markup, total: &TransitionTotal) -> io::Result<()> {
    let (Some(from), Some(to)) = (start(total.old), place(total.new)) else {
        return Ok(());
    };
    let way = Way::of(total.old, total.new);
    let (from, to) = (point(from), point(to));
    // Bent to the left of its direction, so that the way back has another line.
    let bend = (
        (from.0 + to.0) / 2.0 + (to.1 - from.1) / 5.0,
        (from.1 + to.1) / 2.0 - (to.0 - from.0) / 5.0,
    );
    let (from, to) = (border(from, bend), border(to, bend));
    let path = format!(
        "M{:.0} {:.0} Q{:.0} {:.0} {:.0} {:.0}",
        from.0, from.1, bend.0, bend.1, to.0, to.1
    );
    // A quarter of the way: in the middle of the figure there are other numbers.
    let quarter = |a: f64, b: f64, c: f64| ((9.0 * a + 6.0 * b + c) / 16.0) as i32;
    let at = (quarter(from.0, bend.0, to.0), quarter(from.1, bend.1, to.1));
    m.element("g", &[("class", &class(way))], |m| {
        m.leaf("title", &[], in_words(total))?;
        line(m, class(way), &path, width(total.count))?;
        numbers(m, at, Anchor::Middle, total)
    })
}

type Point = (f64, f64);

fn point((x, y): (i32, i32)) -> Point {
    (x.into(), y.into())
}

/// Where a line from the middle of a state towards a point leaves the state.
fn border(middle: Point, towards: Point) -> Point {
    let (dx, dy) = (towards.0 - middle.0, towards.1 - middle.1);
    let (half_width, half_height) = (f64::from(WIDTH) / 2.0, f64::from(HEIGHT) / 2.0);
    let part = (half_width / dx.abs().max(0.1)).min(half_height / dy.abs().max(0.1));
    (middle.0 + dx * part, middle.1 + dy * part)
}

fn in_words(total: &TransitionTotal) -> String {
    let (old, new) = (total.old.name(), total.new.name());
    format!("{old} → {new}: {}", grouped(total.count))
}

/// The width of a line, which grows with the logarithm of the count. The head of a line is wider.
fn width(count: u64) -> f64 {
    (1.3 + 0.7 * (count.max(1) as f64).log10()).min(6.5)
}

/// A state with its name and its live connections.
fn state(m: &mut Markup, view: &View, state: State, (x, y): (i32, i32)) -> io::Result<()> {
    let live = match state {
        State::CLOSE => None,
        state => index(state).map(|index| view.page.live[index]),
    };
    let is_used = live.is_some_and(|count| count > 0);
    let class = if is_used { "state live" } else { "state" };
    m.element("g", &[("class", &class)], |m| {
        let (left, top) = (x - WIDTH / 2, y - HEIGHT / 2);
        let attrs: [Attr; 5] = [
            ("x", &left),
            ("y", &top),
            ("width", &WIDTH),
            ("height", &HEIGHT),
            ("rx", &9),
        ];
        m.void("rect", &attrs)?;
        let below = if live.is_some() { -3 } else { 5 };
        label(m, "name", (x, y + below), Anchor::Middle, &state.name())?;
        match live {
            Some(count) => label(m, "now", (x, y + 15), Anchor::Middle, &grouped(count)),
            None => Ok(()),
        }
    })
}
