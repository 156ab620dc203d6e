//! `--report` against a backend in memory.

mod fake;

use std::fs;
use std::io::{self, BufWriter, Write};
use std::mem::offset_of;
use std::net::Ipv6Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diagnose_tools::abi::{
    Cgroup, RawAlarm, RawConn, RawIdent, RawListener, RawRecord, TCPSTATES_HOOK_ATTACHED,
    TCPSTATES_REASONS_MAX, TransitionCount,
};
use diagnose_tools::backend::{Backend, Start};
use diagnose_tools::cli::parse;
use diagnose_tools::command::report::report;
use diagnose_tools::error::{Error, Result};
use diagnose_tools::fmt::width::width;
use diagnose_tools::host::devices::Devices;
use diagnose_tools::host::names::Names;
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::time::Clock;
use diagnose_tools::render::{Style, sink};
use fake::{ACTIVATED, Bytes, Fake, NOW, conn, full_record, hook, record};
use jiff::tz::TimeZone;
use serde_json::Value;

fn style(fake: &Fake, lang: Lang, width: Option<usize>) -> Style {
    let clock = Clock::with_zone(&fake.stats().unwrap(), TimeZone::UTC);
    Style {
        labels: lang.labels(),
        clock,
        width,
        color: false,
    }
}

/// A host without cgroups and without names of namespaces.
fn nowhere() -> Names {
    Names::new(None, PathBuf::from("/nonexistent"), Duration::ZERO)
}

fn run_to(fake: &Fake, keys: &str, out: &mut dyn Write) -> Result<()> {
    let options = parse::report(keys)?;
    let mut sink = sink(options.format, style(fake, Lang::En, None), nowhere());
    report(fake, &options, &mut *sink, out)
}

fn text(fake: &Fake, keys: &str) -> String {
    let mut out = Vec::new();
    run_to(fake, keys, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn json(fake: &Fake, keys: &str) -> Vec<Value> {
    let text = text(fake, &format!("{keys} json=1"));
    text.lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

fn of_type<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|l| l["type"] == kind).collect()
}

/// The books must add up in every summary.
fn check_books(summary: &Value) {
    let n = |name: &str| summary[name].as_u64().unwrap();
    let overwritten = summary["lost"]["overwritten"].as_u64().unwrap();
    assert_eq!(
        n("recorded"),
        n("reported") + overwritten + n("pending"),
        "{summary}"
    );
    assert_eq!(
        n("seen") + n("alarms"),
        n("recorded") + n("filtered") + n("too_short"),
        "{summary}"
    );
}

#[test]
fn a_second_report_goes_on_where_the_first_stopped() {
    let fake = Fake::new(2, 64);
    fake.record(0, 3, NOW - 100, 10);
    fake.record(1, 2, NOW - 95, 10);
    let first = json(&fake, "");
    let order: Vec<_> = of_type(&first, "transition")
        .iter()
        .map(|t| (t["cpu"].as_u64().unwrap(), t["seq"].as_u64().unwrap()))
        .collect();
    assert_eq!(order, [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2)]);
    assert_eq!(fake.consumed(), [3, 2]);
    fake.record(1, 1, NOW, 1);
    let second = json(&fake, "");
    let events = of_type(&second, "transition");
    assert_eq!((events.len(), &events[0]["seq"]), (1, &2.into()));
    let summary = second.last().unwrap();
    check_books(summary);
    assert_eq!(summary["reported"], 6);
    assert_eq!(of_type(&json(&fake, ""), "transition").len(), 0);
}

#[test]
fn a_peek_moves_nothing_and_takes_no_lock() {
    let fake = Fake::new(1, 64);
    fake.record(0, 5, NOW, 1);
    fake.busy.set(u32::MAX);
    for _ in 0..2 {
        let lines = json(&fake, "peek=1");
        assert_eq!(of_type(&lines, "transition").len(), 5);
        check_books(lines.last().unwrap());
        assert_eq!(lines.last().unwrap()["pending"], 5);
    }
    assert_eq!((fake.consumed(), fake.consume_calls.get()), (vec![0], 0));
}

#[test]
fn losses_are_exact_for_reports_and_peeks() {
    let fake = Fake::new(2, 64);
    fake.record(0, 8 * 64, NOW, 1);
    fake.record(1, 64, NOW, 1);
    for keys in ["peek=1", "transitions=0", "", "peek=1"] {
        let lines = json(&fake, keys);
        let summary = lines.last().unwrap();
        check_books(summary);
        assert_eq!(summary["lost"]["overwritten"], 7 * 64, "{keys}");
    }
    assert_eq!(fake.consumed(), [512, 64]);
    let after = json(&fake, "");
    assert_eq!(after[0]["this_report"]["overwritten"], 0);
    assert_eq!(after[0]["reported"], 128);
}

