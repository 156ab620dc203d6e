//! The whole program, on a host without the module.

mod cli;

use std::fs::File;
use std::process::Stdio;

use cli::{Done, program, run};
use diagnose_tools::cli::keys;
use diagnose_tools::fmt::width::width;
use diagnose_tools::model::key::{self, Keys};
use diagnose_tools::model::reason::Reason;

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
    assert_shown(&help, keys::TOP);
}

/// Asserts that each key is in the help with its texts, whose lines may be wrapped anywhere.
fn assert_shown<O>(help: &str, keys: Keys<O>) {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let help = words(help);
    for key in key::all(keys) {
        let (name, initial) = (key.name, key.initial.words().en());
        let line = format!("{name} {} [default: {initial}]", key.help.en());
        assert!(help.contains(&words(&line)), "{line}");
        assert!(help.contains(&words(key.value.allowed().en())), "{line}");
    }
}

#[test]
fn help_describes_shared_keys_once() {
    let help = run(&["tcpstates", "--help"]).out;
    for key in [
        "addr",
        "lport",
        "netns",
        "min-ms",
        "state",
        "transitions",
        "check",
    ] {
        let line = format!("\n  {key:<13} ");
        assert_eq!(help.matches(&line).count(), 1, "{key}");
    }
    for section in [
        "Filters (--activate, --report, --follow, --diagnose, --html, --top):",
        "States and reasons (--report, --follow, --top):",
    ] {
        assert!(help.contains(section), "{section}");
    }
    let texts = help.split("\n\n").skip(3);
    let long = texts
        .flat_map(str::lines)
        .find(|l| !l.contains("diagnose-tools ") && l.len() > 100);
    assert_eq!(long, None);
}

/// Names that a line of the Chinese help may consist of.
fn is_name(word: &str) -> bool {
    let rules = || diagnose_tools::diagnose::rules::names();
    let reasons = || Reason::all().filter_map(Reason::name);
    word.bytes().all(|b| !b.is_ascii_lowercase())
        || rules().any(|rule| rule == word)
        || reasons().any(|reason| reason == word)
        || ["table", "detail", "json", "time", "bash"].contains(&word)
}

/// A line of the Chinese help without Chinese is a list of names, or a command line.
#[test]
fn help_in_chinese_has_no_english_line() {
    let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    for args in [
        &["--help"][..],
        &["install", "--help"],
        &["uninstall", "--help"],
        &["completions", "--help"],
        &["tcpstates", "--help"],
    ] {
        let done: Done = program(args)
            .env("LANG", "zh_CN.UTF-8")
            .output()
            .unwrap()
            .into();
        let chosen = run(&[&["--lang=zh"][..], args].concat());
        assert_eq!((done.status, &done.out), (0, &chosen.out), "{args:?}");
        assert_eq!(chosen.out, run(&[args, &["--lang", "zh"][..]].concat()).out);
        assert!(done.out.contains("用法：diagnose-tools"), "{}", done.out);
        for line in done.out.lines() {
            let is_command = line.starts_with("  diagnose-tools ");
            let mut words = line.split([' ', ',', '；']).filter(|word| !word.is_empty());
            let are_names = words.all(is_name);
            assert!(
                line.contains(is_chinese) || is_command || are_names,
                "{line}"
            );
            assert!(is_command || width(line) <= 110, "{line}");
        }
        // The same options, keys and command lines as in English.
        let names = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| line.starts_with("  "));
            let first = lines.filter_map(|line| line.split_whitespace().next());
            let is_option = |word: &&str| word.starts_with("--") || *word == "diagnose-tools";
            first.filter(is_option).map(str::to_owned).collect()
        };
        assert_eq!(names(&done.out), names(&run(args).out), "{args:?}");
    }
}

/// The command lines of `diagnose-tools tcpstates` in a text, split as the shell does.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let lines = text
        .lines()
        .filter_map(|line| line.split_once("diagnose-tools tcpstates --"));
    lines
        .map(|(_, rest)| arguments(&format!("--{rest}")))
        .collect()
}

/// The arguments up to the end of the command, as the shell sees it.
fn arguments(line: &str) -> Vec<String> {
    let (mut all, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => all.push(std::mem::take(&mut word)),
            '|' | '>' | '#' | '`' | ';' if !quoted => break,
            c => word.push(c),
        }
    }
    all.push(word);
    all.retain(|word| !word.is_empty());
    all
}

