//! `--report` against a backend in memory.

#[path = "../fake/mod.rs"]
mod fake;

mod choice;
mod devices;
mod fields;
mod names;
mod reading;
mod summary;
mod support;
mod text;
