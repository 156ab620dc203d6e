//! Backends and hosts in memory, and structures as the module returns them: for tests, fuzz targets
//! and benchmarks.

pub mod busy;
pub mod fake;
pub mod host;
pub mod printed;
pub mod records;
pub mod scene;
pub mod scratch;
pub mod strange;
pub mod town;
pub mod traffic;
pub mod untrusted;
