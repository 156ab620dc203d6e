//! What is known of connections, listeners and pairs. No input and no output.

pub mod alarm;
pub mod filter;
pub mod findings;
pub mod handshakes;
pub mod histogram;
pub mod listener;
pub mod lives;
pub mod pair;
pub mod reason;
pub mod record;
pub mod state;
pub mod summary;
