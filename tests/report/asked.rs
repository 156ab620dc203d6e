//! Lives, counts, cursors and ranges of time.

use std::fs;
use std::mem::offset_of;
use std::path::Path;

use diagnose_tools::abi::RawRecord;
use diagnose_tools::error::Result;
use diagnose_tools::host::Host;
use diagnose_tools::render::i18n::Lang;
use serde_json::{Value, json};
use testkit::fake::{Fake, NOW};
use testkit::host::{FakeHost, Unobserved};
use testkit::printed::{nowhere, print_with, sink_of};
use testkit::scene::{
    CLOSE, CLOSE_WAIT, Conn, ESTABLISHED, FIN_WAIT1, FIN_WAIT2, SYN_SENT, TIME_WAIT, step,
};

use testkit::scratch::Scratch;

use crate::support::{check_totals, json as lines, of_type, style, text};

const SECOND: u64 = 1_000_000_000;

/// Records the states of `conn` with the seconds in each; it ends `ago` seconds ago.
fn live(fake: &Fake, cpu: usize, conn: &Conn, ago: u64, states: &[(u8, u64)]) {
    let mut at = ago + states.iter().map(|(_, seconds)| seconds).sum::<u64>();
    let mut old = (CLOSE, 0);
    let all = states.iter().chain(&[(CLOSE, 0)]);
    for next in all {
        let mut record = step(conn, at * 1_000, old.0, next.0, u16::from(next.0 == CLOSE));
        let in_old = offset_of!(RawRecord, in_old_ns);
        record[in_old..in_old + 8].copy_from_slice(&(old.1 * SECOND).to_ne_bytes());
        // The time is known and exact.
        record[offset_of!(RawRecord, flags)] |= 3;
        fake.rings[cpu].write(&record);
        at -= next.1;
        old = *next;
    }
}

fn curl(port: u64) -> Conn {
    Conn::begun(format!("10.0.0.1:{port}"), "10.0.0.2:80", 1)
}

const WHOLE: [(u8, u64); 5] = [
    (SYN_SENT, 1),
    (ESTABLISHED, 20),
    (FIN_WAIT1, 2),
    (FIN_WAIT2, 3),
    (TIME_WAIT, 60),
];

fn lives(fake: &Fake, keys: &str) -> Vec<Value> {
    let all = lines(fake, &format!("lives=1 alarms=0 {keys}"));
    check_totals(all.last().unwrap());
    of_type(&all, "life").into_iter().cloned().collect()
}

#[test]
fn a_life_has_its_states_in_order() {
    let fake = Fake::new(1, 64);
    live(&fake, 0, &curl(4_000), 5, &WHOLE);
    let [life] = &lives(&fake, "")[..] else {
        panic!("one life");
    };
    assert_eq!(life["duration_ns"], 86 * SECOND);
    assert_eq!(life["duration_exact"], true);
    assert_eq!(
        (&life["start"], &life["end"]),
        (
            &json!("2023-11-14T22:11:49.000000000Z"),
            &json!("2023-11-14T22:13:15.000000000Z")
        )
    );
    let states = life["states"].as_array().unwrap();
    let stay = |stay: &Value| (stay["state"].clone(), stay["ns"].as_u64().unwrap() / SECOND);
    let stays: Vec<_> = states.iter().map(stay).collect();
    let names = [
        "SYN_SENT",
        "ESTABLISHED",
        "FIN_WAIT1",
        "FIN_WAIT2",
        "TIME_WAIT",
    ];
    let expected = names.into_iter().map(Value::from).zip([1, 20, 2, 3, 60]);
    assert_eq!(stays, expected.collect::<Vec<_>>());
    assert_eq!((&life["pid"], &life["comm"]), (&900.into(), &"curl".into()));
    assert_eq!(
        (&life["reason"], &life["lport"]),
        (&"closed_local".into(), &4_000.into())
    );
    assert!(life.get("gaps").is_none());
}

