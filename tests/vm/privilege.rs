//! Who may not use the tool: other users, and root of a user namespace.

#![allow(unsafe_code, reason = "a raw call")]

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use diagnose_tools::abi;
use libtest_mimic::Trial;
use nix::sched::{CloneFlags, unshare};

use crate::support::process::Process;
use crate::support::tool::Outcome;
use crate::support::{device, scenario, tool};

const NOBODY: u32 = 65534;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("other_users_are_refused_by_tool_and_device", other_users),
        scenario("the_root_of_a_user_namespace_is_refused", namespace_root),
        scenario("root_without_the_capability_is_refused", without_capability),
        scenario("an_open_device_may_be_handed_on", handed_on),
    ]
}

fn as_nobody(mut command: Command) -> Outcome {
    command.uid(NOBODY).gid(NOBODY);
    tool::outcome(command)
}

fn cat() -> Command {
    let mut command = Command::new("cat");
    command.arg(device::path());
    command
}

fn other_users() {
    tool::activate("");
    let mode = fs::metadata(device::path()).expect("the device").mode();
    assert_eq!(mode & 0o777, 0o600);
    for option in [
        "--activate",
        "--deactivate",
        "--settings",
        "--report",
        "--follow",
    ] {
        let outcome = as_nobody(tool::command(&["tcpstates", option]));
        assert_eq!(outcome.status, 1, "{option}: {outcome:?}");
        assert_eq!(outcome.stdout, "", "{option}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{option}: {outcome:?}");
        assert!(
            outcome.stderr.contains("permission denied"),
            "{option}: {outcome:?}"
        );
        assert!(
            outcome.stderr.contains("run as root"),
            "{option}: {outcome:?}"
        );
    }
    for command in ["install", "uninstall"] {
        let outcome = as_nobody(tool::command(&[command]));
        assert_eq!(outcome.status, 1, "{command}: {outcome:?}");
        assert!(
            outcome.stderr.contains("run as root"),
            "{command}: {outcome:?}"
        );
    }
    let outcome = as_nobody(cat());
    assert!(
        outcome.stderr.contains("Permission denied"),
        "EACCES: {outcome:?}"
    );
    // None of these calls has changed the recording.
    assert!(tool::tcpstates(&["--settings=json=1"]).contains(r#""active":true"#));
}

/// Even a device node that everybody may open gives no access.
fn namespace_root() {
    tool::activate("");
    fs::set_permissions(device::path(), fs::Permissions::from_mode(0o666)).expect("chmod");
    let outcome = as_nobody(cat());
    assert!(
        outcome.stderr.contains("Operation not permitted"),
        "EPERM: {outcome:?}"
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "cat", &device::path()]);
    let outcome = as_nobody(unshare);
    assert!(
        outcome.stderr.contains("Operation not permitted"),
        "EPERM: {outcome:?}"
    );
    let outcome = as_nobody(tool::command(&["tcpstates", "--report"]));
    assert!(outcome.stderr.contains("permission denied"), "{outcome:?}");
    let mut unshare = Command::new("unshare");
    unshare.args([
        "--user",
        "--map-root-user",
        tool::PROGRAM,
        "tcpstates",
        "--report",
    ]);
    let outcome = as_nobody(unshare);
    assert_eq!(
        (outcome.status, outcome.stdout.as_str()),
        (1, ""),
        "{outcome:?}"
    );
    assert!(
        outcome.stderr.contains("in the initial user namespace"),
        "{outcome:?}"
    );
    fs::set_permissions(device::path(), fs::Permissions::from_mode(0o600)).expect("chmod");
    tool::tcpstates(&["--deactivate"]);
}

/// Like root of a container that shares the host's user namespace.
fn without_capability() {
    tool::activate("");
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
    setpriv.args([tool::PROGRAM, "tcpstates", "--report"]);
    let outcome = tool::outcome(setpriv);
    assert_eq!(
        (outcome.status, outcome.stdout.as_str()),
        (1, ""),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("CAP_NET_ADMIN"), "{outcome:?}");
    tool::tcpstates(&["--deactivate"]);
}

/// The capability is checked when the device is opened, as with any file. A process with it may
/// pass the open device to one that it trusts, but not by mistake, since the device has no read()
/// or write().
fn handed_on() {
    tool::activate("");
    let mut other = Process::fork(|mut line| {
        unshare(CloneFlags::CLONE_NEWUSER).expect("a user namespace");
        let refused = File::open(device::path()).expect_err("no right of its own");
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
        let mut device = File::from(line.take());
        let mut stats = vec![0_u64; size_of::<abi::Stats>() / 8];
        let request = u64::from(abi::call::GET_STATS);
        // SAFETY: the memory is as large as the structure that the call fills in.
        unsafe { device::ioctl(&device, request, stats.as_mut_ptr().addr()) }.expect("totals");
        assert_ne!(stats[0], 0, "the generation");
        assert!(device.read(&mut [0; 8]).is_err() && device.write(&[0; 8]).is_err());
    });
    other.line.pass(device::open().as_raw_fd());
    other.finish();
    tool::tcpstates(&["--deactivate"]);
}
