//! One measured number, and the line of output that carries it out of the machine.

use serde::{Deserialize, Serialize};

const MARK: &str = "figure ";

/// A measured number: the part that measured it, the case, and the quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub part: String,
    pub case: String,
    pub what: String,
    pub value: f64,
    pub unit: String,
}

impl Figure {
    pub fn new(part: &str, case: &str, what: &str, value: f64, unit: &str) -> Self {
        Self {
            part: part.into(),
            case: case.into(),
            what: what.into(),
            // More digits are not significant.
            value: (value * 1000.0).round() / 1000.0,
            unit: unit.into(),
        }
    }
}

/// Prints a number for the host.
pub fn emit(part: &str, case: &str, what: &str, value: f64, unit: &str) {
    let figure = Figure::new(part, case, what, value, unit);
    let text = serde_json::to_string(&figure).expect("a figure is JSON");
    println!("{MARK}{text}");
}

/// The number in a line of output, if there is one, possibly behind other text.
pub fn parse(line: &str) -> Option<Figure> {
    let (_, text) = line.split_once(MARK)?;
    serde_json::from_str(text).ok()
}
