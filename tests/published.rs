//! The figures of docs/benchmarks.md are the measured ones: nothing was changed by hand.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../benches/full/bars.rs"]
mod bars;
#[path = "../benches/common/figure.rs"]
#[allow(dead_code, reason = "the measurement uses the rest")]
mod figure;
#[path = "../benches/full/plot.rs"]
mod plot;
#[path = "../benches/full/results.rs"]
#[allow(dead_code, reason = "the measurement uses the rest")]
mod results;
#[path = "../benches/full/table.rs"]
#[allow(dead_code, reason = "the measurement uses the rest")]
mod table;

use std::fs;
use std::path::Path;

use results::Results;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn published() -> Results {
    serde_json::from_str(&read("docs/bench/results.json")).expect("results")
}

#[test]
fn the_document_shows_the_results_on_record() {
    let document = read("docs/benchmarks.md");
    let made = table::document_with(&published(), &document).expect("the markers");
    assert_eq!(made, document, "make bench-publish has made something else");
}

#[test]
fn the_plots_show_the_results_on_record() {
    let results = published();
    for (name, plot) in [
        ("cost", plot::cost(&results)),
        ("growth", plot::growth(&results)),
    ] {
        let file = read(&format!("docs/bench/{name}.svg"));
        assert_eq!(plot.expect("it was measured"), file, "{name}.svg");
    }
}

#[test]
fn the_judgement_is_that_of_the_bars() {
    let mut results = published();
    let on_record = format!("{:?}", results.bars);
    results.judge();
    assert_eq!(format!("{:?}", results.bars), on_record);
    let wanted = 16;
    assert_eq!(results.bars.len(), wanted, "each bar has its numbers");
}
