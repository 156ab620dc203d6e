//! Connections, listeners and pairs as plain values, without input or output.

pub mod activation;
pub mod alarm;
pub mod clock;
pub mod conn;
pub mod endpoint;
pub mod event;
pub mod filter;
pub mod handshakes;
pub mod histogram;
pub mod holders;
pub mod hook;
pub mod ident;
pub mod key;
pub mod listener;
pub mod lives;
pub mod meters;
pub mod order;
pub mod pair;
pub mod reason;
pub mod span;
pub mod state;
pub mod stats;
pub mod summary;
pub mod transition;
pub mod transition_count;
pub mod version;
