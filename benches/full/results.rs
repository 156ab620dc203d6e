//! All measurements of one run, and the targets that they miss.

use serde::{Deserialize, Serialize};

use crate::bars;
use crate::figure::Figure;

/// The kernel, the date and the commit of the measurements.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Made {
    pub kernel: String,
    pub date: String,
    pub commit: String,
}

/// A target for a number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bar {
    pub what: String,
    /// Upper limit (`false`: lower limit).
    pub at_most: bool,
    pub bar: f64,
    pub measured: f64,
    pub unit: String,
    pub holds: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Results {
    pub made: Made,
    pub figures: Vec<Figure>,
    pub bars: Vec<Bar>,
}

impl Results {
    pub fn new(made: Made) -> Self {
        Self {
            made,
            figures: Vec::new(),
            bars: Vec::new(),
        }
    }

    /// A number, if it was measured.
    pub fn get(&self, part: &str, case: &str, what: &str) -> Option<f64> {
        let is = |f: &&Figure| f.part == part && f.case == case && f.what == what;
        self.figures.iter().find(is).map(|f| f.value)
    }

    /// Compares with the targets; those without a measurement are left out.
    pub fn judge(&mut self) {
        self.bars = bars::judge(self);
    }
}