#[test]
fn a_life_is_whole_although_its_beginning_was_reported() {
    let fake = Fake::new(2, 64);
    let (first, second) = (curl(1), curl(2));
    live(&fake, 0, &first, 300, &WHOLE);
    // The end of the other one comes after the first report, on another CPU.
    let record = |old, new| step(&second, 9_000, old, new, 1);
    fake.rings[0].write(&record(CLOSE, SYN_SENT));
    fake.rings[0].write(&record(SYN_SENT, ESTABLISHED));
    assert_eq!(lives(&fake, "").len(), 1);
    fake.rings[1].write(&record(ESTABLISHED, CLOSE));
    let again = lives(&fake, "");
    assert_eq!(again.len(), 1, "each life once");
    assert_eq!(
        (&again[0]["lport"], &again[0]["duration_exact"]),
        (&2.into(), &true.into())
    );
    assert_eq!(lives(&fake, "").len(), 0);
    assert_eq!(lives(&fake, "reported=1").len(), 2);
    // Its beginning is overwritten.
    fake.record(0, 64, NOW, 1);
    fake.rings[1].write(&record(ESTABLISHED, CLOSE));
    let late = lives(&fake, "");
    assert_eq!(late[0]["duration_exact"], false);
}

#[test]
fn lives_take_the_place_of_transitions() {
    let fake = Fake::new(1, 64);
    live(&fake, 0, &curl(1), 5, &WHOLE);
    live(&fake, 0, &curl(2), 4, &[(SYN_SENT, 30)]);
    let kinds = |keys: &str| -> Vec<Value> {
        let all = lines(&fake, &format!("peek=1 lives=1 summary=0 {keys}"));
        all.iter().map(|line| line["type"].clone()).collect()
    };
    assert_eq!(kinds(""), ["life", "life"]);
    let both = kinds("transitions=1");
    assert_eq!(
        (both.len(), &both[8..]),
        (10, &[json!("life"), json!("life")][..])
    );
    let ports = |keys: &str| -> Vec<u64> {
        let lives = lives(&fake, &format!("peek=1 {keys}"));
        lives
            .iter()
            .map(|life| life["lport"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(ports(""), [1, 2]);
    assert_eq!(ports("sort=age"), [1, 2]);
    assert_eq!(ports("limit=1"), [2]);
    assert_eq!(ports("state=TIME_WAIT"), [1]);
    assert_eq!(ports("state=!TIME_WAIT"), [2]);
    assert_eq!(ports("min-ms=30001"), [1]);
    assert_eq!(ports("lport=2 comm=curl pid=900"), [2]);
    assert_eq!(ports("comm=nginx"), [] as [u64; 0]);
    assert_eq!(ports("reason=refused"), [] as [u64; 0]);
    let conn = lives(&fake, "peek=1 lport=2")[0]["conn"].clone();
    assert_eq!(ports(&format!("conn={conn}")), [2]);
}

#[test]
fn a_life_is_a_line_or_a_time_line() {
    let fake = Fake::new(1, 64);
    live(&fake, 0, &curl(4_000), 5, &WHOLE);
    let table = text(&fake, "peek=1 lives=1 alarms=0 summary=0 findings=0");
    let line = table.lines().nth(1).unwrap();
    for part in [
        "11-14 22:13:15.000 10.0.0.1:4000",
        "1m 26s",
        "closed_local",
        "900/curl",
        "SYN_SENT 1.0 s, ESTABLISHED 20.0 s, FIN_WAIT1 2.0 s, FIN_WAIT2 3.0 s, TIME_WAIT 1m 00s",
    ] {
        assert!(line.contains(part), "{part}: {table}");
    }
    let detail = text(
        &fake,
        "peek=1 lives=1 alarms=0 summary=0 findings=0 format=detail",
    );
    for part in [
        "2023-11-14 22:13:15.000  ended",
        "2023-11-14 22:11:49.000  SYN_SENT     1.0 s",
        "2023-11-14 22:12:15.000  TIME_WAIT    1m 00s",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
}

#[test]
fn a_range_of_time_narrows() {
    let fake = Fake::new(1, 64);
    for (port, ago) in [(1, 300), (2, 200), (3, 100)] {
        live(&fake, 0, &curl(port), ago, &[(SYN_SENT, 1)]);
    }
    let ports = |keys: &str| -> Vec<u64> {
        let lives = lives(&fake, &format!("peek=1 {keys}"));
        lives
            .iter()
            .map(|life| life["lport"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(ports("since=-250s"), [2, 3]);
    assert_eq!(ports("until=-150s"), [1, 2]);
    assert_eq!(ports("since=-200s until=-200s"), [2]);
    assert_eq!(ports("since=2023-11-14T22:11:00Z"), [3]);
    assert_eq!(ports("until=2023-11-14T23:10:00+01:00"), [1, 2]);
    let transitions = lines(&fake, "peek=1 since=-150s");
    assert_eq!(of_type(&transitions, "transition").len(), 2);
    let mut out = Vec::new();
    let refused = crate::support::run_to(&fake, "since=-1m until=-2m", &mut out).unwrap_err();
    assert_eq!(refused.exit_status(), 2);
    assert_eq!(refused.text().en(), "--report: until= is before since=");
    assert!(out.is_empty());
}

/// Counts as `(values, connections, transitions, ends)`.
fn counts(fake: &Fake, host: &mut dyn Host, keys: &str) -> Vec<(Value, u64, u64, u64)> {
    let mut out = Vec::new();
    let keys = format!("json=1 summary=0 {keys}");
    let folder = Path::new("/nonexistent");
    let style = style(fake, Lang::En, None);
    print_with(
        fake,
        host,
        folder,
        &keys,
        sink_of(style, nowhere()),
        &mut out,
    )
    .unwrap();
    let text = String::from_utf8(out).unwrap();
    let numbers = [
        "connections",
        "transitions",
        "ends",
        "bytes_sent",
        "bytes_received",
        "retrans",
        "oldest_ns",
        "oldest_exact",
        "type",
    ];
    let row = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        assert_eq!(row["type"], "count");
        let [connections, transitions, ends] =
            ["connections", "transitions", "ends"].map(|name| row[name].as_u64().unwrap());
        let fields = row.as_object_mut().unwrap();
        fields.retain(|name, _| !numbers.contains(&name.as_str()));
        (row, connections, transitions, ends)
    };
    text.lines().map(row).collect()
}

/// Six connections of two processes, of which one is known only by who has the socket open.
fn counted() -> (Fake, FakeHost) {
    let fake = Fake::new(1, 64);
    let served = |port: u64, state, ino| Conn {
        ino,
        sent: port,
        ..Conn::served(format!("10.9.0.1:{port}"), port).state(state)
    };
    let conns = [
        served(1, ESTABLISHED, 5),
        served(2, ESTABLISHED, 5),
        served(3, CLOSE_WAIT, 6),
        served(4, CLOSE_WAIT, 6),
        served(5, CLOSE_WAIT, 6),
        curl(6),
    ];
    *fake.conns.borrow_mut() = conns.iter().map(Conn::bytes).collect();
    live(&fake, 0, &curl(7), 5, &WHOLE);
    let processes = [(142, "nginx"), (151, "worker")];
    let host = FakeHost::default().with(&processes, vec![(5, 142), (6, 151)]);
    (fake, host)
}

#[test]
fn connections_and_events_are_counted_by_fields() {
    let (fake, mut host) = counted();
    let mut by = |keys: &str| counts(&fake, &mut host, keys);
    assert_eq!(
        by("by=state connections=1"),
        [
            (json!({"state": "ESTABLISHED"}), 3, 1, 0),
            (json!({"state": "CLOSE_WAIT"}), 3, 0, 0),
            (json!({"state": "CLOSE"}), 0, 1, 1),
            (json!({"state": "SYN_SENT"}), 0, 1, 0),
            (json!({"state": "FIN_WAIT1"}), 0, 1, 0),
            (json!({"state": "FIN_WAIT2"}), 0, 1, 0),
            (json!({"state": "TIME_WAIT"}), 0, 1, 0),
        ]
    );
    assert_eq!(
        by("by=process|state transitions=0"),
        [
            (
                json!({"pid": 151, "comm": "worker", "state": "CLOSE_WAIT"}),
                3,
                0,
                0
            ),
            (
                json!({"pid": 142, "comm": "nginx", "state": "ESTABLISHED"}),
                2,
                0,
                0
            ),
            (
                json!({"pid": 900, "comm": "curl", "state": "ESTABLISHED"}),
                1,
                0,
                0
            ),
        ]
    );
    assert_eq!(
        by("by=comm connections=0"),
        [(json!({"comm": "curl"}), 0, 6, 1)]
    );
    assert_eq!(
        by("by=comm limit=1 transitions=0"),
        [
            (json!({"comm": "worker"}), 3, 0, 0),
            (json!({"others": 2}), 3, 0, 0)
        ]
    );
    assert_eq!(
        by("by=rport transitions=0 comm=worker sort=age"),
        [5, 4, 3].map(|port| (json!({"rport": port}), 1, 0, 0))
    );
    assert_eq!(
        by("by=family|role|laddr state=CLOSE_WAIT transitions=0"),
        [(
            json!({"family": 4, "role": "server", "laddr": "10.0.0.1"}),
            3,
            0,
            0
        )]
    );
    assert_eq!((fake.consumed(), fake.consume_calls.get()), (vec![0], 0));
}

#[test]
fn counts_are_a_table_with_a_line_for_the_rest() {
    let (fake, mut host) = counted();
    let mut out = Vec::new();
    let keys = "by=process|state limit=2 transitions=0 summary=0 findings=0";
    let style = style(&fake, Lang::En, Some(132));
    let sink = sink_of(style, nowhere());
    print_with(
        &fake,
        &mut host,
        Path::new("/nonexistent"),
        keys,
        sink,
        &mut out,
    )
    .unwrap();
    let text = String::from_utf8(out).unwrap();
    let words: Vec<Vec<_>> = text
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(
        words[0][..4],
        ["Process", "State", "Connections", "Transitions"]
    );
    assert_eq!(words[1][..3], ["151/worker", "CLOSE_WAIT", "3"]);
    assert_eq!(
        words[2][..6],
        ["142/nginx", "ESTABLISHED", "2", "0", "0", "3"]
    );
    assert_eq!(words[3][..3], ["1", "others", "1"]);
    assert!(text.lines().all(|line| line.len() <= 132), "{text}");
}

#[test]
fn wrong_fields_are_named() {
    for (keys, problem) in [
        (
            "by=proces",
            "'proces' is not a field, did you mean process?",
        ),
        ("by=state|state", "state is given twice"),
        ("by=state|pid|uid|comm", "it has more than 3 fields"),
        ("by=state lives=1", "lives=1 prints lines"),
        ("cursor=Mail", "it is not a name of a cursor"),
        ("cursor=a/b", "it is not a name of a cursor"),
        ("cursor=mail reported=1", "reported=1 prints all events"),
        ("since=yesterday", "it is not a time"),
        ("conn=0", "allowed: 1 or more"),
        ("cgroup=nginx", "neither a path from the root"),
    ] {
        let refused = crate::support::run_to(&Fake::new(1, 64), keys, &mut Vec::new());
        let error = refused.unwrap_err();
        assert_eq!(error.exit_status(), 2, "{keys}");
        assert!(error.text().en().contains(problem), "{keys}: {error:?}");
    }
}

/// The local ports of the lives that a report with these keys prints.
fn with_cursor(fake: &Fake, folder: &Path, keys: &str) -> Result<Vec<u64>> {
    let mut out = Vec::new();
    let keys = format!("json=1 lives=1 summary=0 findings=0 {keys}");
    let sink = sink_of(style(fake, Lang::En, None), nowhere());
    print_with(
        fake,
        &mut Unobserved::default(),
        folder,
        &keys,
        sink,
        &mut out,
    )?;
    let text = String::from_utf8(out).unwrap();
    let port = |line: &str| {
        let life: Value = serde_json::from_str(line).unwrap();
        life["lport"].as_u64().unwrap()
    };
    Ok(text.lines().map(port).collect())
}

#[test]
fn each_cursor_has_its_own_position() {
    let Some(scratch) = Scratch::new(env!("CARGO_TARGET_TMPDIR"), "cursors") else {
        return;
    };
    let folder = scratch.path().join("kept");
    let fake = Fake::new(2, 64);
    live(&fake, 0, &curl(1), 9, &WHOLE);
    let read = |keys: &str| with_cursor(&fake, &folder, keys).unwrap();
    assert_eq!(read("cursor=mail"), [1]);
    live(&fake, 1, &curl(2), 8, &WHOLE);
    assert_eq!(read("cursor=mail peek=1"), [2]);
    assert_eq!(read("cursor=mail"), [2]);
    assert_eq!(read("cursor=mail"), [] as [u64; 0]);
    assert_eq!(read("cursor=cron-2"), [1, 2]);
    assert_eq!(fake.consumed(), [0, 0]);
    assert_eq!(read(""), [1, 2]);
    assert_eq!(fake.consumed(), [6, 6]);
    // Another activation.
    fake.generation.set(8);
    for ring in &fake.rings {
        ring.belong_to(8);
    }
    assert_eq!(read("cursor=mail"), [1, 2]);
}

#[test]
fn a_cursor_that_cannot_be_used_is_an_error() {
    let Some(scratch) = Scratch::new(env!("CARGO_TARGET_TMPDIR"), "bad-cursors") else {
        return;
    };
    let folder = scratch.path().join("kept");
    let fake = Fake::new(1, 64);
    let error = |keys: &str| {
        with_cursor(&fake, &folder, keys)
            .unwrap_err()
            .text()
            .en()
            .to_owned()
    };
    with_cursor(&fake, &folder, "cursor=mail").unwrap();
    let file = folder.join("cursors/mail");
    let path = file.display().to_string();
    for (text, problem) in [
        ("", "it is damaged"),
        ("{}", "it is damaged"),
        (
            r#"{"version":2,"generation":7,"activated_ns":0,"positions":[]}"#,
            "another version of this program wrote it",
        ),
    ] {
        fs::write(&file, text).unwrap();
        assert_eq!(
            error("cursor=mail"),
            format!("cursor mail: {problem}: remove {path}")
        );
    }
    let settings = fake_settings(&fake);
    fs::write(&file, settings.replace("POSITION", "[0,1]")).unwrap();
    assert_eq!(
        error("cursor=mail"),
        format!("cursor mail: it is damaged: remove {path}")
    );
    fs::write(&file, settings.replace("POSITION", "[0,0]")).unwrap();
    assert!(with_cursor(&fake, &folder, "cursor=mail").is_ok());
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "").unwrap();
    assert!(
        error("cursor=mail").starts_with("cursor mail: "),
        "{}",
        error("cursor=mail")
    );
}

/// The text of a cursor of this activation.
fn fake_settings(fake: &Fake) -> String {
    use diagnose_tools::backend::Backend;
    let settings = fake.settings().unwrap().unwrap();
    format!(
        r#"{{"version":1,"generation":{},"activated_ns":{},"positions":[POSITION]}}"#,
        settings.generation, settings.activated_ns
    )
}
