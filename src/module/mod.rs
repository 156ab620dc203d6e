//! The kernel module: finding or building the one for this kernel, loading and unloading it.

pub mod compile;
pub mod load;
pub mod programs;
pub mod stamp;
pub mod trust;
pub mod unpack;
