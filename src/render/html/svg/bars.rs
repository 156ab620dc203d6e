//! A histogram of durations: each bar is an octave, so the axis is logarithmic.

use std::io;

use crate::model::histogram::Octave;
use crate::render::html::grouped;
use crate::render::html::markup::{Attr, Markup};
use crate::render::html::svg::{Anchor, Caption, label, picture};
use crate::render::time::duration;

const WIDTH: i32 = 384;
const HEIGHT: i32 = 176;
/// The plot, between its left and right border, and between its top and its base.
const LEFT: f64 = 6.0;
const RIGHT: f64 = 378.0;
const TOP: f64 = 40.0;
const BASE: f64 = 150.0;
/// Most labels of the axis.
const MOST_TICKS: usize = 4;
/// Widest bar.
const BAR: f64 = 60.0;

/// Writes the picture. `marks` are durations to mark, with their names; `octaves` is not empty.
pub fn write(
    m: &mut Markup,
    caption: &Caption,
    octaves: &[Octave],
    marks: &[(&str, u64)],
) -> io::Result<()> {
    picture(m, "bars", [0, 0, WIDTH, HEIGHT], caption, |m| {
        let step = step(octaves.len());
        let most = octaves.iter().map(|o| o.count).max().unwrap_or(0).max(1);
        for (at, octave) in octaves.iter().enumerate().filter(|(_, o)| o.count > 0) {
            bar(m, LEFT + at as f64 * step, step, octave, most)?;
        }
        let axis = format!("M{LEFT} {BASE} H{RIGHT}");
        m.void("path", &[("class", &"axis"), ("d", &axis)])?;
        ticks(m, octaves, step)?;
        for (row, (name, ns)) in (0..).zip(marks) {
            mark(m, LEFT + position(octaves, *ns) * step, row, name, *ns)?;
        }
        Ok(())
    })
}

/// Width of an octave.
fn step(octaves: usize) -> f64 {
    ((RIGHT - LEFT) / octaves.max(1) as f64).min(BAR)
}

fn bar(m: &mut Markup, x: f64, width: f64, octave: &Octave, most: u64) -> io::Result<()> {
    // Few are visible beside many.
    let height = (octave.count as f64 / most as f64 * (BASE - TOP)).max(1.5);
    let (x, y) = (format!("{:.1}", x + 0.5), format!("{:.1}", BASE - height));
    let (width, height) = (
        format!("{:.1}", (width - 1.0).max(1.0)),
        format!("{height:.1}"),
    );
    let attrs: [Attr; 5] = [
        ("class", &"bar"),
        ("x", &x),
        ("y", &y),
        ("width", &width),
        ("height", &height),
    ];
    m.element("rect", &attrs, |m| {
        m.leaf(
            "title",
            &[],
            format!("{}: {}", range(octave), grouped(octave.count)),
        )
    })
}

/// `1.0 ms - 2.0 ms`.
pub fn range(octave: &Octave) -> String {
    format!("{} - {}", duration(octave.from_ns), duration(octave.to_ns))
}

/// The borders of some octaves.
fn ticks(m: &mut Markup, octaves: &[Octave], step: f64) -> io::Result<()> {
    let every = octaves.len().div_ceil(MOST_TICKS).max(1);
    let mut borders: Vec<u64> = octaves.iter().map(|o| o.from_ns).collect();
    borders.extend(octaves.last().map(|o| o.to_ns));
    for (at, ns) in borders.iter().enumerate().step_by(every) {
        let x = (LEFT + at as f64 * step) as i32;
        let anchor = match x {
            ..30 => Anchor::Start,
            355.. => Anchor::End,
            _ => Anchor::Middle,
        };
        label(m, "tick", (x, BASE as i32 + 17), anchor, &duration(*ns))?;
    }
    Ok(())
}

/// A vertical line with its name; each one has its own row above the plot.
fn mark(m: &mut Markup, x: f64, row: i32, name: &str, ns: u64) -> io::Result<()> {
    let y = 12 + 16 * row;
    let path = format!("M{x:.1} {} V{BASE}", y + 3);
    m.void("path", &[("class", &"mark"), ("d", &path)])?;
    let is_left = x < f64::from(WIDTH) / 2.0;
    let (shift, anchor) = match is_left {
        true => (4, Anchor::Start),
        false => (-4, Anchor::End),
    };
    let text = format!("{name} {}", duration(ns));
    label(m, "tick", (x as i32 + shift, y), anchor, &text)
}

/// Where a duration is, in octaves from the left.
fn position(octaves: &[Octave], ns: u64) -> f64 {
    let found = octaves.iter().position(|o| ns < o.to_ns);
    let Some((at, octave)) = found.and_then(|at| Some((at, octaves.get(at)?))) else {
        return octaves.len() as f64;
    };
    let (from, to, ns) = (octave.from_ns as f64, octave.to_ns as f64, ns as f64);
    let part = match octave.from_ns {
        0 => ns / to,
        _ => (ns / from).log2() / (to / from).log2(),
    };
    at as f64 + part.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_in_its_octave() {
        let octave = |from_ns, to_ns| Octave {
            from_ns,
            to_ns,
            count: 1,
        };
        let octaves = [octave(0, 1_024), octave(1_024, 2_048)];
        for (ns, expected) in [
            (0, 0.0),
            (512, 0.5),
            (1_024, 1.0),
            (1_448, 1.5),
            (2_048, 2.0),
            (u64::MAX, 2.0),
        ] {
            let at = position(&octaves, ns);
            assert!((at - expected).abs() < 0.01, "{ns}: {at}");
        }
        assert_eq!(position(&[], 7), 0.0);
    }
}
