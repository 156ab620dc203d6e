//! The live view: frames of a backend in memory, and the program in a real terminal.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../cli/mod.rs"]
mod cli;
mod cost;
mod frames;
mod playback;
mod support;
mod terminal;
mod tmux;
