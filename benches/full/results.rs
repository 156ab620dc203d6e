//! All that was measured in one run, and where it falls short of what is wanted.

use serde::{Deserialize, Serialize};

use crate::bars;
use crate::figure::Figure;

/// What was measured, of what, and when.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Made {
    pub kernel: String,
    pub date: String,
    pub commit: String,
}

/// What is wanted of a number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bar {
    pub what: String,
    /// At most so much (`false`: at least).
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

    /// Compares with what is wanted; what was not measured is left out.
    pub fn judge(&mut self) {
        self.bars = bars::judge(self);
    }
}
