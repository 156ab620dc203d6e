//! The number of connections in one state over time.

use std::fmt::Write as _;
use std::io;

use crate::model::timeline::{Course, PARTS, Part};
use crate::render::html::markup::Markup;
use crate::render::html::svg::{Anchor, Caption, label, picture};

/// Width of a part of the time.
const STEP: usize = 4;
const WIDTH: i32 = (PARTS * STEP) as i32;
/// The highest and the lowest number are here.
const TOP: u64 = 8;
const BASE: u64 = 88;
const HEIGHT: i32 = 108;

/// Writes the picture; `times` are the texts at the start and the end of the axis.
pub fn write(
    m: &mut Markup,
    caption: &Caption,
    course: &Course,
    times: [&str; 2],
) -> io::Result<()> {
    picture(m, "area", [0, 0, WIDTH, HEIGHT], caption, |m| {
        let most = course.most();
        let (high, low) = (
            outline(course, |part| height(part.most, most)),
            outline(course, |part| height(part.least, most)),
        );
        let base = format!("M0 {BASE} H{WIDTH}");
        m.void("path", &[("class", &"axis"), ("d", &base)])?;
        let steady = format!("{low} V{BASE} H0 z");
        m.void("path", &[("class", &"steady"), ("d", &steady)])?;
        // Forwards along the highest numbers, and back along the lowest ones.
        let back = reverse(course, |part| height(part.least, most));
        m.void(
            "path",
            &[("class", &"band"), ("d", &format!("{high}{back} z"))],
        )?;
        let y = HEIGHT - 6;
        label(m, "tick", (0, y), Anchor::Start, times[0])?;
        label(m, "tick", (WIDTH, y), Anchor::End, times[1])
    })
}

fn height(number: u64, most: u64) -> u64 {
    let part = u128::from(number) * u128::from(BASE - TOP) / u128::from(most.max(1));
    BASE - (part as u64).min(BASE - TOP)
}

/// A line of steps from the left to the right.
fn outline(course: &Course, height: impl Fn(&Part) -> u64) -> String {
    let mut path = String::new();
    let mut last = None;
    for (at, part) in course.parts.iter().enumerate() {
        let y = height(part);
        // Writing to a string cannot fail.
        let _ = match last {
            None => write!(path, "M0 {y}"),
            Some(last) if last != y => write!(path, "H{}V{y}", at * STEP),
            Some(_) => Ok(()),
        };
        last = Some(y);
    }
    let _ = write!(path, "H{WIDTH}");
    path
}

/// The same from the right to the left, as the continuation of a path.
fn reverse(course: &Course, height: impl Fn(&Part) -> u64) -> String {
    let mut path = String::new();
    let mut last = None;
    for (at, part) in course.parts.iter().enumerate().rev() {
        let y = height(part);
        let _ = match last {
            None => write!(path, "V{y}"),
            Some(last) if last != y => write!(path, "H{}V{y}", (at + 1) * STEP),
            Some(_) => Ok(()),
        };
        last = Some(y);
    }
    path + "H0"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state::State;

    #[test]
    fn steps_are_where_the_number_changes() {
        let mut parts = vec![Part::default(); PARTS];
        parts[1].most = 4;
        parts[2].most = 2;
        let course = Course {
            state: State::ESTABLISHED,
            parts,
        };
        let y = |part: &Part| height(part.most, course.most());
        assert_eq!(outline(&course, y), "M0 88H4V8H8V48H12V88H384");
        assert_eq!(reverse(&course, y), "V88H12V48H8V8H4V88H0");
        assert_eq!(height(u64::MAX, u64::MAX), TOP);
        assert_eq!(height(0, 0), BASE);
    }
}
