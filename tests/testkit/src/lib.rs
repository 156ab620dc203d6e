//! Backends and hosts in memory, and what the module would hand out: for tests, fuzz targets and
//! benchmarks.

pub mod busy;
pub mod fake;
pub mod host;
pub mod records;
pub mod scene;
pub mod strange;
pub mod untrusted;