#[test]
fn command_lines_in_help_and_documents_are_right() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let mut texts: Vec<_> = docs
        .chain(["README.md", "README.zh-CN.md"].map(|name| root.join(name)))
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    texts.push(run(&["tcpstates", "--help"]).out);
    let lines: Vec<_> = texts.iter().flat_map(|text| command_lines(text)).collect();
    assert!(lines.len() > 20, "{lines:?}");
    for line in lines {
        // Usage lines are not examples; and the namespaces of the examples do not exist here.
        if line.iter().any(|arg| arg.contains("KEY=VALUE")) {
            continue;
        }
        let line: Vec<_> = line
            .iter()
            .map(|arg| arg.replace("netns=web", "netns=1"))
            .collect();
        let args = ["tcpstates"]
            .into_iter()
            .chain(line.iter().map(String::as_str));
        let done = run(&args.collect::<Vec<_>>());
        // The keys of a live view are checked before its terminal.
        let no_terminal = done.err.contains("--top: stdout is not a terminal");
        assert!(done.status != 2 || no_terminal, "{line:?}: {}", done.err);
    }
}

#[test]
fn states_are_taken_as_ss_writes_them() {
    for state in [
        "ESTAB",
        "estab",
        "time-wait",
        "TIME-WAIT",
        "syn-recv",
        "close-wait",
        "FIN-WAIT-1",
        "fin-wait-2",
        "LISTEN",
        "UNCONN",
        "last-ack",
        "connected",
        "!bucket",
    ] {
        let done = run(&["tcpstates", &format!("--report=state={state}")]);
        assert_eq!((done.status, done.err.as_str()), (1, NOT_LOADED), "{state}");
    }
}

#[test]
fn what_does_not_exist_here_is_a_warning_and_said_once() {
    let here = std::fs::read_link("/proc/self/ns/net").unwrap();
    let here = here
        .to_str()
        .unwrap()
        .replace(|c: char| !c.is_ascii_digit(), "");
    let told = |keys: &str| {
        let (activate, report) = (format!("--activate={keys}"), format!("--report={keys}"));
        let done = run(&["tcpstates", &activate, &report]);
        assert_eq!((done.status, done.out.as_str()), (1, ""), "{keys}");
        done.err
    };
    let none = format!("laddr=192.0.2.77 netns={here}");
    let warning = format!(
        "diagnose-tools: warning: laddr=192.0.2.77: no interface of network namespace {here} has this \
         address\n"
    );
    assert_eq!(told(&none), warning + NOT_LOADED);
    assert_eq!(told(&format!("laddr=127.0.0.1 netns={here}")), NOT_LOADED);
    let pid = std::process::id();
    let warning = format!(
        "diagnose-tools: warning: netns={pid}: no process and no name under /run/netns leads to a \
         network namespace with this inode number; for that of process {pid} write \
         netns=pid:{pid}\n"
    );
    assert_eq!(told(&format!("netns={pid}")), warning + NOT_LOADED);
}

#[test]
fn namespaces_are_taken_by_path_and_by_process() {
    let pid = std::process::id();
    for netns in [
        "/proc/self/ns/net".to_owned(),
        format!("pid:{pid}"),
        format!("/proc/{pid}/ns/net"),
    ] {
        let done = run(&["tcpstates", &format!("--report=netns={netns}")]);
        assert_eq!((done.status, done.err.as_str()), (1, NOT_LOADED), "{netns}");
    }
}

#[test]
fn versions_name_both_interfaces_and_the_module() {
    let done = run(&["--version"]);
    let expected = "diagnose-tools 0.1.0 (call version 7, record version 5)\nmodule: not loaded\n";
    assert_eq!((done.status, done.out.as_str()), (0, expected));
    assert_eq!(run(&["-V"]).out, expected);
    for args in [
        &["tcpstates", "--version"][..],
        &["tcpstates", "-V"],
        &["tcpstates", "--report", "--version"],
        &["install", "--version"],
    ] {
        let done = run(args);
        assert_eq!((done.status, done.out.as_str()), (0, expected), "{args:?}");
    }
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
        // PowerShell and elvish do not complete values.
        if ["bash", "zsh", "fish"].contains(&shell) {
            assert!(done.out.contains("max-conns="), "{shell}");
        }
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
