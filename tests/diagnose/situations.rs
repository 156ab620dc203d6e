//! The table of situations in `docs/diagnosis.md`: each has a finding that exists, and a scenario
//! that produces it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use diagnose_tools::diagnose::rules::names;

/// The cell of a situation in which nothing is wrong.
const NOTHING: &str = "nothing above `info`";

fn tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The texts in backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The cells of each row of the table.
fn rows(text: &str) -> Vec<[&str; 3]> {
    let (_, rest) = text.split_once("<!-- situations: begin -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- situations: end -->").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    rows.skip(1)
        .map(|row| {
            let inside = row.trim_start_matches("| ").trim_end_matches(" |");
            let cells: Vec<_> = inside.split(" | ").collect();
            cells
                .try_into()
                .unwrap_or_else(|_| panic!("three cells: {row}"))
        })
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let inside = folders.iter().flat_map(|folder| sources(folder));
    files.into_iter().chain(inside).collect()
}

/// The source of each scenario.
fn scenarios() -> HashMap<String, String> {
    let mut found = HashMap::new();
    for path in sources(&tree().join("tests/vm")) {
        let text = fs::read_to_string(&path).unwrap();
        for rest in text.split("scenario(").skip(1) {
            if let Some(rest) = rest.trim_start().strip_prefix('"') {
                let (name, _) = rest.split_once('"').unwrap();
                found.insert(name.to_owned(), text.clone());
            }
        }
    }
    found
}

#[test]
fn each_situation_has_a_finding_and_a_scenario() {
    let text = fs::read_to_string(tree().join("docs/diagnosis.md")).unwrap();
    let (rows, scenarios) = (rows(&text), scenarios());
    assert!(rows.len() > 15, "{rows:#?}");
    for [situation, finding, proof] in rows {
        let rules = match finding {
            NOTHING => vec![],
            finding => quoted(finding),
        };
        assert!(
            finding == NOTHING || !rules.is_empty(),
            "{situation}: {finding}"
        );
        for rule in &rules {
            assert!(
                names().any(|name| name == *rule),
                "{situation}: no rule {rule}"
            );
        }
        let proofs = quoted(proof);
        assert!(!proofs.is_empty(), "{situation}: no scenario");
        for name in proofs {
            let source = scenarios.get(name);
            let source = source.unwrap_or_else(|| panic!("{situation}: no scenario {name}"));
            let is_in = |rule: &&str| source.contains(&format!("\"{rule}\""));
            assert!(
                rules.iter().all(is_in),
                "{name} does not look for {rules:?}"
            );
        }
    }
}
