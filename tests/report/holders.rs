//! The processes of live connections, listeners and events.

use diagnose_tools::cli::parse;
use diagnose_tools::command::report::report;
use diagnose_tools::host::names::Names;
use diagnose_tools::host::processes::{Found, Living};
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::sink;
use serde_json::{Value, json};
use testkit::fake::Fake;
use testkit::host::FakeHost;
use testkit::printed::nowhere;
use testkit::scene::{
    CLOSE, Conn, ESTABLISHED, FIN_WAIT1, ORPHAN, Socket, TIME_WAIT, listening, step,
};

use crate::support::style;

/// nginx, process 142, has accepted all connections and has ended; so has the process that called
/// listen(). Two of its workers are left.
fn host() -> FakeHost {
    let workers = [(150, "nginx"), (151, "worker")];
    let sockets = vec![(5, 150), (5, 151), (6, 151)];
    FakeHost::default()
        .with(&workers, sockets)
        .without(&[141, 142])
}

fn fake() -> Fake {
    let mut fake = Fake::new(1, 64);
    fake.listeners = vec![
        Socket {
            id: 7,
            ..Socket::default()
        }
        .bytes(),
    ];
    let conn = |port: u64, state, ino| Conn {
        ino,
        ..Conn::served(format!("10.9.0.1:{port}"), port).state(state)
    };
    let orphan = Conn {
        flags: ORPHAN,
        ..conn(4, FIN_WAIT1, 0)
    };
    let conns = [
        conn(9, ESTABLISHED, 5),
        conn(8, ESTABLISHED, 6),
        conn(7, ESTABLISHED, 99),
        conn(6, TIME_WAIT, 0).small(),
        orphan,
    ];
    *fake.conns.borrow_mut() = conns.iter().map(Conn::bytes).collect();
    fake.conns.borrow_mut().push(listening(7, 5));
    let event = Conn {
        pid: 151,
        comm: "worker",
        ..conn(3, ESTABLISHED, 0)
    };
    for event in [event, conn(2, ESTABLISHED, 0)] {
        fake.rings[0].write(&step(&event, 1_000, ESTABLISHED, CLOSE, 5));
    }
    fake
}

fn names() -> Names {
    let started = |pid| match pid {
        142 => Found::Gone,
        _ => Found::Alive(0),
    };
    nowhere().with_living(Living::new(Box::new(started)))
}

