//! Alarms and listeners, in reports, with `--follow` and in the settings, against a backend in
//! memory.

use std::fs::File;
use std::io::{Read, Seek};
use std::mem::offset_of;

use diagnose_tools::abi::{RawConn, RawIdent, RawListener, Stats, hook_id};
use diagnose_tools::backend::{Backend, Recorder};
use diagnose_tools::cli::parse;
use diagnose_tools::command::follow::follow;
use diagnose_tools::command::options::SettingsOptions;
use diagnose_tools::command::settings::settings;
use diagnose_tools::fmt::width::width;
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::time::Clock;
use diagnose_tools::render::{Style, sink};
use jiff::tz::TimeZone;
use serde_json::Value;
use testkit::fake::{Fake, Happening, NOW};
use testkit::host::Unobserved;
use testkit::printed::{nowhere, printed};
use testkit::records::{Bytes, alarm, conn, hook, listener};

const PAIR: u8 = 1;
const ACCEPT_QUEUE: u8 = 2;

/// The kind of output: language, width and colours.
#[derive(Clone, Copy)]
struct Reader {
    lang: Lang,
    width: Option<usize>,
    color: bool,
}

const SCRIPT: Reader = Reader {
    lang: Lang::En,
    width: None,
    color: false,
};

impl Reader {
    fn style(&self, fake: &Fake) -> Style {
        Style {
            labels: self.lang.labels(),
            clock: Clock::with_zone(&fake.stats().unwrap(), TimeZone::UTC),
            width: self.width,
            color: self.color,
        }
    }

    fn reads(&self, fake: &Fake, keys: &str) -> String {
        printed(fake, keys, self.style(fake), nowhere())
    }

