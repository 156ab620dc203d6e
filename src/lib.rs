//! The controller of `tcpstates.ko`: asks the module for what it recorded and
//! says it to people and scripts.
//!
//! From the kernel up: [`abi`] is the header's structures; [`device`] and
//! [`ring`] hold all unsafe code, behind the safe trait [`recorder`];
//! [`record`], [`alarm`], [`listener`], [`group`], [`merge`], [`filter`], [`select`], [`hist`], [`handshakes`] and
//! [`summary`] make sense of what comes, [`places`] names where it was; [`output`] prints it, made of [`mod@line`], [`text`],
//! [`json`] and [`time`]; [`report`], [`follow`],
//! [`settings`], [`mod@activate`] and [`install`] are what the user asks for by
//! [`cli`], [`keyval`] and [`options`]; [`engine`] carries it out. [`install`] loads what [`unpack`]
//! gives, or [`build`] has built and [`stamp`] knows again; [`trust`] says of whom, and [`programs`] with what.

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

pub mod abi;
pub mod activate;
pub mod alarm;
pub mod build;
pub mod cli;
pub mod dev;
pub mod device;
pub mod diagnose;
pub mod engine;
pub mod error;
pub mod filter;
pub mod follow;
pub mod group;
pub mod handshakes;
pub mod hist;
pub mod i18n;
pub mod install;
pub mod json;
pub mod keys;
pub mod keyval;
pub mod line;
pub mod listener;
pub mod lives;
pub mod merge;
pub mod node;
pub mod options;
pub mod output;
pub mod places;
pub mod programs;
pub mod reason;
pub mod record;
pub mod recorder;
pub mod report;
pub mod ring;
pub mod say;
pub mod select;
pub mod settings;
pub mod stamp;
pub mod state;
pub mod summary;
pub mod terminal;
pub mod text;
pub mod time;
pub mod trust;
pub mod unpack;
pub mod watch;
