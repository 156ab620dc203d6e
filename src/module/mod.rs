//! How the module gets into the kernel: found, built, loaded, unloaded.

pub mod compile;
pub mod load;
pub mod programs;
pub mod stamp;
pub mod trust;
pub mod unpack;
