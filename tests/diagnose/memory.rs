//! Findings of earlier diagnoses: which are new, still there, and gone.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diagnose_tools::backend::Backend;
use diagnose_tools::cli::parse;
use diagnose_tools::command::diagnose::diagnose;
use diagnose_tools::command::options::DiagnoseOptions;
use diagnose_tools::diagnose::Scope;
use diagnose_tools::error::{Error, Result};
use diagnose_tools::render::Style;
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::time::Clock;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use testkit::fake::{Fake, GENERATION, NOW_REAL};
use testkit::host::FakeHost;
use testkit::scene::{CLOSE_WAIT, Conn, SECOND, stranger};
use testkit::scratch::Scratch;

use crate::support::{add, host};

/// A folder for the file.
struct Place(Scratch);

impl Place {
    fn new(name: &str) -> Option<Self> {
        Scratch::new(env!("CARGO_TARGET_TMPDIR"), &format!("memory-{name}")).map(Self)
    }

    /// The folder of the file, which does not exist yet.
    fn memory(&self) -> PathBuf {
        self.0.path().join("memory")
    }

    fn file(&self) -> PathBuf {
        self.memory().join("findings")
    }
}

fn style(fake: &Fake, lang: Lang) -> Style {
    Style {
        labels: lang.labels(),
        clock: Clock::with_zone(&fake.stats().unwrap(), TimeZone::UTC),
        width: None,
        color: false,
    }
}

fn run(fake: &Fake, memory: &Path, keys: &str, out: &mut dyn Write) -> Result<()> {
    let options = parse::diagnose(keys).unwrap();
    let options = DiagnoseOptions {
        scope: Scope {
            patience: Duration::ZERO,
            ..options.scope
        },
        memory: Some(memory.to_owned()),
        ..options
    };
    let style = style(fake, Lang::En);
    diagnose(fake, &options, &mut FakeHost::default(), &style, out)
}

fn text(fake: &Fake, memory: &Path, keys: &str) -> String {
    let mut out = Vec::new();
    run(fake, memory, keys, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The lines of a diagnosis, without the last one.
fn lines(fake: &Fake, memory: &Path, keys: &str) -> Vec<Value> {
    let text = text(fake, memory, &format!("json=1 {keys}"));
    let parsed = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut lines: Vec<Value> = parsed.collect();
    assert_eq!(lines.pop().unwrap()["type"], "diagnosis");
    lines
}

/// A line as `TYPE ID STATUS FIRST LAST`, with the times in seconds since the clock of the fake.
fn told(line: &Value) -> String {
    let word = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
    let seconds = |key: &str| {
        let time = line[key].as_str()?.parse::<Timestamp>().unwrap();
        Some(time.as_second() - (NOW_REAL / SECOND) as i64)
    };
    let time = |key: &str| seconds(key).map_or("-".to_owned(), |seconds| seconds.to_string());
    let words = ["type", "id", "status"].map(word);
    let times = ["first_seen", "last_seen"].map(time);
    [&words[..], &times[..]].concat().join(" ")
}

fn look(fake: &Fake, memory: &Path, keys: &str) -> Vec<String> {
    lines(fake, memory, keys).iter().map(told).collect()
}

/// A host, so many seconds later, on which a process has a pile of connections in CLOSE_WAIT.
fn leaky(pid: u32, seconds: u64) -> Fake {
    let left = |n| Conn {
        pid,
        ..Conn::served(stranger(n), 60).state(CLOSE_WAIT)
    };
    let fake = healthy(seconds);
    add(&fake, (0..100).map(left));
    fake
}

fn healthy(seconds: u64) -> Fake {
    let fake = host();
    fake.later.set(seconds * SECOND);
    fake
}

const ID: &str = "close-wait:4026531840:process=nginx";

#[test]
fn a_finding_is_new_then_still_there_then_gone_once() {
    let Some(scratch) = Place::new("states") else {
        return;
    };
    let memory = scratch.memory();
    let look = |fake: &Fake| look(fake, &memory, "");
    assert_eq!(look(&leaky(142, 0)), [format!("finding {ID} new 0 0")]);
    // The worker was restarted, and has another pid.
    let restarted = leaky(5_142, 843);
    assert_eq!(look(&restarted), [format!("finding {ID} still 0 843")]);
    let gone = [format!("finding_gone {ID} - 0 843")];
    assert_eq!(look(&healthy(900)), gone);
    assert_eq!(look(&healthy(901)), [""; 0]);
    // It comes back within the hour, and after it.
    assert_eq!(look(&leaky(9, 3_000)), [format!("finding {ID} new 0 3000")]);
    look(&healthy(3_001));
    assert_eq!(
        look(&leaky(9, 6_601)),
        [format!("finding {ID} new 6601 6601")]
    );
}

#[test]
fn text_says_since_when_it_is_there() {
    let Some(scratch) = Place::new("text") else {
        return;
    };
    let memory = scratch.memory();
    let text = |fake: &Fake| text(fake, &memory, "");
    let seen = |text: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("  Seen     "));
        line.map(str::to_owned)
    };
    assert_eq!(seen(&text(&leaky(142, 0))).as_deref(), Some("new"));
    let later = text(&leaky(142, 843));
    assert_eq!(seen(&later).as_deref(), Some("since 22:13 (14m 03s)"));
    let tomorrow = text(&leaky(142, 97_200));
    let expected = Some("since 2023-11-14 22:13 (1d 03h)");
    assert_eq!(seen(&tomorrow).as_deref(), expected);
    let gone = text(&healthy(97_260));
    let line = gone.lines().next().unwrap();
    let expected = format!("Gone {ID}: 2023-11-14 22:13 - 01:13 (1d 03h)");
    assert_eq!(line, expected);
}

