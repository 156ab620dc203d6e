//! Captures of a backend in memory: a capture gives the same output as the backend and its host.

#[path = "../cli/mod.rs"]
mod cli;
mod large;
mod recording;
mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cli::{Done, program, run};
use diagnose_tools::backend::Backend;
use diagnose_tools::backend::capture::backend::Capture;
use diagnose_tools::backend::capture::format;
use diagnose_tools::command::dump::{self, Counts};
use diagnose_tools::command::options::DumpOptions;
use diagnose_tools::error::Error;
use diagnose_tools::fmt::lang::Lang;
use diagnose_tools::host::captured::CapturedHost;
use recording::Recording;
use support::{Named, bytes_of, captured, outputs, rich};
use testkit::fake::{Fake, NOW};

#[test]
fn all_outputs_of_a_capture_are_those_of_the_backend() {
    for fake in [Fake::new(1, 64), rich()] {
        let expected = outputs(&fake, &mut Named, &Named::names);
        let (capture, mut host) = captured(&fake);
        let names = || CapturedHost::new(&capture).unwrap().all_names();
        let told = outputs(&capture, &mut host, &names);
        for (expected, told) in expected.iter().zip(&told) {
            assert_eq!(told, expected);
        }
        // The backend is unchanged, and can be read again.
        assert_eq!(outputs(&capture, &mut host, &names), told);
        assert_eq!(outputs(&fake, &mut Named, &Named::names), expected);
    }
}

#[test]
fn a_capture_says_how_much_is_in_it() {
    let fake = rich();
    let mut bytes = Vec::new();
    let counts = dump::write(&fake, &mut Named, "memory", &mut bytes).unwrap();
    let expected = Counts {
        events: 64 + 5,
        connections: 5,
        listeners: 2,
    };
    assert_eq!(counts, expected);
    assert_eq!(
        fake.consume_calls.get(),
        1,
        "but for what was reported before"
    );
    fake.active.set(false);
    let failed = dump::write(&fake, &mut Named, "memory", &mut Vec::new());
    assert!(matches!(failed, Err(Error::NotActive)));
}

#[test]
fn events_that_are_recorded_while_others_are_written_are_captured() {
    let fake = rich();
    let (before, head) = (bytes_of(&fake), fake.rings[0].head());
    let mut bytes = Vec::new();
    let counts = dump::write(&Recording(&fake), &mut Named, "memory", &mut bytes).unwrap();
    // The ring of CPU 0 is full: the new event has overwritten the oldest one, which is captured.
    assert_eq!(counts.events, 64 + 5 + 1);
    let head_of = |bytes| {
        let capture = Capture::new(bytes, "memory".into()).unwrap();
        capture.rings().unwrap()[0].head
    };
    assert_eq!((head_of(before), head_of(bytes)), (head, head + 1));
}

#[test]
fn each_damaged_bit_and_each_missing_end_is_an_error() {
    let bytes = bytes_of(&rich());
    let refused = |bytes: Vec<u8>| {
        let error = Capture::new(bytes, "x.cap".into()).err();
        let text = error.expect("it is refused").text().en().to_owned();
        assert!(
            text.starts_with("x.cap: it ") && !text.contains('\n'),
            "{text}"
        );
    };
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            refused(damaged);
        }
        refused(bytes[..at].to_vec());
    }
}

/// A directory that is removed at the end of the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("diagnose-tools-capture-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn put(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn dump_to(fake: &Fake, path: &str) -> Result<String, String> {
    let file = path.into();
    let mut out = Vec::new();
    let done = dump::dump(fake, &mut Named, &DumpOptions { file }, Lang::En, &mut out);
    done.map_err(|e| e.text().en().to_owned())?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn a_file_is_written_as_a_whole_or_not_at_all() {
    let directory = Directory::new("written");
    let path = directory.put("x.cap", b"an older one");
    let fake = rich();
    let told = dump_to(&fake, &path).unwrap();
    let expected = "captured: 69 events, 5 connections, 2 listeners, ";
    assert!(
        told.starts_with(expected) && told.ends_with(&format!(": {path}\n")),
        "{told}"
    );
    assert_eq!(fs::read(&path).unwrap(), bytes_of(&fake));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    fake.active.set(false);
    assert!(
        dump_to(&fake, &path)
            .unwrap_err()
            .starts_with("not active: ")
    );
    fake.active.set(true);
    assert!(
        Capture::open(Path::new(&path)).is_ok(),
        "the older one is there"
    );
    let nowhere = directory.path("none/x.cap");
    let text = dump_to(&fake, &nowhere).unwrap_err();
    assert!(
        text.starts_with(&format!("writing {nowhere}: No such file")),
        "{text}"
    );
    let link = directory.path("link");
    symlink("/dev/null", &link).unwrap();
    for path in [&link, directory.0.to_str().unwrap(), "/dev/null"] {
        let text = dump_to(&fake, path).unwrap_err();
        assert_eq!(text, format!("writing {path}: it is not a regular file"));
    }
    assert_eq!(directory.names(), ["link", "x.cap"]);
}

