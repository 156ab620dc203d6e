//! What the scenarios share: the tool, the truths, the traffic.

pub mod device;
pub mod guest;
pub mod memory;
pub mod netns;
pub mod ss;
pub mod tool;
pub mod trace;
pub mod traffic;

use libtest_mimic::Trial;

/// A scenario: it fails by panicking.
pub fn scenario(name: &str, run: fn()) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}
