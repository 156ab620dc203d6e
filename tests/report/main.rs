//! `--report` against a backend in memory.

mod asked;
mod choice;
mod devices;
mod fields;
mod holders;
mod names;
mod reading;
mod summary;
mod support;
mod text;
