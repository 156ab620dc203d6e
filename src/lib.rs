//! The controller of `tcpstates.ko`: asks the module for what it recorded and
//! says it to people and scripts.

pub mod abi;
pub mod device;
pub mod error;
pub mod filter;
pub mod keys;
pub mod keyval;
pub mod options;
pub mod record;
pub mod recorder;
pub mod ring;
pub mod state;
pub mod text;
pub mod time;
