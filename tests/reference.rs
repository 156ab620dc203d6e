//! The keys in docs/reference.md are those of the program. `UPDATE=1` writes them into the file.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use diagnose_tools::cli::help::{Section, sections};

const BEGIN: &str = "<!-- keys: begin -->\n";
const END: &str = "<!-- keys: end -->\n";

/// A table with the keys in a section of `--help`.
fn table(section: &Section) -> String {
    let options: Vec<_> = section.options.iter().map(|o| format!("`{o}`")).collect();
    let mut text = format!(
        "\n### {} ({})\n\n| key | values | default | meaning |\n|---|---|---|---|\n",
        section.title.en(),
        options.join(", ")
    );
    for key in &section.keys {
        let cells = [key.allowed.en(), key.initial.en(), key.help.en()]
            .map(|cell| cell.replace('|', "\\|"));
        text += &format!("| `{}` | {} |\n", key.name, cells.join(" | "));
    }
    text
}

fn tables() -> String {
    sections().iter().map(table).collect::<String>() + "\n"
}

#[test]
fn the_reference_has_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let from = text.find(BEGIN).expect("the markers") + BEGIN.len();
    let to = text.find(END).expect("the markers");
    let expected = tables();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text[..from].to_owned() + &expected + &text[to..]).unwrap();
        return;
    }
    assert_eq!(
        text[from..to],
        expected,
        "docs/reference.md: run with UPDATE=1"
    );
}
