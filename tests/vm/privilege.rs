//! Who may not: other users, and the root of a user namespace.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use libtest_mimic::Trial;

use crate::support::tool::Outcome;
use crate::support::{device, scenario, tool};

const NOBODY: u32 = 65534;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("other_users_are_refused_by_tool_and_device", other_users),
        scenario("the_root_of_a_user_namespace_is_refused", namespace_root),
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
    // The recording was not touched by any of it.
    assert!(tool::tcpstates(&["--settings=json=1"]).contains(r#""active":true"#));
}

/// Even a device that somebody has opened to all lets nobody in.
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
    fs::set_permissions(device::path(), fs::Permissions::from_mode(0o600)).expect("chmod");
    tool::tcpstates(&["--deactivate"]);
}
