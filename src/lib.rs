//! The controller of `tcpstates.ko`: it reads the recorded events and prints them for people and
//! scripts.
//!
//! Each layer imports only from layers to its right, which `scripts/check imports` enforces:
//!
//! `app` → [`cli`] → [`command`] → [`render`] → [`diagnose`] → [`host`] → [`backend`] → [`model`]
//! → [`error`] → [`abi`], [`stderr`], [`mod@fmt`]
//!
//! Only [`command`] uses [`module`], which builds and loads the kernel module and imports from
//! [`host`] and below. All unsafe code is in [`backend::device`], [`backend::ring`] and [`abi`].

#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::print_stderr,
        clippy::print_stdout
    )
)]

pub mod abi;
pub mod app;
pub mod backend;
pub mod cli;
pub mod command;
pub mod diagnose;
pub mod error;
pub mod fmt;
pub mod host;
pub mod model;
pub mod module;
pub mod render;
pub mod stderr;
