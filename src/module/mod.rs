//! The kernel module: finds or builds one for this kernel, loads it and unloads it.

pub mod compile;
pub mod load;
pub mod programs;
pub mod stamp;
pub mod trust;
pub mod unpack;
