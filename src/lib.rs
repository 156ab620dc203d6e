//! The controller of `tcpstates.ko`: asks the module for what it recorded and
//! says it to people and scripts.

pub mod abi;
pub mod error;
pub mod record;
pub mod ring;
pub mod state;