    fn reads_settings(&self, fake: &Fake, json: bool) -> String {
        let mut out = Vec::new();
        let options = SettingsOptions { json, from: None };
        settings(fake, &options, &self.style(fake), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

fn json(fake: &Fake, keys: &str) -> Vec<Value> {
    lines(&SCRIPT.reads(fake, &format!("{keys} json=1")))
}

fn kinds(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|l| l["type"].as_str().unwrap()).collect()
}

fn count(fake: &Fake, keys: &str, kind: &str) -> usize {
    let lines = json(fake, &format!("peek=1 {keys}"));
    lines.iter().filter(|l| l["type"] == kind).count()
}

/// A transition, an alarm in each ring, and another transition.
fn mixed() -> Fake {
    let fake = Fake::new(2, 64);
    fake.record(0, 1, NOW - 40, 1);
    fake.rings[1].write(&alarm(NOW - 30, PAIR, true));
    fake.rings[0].write(&alarm(NOW - 20, ACCEPT_QUEUE, false));
    fake.record(1, 1, NOW - 10, 1);
    fake
}

#[test]
fn alarms_and_transitions_are_one_stream_in_the_order_of_time() {
    let fake = mixed();
    let first = json(&fake, "");
    assert_eq!(
        kinds(&first),
        ["transition", "alarm", "alarm", "transition", "summary"]
    );
    let place = |l: &Value| (l["cpu"].as_u64().unwrap(), l["seq"].as_u64().unwrap());
    let order: Vec<_> = first[..4].iter().map(place).collect();
    assert_eq!(order, [(0, 0), (1, 0), (0, 1), (1, 1)]);
    let this = &first[4]["this_report"];
    for (name, n) in [
        ("transitions", 2),
        ("shown", 2),
        ("alarms", 2),
        ("alarms_shown", 2),
    ] {
        assert_eq!(this[name], n, "{name}");
    }
    let n = |name: &str| first[4][name].as_u64().unwrap();
    assert_eq!((n("alarms"), n("recorded"), n("reported")), (2, 4, 4));
    assert_eq!(
        n("seen") + n("alarms"),
        n("recorded") + n("filtered") + n("too_short")
    );
    assert_eq!(fake.consumed(), [2, 2]);
    assert_eq!(kinds(&json(&fake, "")), ["summary"]);
}

#[test]
fn alarms_can_be_left_out_and_are_reported_all_the_same() {
    let fake = mixed();
    let lines = json(&fake, "alarms=0");
    assert_eq!(kinds(&lines), ["transition", "transition", "summary"]);
    let this = &lines[2]["this_report"];
    assert_eq!(
        (&this["alarms"], &this["alarms_shown"]),
        (&2.into(), &0.into())
    );
    assert_eq!(fake.consumed(), [2, 2]);
}

#[test]
fn alarms_alone_leave_the_transitions_where_they_are() {
    let mut fake = mixed();
    fake.busy.set(u32::MAX);
    for (verbose, keys) in [(1, ""), (0, "transitions=0"), (0, "transitions=0")] {
        fake.verbose = verbose;
        let lines = json(&fake, keys);
        assert_eq!(kinds(&lines), ["alarm", "alarm", "summary"]);
        assert_eq!(
            (&lines[2]["pending"], &lines[2]["lost"]["overwritten"]),
            (&4.into(), &0.into())
        );
    }
    assert_eq!((fake.consumed(), fake.consume_calls.get()), (vec![0, 0], 0));
}

#[test]
fn alarms_have_a_limit_of_their_own_and_come_first_in_other_orders() {
    let fake = mixed();
    let seqs = |keys: &str| -> Vec<String> {
        let lines = json(&fake, &format!("peek=1 summary=0 {keys}"));
        let place = |l: &Value| format!("{}:{}", &l["type"].as_str().unwrap()[..1], l["cpu"]);
        lines.iter().map(place).collect()
    };
    assert_eq!(seqs("limit=1"), ["a:0", "t:1"]);
    assert_eq!(seqs("limit=2"), ["t:0", "a:1", "a:0", "t:1"]);
    assert_eq!(seqs("sort=bytes"), ["a:1", "a:0", "t:0", "t:1"]);
}

#[test]
fn an_alarm_has_the_fields_of_the_interface_in_order() {
    let fake = Fake::new(1, 64);
    fake.rings[0].write(&alarm(NOW - 1, PAIR, false));
    fake.rings[0].write(&alarm(NOW, ACCEPT_QUEUE, true));
    let text = SCRIPT.reads(&fake, "json=1 summary=0");
    let rest =
        "\"pid\":141,\"comm\":\"nginx\",\"uid\":0,\"value\":512,\"threshold\":500,\"peak\":640,";
    let counts = "\"half_open\":1,\"established\":508,\"closing\":3,\"timewait\":7}";
    let place = "\"conn\":42,\"netns\":4026531840,\"family\":4,\"laddr\":\"10.0.0.1\",";
    let pair = format!(
        "{{\"type\":\"alarm\",\"ts\":\"2023-11-14T22:13:19.999999999Z\",\"cpu\":0,\"seq\":0,\
         \"kind\":\"pair\",\"raised\":false,{place}\"raddr\":\"10.0.0.2\",{rest}\
         \"since\":\"2023-11-14T22:13:14.999999999Z\",{counts}"
    );
    let queue = format!(
        "{{\"type\":\"alarm\",\"ts\":\"2023-11-14T22:13:20.000000000Z\",\"cpu\":0,\"seq\":1,\
         \"kind\":\"accept_queue\",\"raised\":true,{place}\"lport\":8080,{rest}\
         \"since\":\"2023-11-14T22:13:20.000000000Z\",{counts}"
    );
    assert_eq!(text.lines().collect::<Vec<_>>(), [pair, queue]);
}

#[test]
fn an_unknown_kind_of_alarm_survives() {
    let fake = Fake::new(1, 64);
    fake.rings[0].write(&alarm(NOW, 77, true));
    assert_eq!(json(&fake, "peek=1")[0]["kind"], "alarm_77");
    assert!(
        SCRIPT
            .reads(&fake, "peek=1")
            .contains("RAISED alarm_77 512")
    );
    let detail = SCRIPT.reads(&fake, "peek=1 format=detail");
    assert!(detail.contains("RAISED alarm_77"), "{detail}");
}

#[test]
fn filters_narrow_alarms_by_what_they_have() {
    let fake = Fake::new(1, 64);
    fake.rings[0].write(&alarm(NOW, PAIR, true));
    fake.rings[0].write(&alarm(NOW, ACCEPT_QUEUE, true));
    for (keys, expected) in [
        ("", 2),
        ("raddr=10.0.0.2", 2),
        ("raddr=10.0.0.3", 1),
        ("laddr=10.0.0.3", 0),
        ("lport=8080", 2),
        ("lport=80", 1),
        ("rport=1", 2),
        ("netns=1", 0),
        ("family=6", 0),
        ("state=CLOSE reason=refused min-ms=99999", 2),
        ("alarms=0", 0),
    ] {
        assert_eq!(count(&fake, keys, "alarm"), expected, "{keys}");
    }
}

#[test]
fn an_alarm_is_a_line_among_the_transitions() {
    let text = SCRIPT.reads(&mixed(), "summary=0");
    let rows: Vec<_> = text.lines().collect();
    assert_eq!(rows.len(), 5, "{text}");
    assert_eq!(
        rows[2],
        "11-14 22:13:19.999 10.0.0.1              10.0.0.2              \
         RAISED pair 512, threshold 500, 141/nginx"
    );
    assert_eq!(
        rows[3],
        "11-14 22:13:19.999 10.0.0.1:8080         -                     \
         cleared accept_queue 512, threshold 500, most 640, after 5.0 s, 141/nginx"
    );
    let alone = SCRIPT.reads(&mixed(), "transitions=0 summary=0");
    let head = "Time               Local                 Remote                Alarm";
    assert_eq!(
        (alone.lines().count(), alone.lines().next()),
        (3, Some(head))
    );
}

#[test]
fn only_a_colourful_reader_gets_colours() {
    let (red, green) = ("\u{1b}[1m\u{1b}[31m", "\u{1b}[32m");
    for format in ["table", "detail"] {
        let keys = format!("summary=0 transitions=0 format={format}");
        let reader = Reader {
            color: true,
            ..SCRIPT
        };
        let text = reader.reads(&mixed(), &keys);
        assert!(text.contains(&format!("{red}RAISED pair")), "{text}");
        assert!(
            text.contains(&format!("{green}cleared accept_queue")),
            "{text}"
        );
        assert!(!SCRIPT.reads(&mixed(), &keys).contains('\u{1b}'));
    }
    let mut fake = Fake::new(1, 64);
    fake.listeners = vec![listener("10.0.0.1:80")];
    let reader = Reader {
        color: true,
        ..SCRIPT
    };
    let text = reader.reads(&fake, "listeners=1 summary=0");
    assert!(text.contains(&format!("{red}         6/9/5")), "{text}");
    assert!(text.contains("      10/77/128"), "{text}");
}

#[test]
fn detail_tells_all_of_an_alarm() {
    let text = SCRIPT.reads(&mixed(), "transitions=0 summary=0 format=detail");
    for part in [
        "2023-11-14 22:13:19.999  RAISED pair\n",
        "Remote             10.0.0.2\n",
        "cleared accept_queue\n",
        "Local              10.0.0.1:8080\n",
        "Value              512",
        "Threshold          500\n",
        "Peak               640",
        "Since raised       5.0 s\n",
        "Established        508\n",
        "Timewait           7\n",
        "141/nginx",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// A listener on one address, one on any address, and one that is older than the activation.
fn listening() -> Fake {
    let mut fake = Fake::new(1, 64);
    let mut seeded = Bytes(listener("10.0.0.1:443"));
    let flags = (4u16 | 1).to_ne_bytes();
    seeded
        .put(offset_of!(RawIdent, flags), flags)
        .put(offset_of!(RawListener, flags), 1u16.to_ne_bytes())
        .put(offset_of!(RawListener, unfinished_ns), 0u64.to_ne_bytes())
        .put(offset_of!(RawListener, alarms), 0u16.to_ne_bytes());
    fake.listeners = vec![listener("10.0.0.1:80"), listener("0.0.0.0:22"), seeded.0];
    fake
}

#[test]
fn a_listener_has_the_fields_of_the_interface_in_order() {
    let fake = listening();
    let text = SCRIPT.reads(&fake, "json=1 listeners=1 summary=0");
    let expected = "{\"type\":\"listener\",\"ts\":\"2023-11-14T22:13:20.000000000Z\",\"conn\":42,\
        \"netns\":4026531840,\"family\":4,\"laddr\":\"10.0.0.1\",\"lport\":80,\"pid\":141,\
        \"comm\":\"nginx\",\"uid\":0,\"age_ns\":60000000000,\"age_exact\":true,\"seeded\":false,\
        \"accept_queue\":6,\"accept_queue_max\":9,\"accept_queue_limit\":5,\
        \"half_open\":10,\"half_open_max\":77,\"half_open_limit\":128,\
        \"established\":400,\"closing\":40,\"timewait\":50,\"unfinished\":20,\
        \"unfinished_max\":30,\"unfinished_at\":\"2023-11-14T22:13:18.000000000Z\",\
        \"drops\":19,\"alarms\":[\"accept_queue\"],\"handshakes\":{\"syns\":0,";
    assert_eq!(&text.lines().next().unwrap()[..expected.len()], expected);
    let lines = lines(&text);
    assert_eq!(lines[0]["handshakes"]["syn_accept_queue_full"], 4);
    assert_eq!(lines[0]["handshakes"].as_object().unwrap().len(), 24);
    let old = &lines[2];
    assert_eq!(
        (&old["age_exact"], &old["seeded"]),
        (&false.into(), &true.into())
    );
    assert_eq!(old["alarms"], Value::Array(vec![]));
    assert!(old.get("unfinished_at").is_none(), "{old}");
}

#[test]
fn listeners_come_between_connections_and_summary() {
    let mut fake = listening();
    *fake.conns.borrow_mut() = vec![conn("10.0.0.1:1", 1, NOW, 7)];
    let all = ["connection", "listener", "listener", "listener", "summary"];
    assert_eq!(kinds(&json(&fake, "connections=1")), all);
    assert_eq!(
        kinds(&json(&fake, "connections=1 listeners=0")),
        ["connection", "summary"]
    );
    assert_eq!(kinds(&json(&fake, "")), ["summary"]);
    assert_eq!(json(&fake, "listeners=1")[3]["this_report"]["listeners"], 3);
    for verbose in [1, 2] {
        fake.verbose = verbose;
        assert_eq!(kinds(&json(&fake, "")), all);
    }
}

#[test]
fn filters_narrow_listeners() {
    let fake = listening();
    for (keys, expected) in [
        ("", 3),
        ("lport=80|443", 2),
        ("port=!22", 2),
        ("laddr=10.0.0.9", 1),
        ("laddr=10.0.0.0/8", 3),
        ("raddr=10.0.0.9 rport=5", 3),
        ("netns=5", 0),
        ("family=6", 0),
        ("state=LISTEN", 3),
        ("state=CLOSE_WAIT", 0),
        ("reason=refused", 0),
        ("min-ms=60000", 3),
        ("min-ms=60001", 0),
        ("limit=2", 2),
    ] {
        let keys = format!("listeners=1 {keys}");
        assert_eq!(count(&fake, &keys, "listener"), expected, "{keys}");
    }
}

#[test]
fn the_table_of_listeners_reads_as_that_of_ss() {
    let mut fake = listening();
    fake.listeners.truncate(1);
    let text = SCRIPT.reads(&fake, "listeners=1 summary=0");
    let words = |line: usize| -> Vec<&str> {
        let line = text.lines().nth(line).unwrap();
        line.split("  ")
            .map(str::trim)
            .filter(|w| !w.is_empty())
            .collect()
    };
    assert_eq!(
        words(0),
        [
            "Listener",
            "Accept queue",
            "Half-open",
            "Estab",
            "Closing Timewait Overflows",
            "Drops",
            "Accept wait Process"
        ]
    );
    assert_eq!(
        words(1),
        [
            "10.0.0.1:80",
            "6/9/5",
            "10/77/128",
            "400",
            "40",
            "50",
            "9",
            "19",
            "1.0 ms/4.0 ms 141/nginx"
        ]
    );
    fake.hooks
        .push(hook("tcp_check_req", hook_id::REQUEST_PACKET, 0));
    let text = SCRIPT.reads(&fake, "listeners=1 summary=0");
    assert!(text.contains(" - "), "{text}");
}

#[test]
fn detail_tells_all_of_a_listener() {
    let text = SCRIPT.reads(&listening(), "listeners=1 summary=0 format=detail");
    for part in [
        "2023-11-14 22:13:20.000  LISTEN\n",
        "Local              10.0.0.1:80\n",
        "Listening for      1m 00s\n",
        "Listening for      >1m 00s\n",
        "Alarms             accept_queue\n",
        "Accept queue       6, most 9, limit 5\n",
        "Half-open          10, most 77, limit 128\n",
        "Unfinished / s     20, most 30\n",
        "Drops              19\n",
        "Wait for accept()  1.0 ms             Longest            4.0 ms\n",
        "last ACKs dropped, accept queue full: 5\n",
        "141/nginx",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("SYN cookies sent"), "{text}");
}

#[test]
fn alarms_and_listeners_fit_a_terminal_in_both_languages() {
    for lang in [Lang::En, Lang::Zh] {
        for columns in [80, 100, 132, 200] {
            for format in ["table", "detail"] {
                let mut fake = mixed();
                let long = [0x20; 16];
                let mut wide = Bytes(listener("10.0.0.1:80"));
                wide.put(offset_of!(RawIdent, laddr), long)
                    .put(offset_of!(RawIdent, family), [6]);
                fake.listeners = vec![wide.0];
                let reader = Reader {
                    lang,
                    width: Some(columns),
                    color: false,
                };
                let keys = format!("listeners=1 summary=0 format={format}");
                let text = reader.reads(&fake, &keys);
                let long: Vec<_> = text.lines().filter(|l| width(l) > columns).collect();
                assert!(long.is_empty(), "{columns} {format}: {long:#?}");
                assert!(text.contains("pair") && text.contains("512"), "{text}");
            }
        }
    }
    let reader = Reader {
        lang: Lang::Zh,
        ..SCRIPT
    };
    let mut fake = mixed();
    fake.listeners = vec![listener("10.0.0.1:80")];
    let text = reader.reads(&fake, "listeners=1");
    for word in [
        "触发 pair",
        "阈值",
        "全连接队列",
        "半连接",
        "地址对",
        "事件",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn a_connection_tells_what_it_does() {
    let fake = Fake::new(1, 64);
    let mut busy = Bytes(conn("10.0.0.1:1", 1, NOW, 7));
    let flags = 0x37u16;
    busy.put(offset_of!(RawConn, flags), flags.to_ne_bytes())
        .put(offset_of!(RawConn, last_recv_ms), 1_500u64.to_ne_bytes())
        .put(offset_of!(RawConn, last_sent_ms), 70_000u64.to_ne_bytes())
        .put(offset_of!(RawConn, unacked), 9u32.to_ne_bytes())
        .put(offset_of!(RawConn, retransmits), [3])
        .put(offset_of!(RawConn, probes), [4])
        .put(offset_of!(RawConn, sock_flags), 5u16.to_ne_bytes());
    let request = conn("10.0.0.1:2", 12, NOW, 3);
    *fake.conns.borrow_mut() = vec![busy.0, request];
    let text = SCRIPT.reads(&fake, "connections=1 json=1 summary=0");
    let end = "\"retrans\":0,\"last_recv_ms\":1500,\"last_sent_ms\":70000,\"unacked\":9,\
               \"retransmits\":3,\"probes\":4,\"keepalive\":true,\"orphan\":false,\
               \"user_timeout\":true}";
    assert!(text.lines().next().unwrap().ends_with(end), "{text}");
    assert!(lines(&text)[1].get("last_recv_ms").is_none(), "{text}");
    let detail = SCRIPT.reads(&fake, "connections=1 format=detail summary=0");
    for part in [
        "Data received      1.5 s ago",
        "Data sent          1m 10s ago\n",
        "Unacknowledged     9 ",
        "Timeouts in a row  3\n",
        "Probes unanswered  4 ",
        "Socket             keepalive user_timeout\n",
    ] {
        assert_eq!(detail.matches(part).count(), 1, "{part}: {detail}");
    }
}

/// Numbers of a recording whose tables are full.
fn crowded() -> Fake {
    let mut fake = Fake::new(1, 64);
    fake.counts = Stats {
        pairs: 11,
        evicted: 12,
        uncounted: 13,
        listeners: 14,
        unlisted: 15,
        ..Stats::default()
    };
    fake
}

#[test]
fn what_found_no_room_is_told_where_losses_are() {
    let fake = crowded();
    let setting: Value = serde_json::from_str(&SCRIPT.reads_settings(&fake, true)).unwrap();
    for summary in [&json(&fake, "")[0], &setting] {
        assert_eq!(
            (&summary["pairs"], &summary["listeners"]),
            (&11.into(), &14.into())
        );
        let lost = &summary["lost"];
        for (name, n) in [("evicted", 12), ("uncounted", 13), ("unlisted", 15)] {
            assert_eq!(lost[name], n, "{summary}");
        }
    }
    let pairs = "Pairs of addresses: tracked 11, evicted 12, \
                  not counted (table full) 13\nListeners: tracked 14, untracked 15\n";
    let text = SCRIPT.reads(&fake, "");
    assert!(text.contains(pairs), "{text}");
    let pairs = "Pairs of addresses: tracked 11 of 32, evicted 12, \
                  not counted (table full) 13\nListeners: tracked 14 of 8, untracked 15\n";
    let text = SCRIPT.reads_settings(&fake, false);
    assert!(text.contains(pairs), "{text}");
}

#[test]
fn settings_tell_the_keys_of_alarms() {
    let fake = crowded();
    let value: Value = serde_json::from_str(&SCRIPT.reads_settings(&fake, true)).unwrap();
    let keys = ["threshold", "unfinished", "max-pairs", "max-listeners"];
    assert_eq!(
        keys.map(|k| value["settings"][k].as_u64()),
        [500, 200, 32, 8].map(Some)
    );
    let text = SCRIPT.reads_settings(&fake, false);
    assert!(text.contains(" threshold=500 unfinished=200 max-pairs=32 max-listeners=8\n"));
}

fn followed(fake: &Fake, keys: &str, script: Vec<Happening>) -> Vec<Value> {
    *fake.script.borrow_mut() = script;
    let options = parse::follow(&format!("{keys} json=1")).unwrap();
    let id = (std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(format!("diagnose-tools-alarms-{id:?}"));
    let open = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path);
    let mut file = open.unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut sink = sink(options.format, SCRIPT.style(fake), nowhere());
    let mut host = Unobserved::default();
    follow(fake, &mut host, &options, &mut *sink, &file).unwrap();
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    lines(&text)
}

#[test]
fn alarms_are_followed_as_they_come() {
    let script = || -> Vec<Happening> {
        vec![
            Box::new(|f| {
                f.record(0, 1, NOW, 1);
                f.rings[0].write(&alarm(NOW + 1, PAIR, true));
            }),
            Box::new(|f| f.rings[0].write(&alarm(NOW + 2, PAIR, false))),
            Box::new(|f| f.deactivate().unwrap()),
        ]
    };
    let run = |keys: &str| followed(&Fake::new(1, 64), keys, script());
    let lines = run("");
    assert_eq!(kinds(&lines), ["transition", "alarm", "alarm", "summary"]);
    let this = &lines[3]["this_report"];
    assert_eq!(
        (&this["transitions"], &this["alarms"]),
        (&1.into(), &2.into())
    );
    assert_eq!(
        (&this["shown"], &this["alarms_shown"]),
        (&1.into(), &2.into())
    );
    assert_eq!(kinds(&run("transitions=0 summary=0")), ["alarm", "alarm"]);
    assert_eq!(kinds(&run("alarms=0 summary=0")), ["transition"]);
    assert_eq!(kinds(&run("limit=2 summary=0")), ["transition", "alarm"]);
    let mut fake = listening();
    fake.verbose = 2;
    let lines = followed(&fake, "listeners=1 limit=3 summary=0", script());
    let here = ["listener", "listener", "listener"];
    assert_eq!(kinds(&lines)[..3], here);
    assert_eq!(kinds(&lines)[3..], ["transition", "alarm", "alarm"]);
}
