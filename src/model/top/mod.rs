//! Data of the live view: rates, groups of connections, and the playback of a recording.

pub mod groups;
pub mod pick;
pub mod playback;
pub mod rates;
pub mod screen;
pub mod tally;
