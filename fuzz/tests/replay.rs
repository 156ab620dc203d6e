//! Replays every input that fuzzing has kept, and every input that has failed before.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use diagnose_tools_fuzz::TARGETS;

/// Prints the name of the input file if the test fails.
struct Replayed(PathBuf);

impl Drop for Replayed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("failed: {}", self.0.display());
        }
    }
}

/// The files of a target in a folder, sorted; none if the folder does not exist.
fn files(folder: &str, target: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join(target);
    let entries = fs::read_dir(path).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn replay(name: &str) {
    let (_, target) = TARGETS.iter().find(|(n, _)| *n == name).unwrap();
    let corpus = files("corpus", name);
    assert!(!corpus.is_empty(), "the corpus of {name} is empty");
    for file in corpus.into_iter().chain(files("regressions", name)) {
        let input = fs::read(&file).unwrap();
        let _replayed = Replayed(file);
        target(&input);
    }
}

#[test]
fn records() {
    replay("records");
}

#[test]
fn options() {
    replay("options");
}

#[test]
fn filters() {
    replay("filters");
}

#[test]
fn limits() {
    replay("limits");
}

#[test]
fn captures() {
    replay("captures");
}

#[test]
fn every_target_has_its_main_and_its_replay() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let names = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        path.file_stem().unwrap().to_str().unwrap().to_owned()
    };
    let mut mains: Vec<_> = fs::read_dir(path).unwrap().map(names).collect();
    mains.sort();
    let mut targets = TARGETS.map(|(name, _)| name.to_owned());
    targets.sort();
    assert_eq!(mains, targets);
    let replayed = include_str!("replay.rs");
    assert!(
        targets
            .iter()
            .all(|name| replayed.contains(&format!("replay(\"{name}\")")))
    );
}
