//! Shared by the scenarios: the tool, the independent sources, the traffic.

pub mod crowd;
pub mod device;
pub mod diagnosis;
pub mod faults;
pub mod guest;
pub mod life;
pub mod link;
pub mod memory;
pub mod mptcp;
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
pub mod talk;
pub mod tool;
pub mod trace;
pub mod traffic;
pub mod transition_counts;

use std::env;

use libtest_mimic::Trial;

/// A scenario: it fails by panicking. It runs in its own network namespace, so that its sockets in
/// TIME_WAIT do not disturb the next one.
pub fn scenario(name: &str, run: fn()) -> Trial {
    Trial::test(name, move || {
        netns::alone(run);
        Ok(())
    })
}

/// A scenario that needs a feature which some kernels lack: there it is shown as ignored.
/// Distribution kernels have the feature from 6.1 on, so on these its absence is a failure.
pub fn scenario_where(is_there: fn() -> bool, name: &str, run: fn()) -> Trial {
    let may_lack = || guest::sanitizer().is_some() || tool::release().starts_with("5.10");
    let ignored = guest::group().is_some() && may_lack() && !is_there();
    scenario(name, run).with_ignored_flag(ignored)
}

/// Whether this is a quick selection (`--smoke`).
pub fn is_quick() -> bool {
    env::args().any(|arg| arg == "--smoke")
}

/// Whether this is the long run, which takes hours. See docs/hardening.md.
pub fn is_long() -> bool {
    env::var_os("DIAGNOSE_TOOLS_LONG").is_some_and(|value| value == "1")
}
