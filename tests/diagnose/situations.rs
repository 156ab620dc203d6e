//! The table of situations in `docs/diagnosis.md`: each has a finding that exists, and a scenario
//! that produces it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use diagnose_tools::diagnose::rules::names;

/// The documents, and the cell of a situation in which nothing is wrong.
const DOCUMENTS: [(&str, &str); 2] = [
    ("docs/diagnosis.md", "nothing above `info`"),
    ("docs/diagnosis.zh-CN.md", "不高于 `info`"),
];

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
    let scenarios = scenarios();
    let told = DOCUMENTS.map(|(name, nothing)| check_situations(name, nothing, &scenarios));
    assert_eq!(told[0], told[1], "the languages tell of the same");
}

/// Checks the table of a document. Returns the findings and the scenarios of each row.
fn check_situations(
    name: &str,
    nothing: &str,
    scenarios: &HashMap<String, String>,
) -> Vec<[Vec<String>; 2]> {
    let text = fs::read_to_string(tree().join(name)).unwrap();
    let rows = rows(&text);
    assert!(rows.len() > 15, "{rows:#?}");
    let check = |[situation, finding, proof]: [&str; 3]| {
        let is_nothing = finding == nothing;
        let rules = if is_nothing { vec![] } else { quoted(finding) };
        assert!(is_nothing || !rules.is_empty(), "{situation}: {finding}");
        let unknown = rules.iter().find(|rule| names().all(|name| name != **rule));
        assert_eq!(unknown, None, "{situation}");
        let proofs = quoted(proof);
        assert!(!proofs.is_empty(), "{situation}: no scenario");
        for name in &proofs {
            let source = scenarios.get(*name);
            let source = source.unwrap_or_else(|| panic!("{situation}: no scenario {name}"));
            let is_in = |rule: &&str| source.contains(&format!("\"{rule}\""));
            assert!(
                rules.iter().all(is_in),
                "{name} does not look for {rules:?}"
            );
        }
        [rules, proofs].map(|all| all.into_iter().map(str::to_owned).collect())
    };
    rows.into_iter().map(check).collect()
}