#[test]
fn the_program_reads_captures_without_a_module() {
    let directory = Directory::new("read");
    let fake = rich();
    let path = directory.put("x.cap", &bytes_of(&fake));
    let tcpstates = |option: &str| -> Done {
        let mut command = program(&["tcpstates", option]);
        command
            .env("TZ", "UTC")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.output().unwrap().into()
    };
    let all = support::options(&format!(" from={path}"));
    let expected = outputs(&fake, &mut Named, &Named::names);
    for option in all {
        let done = tcpstates(&option);
        assert_eq!((done.status, done.err.as_str()), (0, ""), "{option}");
        assert!(expected.contains(&done.out), "{option}: {}", done.out);
    }
    // Names belong to the host on which the capture was made.
    for keys in [
        "netns=blue",
        "netns=4026531840 laddr=10.0.0.1%v0",
        "netns=blue laddr=::1%7",
    ] {
        let done = tcpstates(&format!("--report=from={path} {keys}"));
        assert_eq!((done.status, done.err.as_str()), (0, ""), "{keys}");
    }
    let done = tcpstates(&format!("--report=from={path} netns=red"));
    let expected = "'red' of 'netns': the capture has no namespace of this name; allowed: ";
    assert!(
        done.status == 2 && done.err.contains(expected),
        "{}",
        done.err
    );
    let chained = run(&[
        "tcpstates",
        &format!("--settings=from={path}"),
        "--settings",
    ]);
    assert_eq!(
        (chained.status, chained.out.as_str()),
        (1, ""),
        "no module, nothing is done"
    );
}

#[test]
fn what_is_no_capture_is_said_and_fails() {
    let directory = Directory::new("wrong");
    let whole = bytes_of(&rich());
    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    let cases = [
        (
            directory.put("empty", b""),
            "it is not a capture of diagnose-tools",
        ),
        (
            directory.put("text", &[b'x'; 4096]),
            "it is not a capture of diagnose-tools",
        ),
        (
            directory.put("cut", &whole[..whole.len() - 1]),
            "it ends at byte ",
        ),
        (directory.put("damaged", &damaged), "it is damaged at byte "),
        (
            directory.put("newer", &format::header(2)),
            "it was written by a newer version",
        ),
        (directory.path("none"), "No such file or directory"),
        (
            directory.0.to_str().unwrap().to_owned(),
            "it is not a regular file",
        ),
        ("/dev/zero".to_owned(), "it is not a regular file"),
    ];
    for (path, expected) in cases {
        for option in ["report", "diagnose", "settings"] {
            let done = run(&["tcpstates", &format!("--{option}=from={path}")]);
            assert_eq!((done.status, done.out.as_str()), (1, ""), "{path}");
            let expected = format!("diagnose-tools: {path}: {expected}");
            assert!(done.err.starts_with(&expected), "{}", done.err);
            assert_eq!(done.err.lines().count(), 1, "{}", done.err);
        }
    }
}

#[test]
fn wrong_keys_are_refused() {
    for (option, expected) in [
        ("--dump", "--dump: 'file' is missing"),
        ("--dump=from=x", "unknown key 'from'"),
        ("--follow=from=x", "unknown key 'from'"),
        ("--diagnose=from=x sample=5", "a capture has no packets"),
        ("--report=from=x netns=blue", "x: No such file"),
        (
            "--report=from=x laddr=fe80::1%eth0",
            "say with netns= whose device",
        ),
    ] {
        let done = run(&["tcpstates", option]);
        assert_eq!(
            (done.status, done.out.as_str()),
            (2, ""),
            "{option}: {}",
            done.err
        );
        assert!(done.err.contains(expected), "{option}: {}", done.err);
    }
}

/// The files in `tests/captures`, one for each version of the format, are compared with their
/// output at the time when they were written, which is stored beside each.
#[test]
fn captures_of_all_versions_say_what_they_said() {
    let mut files = support::old_captures();
    files.retain(|path| path.extension().is_some_and(|e| e == "cap"));
    assert!(!files.is_empty());
    for path in files {
        let (told, expected) = (support::told_by(&path), support::expected_of(&path));
        assert_eq!(told.len(), expected.len(), "{}", path.display());
        for (told, expected) in told.iter().zip(&expected) {
            assert!(
                support::includes(told, expected),
                "{told} is not {expected}"
            );
        }
    }
}

/// Writes the files for the current version, once, when it is new.
#[test]
#[ignore = "writes into the tree"]
fn write_the_capture_of_this_version() {
    let path = support::folder().join(format!("v{}-all.cap", format::VERSION));
    dump_to(&rich(), path.to_str().unwrap()).unwrap();
    let told = support::told_by(&path)
        .iter()
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    fs::write(support::expected_path(&path), told).unwrap();
}

/// Figures of docs/captures.md: `cargo test --release --test capture -- --ignored --nocapture`.
#[test]
#[ignore = "takes a minute, and a gigabyte of disk"]
fn ten_million_events_are_written_and_read_fast_and_in_little_memory() {
    let directory = Directory::new("large");
    large::measure(Path::new(&directory.path("large.cap")), NOW);
}
