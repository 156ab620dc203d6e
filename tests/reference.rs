//! The keys in docs/reference.md are those of the program. `UPDATE=1` writes them there.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use diagnose_tools::cli::keys;
use diagnose_tools::model::key::{Keys, all};

const BEGIN: &str = "<!-- keys: begin -->\n";
const END: &str = "<!-- keys: end -->\n";

/// A table of the keys of one option.
fn table<O>(title: &str, keys: Keys<O>) -> String {
    let mut text =
        format!("\n### {title}\n\n| key | values | default | meaning |\n|---|---|---|---|\n");
    for key in all(keys) {
        let cells = [&key.value.allowed(), key.initial.text(), key.help]
            .map(|cell| cell.replace('|', "\\|"));
        text += &format!("| `{}` | {} |\n", key.name, cells.join(" | "));
    }
    text
}

fn tables() -> String {
    [
        table("Keys of `--activate`", keys::ACTIVATE),
        table("Keys of `--report`", keys::REPORT),
        table(
            "Keys of `--follow`: those of `--report` but `peek` and `findings`, and",
            keys::FOLLOW_OWN,
        ),
        table("Keys of `--settings`", keys::SETTINGS),
        table("Keys of `--diagnose`", keys::DIAGNOSE),
    ]
    .concat()
        + "\n"
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

#[test]
fn follow_lacks_what_the_reference_says() {
    let names = |keys| all(keys).map(|key| key.name).collect::<Vec<_>>();
    let (report, follow) = (names(keys::REPORT), names(keys::FOLLOW));
    let lacks: Vec<_> = report.iter().filter(|n| !follow.contains(n)).collect();
    assert_eq!(lacks, [&"findings", &"peek"]);
}