fn text(keys: &str) -> String {
    let (fake, mut out) = (fake(), Vec::new());
    let options = parse::report(&format!("summary=0 findings=0 peek=1 {keys}")).unwrap();
    let mut sink = sink(options.format, style(&fake, Lang::En, None), names());
    let folder = std::path::Path::new("/nonexistent");
    report(&fake, &mut host(), &options, folder, &mut *sink, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn objects(keys: &str) -> Vec<Value> {
    let text = text(&format!("json=1 {keys}"));
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// These fields of the object, as far as it has them.
fn fields(object: &Value) -> Value {
    let names = [
        "pid",
        "comm",
        "uid",
        "owner_gone",
        "holders",
        "holder_count",
        "opened_by",
    ];
    let known = names.map(|name| {
        object
            .get(name)
            .map(|value| (name.to_owned(), value.clone()))
    });
    known.into_iter().flatten().collect()
}

#[test]
fn live_connections_have_the_processes_that_hold_them() {
    let live = objects("transitions=0 connections=1 listeners=0 lport=80 sort=age limit=6");
    let opener = json!({"pid": 142, "comm": "nginx"});
    let (first, second) = (
        json!({"pid": 150, "comm": "nginx"}),
        json!({"pid": 151, "comm": "worker"}),
    );
    let expected = [
        json!({
            "pid": 150, "comm": "nginx", "uid": 150, "holders": [first, second],
            "holder_count": 2, "opened_by": opener,
        }),
        json!({"pid": 151, "comm": "worker", "uid": 151, "opened_by": opener}),
        json!({"uid": 0, "opened_by": opener}),
        json!({"pid": 142, "comm": "nginx", "uid": 0, "owner_gone": true}),
        json!({"uid": 0, "opened_by": opener}),
    ];
    let of_conns = live.iter().filter(|c| c["state"] != "LISTEN");
    assert_eq!(of_conns.map(fields).collect::<Vec<_>>(), expected);
    let orphan = live.iter().find(|c| c["state"] == "FIN_WAIT1").unwrap();
    assert_eq!(orphan["orphan"], true);
}

#[test]
fn listeners_have_the_processes_that_hold_them() {
    let expected = json!({
        "pid": 150, "comm": "nginx", "uid": 150,
        "holders": [{"pid": 150, "comm": "nginx"}, {"pid": 151, "comm": "worker"}],
        "holder_count": 2, "opened_by": {"pid": 141, "comm": "nginx"},
    });
    for connections in [0, 1] {
        let keys = format!("transitions=0 connections={connections} listeners=1");
        let all = objects(&keys);
        let listener = all.iter().find(|l| l["type"] == "listener").unwrap();
        assert_eq!(fields(listener), expected, "{keys}");
    }
}

#[test]
fn events_say_if_their_owner_has_ended() {
    let events = objects("transitions=1 connections=0");
    let expected = [
        json!({"pid": 151, "comm": "worker"}),
        json!({"pid": 142, "comm": "nginx", "owner_gone": true}),
    ];
    assert_eq!(events.iter().map(fields).collect::<Vec<_>>(), expected);
}

/// The last column of each line of a table.
fn processes(keys: &str) -> Vec<String> {
    let text = text(keys);
    let last = |line: &str| {
        line.rsplit("  ")
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    text.lines().skip(1).map(last).collect()
}

#[test]
fn text_puts_who_has_no_socket_in_parentheses() {
    let all = processes("transitions=0 connections=1 listeners=0 sort=age state=!LISTEN");
    let ends = [
        "150/nginx (+1)",
        "151/worker",
        "(142/nginx)",
        "(142/nginx)",
        "orphan (142/nginx)",
    ];
    assert_eq!(all.len(), ends.len(), "{all:?}");
    for (line, end) in all.iter().zip(ends) {
        assert!(line.ends_with(&format!(" {end}")) || line == end, "{all:?}");
    }
    let events = processes("transitions=1 connections=0");
    assert!(events[0].ends_with("151/worker"), "{events:?}");
    assert!(events[1].ends_with("(142/nginx)"), "{events:?}");
    let detail = text("transitions=0 connections=1 listeners=1 format=detail");
    for expected in [
        "150/nginx (+1)",
        "Held by            150/nginx, 151/worker\n",
        "Opened by          142/nginx\n",
        "Opened by          141/nginx\n",
        "orphan (142/nginx)",
    ] {
        assert!(detail.contains(expected), "{expected}: {detail}");
    }
}

#[test]
fn processes_are_chosen_by_those_that_hold_the_socket() {
    let count = |keys: &str| {
        let text = text(&format!("json=1 {keys}"));
        let of = |kind: &str| text.matches(&format!("{{\"type\":\"{kind}\"")).count();
        ["transition", "connection", "listener"].map(of)
    };
    let all = "transitions=1 connections=1 listeners=1";
    for (keys, expected) in [
        ("", [2, 6, 1]),
        // Two connections and the listener; that of an event has ended.
        ("pid=151", [1, 3, 1]),
        ("pid=150 comm=nginx", [0, 2, 1]),
        ("comm=nginx", [1, 5, 1]),
        ("comm=worker pid=!150", [1, 1, 0]),
        // Those that are left of it, which nobody has open.
        ("pid=142", [1, 3, 0]),
        ("pid=!142", [1, 3, 1]),
        ("pid=1", [0, 0, 0]),
    ] {
        assert_eq!(count(&format!("{all} {keys}")), expected, "{keys}");
    }
}
