//! `--html`: what stands in the page, what it does with hostile names, and what happens if it cannot
//! be written.

mod browser;
#[path = "../cli/mod.rs"]
mod cli;
mod content;
mod failures;
mod hostile;
mod large;
mod markup;
mod support;
