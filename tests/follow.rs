//! `--follow` against a backend in memory.

use std::fs::File;
use std::io::{Read, Seek};
use std::time::Duration;

use diagnose_tools::abi::ClockChange;
use diagnose_tools::backend::{Backend, Recorder};
use diagnose_tools::cli::parse;
use diagnose_tools::command::follow::follow;
use diagnose_tools::error::{Error, Result};
use diagnose_tools::host::names::Names;
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::time::Clock;
use diagnose_tools::render::{Style, sink};
use jiff::tz::TimeZone;
use serde_json::Value;
use testkit::fake::{Fake, Happening, NOW, NOW_REAL};
use testkit::host::Unobserved;
use testkit::records::conn;

fn run_to(fake: &Fake, keys: &str, out: &File) -> Result<()> {
    let options = parse::follow(keys)?;
    let clock = Clock::with_zone(&fake.stats()?, TimeZone::UTC);
    let style = Style {
        labels: Lang::En.labels(),
        clock,
        width: None,
        color: false,
    };
    let names = Names::new(None, "/nonexistent".into(), Duration::ZERO);
    follow(
        fake,
        &mut Unobserved::default(),
        &options,
        &mut *sink(options.format, style, names),
        out,
    )
}

fn run(fake: &Fake, keys: &str, script: Vec<Happening>) -> String {
    *fake.script.borrow_mut() = script;
    let path = std::env::temp_dir().join(format!(
        "diagnose-tools-follow-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    run_to(fake, keys, &file).unwrap();
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

fn json(fake: &Fake, keys: &str, script: Vec<Happening>) -> Vec<Value> {
    let text = run(fake, &format!("{keys} json=1"), script);
    text.lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

fn kinds(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|l| l["type"].as_str().unwrap()).collect()
}

fn happens(what: impl FnOnce(&Fake) + 'static) -> Happening {
    Box::new(what)
}

fn end() -> Happening {
    happens(|fake| fake.deactivate().unwrap())
}

#[test]
fn events_from_now_on_are_merged_and_no_position_moves() {
    let fake = Fake::new(2, 64);
    fake.record(0, 9, NOW - 500, 1);
    let lines = json(
        &fake,
        "",
        vec![
            happens(|f| {
                f.record(0, 2, NOW, 10);
                f.record(1, 2, NOW + 5, 10);
            }),
            happens(|f| f.record(1, 1, NOW + 50, 1)),
            end(),
        ],
    );
    assert_eq!(
        kinds(&lines),
        [
            "transition",
            "transition",
            "transition",
            "transition",
            "transition",
            "summary"
        ]
    );
    let order: Vec<_> = lines[..5]
        .iter()
        .map(|l| (l["cpu"].as_u64().unwrap(), l["seq"].as_u64().unwrap()))
        .collect();
    assert_eq!(order, [(0, 9), (1, 0), (0, 10), (1, 1), (1, 2)]);
    assert_eq!((fake.consumed(), fake.consume_calls.get()), (vec![0, 0], 0));
    assert_eq!(*fake.seen.borrow(), [9, 13, 14]);
    assert_eq!(lines[5]["this_report"]["shown"], 5);
}

#[test]
fn a_ring_that_comes_later_is_read_from_its_beginning() {
    let fake = Fake::new(2, 64);
    fake.listed.set(1);
    let script = vec![
        happens(|f| {
            f.record(1, 2, NOW, 1);
            f.record(0, 1, NOW + 1, 1);
            f.listed.set(2);
        }),
        happens(|f| f.record(1, 100, NOW + 10, 1)),
        end(),
    ];
    let lines = json(&fake, "summary=0", script);
    let of = |kind: &'static str| lines.iter().filter(move |l| l["type"] == kind);
    let order: Vec<_> = of("transition")
        .take(3)
        .map(|l| (l["cpu"].as_u64().unwrap(), l["seq"].as_u64().unwrap()))
        .collect();
    assert_eq!(order[0], (1, 0));
    assert_eq!(of("transition").count(), 3 + 64);
    let lost: Vec<_> = of("lost").map(|l| (&l["cpu"], &l["count"])).collect();
    assert_eq!(lost, [(&Value::from(1), &Value::from(36))]);
    assert_eq!(*fake.seen.borrow(), [0, 3, 103]);
}

#[test]
fn a_follower_follows_the_wall_clock() {
    const SECOND: u64 = 1_000_000_000;
    let set = |since_ns: u64, hours: i64| {
        happens(move |f: &Fake| {
            let offset_ns = (NOW_REAL - NOW) as i64 + hours * 3600 * SECOND as i64;
            let change = ClockChange {
                since_ns,
                offset_ns,
            };
            f.clocks.borrow_mut().push(change);
            f.record(0, 1, since_ns - 1, 1);
            f.record(0, 1, since_ns, 1);
        })
    };
    let fake = Fake::new(1, 64);
    let script = vec![set(NOW + SECOND, 1), set(NOW + 2 * SECOND, -2), end()];
    let lines = json(&fake, "summary=0", script);
    let told: Vec<_> = lines.iter().map(|l| l["ts"].as_str().unwrap()).collect();
    assert_eq!(
        told,
        [
            "2023-11-14T22:13:20.999999999Z",
            "2023-11-14T23:13:21.000000000Z",
            "2023-11-14T23:13:21.999999999Z",
            "2023-11-14T20:13:22.000000000Z",
        ]
    );
}

#[test]
fn a_slow_follower_is_told_what_it_missed() {
    let fake = Fake::new(2, 64);
    let script = || {
        vec![
            happens(|f| f.record(1, 100, NOW, 1)),
            happens(|f| f.record(1, 65, NOW, 1)),
            end(),
        ]
    };
    let lines = json(&fake, "", script());
    let lost: Vec<_> = lines
        .iter()
        .filter(|l| l["type"] == "lost")
        .map(|l| (l["cpu"].clone(), l["count"].clone()))
        .collect();
    assert_eq!(lost, [(1.into(), 36.into()), (1.into(), 1.into())]);
    assert_eq!(
        lines.iter().filter(|l| l["type"] == "transition").count(),
        128
    );
    let text = run(&{ Fake::new(2, 64) }, "summary=0", script());
    assert!(
        text.contains("*** 36 events were overwritten before they were read, on CPU 1"),
        "{text}"
    );
}

#[test]
fn it_ends_after_its_limit() {
    let fake = Fake::new(1, 64);
    let lines = json(&fake, "limit=3", vec![happens(|f| f.record(0, 10, NOW, 1))]);
    assert_eq!(
        kinds(&lines),
        ["transition", "transition", "transition", "summary"]
    );
    assert_eq!(lines[3]["this_report"]["transitions"], 3);
}

#[test]
fn what_came_before_the_end_is_still_printed() {
    let fake = Fake::new(1, 64);
    let script = vec![happens(|f| {
        f.record(0, 2, NOW, 1);
        f.rings[0].end();
    })];
    assert_eq!(
        kinds(&json(&fake, "summary=0", script)),
        ["transition", "transition"]
    );
}

#[test]
fn live_connections_come_first_if_they_are_wanted() {
    let mut fake = Fake::new(1, 64);
    fake.verbose = 1;
    *fake.conns.borrow_mut() = vec![conn("10.0.0.1:1", 1, NOW, 3); 3];
    let script = || vec![happens(|f: &Fake| f.record(0, 1, NOW, 1)), end()];
    let lines = json(&fake, "connections=1 summary=0", script());
    assert_eq!(
        kinds(&lines),
        ["connection", "connection", "connection", "transition"]
    );
    fake.active.set(true);
    let mut fresh = Fake::new(1, 64);
    fresh.verbose = 1;
    assert_eq!(kinds(&json(&fresh, "summary=0", script())), ["transition"]);
}

#[test]
fn a_closed_or_full_stdout_ends_it() {
    let fake = Fake::new(1, 64);
    *fake.script.borrow_mut() = vec![happens(|f| f.record(0, 1, NOW, 1))];
    let full = File::options().write(true).open("/dev/full").unwrap();
    let error = run_to(&fake, "", &full).unwrap_err();
    assert!(matches!(error, Error::Write(_)), "{error:?}");
    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    let fake = Fake::new(1, 64);
    let error = run_to(&fake, "", &File::from(writer)).unwrap_err();
    assert!(matches!(error, Error::ClosedPipe), "{error:?}");
}

#[test]
fn it_needs_an_activation() {
    let fake = Fake::new(1, 64);
    fake.active.set(false);
    let null = File::options().write(true).open("/dev/null").unwrap();
    assert!(matches!(run_to(&fake, "", &null), Err(Error::NotActive)));
}
