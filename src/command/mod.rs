//! What the user asks for: one file for each command.

pub mod activate;
pub mod diagnose;
pub mod follow;
pub mod options;
pub mod report;
pub mod select;
pub mod settings;