#[test]
fn without_the_transitions_the_position_stays() {
    let fake = Fake::new(1, 64);
    fake.record(0, 5, NOW, 1);
    let lines = json(&fake, "transitions=0");
    assert_eq!((lines.len(), fake.consumed()), (1, vec![0]));
    assert_eq!(lines[0]["pending"], 5);
}

#[test]
fn what_is_not_shown_is_reported_all_the_same() {
    let fake = Fake::new(1, 64);
    fake.record(0, 5, NOW, 1);
    let lines = json(&fake, "port=443");
    assert_eq!(of_type(&lines, "transition").len(), 0);
    let this = &lines[0]["this_report"];
    assert_eq!(
        (&this["transitions"], &this["shown"]),
        (&5.into(), &0.into())
    );
    assert_eq!(fake.consumed(), [5]);
}

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

/// Takes `room` bytes, then fails.
struct Full {
    room: usize,
    kind: io::ErrorKind,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(self.kind.into());
        }
        let n = bytes.len().min(self.room);
        self.room -= n;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_was_not_written_is_not_reported() {
    for (kind, status) in [
        (io::ErrorKind::StorageFull, 1),
        (io::ErrorKind::BrokenPipe, 0),
    ] {
        for room in [0, 1, 4_000, 20_000] {
            let fake = Fake::new(1, 64);
            fake.record(0, 64, NOW, 1);
            // 64 lines of about 500 bytes, behind a buffer as of the program.
            let mut out = BufWriter::with_capacity(1 << 16, Full { room, kind });
            let error = run_to(&fake, "json=1", &mut out).unwrap_err();
            let _ = out.into_parts();
            assert_eq!(error.exit_status(), status);
            assert_eq!(
                (fake.consumed(), fake.consume_calls.get()),
                (vec![0], 0),
                "{room}"
            );
            assert!(!fake.held.get(), "the lock is given back");
            assert_eq!(of_type(&json(&fake, ""), "transition").len(), 64);
        }
    }
}

#[test]
fn a_restart_during_the_report_is_told() {
    let fake = Fake::new(1, 64);
    fake.record(0, 1, NOW, 1);
    fake.generation.set(8);
    let error = run_to(&fake, "", &mut Vec::new()).unwrap_err();
    assert!(matches!(error, Error::Stale), "{error}");
}

#[test]
fn a_restart_with_other_rings_is_told() {
    let fake = Fake::new(1, 64);
    let settings = fake.settings().unwrap().unwrap();
    fake.resized.set(true);
    let refused = fake.events(&settings, Start::Consumed).err();
    assert!(matches!(refused, Some(Error::System { .. })), "{refused:?}");
    fake.generation.set(8);
    let refused = fake.events(&settings, Start::Consumed).err();
    assert!(matches!(refused, Some(Error::Stale)), "{refused:?}");
}

#[test]
fn inactive_is_an_error() {
    let fake = Fake::new(1, 64);
    fake.active.set(false);
    let error = run_to(&fake, "", &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "not active: use --activate first");
}

