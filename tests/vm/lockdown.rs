//! A kernel that is locked down, or wants signatures, as with Secure Boot: an
//! unsigned module is refused, with a way out; what is loaded goes on.

use std::fs;
use std::process::Command;

use libtest_mimic::Trial;

use crate::support::{scenario, tool, traffic};

/// In this order: a kernel does not become less strict again.
pub fn trials() -> Vec<Trial> {
    vec![
        scenario("a_locked_down_kernel_goes_on_recording", goes_on),
        scenario("a_locked_down_kernel_takes_no_unsigned_module", unsigned),
        scenario("a_kernel_that_wants_signatures_says_so", signatures),
    ]
}

const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

fn lock_down(level: &str) {
    fs::write(LOCKDOWN, level).expect("a kernel can be locked down");
}

/// New hooks, reports and mappings: a module that the kernel trusts may all that it needs.
fn goes_on() {
    tool::activate("");
    let mut mount = Command::new("mount");
    mount.args(["-t", "securityfs", "securityfs", "/sys/kernel/security"]);
    tool::outcome(mount);
    for level in ["integrity", "confidentiality"] {
        lock_down(level);
        for hook in ["tracepoint", "kprobe"] {
            tool::activate(&format!("hook={hook}"));
            traffic::client_first(&traffic::listen(traffic::V4));
            let report = tool::report("transitions=1");
            assert_eq!(report.transitions.len(), 12, "{level}, {hook}");
        }
    }
    tool::tcpstates(&["--deactivate"]);
}

fn assert_refused(error: &str) {
    let outcome = tool::run(&["install"]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    for part in ["tcpstates.ko", error, "sign the module", "mokutil --import"] {
        assert!(outcome.stderr.contains(part), "no {part}: {outcome:?}");
    }
}

fn unsigned() {
    tool::unloaded();
    assert_refused("Operation not permitted");
}

fn signatures() {
    fs::write("/sys/module/module/parameters/sig_enforce", "1").expect("a switch, once");
    assert_refused("Key was rejected by service");
}
