//! The commands, one file each.

pub mod activate;
pub mod diagnose;
pub mod doubts;
pub mod dump;
pub mod follow;
pub mod install;
pub mod memory;
pub mod options;
pub mod print;
pub mod report;
pub mod settings;