#[test]
fn what_is_gone_fails_no_check() {
    let Some(scratch) = Place::new("check") else {
        return;
    };
    let check = |fake: &Fake| run(fake, &scratch.memory(), "check=1", &mut Vec::new());
    assert!(matches!(check(&leaky(142, 0)), Err(Error::Found(1))));
    assert!(check(&healthy(1)).is_ok());
}

#[test]
fn a_narrowed_diagnosis_declares_nothing_gone() {
    let Some(scratch) = Place::new("scope") else {
        return;
    };
    let memory = scratch.memory();
    look(&leaky(142, 0), &memory, "");
    let config = scratch.0.path().join("limits.toml");
    fs::write(&config, "[close-wait]\ncount = 500\n").unwrap();
    let config = format!("config={}", config.display());
    for narrowed in ["rules=resets", "port=443", &config] {
        assert_eq!(look(&leaky(142, 5), &memory, narrowed), [""; 0]);
    }
    let of_rule = look(&leaky(142, 6), &memory, "rules=close-wait|resets");
    assert_eq!(of_rule, [format!("finding {ID} new 6 6")]);
    let of_rule = look(&leaky(142, 7), &memory, "rules=resets|close-wait");
    assert_eq!(of_rule, [format!("finding {ID} still 6 7")]);
    let all = look(&leaky(142, 8), &memory, "");
    assert_eq!(all, [format!("finding {ID} still 0 8")]);
}

#[test]
fn a_new_activation_starts_anew() {
    let Some(scratch) = Place::new("activation") else {
        return;
    };
    let memory = scratch.memory();
    look(&leaky(142, 0), &memory, "");
    let known = fs::read_to_string(scratch.file()).unwrap();
    let other = format!("\"generation\":{GENERATION}");
    assert!(known.contains(&other), "{known}");
    fs::write(scratch.file(), known.replace(&other, "\"generation\":6")).unwrap();
    let anew = look(&leaky(142, 5), &memory, "");
    assert_eq!(anew, [format!("finding {ID} new 5 5")]);
    let still = look(&leaky(142, 6), &memory, "");
    assert_eq!(still, [format!("finding {ID} still 5 6")]);
}

#[test]
fn only_its_owner_reads_the_file() {
    let Some(scratch) = Place::new("modes") else {
        return;
    };
    let memory = scratch.memory();
    look(&leaky(142, 0), &memory, "");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&memory), mode(&scratch.file())), (0o700, 0o600));
    let names: Vec<_> = fs::read_dir(&memory)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["findings"]);
}

#[test]
fn a_file_that_cannot_be_used_is_replaced() {
    let Some(scratch) = Place::new("damaged") else {
        return;
    };
    let memory = scratch.memory();
    for damage in [&b""[..], b"\0\xff", b"{\"version\":2}", b"[]"] {
        look(&leaky(142, 0), &memory, "");
        fs::write(scratch.file(), damage).unwrap();
        assert_eq!(
            look(&leaky(142, 1), &memory, ""),
            [format!("finding {ID} new 1 1")]
        );
        assert_eq!(
            look(&leaky(142, 2), &memory, ""),
            [format!("finding {ID} still 1 2")]
        );
    }
}

#[test]
fn what_another_user_could_have_changed_is_not_used() {
    let Some(scratch) = Place::new("others") else {
        return;
    };
    let (memory, file) = (scratch.memory(), scratch.file());
    look(&leaky(142, 0), &memory, "");
    // The file of another folder.
    let target = scratch.0.path().join("target");
    fs::rename(&file, &target).unwrap();
    let before = fs::read(&target).unwrap();
    symlink(&target, &file).unwrap();
    assert_eq!(
        look(&leaky(142, 1), &memory, ""),
        [format!("finding {ID} new 1 1")]
    );
    assert_eq!(fs::read(&target).unwrap(), before);
    assert!(fs::symlink_metadata(&file).unwrap().is_file());
    // A file that the group may write.
    fs::set_permissions(&file, Permissions::from_mode(0o660)).unwrap();
    assert_eq!(
        look(&leaky(142, 2), &memory, ""),
        [format!("finding {ID} new 2 2")]
    );
    // A folder in which others may create files.
    let before = fs::read(&file).unwrap();
    fs::set_permissions(&memory, Permissions::from_mode(0o777)).unwrap();
    assert_eq!(
        look(&leaky(142, 3), &memory, ""),
        [format!("finding {ID} - - -")]
    );
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn a_diagnosis_works_where_nothing_can_be_remembered() {
    let Some(scratch) = Place::new("nowhere") else {
        return;
    };
    let file = scratch.0.path().join("file");
    fs::write(&file, "").unwrap();
    let nowhere = [
        file.join("memory"),
        scratch.0.path().join("none/memory"),
        file,
    ];
    for memory in nowhere {
        assert_eq!(
            look(&leaky(142, 0), &memory, ""),
            [format!("finding {ID} - - -")]
        );
        assert!(!text(&leaky(142, 0), &memory, "").contains("Seen"));
    }
}

/// Nobody has read what could not be printed.
#[test]
fn what_is_not_printed_stays_new() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let Some(scratch) = Place::new("closed") else {
        return;
    };
    let memory = scratch.memory();
    let closed = run(&leaky(142, 0), &memory, "json=1", &mut Closed);
    assert!(matches!(closed, Err(Error::ClosedPipe)));
    assert_eq!(
        look(&leaky(142, 1), &memory, ""),
        [format!("finding {ID} new 1 1")]
    );
}
