//! The commands, one file each.

pub mod activate;
mod count;
pub mod cursor;
pub mod diagnose;
pub mod doubts;
pub mod dump;
pub mod follow;
pub mod html;
pub mod install;
pub mod kept;
pub mod memory;
pub mod options;
pub mod print;
pub mod report;
mod select;
pub mod settings;
pub mod top;