#[test]
fn unknown_records_are_counted() {
    let fake = Fake::new(1, 64);
    let mut strange = record(NOW);
    strange[24] = 99;
    fake.rings[0].write(&strange);
    fake.record(0, 1, NOW, 1);
    let lines = json(&fake, "");
    assert_eq!(lines.last().unwrap()["this_report"]["unknown_records"], 1);
    assert_eq!(lines.last().unwrap()["this_report"]["transitions"], 1);
    assert_eq!(fake.consumed(), [2]);
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
fn a_transition_has_the_fields_of_the_interface_in_order() {
    let fake = Fake::new(1, 64);
    fake.rings[0].write(&full_record(NOW - 1));
    let text = text(&fake, "json=1");
    let expected = "{\"type\":\"transition\",\"ts\":\"2023-11-14T22:13:19.999999999Z\",\"cpu\":0,\
        \"seq\":0,\"conn\":42,\"netns\":4026531840,\"family\":4,\"laddr\":\"10.0.0.1\",\
        \"lport\":40000,\"raddr\":\"10.0.0.2\",\"rport\":80,\"listener_addr\":\"10.0.0.9\",\
        \"listener_port\":8443,\"old\":\"ESTABLISHED\",\
        \"new\":\"FIN_WAIT1\",\"in_old_ns\":5000000000,\"in_old_exact\":true,\
        \"role\":\"client\",\"reason\":\"reset_received\",\"error\":\"ECONNRESET\",\"synacks\":6,\
        \"pid\":1234,\"comm\":\"cu\\u001brl\",\"uid\":1000,\"cgroup_id\":18446744073709551615,\
        \"bytes_sent\":18446744073709551615,\"bytes_acked\":0,\"bytes_received\":0,\
        \"snd_cwnd\":0,\"snd_wnd\":0,\"rcv_wnd\":0,\"sndbuf\":0,\"sndbuf_used\":0,\"rcvbuf\":0,\
        \"rcvbuf_used\":0,\"retrans\":3,\"srtt_us\":250}";
    assert_eq!(text.lines().next().unwrap(), expected);
}

#[test]
fn what_is_unknown_is_absent() {
    let fake = Fake::new(1, 64);
    let mut bare = record(NOW);
    let who = offset_of!(RawRecord, who);
    bare[offset_of!(RawRecord, flags)] = 0;
    bare[who + offset_of!(RawIdent, lport)..][..2].fill(0);
    bare[who + offset_of!(RawIdent, conn)..][..8].fill(0);
    fake.rings[0].write(&bare);
    let line = &json(&fake, "")[0];
    for field in [
        "in_old_ns",
        "in_old_exact",
        "lport",
        "conn",
        "role",
        "pid",
        "comm",
        "uid",
        "srtt_us",
        "backlog",
        "bytes_sent",
        "retrans",
        "snd_cwnd",
        "reason",
        "error",
        "synacks",
        "listener_addr",
        "listener_port",
        "cgroup",
        "cgroup_id",
        "container",
        "netns_name",
    ] {
        assert!(line.get(field).is_none(), "{field}: {line}");
    }
    assert_eq!(line["rport"], 80);
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
fn the_summary_is_last_and_complete() {
    let mut fake = Fake::new(1, 64);
    let mut transition = TransitionCount {
        old_state: 1,
        new_state: 4,
        count: 2,
        timed: 1,
        total_ns: 312,
        max_ns: 312,
        ..TransitionCount::default()
    };
    transition.hist[0] = 1;
    fake.transition_counts = vec![
        TransitionCount {
            old_state: 7,
            new_state: 2,
            count: 9,
            ..TransitionCount::default()
        },
        transition,
    ];
    let text = text(&fake, "json=1");
    let line = text.lines().last().unwrap();
    let expected = "{\"type\":\"summary\",\"ts\":\"2023-11-14T22:13:20.000000000Z\",\
        \"since\":\"2023-11-14T22:12:20.000000000Z\",\"active_ns\":60000000000,\"states\":{\
        \"ESTABLISHED\":1,\"SYN_SENT\":0,\"SYN_RECV\":0,\"FIN_WAIT1\":0,\"FIN_WAIT2\":0,\
        \"TIME_WAIT\":0,\"CLOSE\":0,\"CLOSE_WAIT\":0,\"LAST_ACK\":0,\"LISTEN\":1,\"CLOSING\":0,\
        \"NEW_SYN_RECV\":0},\"transitions\":[{\"old\":\"ESTABLISHED\",\"new\":\"FIN_WAIT1\",\
        \"count\":2,\"total_ns\":312,\"p50_ns\":312,\"p99_ns\":312,\"max_ns\":312,\"timed\":1},\
        {\"old\":\"CLOSE\",\"new\":\"SYN_SENT\",\"count\":9,\"timed\":0}],\"handshakes\":{\
        \"syns\":0,\"requests\":0,\"seeded\":0,\"fast_open\":0,\"cookies_sent\":0,\"cookies_accepted\":0,\
        \"cookies_rejected\":0,\"syn_queue_full\":0,\"syn_accept_queue_full\":0,\"syn_dropped_other\":0,\
        \"ack_accept_queue_full\":0,\"migrated\":0,\"promoted\":0,\"expired\":0,\
        \"accept_queue_full\":0,\"reset_received\":0,\"reset_sent\":0,\"unreachable\":0,\
        \"aborted\":0,\"listener_closed\":0,\"netns_gone\":0,\"duplicate\":0,\"unknown\":0,\"synacks_sent_again\":0},\
        \"tracked\":2,\
        \"untracked\":5,\"pairs\":0,\"listeners\":0,\"lost\":{\"overwritten\":0,\
        \"kprobe_missed\":0,\"ringless\":0,\"stale\":0,\"evicted\":0,\"uncounted\":0,\"unlisted\":0},\
        \"unmatched\":0,\"seeded\":0,\"seen\":3,\"alarms\":0,\"filtered\":2,\"too_short\":1,\"recorded\":0,\
        \"reported\":0,\"pending\":0,\"this_report\":{\"transitions\":0,\"shown\":0,\
        \"alarms\":0,\"alarms_shown\":0,\"connections\":0,\"listeners\":0,\
        \"overwritten\":0,\"unknown_records\":0},\
        \"ends\":{},\"lives\":{},\"accept_wait\":{\"count\":0},\"cgroups\":[],\
        \"findings\":{\"critical\":0,\"warning\":0,\"info\":0}}";
    assert_eq!(line, expected);
    let without = expected.replace(
        ",\"findings\":{\"critical\":0,\"warning\":0,\"info\":0}",
        "",
    );
    let text = self::text(&fake, "json=1 findings=0");
    assert_eq!(text.lines().last().unwrap(), without);
    assert_eq!(self::text(&fake, "json=1 summary=0"), "");
}

/// Its findings come behind everything, and in the totals of JSON.
#[test]
fn a_report_ends_with_what_a_diagnosis_would_find() {
    let mut fake = Fake::new(1, 64);
    // Its accept queue is full.
    fake.listeners = vec![fake::listener("10.0.0.1:80")];
    let last = |keys: &str| {
        text(&fake, keys)
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned()
    };
    let expected = "Diagnosis: CRITICAL 1: see `diagnose-tools tcpstates --diagnose`";
    assert_eq!(last(""), expected);
    assert_eq!(last("format=detail"), expected);
    assert_eq!(last("summary=0"), expected);
    assert_ne!(last("findings=0"), expected);
    assert_eq!(last("findings=0 summary=0"), "");
    assert_eq!(last("raddr=!10.9.0.1 lport=81 summary=0"), "");
    let summary: Value = serde_json::from_str(&last("json=1")).unwrap();
    assert_eq!(summary["findings"]["critical"], 1);
    assert_eq!(last("json=1 summary=0"), "");
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

/// A backend with long addresses, hostile names and every part.
fn wide() -> Fake {
    let mut fake = Fake::new(1, 64);
    fake.verbose = 2;
    let long: Ipv6Addr = "2001:db8:1234:5678:9abc:def0:1234:5678".parse().unwrap();
    let mut bytes = full_record(NOW);
    let who = offset_of!(RawRecord, who);
    for at in [
        offset_of!(RawIdent, laddr),
        offset_of!(RawIdent, raddr),
        offset_of!(RawIdent, listener_addr),
    ] {
        bytes[who + at..][..16].copy_from_slice(&long.octets());
    }
    bytes[who + offset_of!(RawIdent, family)] = 6;
    fake.rings[0].write(&bytes);
    let mut live = conn("10.0.0.1:1", 1, ACTIVATED, 1);
    live[offset_of!(RawIdent, laddr)..][..16].copy_from_slice(&long.octets());
    live[offset_of!(RawIdent, family)] = 6;
    *fake.conns.borrow_mut() = vec![live];
    fake.transition_counts = vec![TransitionCount {
        old_state: 1,
        new_state: 4,
        count: u64::MAX,
        timed: 0,
        ..TransitionCount::default()
    }];
    fake
}

#[test]
fn tables_fit_a_terminal_in_both_languages() {
    for lang in [Lang::En, Lang::Zh] {
        for columns in [80, 100, 118, 132, 200] {
            for keys in ["format=table", "format=detail"] {
                let fake = wide();
                let options = parse::report(keys).unwrap();
                let mut sink = sink(options.format, style(&fake, lang, Some(columns)), nowhere());
                let mut out = Vec::new();
                report(&fake, &options, &mut *sink, &mut out).unwrap();
                let text = String::from_utf8(out).unwrap();
                let rows = text.lines().take_while(|l| !l.contains("untracked"));
                let long: Vec<_> = rows.filter(|l| width(l) > columns).collect();
                assert!(long.is_empty(), "{columns} {keys}: {long:#?}");
                assert!(
                    text.contains("FIN_WAIT1") && !text.contains('\x1b'),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn without_a_terminal_nothing_is_shortened_or_decorated() {
    let fake = wide();
    let text = text(&fake, "");
    assert_eq!(
        text.matches("[2001:db8:1234:5678:9abc:def0:1234:5678]:40000")
            .count(),
        1
    );
    assert!(text.is_ascii() && !text.contains('\x1b'), "{text}");
    assert_eq!(
        text.matches("Old state").count(),
        2,
        "one heading of the part, one of the totals"
    );
    assert!(text.contains("1234/cu\\u{1b}rl"));
    for state in diagnose_tools::model::state::State::all() {
        assert!(
            text.lines().any(|l| l.starts_with(&*state.name())),
            "{}",
            state.name()
        );
    }
}

#[test]
fn chinese_labels_are_used() {
    let fake = wide();
    let options = parse::report("format=detail").unwrap();
    let mut sink = sink(options.format, style(&fake, Lang::Zh, None), nowhere());
    let mut out = Vec::new();
    report(&fake, &options, &mut *sink, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    for word in ["发送窗口", "原状态", "汇总", "丢失", "ESTABLISHED"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn a_running_report_is_waited_for() {
    let fake = Fake::new(1, 64);
    fake.record(0, 1, NOW, 1);
    fake.busy.set(3);
    let start = std::time::Instant::now();
    run_to(&fake, "", &mut Vec::new()).unwrap();
    assert!(
        start.elapsed().as_millis() >= 100,
        "three tries, with pauses"
    );
    assert_eq!(fake.consumed(), [1]);
}

#[test]
fn the_books_are_lines_that_add_up() {
    let fake = Fake::new(1, 64);
    fake.record(0, 70, NOW, 1);
    let text = text(&fake, "port=1");
    let end: Vec<_> = text.lines().rev().take(7).collect();
    assert_eq!(
        end,
        [
            "This report: read 64, shown 0, alarms 0, overwritten 6, unknown records 0",
            "Lost: overwritten 6, missed by kprobes 0, on CPUs without a ring 0, ends not seen 0",
            "Events: recorded 70 = reported 64 + overwritten 6 + pending 0",
            "Events: seen 73 + alarms 0 = recorded 70 + filtered 2 + too short 1 + on CPUs without a ring 0",
            "Listeners: tracked 0, untracked 0",
            "Pairs of addresses: tracked 0, evicted 0, not counted (table full) 0",
            "Live connections: tracked 2, untracked 5, unmatched 0, found at activation 0",
        ]
    );
}

/// A directory of cgroups, and of names of network namespaces, that goes away with the test.
struct Host(PathBuf);

impl Host {
    fn new(name: &str) -> Self {
        let dir = format!("diagnose-tools-host-{}-{name}", std::process::id());
        let host = Self(std::env::temp_dir().join(dir));
        fs::create_dir_all(host.0.join("netns")).unwrap();
        host
    }

    /// Makes a cgroup and tells its id.
    fn cgroup(&self, path: &str) -> u64 {
        let dir = self.0.join("cgroup").join(path);
        fs::create_dir_all(&dir).unwrap();
        dir.metadata().unwrap().ino()
    }

    /// Names the network namespace of this process, and tells its number.
    fn name_netns(&self, name: &str) -> u32 {
        let own = Path::new("/proc/self/ns/net");
        std::os::unix::fs::symlink(own, self.0.join("netns").join(name)).unwrap();
        own.metadata().unwrap().ino().try_into().unwrap()
    }

    fn names(&self) -> Names {
        Names::new(
            Some(self.0.join("cgroup")),
            self.0.join("netns"),
            Duration::ZERO,
        )
    }

    fn report(&self, fake: &Fake, keys: &str, width: Option<usize>) -> String {
        let options = parse::report(keys).unwrap();
        let mut sink = sink(options.format, style(fake, Lang::En, width), self.names());
        let mut out = Vec::new();
        report(fake, &options, &mut *sink, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const CONTAINER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn cgroups_containers_and_namespaces_have_names() {
    let host = Host::new("names");
    let path = format!("system.slice/docker-{CONTAINER}.scope");
    let (id, netns) = (host.cgroup(&path), host.name_netns("blue"));
    let mut fake = Fake::new(1, 64);
    fake.verbose = 2;
    let mut event = Bytes(full_record(NOW));
    event.place(offset_of!(RawRecord, who), id, netns);
    fake.rings[0].write(&event.0);
    let mut live = Bytes(conn("10.0.0.1:1", 1, NOW, 7));
    live.place(offset_of!(RawConn, who), id, netns);
    *fake.conns.borrow_mut() = vec![live.0];
    let text = host.report(&fake, "json=1 peek=1", None);
    let lines: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    for line in &lines[..2] {
        assert_eq!(line["cgroup"], format!("/{path}"));
        assert_eq!(line["cgroup_id"], id);
        assert_eq!(line["container"], CONTAINER);
        assert_eq!(
            (&line["netns"], &line["netns_name"]),
            (&netns.into(), &"blue".into())
        );
    }
    let table = host.report(&fake, "peek=1 transitions=0 summary=0", None);
    assert!(table.contains(" 0123456789ab -\n"), "{table}");
    let narrow = host.report(&fake, "peek=1 format=detail summary=0", Some(80));
    for value in [" 0123456789abcdef", "~", "89abcdef.scope\n"] {
        assert!(narrow.contains(value), "{value}: {narrow}");
    }
    assert!(narrow.lines().all(|l| width(l) <= 80), "{narrow}");
    let detail = host.report(&fake, "peek=1 format=detail summary=0", None);
    for value in [
        format!("/{path}\n"),
        format!("{CONTAINER}\n"),
        format!("{netns} (blue)\n"),
    ] {
        assert_eq!(detail.matches(&value).count(), 2, "{value}: {detail}");
    }
}

#[test]
fn a_half_open_request_is_syn_recv_and_has_no_meters() {
    let mut fake = Fake::new(1, 64);
    fake.verbose = 2;
    let mut bytes = Bytes(full_record(NOW));
    bytes
        .put(offset_of!(RawRecord, old_state), [0])
        .put(offset_of!(RawRecord, new_state), [12])
        .put(offset_of!(RawRecord, flags), 8u16.to_ne_bytes())
        .put(offset_of!(RawRecord, synacks), 0u16.to_ne_bytes());
    fake.rings[0].write(&bytes.0);
    let mut live = Bytes(conn("10.0.0.1:1", 12, NOW, 3 | 8));
    live.put(offset_of!(RawConn, synacks), 2u16.to_ne_bytes());
    live.put(offset_of!(RawConn, reason), 16u16.to_ne_bytes());
    *fake.conns.borrow_mut() = vec![live.0];
    let lines = json(&fake, "peek=1 state=SYN_RECV");
    assert_eq!(
        (&lines[0]["old"], &lines[0]["new"]),
        (&"NEW".into(), &"SYN_RECV".into())
    );
    assert_eq!(lines[0]["synacks"], 0);
    assert_eq!(
        (&lines[1]["state"], &lines[1]["synacks"]),
        (&"SYN_RECV".into(), &2.into())
    );
    assert_eq!(lines[1]["reason"], "accept_queue_full");
    let kinds = |keys: &str| json(&fake, &format!("peek=1 {keys}")).len() - 1;
    assert_eq!(kinds("reason=accept_queue_full transitions=0"), 1);
    assert_eq!(kinds("reason=!accept_queue_full transitions=0"), 0);
    for line in &lines[..2] {
        assert!(
            line.get("bytes_sent").is_none() && line.get("rcvbuf").is_none(),
            "{line}"
        );
    }
    assert_eq!(json(&fake, "peek=1 state=NEW_SYN_RECV").len(), 3);
    assert_eq!(json(&fake, "peek=1 state=!SYN_RECV").len(), 1);
    let detail = text(&fake, "peek=1 format=detail summary=0");
    assert!(
        !detail.contains("Send window") && !detail.contains("NEW_SYN_RECV"),
        "{detail}"
    );
    assert!(
        detail.contains("NEW -> SYN_RECV") && detail.contains("10.0.0.9:8443"),
        "{detail}"
    );
    let table = text(&fake, "peek=1 transitions=0 summary=0");
    let row: Vec<_> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[row.len() - 5..], ["-", "-", "-", "-", "-"], "{table}");
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

#[test]
fn half_open_requests_are_counted_in_syn_recv() {
    let mut fake = Fake::new(1, 64);
    fake.half_open = [1, 4];
    fake.transition_counts = [12, 3]
        .map(|old_state| TransitionCount {
            old_state,
            new_state: 1,
            count: 2,
            ..TransitionCount::default()
        })
        .to_vec();
    let summary = &json(&fake, "")[0];
    assert_eq!(summary["states"]["SYN_RECV"], 5);
    assert_eq!(summary["states"]["NEW_SYN_RECV"], 4);
    let rows = summary["transitions"].as_array().unwrap();
    assert_eq!(
        (rows.len(), &rows[0]["old"], &rows[0]["count"]),
        (1, &"SYN_RECV".into(), &4.into())
    );
    let text = text(&fake, "");
    let line = |start: &str| text.lines().find(|l| l.starts_with(start)).unwrap();
    assert!(line("SYN_RECV ").ends_with(" 5"), "{text}");
    assert!(
        line("NEW_SYN_RECV, counted in SYN_RECV").ends_with(" (4)"),
        "{text}"
    );
}

#[test]
fn handshakes_are_told() {
    let mut fake = Fake::new(1, 64);
    fake.handshakes.syns = 10;
    fake.handshakes.requests = 7;
    fake.handshakes.expired = 3;
    fake.hooks.push(hook("tcp_conn_request", "SYNs", 0));
    let untold = json(&fake, "");
    assert!(untold[0]["handshakes"].get("syns").is_none());
    assert_eq!(untold[0]["handshakes"]["requests"], 7);
    fake.hooks[1].flags = TCPSTATES_HOOK_ATTACHED;
    let told = &json(&fake, "")[0]["handshakes"];
    assert_eq!((&told["syns"], &told["expired"]), (&10.into(), &3.into()));
    assert_eq!(
        (&told["syn_dropped_other"], &told["migrated"]),
        (&3.into(), &0.into())
    );
    assert_eq!(told.as_object().unwrap().len(), 24);
    let table = text(&fake, "");
    let detail = text(&fake, "format=detail");
    for (label, count, zero) in [
        ("SYNs received", "10", false),
        ("SYNs dropped otherwise", "3", false),
        ("given to another listener", "0", true),
    ] {
        let has = |text: &str| {
            text.lines()
                .any(|l| l.starts_with(label) && l.split(' ').next_back() == Some(count))
        };
        assert_eq!(
            (has(&table), has(&detail)),
            (!zero, true),
            "{label}: {table}{detail}"
        );
    }
    fake.handshakes = Default::default();
    assert!(!text(&fake, "").contains("Handshakes"), "nothing to tell");
}

/// A record, a connection, a listener and an alarm of sockets that are bound to device 7.
fn scoped() -> Fake {
    let mut fake = Fake::new(1, 64);
    let bound = |bytes: &mut [u8], who: usize| {
        let mut put = |at: usize, bytes_of: &[u8]| {
            bytes[who + at..][..bytes_of.len()].copy_from_slice(bytes_of);
        };
        for (at, last) in [
            (offset_of!(RawIdent, laddr), 1),
            (offset_of!(RawIdent, raddr), 2),
        ] {
            let addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last);
            put(at, &addr.octets());
        }
        put(offset_of!(RawIdent, family), &[6]);
        put(offset_of!(RawIdent, ifindex), &7u32.to_ne_bytes());
    };
    let mut transition = record(NOW - 2);
    bound(&mut transition, offset_of!(RawRecord, who));
    fake.rings[0].write(&transition);
    let mut alarm = fake::alarm(NOW - 1, 1, true);
    bound(&mut alarm, offset_of!(RawAlarm, who));
    fake.rings[0].write(&alarm);
    let mut live = conn("10.0.0.1:80", 1, NOW, 7);
    bound(&mut live, offset_of!(RawConn, who));
    *fake.conns.borrow_mut() = vec![live];
    let mut listener = fake::listener("0.0.0.0:80");
    let at = offset_of!(RawListener, who) + offset_of!(RawIdent, ifindex);
    listener[at..at + 4].copy_from_slice(&7u32.to_ne_bytes());
    fake.listeners = vec![listener];
    fake
}

fn scoped_report(keys: &str, name: Option<&'static str>) -> String {
    let fake = scoped();
    let devices = Devices::new(Box::new(move |netns, _| {
        assert_eq!(netns, 4_026_531_840);
        Some(vec![(7, name?.to_owned())])
    }));
    let keys = format!("connections=1 summary=0 findings=0 {keys}");
    let options = parse::report(&keys).unwrap();
    let names = nowhere().with_devices(devices);
    let mut sink = sink(options.format, style(&fake, Lang::En, None), names);
    let mut out = Vec::new();
    report(&fake, &options, &mut *sink, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_device_is_told_behind_the_address_in_text_and_beside_it_in_json() {
    for (name, dev) in [
        (Some("v0"), "v0"),
        (Some("e\x1b0"), "e\\u{1b}0"),
        (None, "7"),
    ] {
        for keys in ["", "format=detail"] {
            let text = scoped_report(keys, name);
            for (part, times) in [
                (format!("[fe80::1%{dev}]:40000"), 1),
                (format!("[fe80::2%{dev}]:80"), 2),
                (format!("[fe80::1%{dev}]:80"), 1),
                (format!("fe80::1%{dev}"), 3),
                (format!("fe80::2%{dev}"), 3),
                (format!("0.0.0.0%{dev}:80"), 1),
            ] {
                assert_eq!(text.matches(&part).count(), times, "{part}: {text}");
            }
        }
        let text = scoped_report("json=1", name);
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["ifindex"], 7, "{line}");
            assert_eq!(line.get("dev").and_then(Value::as_str), name, "{line}");
            assert!(["fe80::1", "0.0.0.0"].contains(&line["laddr"].as_str().unwrap()));
        }
        assert_eq!(text.lines().count(), 4);
    }
}

#[test]
fn filters_by_device_choose() {
    let here = Path::new("/proc/self/ns/net").metadata().unwrap().ino();
    let shown = |keys: &str| {
        let report = json(
            &scoped(),
            &format!("connections=1 summary=0 findings=0 {keys}"),
        );
        report.len()
    };
    assert_eq!(shown("addr=fe80::2%7 netns=4026531840"), 4);
    assert_eq!(shown("addr=fe80::2%8 netns=4026531840"), 0);
    assert_eq!(shown("laddr=0.0.0.0%7 netns=4026531840"), 1);
    // Without a namespace it is a device of this one.
    let expected = if here == 4_026_531_840 { 4 } else { 0 };
    assert_eq!(shown("addr=fe80::2%7"), expected);
}

#[test]
fn ends_lives_and_cgroups_are_told() {
    let mut fake = Fake::new(1, 64);
    let room = TCPSTATES_REASONS_MAX as usize;
    (fake.lives.ends[room + 1], fake.lives.ends[room + 10]) = (3, 9);
    fake.lives.ends[2 * room + 2] = 4;
    let times = |of: &mut diagnose_tools::abi::Times, ns: u64| {
        (of.count, of.total_ns, of.max_ns) = (1, ns, ns);
        of.hist[0] = 1;
    };
    times(&mut fake.lives.life[1], 512);
    times(&mut fake.lives.accept_wait, 700);
    let cgroup = |cgroup, established| {
        let mut of = Cgroup {
            cgroup,
            ..Cgroup::default()
        };
        of.states[1] = established;
        of
    };
    fake.cgroups = (1..=7).map(|n| cgroup(u64::MAX - 9 + n, n)).collect();
    fake.cgroups.push(cgroup(0, 2));
    let summary = &json(&fake, "")[0];
    let text_of = |name: &str| serde_json::to_string(&summary[name]).unwrap();
    let (ends, lives) = (&summary["ends"], &summary["lives"]);
    assert_eq!(ends["client"]["refused"], 9);
    assert_eq!(text_of("ends").matches(':').count(), 5, "{ends}");
    assert_eq!(ends["server"]["closed_peer"], 4);
    for name in ["total_ns", "p50_ns", "p99_ns", "max_ns"] {
        assert_eq!(lives["client"][name], 512, "{lives}");
        assert_eq!(summary["accept_wait"][name], 700, "{summary}");
    }
    assert!(lives.get("server").is_none(), "{lives}");
    let cgroups = summary["cgroups"].as_array().unwrap();
    assert_eq!(cgroups.len(), 8);
    assert_eq!(cgroups[0]["states"]["ESTABLISHED"], 7);
    assert_eq!(cgroups[0]["connections"], 7);
    assert_eq!(cgroups[0]["cgroup_id"], u64::MAX - 2);

    let table = text(&fake, "");
    let words = |text: &str, first: &str| -> Vec<String> {
        let line = text.lines().find(|l| l.starts_with(first));
        let line = line.unwrap_or_else(|| panic!("{first}: {text}"));
        line.split("  ")
            .map(str::trim)
            .filter(|w| !w.is_empty())
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(words(&table, "client  "), ["client", "refused", "9"]);
    assert_eq!(
        words(&table, "waited for"),
        ["waited for accept()", "1", "700 ns", "700 ns", "700 ns"]
    );
    assert_eq!(words(&table, "others"), ["others (3)", "5", "5"]);
    let detail = text(&fake, "format=detail");
    assert!(!detail.lines().any(|l| l.starts_with("others")), "{detail}");
    assert_eq!(
        words(&detail, "18446744073709551607"),
        ["18446744073709551607", "1", "1"]
    );
}
