//! The controller of `tcpstates.ko`: reads what the module recorded and prints it for people and
//! scripts.
//!
//! From the bottom up; a part uses only those below it (`scripts/check imports`):
//! [`abi`] is the header's structures, [`fmt`] bytes and text, [`error`] and [`mod@stderr`] what is
//! said when something fails; [`model`] what is known of connections, without input and output;
//! [`backend`] where that comes from: the device and the rings, which hold all unsafe code, behind
//! the trait [`backend::Recorder`]; [`host`] what the machine around is asked; [`diagnose`] what is
//! wrong; [`render`] how all of it is printed; [`module`] how the module gets into the kernel;
//! [`command`] one file for each thing that a user asks for; [`cli`] the grammar and the keys; [`app`]
//! carries out what the command line says.

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)
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
