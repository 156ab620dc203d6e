//! Which events and connections are shown, and in which order.

use testkit::fake::{ACTIVATED, Fake, NOW};
use testkit::records::{conn, full_record};

use crate::support::{json, of_type, text};

#[test]
fn show_filters_choose() {
    let shown = |keys: &str| {
        let fake = Fake::new(1, 64);
        fake.record(0, 1, NOW, 1);
        of_type(&json(&fake, keys), "transition").len()
    };
    for (keys, expected) in [
        ("state=established", 1),
        ("state=FIN_WAIT1", 1),
        ("state=CLOSE", 0),
        ("state=!ESTABLISHED", 0),
        ("state=!CLOSE", 1),
        ("min-ms=5000", 1),
        ("min-ms=5001", 0),
        ("addr=10.0.0.0/30", 1),
        ("laddr=10.0.0.2", 0),
        ("rport=80 family=4 netns=4026531840", 1),
        ("family=6", 0),
    ] {
        assert_eq!(shown(keys), expected, "{keys}");
    }
}

#[test]
fn limits_and_orders() {
    let fake = Fake::new(2, 64);
    fake.record(0, 4, NOW - 50, 10);
    fake.record(1, 4, NOW - 45, 10);
    let seqs = |keys: &str| -> Vec<String> {
        let lines = json(&fake, &format!("peek=1 {keys}"));
        of_type(&lines, "transition")
            .iter()
            .map(|t| format!("{}:{}", t["cpu"], t["seq"]))
            .collect()
    };
    assert_eq!(seqs("limit=3"), ["1:2", "0:3", "1:3"]);
    assert_eq!(seqs("sort=bytes limit=2"), ["0:0", "1:0"]);
    assert_eq!(seqs("sort=age").len(), 8);
}

#[test]
fn connections_have_ages_and_orders() {
    let fake = Fake::new(1, 64);
    *fake.conns.borrow_mut() = vec![
        conn("10.0.0.1:3", 8, NOW - 5_000_000_000, 7),
        conn("10.0.0.1:1", 1, ACTIVATED, 5),
        conn("10.0.0.1:2", 10, NOW - 10_000_000_000, 7),
        conn("10.0.0.1:4", 6, NOW, 0),
    ];
    let ports = |keys: &str| -> Vec<u64> {
        let lines = json(&fake, &format!("transitions=0 connections=1 {keys}"));
        of_type(&lines, "connection")
            .iter()
            .map(|c| c["lport"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(ports(""), [1, 2, 3, 4]);
    assert_eq!(ports("sort=age"), [1, 2, 3, 4]);
    assert_eq!(ports("sort=age limit=2"), [1, 2]);
    assert_eq!(ports("limit=2"), [3, 4]);
    assert_eq!(ports("state=!TIME_WAIT min-ms=6000"), [1, 2]);
    let lines = json(&fake, "transitions=0 connections=1");
    assert_eq!(
        (&lines[0]["age_ns"], &lines[0]["age_exact"]),
        (&60_000_000_000u64.into(), &false.into())
    );
    assert_eq!(
        (&lines[1]["age_ns"], &lines[1]["age_exact"]),
        (&10_000_000_000u64.into(), &true.into())
    );
    assert!(lines[3].get("age_ns").is_none());
    assert_eq!(lines[1]["backlog"], 0);
    assert!(lines[0].get("backlog").is_none());
    assert_eq!(lines.last().unwrap()["this_report"]["connections"], 4);
    let fields: Vec<_> = text(&fake, "transitions=0 connections=1 json=1")
        .lines()
        .next()
        .unwrap()
        .split("\":")
        .filter_map(|part| part.rsplit('"').next().map(str::to_owned))
        .collect();
    assert_eq!(
        fields[..14],
        [
            "type",
            "ts",
            "conn",
            "netns",
            "family",
            "laddr",
            "lport",
            "raddr",
            "rport",
            "state",
            "age_ns",
            "age_exact",
            "first_seen",
            "seeded"
        ]
    );
}

#[test]
fn verbose_says_what_a_bare_report_prints() {
    let kinds = |verbose: u32| -> Vec<String> {
        let mut fake = Fake::new(1, 64);
        fake.verbose = verbose;
        fake.record(0, 1, NOW, 1);
        *fake.conns.borrow_mut() = vec![conn("10.0.0.1:1", 1, NOW, 3)];
        json(&fake, "")
            .iter()
            .map(|l| l["type"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(kinds(0), ["transition", "summary"]);
    assert_eq!(kinds(1), ["connection", "summary"]);
    assert_eq!(kinds(2), ["transition", "connection", "summary"]);
}

#[test]
fn reasons_choose_and_are_shown() {
    let fake = Fake::new(1, 64);
    fake.rings[0].write(&full_record(NOW));
    fake.record(0, 1, NOW, 1);
    let count = |keys: &str| of_type(&json(&fake, &format!("peek=1 {keys}")), "transition").len();
    assert_eq!(count("reason=reset_received|refused"), 1);
    assert_eq!(count("reason=!reset_received"), 1);
    assert_eq!(count("reason=refused"), 0);
    let table = text(&fake, "peek=1 summary=0");
    let reasons: Vec<_> = table
        .lines()
        .filter_map(|l| l.split_whitespace().rev().nth(1))
        .collect();
    assert_eq!(reasons, ["Reason", "reset_received", "-"], "{table}");
    let detail = text(
        &fake,
        "peek=1 summary=0 format=detail limit=1 reason=reset_received",
    );
    let line = |label: &str| detail.lines().find(|l| l.contains(label)).unwrap();
    assert!(line("Reason").ends_with("reset_received"), "{detail}");
    assert!(
        line("Error").contains("ECONNRESET") && line("SYN-ACKs").ends_with(" 6"),
        "{detail}"
    );
}
