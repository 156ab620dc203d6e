//! The recorded costs, which no change may raise much unnoticed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::figure::{self, Figure, emit};
use crate::support::guest::{self, Machine};

/// If set, the measured values are recorded.
const NEW: &str = "DIAGNOSE_TOOLS_NEW_FIGURES";
const PART: &str = "cost";
const WHAT: &str = "over_idle";

/// The factor from which on a cost counts as grown.
const GROWTH: f64 = 1.1;
/// The number of instructions by which a cost varies between builds.
const NOISE: f64 = 60.0;

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/cost/figures.json")
}

fn on_record() -> Vec<Figure> {
    let text = fs::read_to_string(file()).expect("the figures on record");
    serde_json::from_str(&text).expect("figures are JSON")
}

/// Runs the trials in the machine; records their values if requested.
pub fn boot(machine: &Machine) -> bool {
    if std::env::var_os(NEW).is_none() {
        return guest::boot(machine, PART, false);
    }
    let mut vm = guest::vm(machine, PART);
    let mut child = vm.stdout(Stdio::piped()).spawn().expect("scripts/vm");
    let mut figures: Vec<Figure> = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("a pipe")).lines() {
        let line = line.expect("text");
        println!("{line}");
        figures.extend(figure::parse(&line));
    }
    let passed = child.wait().expect("scripts/vm").success();
    if passed {
        // Keeps the values of trials that did not run.
        let measured = |f: &Figure| figures.iter().any(|new| new.case == f.case);
        let rest = on_record().into_iter().filter(|f| !measured(f));
        figures = rest.chain(figures.clone()).collect();
        figures.sort_by(|a, b| (&a.unit, &a.case).cmp(&(&b.unit, &b.case)));
        let text = serde_json::to_string_pretty(&figures).expect("figures are JSON");
        fs::write(file(), text + "\n").expect("the figures on record");
    }
    passed
}

/// Measured costs of some cases.
pub struct Costs {
    unit: &'static str,
    measured: Vec<(&'static str, f64)>,
}

impl Costs {
    pub fn new(unit: &'static str) -> Self {
        Self {
            unit,
            measured: Vec::new(),
        }
    }

    pub fn add(&mut self, case: &'static str, value: f64) {
        assert!(value > 0.0, "{case}: what costs nothing does nothing");
        emit(PART, case, WHAT, value, self.unit);
        self.measured.push((case, value));
    }

    /// Compares them with the recorded costs.
    pub fn compare(&self) {
        if std::env::var_os(NEW).is_some() {
            return;
        }
        let figures = on_record();
        let mut grown = Vec::new();
        for (case, value) in &self.measured {
            let figure = figures.iter().find(|f| f.case == *case);
            let on_record = figure
                .unwrap_or_else(|| panic!("{case} is not on record"))
                .value;
            let most = (on_record * GROWTH).max(on_record + NOISE);
            println!("  {case:<20} {value:>8.0}, on record {on_record:.0}, at most {most:.0}");
            if *value > most {
                grown.push(format!(
                    "{case}: {value:.0} {}, on record are {on_record:.0}",
                    self.unit
                ));
            }
        }
        assert!(
            grown.is_empty(),
            "{grown:#?} (if it has to be: make bench-figures)"
        );
    }
}
