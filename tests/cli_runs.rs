//! The program as a whole, where there is no module.

mod cli;

use std::fs::File;
use std::process::Stdio;

use cli::{Done, program, run};
use diagnose_tools::cli::keys;
use diagnose_tools::model::key::{self, Keys};

const NOT_LOADED: &str = "diagnose-tools: the module is not loaded: run `diagnose-tools install`\n";

#[test]
fn without_the_module_every_option_says_so() {
    for option in [
        "--activate",
        "--deactivate",
        "--settings",
        "--report",
        "--follow",
    ] {
        let done = run(&["tcpstates", option]);
        assert_eq!(
            (done.status, done.out.as_str(), done.err.as_str()),
            (1, "", NOT_LOADED)
        );
    }
}

#[test]
fn another_device_is_told_from_the_modules() {
    let done: Done = program(&["tcpstates", "--report"])
        .env("DIAGNOSE_TOOLS_DEVICE", "/dev/null")
        .output()
        .unwrap()
        .into();
    let expected =
        "diagnose-tools: /dev/null is not the module's device: run `diagnose-tools install`\n";
    assert_eq!((done.status, done.err.as_str()), (1, expected));
}

#[test]
fn help_of_each_level_shows_examples_and_every_key() {
    for args in [
        &["--help"][..],
        &["-h"],
        &["install", "--help"],
        &["tcpstates", "--help"],
    ] {
        let done = run(args);
        assert_eq!((done.status, done.err.as_str()), (0, ""), "{args:?}");
        assert!(done.out.contains("Usage: diagnose-tools"), "{args:?}");
    }
    assert!(run(&["--help"]).out.contains("Examples:"));
    let help = run(&["tcpstates", "--help"]).out;
    assert!(help.contains("Examples:"));
    assert_shown(&help, keys::ACTIVATE);
    assert_shown(&help, keys::REPORT);
    assert_shown(&help, keys::FOLLOW);
    assert_shown(&help, keys::SETTINGS);
    assert_shown(&help, keys::DIAGNOSE);
}

fn assert_shown<O>(help: &str, keys: Keys<O>) {
    for key in key::all(keys) {
        let (name, initial) = (key.name, key.initial.text());
        let line = format!("  {name:<13} {} [default: {initial}]", key.help);
        assert!(help.contains(&line), "{line}");
        assert!(help.contains(&key.value.allowed()), "{line}");
    }
}

#[test]
fn versions_name_both_interfaces_and_the_module() {
    let done = run(&["--version"]);
    let expected = "diagnose-tools 0.1.0 (call version 5, record version 4)\nmodule: not loaded\n";
    assert_eq!((done.status, done.out.as_str()), (0, expected));
    assert_eq!(run(&["-V"]).out, expected);
}

#[test]
fn completions_know_the_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = run(&["completions", shell]);
        assert_eq!(done.status, 0);
        assert!(
            done.out.contains("follow") && done.out.contains("uninstall"),
            "{shell}"
        );
    }
}

#[test]
fn a_closed_pipe_is_quiet_and_a_full_disk_is_not() {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    let done: Done = program(&["--help"])
        .stdout(Stdio::from(writer))
        .output()
        .unwrap()
        .into();
    assert_eq!((done.status, done.err.as_str()), (0, ""));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let done: Done = program(&["--help"]).stdout(full).output().unwrap().into();
    let expected =
        "diagnose-tools: cannot write to stdout: No space left on device (os error 28)\n";
    assert_eq!((done.status, done.err.as_str()), (1, expected));
}

#[test]
fn nobody_to_hear_an_error_changes_nothing() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let done = program(&["tcpstates", "--report"])
        .stderr(full)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
}

#[test]
fn arguments_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"--report=\xff");
    let done: Done = program(&["tcpstates"]).arg(odd).output().unwrap().into();
    assert_eq!(
        (done.status, done.err.lines().count()),
        (2, 1),
        "{}",
        done.err
    );
}
