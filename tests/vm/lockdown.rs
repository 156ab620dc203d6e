//! A kernel that is locked down, or requires signatures, as with Secure Boot: it refuses an
//! unsigned module, and the tool prints a remedy; a signed module, or one that is loaded already,
//! works.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;

use crate::support::tool::{self, Outcome};
use crate::support::{guest, scenario, traffic};

/// The order matters: a kernel cannot become less strict again.
pub fn trials() -> Vec<Trial> {
    match guest::sanitizer() {
        // It trusts a key that the tests have.
        Some(_) => vec![scenario(
            "a_signed_module_is_taken_where_signatures_are_wanted",
            signed,
        )],
        None => vec![
            scenario("a_locked_down_kernel_goes_on_recording", goes_on),
            scenario("a_locked_down_kernel_takes_no_unsigned_module", unsigned),
            scenario("a_kernel_that_wants_signatures_says_so", signatures),
        ],
    }
}

const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
const REJECTED: &str = "Key was rejected by service";
/// Path of a copy of the module folder.
const COPY: &str = "/tmp/signed";

fn lock_down(level: &str) {
    fs::write(LOCKDOWN, level).expect("a kernel can be locked down");
}

fn want_signatures() {
    fs::write("/sys/module/module/parameters/sig_enforce", "1").expect("a switch, once");
}

/// New hooks, reports and mappings: a module that the kernel trusts may do all of this.
fn goes_on() {
    tool::activate("");
    let mut mount = Command::new("mount");
    mount.args(["-t", "securityfs", "securityfs", "/sys/kernel/security"]);
    tool::outcome(mount);
    for level in ["integrity", "confidentiality"] {
        lock_down(level);
        assert_records();
    }
    tool::tcpstates(&["--deactivate"]);
}

fn assert_records() {
    for hook in ["tracepoint", "kprobe"] {
        tool::activate(&format!("hook={hook}"));
        traffic::client_first(&traffic::listen(traffic::V4));
        let report = tool::report("transitions=1");
        assert_eq!(report.transitions.len(), 12, "{hook}");
    }
}

fn assert_refused(outcome: &Outcome, error: &str) {
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    for part in ["tcpstates.ko", error, "sign the module", "mokutil --import"] {
        assert!(outcome.stderr.contains(part), "no {part}: {outcome:?}");
    }
}

fn unsigned() {
    tool::unloaded();
    assert_refused(&tool::run(&["install"]), "Operation not permitted");
}

fn signatures() {
    want_signatures();
    assert_refused(&tool::run(&["install"]), REJECTED);
}

/// Signed with the key that the kernel was built with. A module that was changed afterwards is
/// refused.
fn signed() {
    tool::unloaded();
    want_signatures();
    assert_refused(&tool::run(&["install"]), REJECTED);

    let module = copy_of_module();
    sign(&module);
    let good = fs::read(&module).expect("a module");
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 1;
    fs::write(&module, changed).expect("a file");
    assert_refused(&tool::install_from(Path::new(COPY)), REJECTED);

    fs::write(&module, good).expect("a file");
    let outcome = tool::install_from(Path::new(COPY));
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_records();
    tool::unloaded();
}

fn copy_of_module() -> PathBuf {
    let folder = Path::new(COPY).join(tool::release());
    fs::create_dir_all(&folder).expect("a folder");
    let copy = folder.join("tcpstates.ko");
    fs::copy(tool::module(), &copy).expect("a copy");
    copy
}

/// Signs it like the kernel's own modules.
fn sign(module: &Path) {
    let kernel = Path::new("/lib/modules")
        .join(tool::release())
        .join("build");
    let mut sign = Command::new(kernel.join("scripts/sign-file"));
    sign.arg("sha256");
    sign.args(["pem", "x509"].map(|kind| kernel.join(format!("certs/signing_key.{kind}"))));
    sign.arg(module);
    let outcome = tool::outcome(sign);
    assert_eq!(outcome.status, 0, "{outcome:?}");
}
