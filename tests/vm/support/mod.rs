//! What the scenarios share: the tool, the truths, the traffic.

pub mod crowd;
pub mod device;
pub mod diagnosis;
pub mod faults;
pub mod guest;
pub mod life;
pub mod link;
pub mod memory;
pub mod netns;
pub mod nginx;
pub mod nstat;
pub mod process;
pub mod program;
pub mod random;
pub mod raw;
pub mod segment;
pub mod sockets;
pub mod ss;
pub mod storm;
pub mod tool;
pub mod trace;
pub mod traffic;
pub mod transition_counts;

use std::env;

use libtest_mimic::Trial;

/// A scenario: it fails by panicking. It runs in a network namespace of its
/// own, so that what one leaves in TIME_WAIT is not in the next one's way.
pub fn scenario(name: &str, run: fn()) -> Trial {
    Trial::test(name, move || {
        netns::alone(run);
        Ok(())
    })
}

/// A scenario of something that some kernels lack: there it is shown as ignored. Kernels of
/// distributions have it from 6.1 on, so that on these it fails.
pub fn scenario_where(is_there: fn() -> bool, name: &str, run: fn()) -> Trial {
    let may_lack = || guest::sanitizer().is_some() || tool::release().starts_with("5.10");
    let ignored = guest::group().is_some() && may_lack() && !is_there();
    scenario(name, run).with_ignored_flag(ignored)
}

/// Is this a quick selection: `--smoke`?
pub fn is_quick() -> bool {
    env::args().any(|arg| arg == "--smoke")
}

/// Is this the long run, which takes hours? See docs/hardening.md.
pub fn is_long() -> bool {
    env::var_os("DIAGNOSE_TOOLS_LONG").is_some_and(|value| value == "1")
}
