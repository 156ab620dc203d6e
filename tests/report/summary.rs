//! The summary at the end.

use diagnose_tools::abi::{
    Cgroup, TCPSTATES_HOOK_ATTACHED, TCPSTATES_REASONS_MAX, TransitionCount, hook_id,
};
use serde_json::Value;
use testkit::fake::{Fake, NOW};
use testkit::records;
use testkit::records::hook;

use crate::support::{json, text};

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
        \"overwritten\":0,\"unknown_records\":0,\"lives\":0},\
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

/// The findings are printed after everything else, and are in the totals of JSON.
#[test]
fn a_report_ends_with_what_a_diagnosis_would_find() {
    let mut fake = Fake::new(1, 64);
    // Its accept queue is full.
    fake.listeners = vec![records::listener("10.0.0.1:80")];
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
fn totals_are_lines_that_balance() {
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
    fake.hooks.push(hook("tcp_conn_request", hook_id::SYN, 0));
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
