//! `slow-request`, `slow-headers` and `slow-body`.

use std::time::Duration;

use diagnose_tools::diagnose::Scope;
use diagnose_tools::diagnose::finding::Severity;
use diagnose_tools::host::sample::Carried;
use testkit::fake::Fake;
use testkit::host::FakeHost;
use testkit::scene::{CLIENT, Conn, NETNS, healthy, reset, slow, stranger};

use crate::support::{add, host, is, look, look_with, number, only, peers};

#[test]
fn slow_requests_of_one_source() {
    let fake = host();
    add(&fake, (0..49).map(slow));
    assert_eq!(look(&fake), []);
    add(&fake, [slow(49)]);
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "slow-request", Severity::Warning);
    assert_eq!(
        finding.summary,
        "slow requests: 50 connections from 10.9.0.1 to 10.0.0.1:80 send requests and do not \
         finish them"
    );
    assert_eq!(peers(finding), [("10.9.0.1".into(), 50)]);
    assert_eq!(finding.subject.peer_count, 1);
    let owner = finding.subject.owner.unwrap();
    assert_eq!((owner.pid, owner.comm_bytes()), (142, &b"nginx"[..]));
    let numbers = ["connections", "established", "oldest_s", "bytes_received"];
    let expected = [50, 250, 20, 15_000];
    assert_eq!(numbers.map(|name| number(finding, name)), expected);
    assert_eq!(number(finding, "bytes_per_second_each"), 15);
    add(&fake, (50..500).map(slow));
    is(only(&look(&fake)), "slow-request", Severity::Critical);
}

#[test]
fn slow_requests_that_were_answered_before() {
    let fake = host();
    let refused = |number| Conn {
        sent: 300,
        last_sent: 15_000,
        ..slow(number)
    };
    add(&fake, (0..60).map(refused));
    is(only(&look(&fake)), "slow-request", Severity::Warning);
}

#[test]
fn what_is_not_a_slow_request() {
    let long_poll = |n| Conn {
        sent: 4_000,
        last_recv: 20_000,
        last_sent: 1_000,
        ..slow(n)
    };
    let waits_for_its_answer = |n| Conn {
        last_recv: 19_990,
        ..slow(n)
    };
    let fast = |n| Conn {
        received: 256 * 20,
        ..slow(n)
    };
    let young = |n| Conn { age: 7, ..slow(n) };
    let idle = |n| Conn {
        age: 900,
        last_recv: 121_000,
        ..slow(n)
    };
    let client = |n| Conn {
        role: CLIENT,
        ..slow(n)
    };
    let kinds: [fn(u64) -> Conn; 6] = [long_poll, waits_for_its_answer, fast, young, idle, client];
    for (index, kind) in kinds.into_iter().enumerate() {
        let fake = host();
        add(&fake, (0..100).map(kind));
        assert_eq!(look(&fake), [], "{index}");
    }
}

#[test]
fn slow_requests_of_many_sources() {
    let of = |number| Conn {
        remote: stranger(number),
        ..slow(number)
    };
    let fake = host();
    add(&fake, (0..199).map(of));
    assert_eq!(look(&fake), []);
    // Half of the listener's connections: there are as many healthy ones.
    add(&fake, [of(199)]);
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "slow-request", Severity::Warning);
    assert_eq!((finding.subject.peer_count, peers(finding)), (200, vec![]));
    assert!(
        finding.summary.contains("200 connections from 200 sources"),
        "{}",
        finding.summary
    );
    add(&fake, (200..203).map(healthy));
    assert_eq!(look(&fake), []);
}

#[test]
fn packets_tell_headers_from_bodies() {
    let fake = host();
    add(&fake, (0..60).map(slow));
    let scope = Scope {
        patience: Duration::from_secs(1),
        ..Scope::default()
    };
    let carried = |headers, body, encrypted| Carried {
        headers,
        body,
        encrypted,
    };
    let table = [
        (
            carried(30, 0, 0),
            "slow-headers",
            "slow headers (slowloris): 60 connections",
        ),
        (carried(1, 29, 0), "slow-body", "slow POST: 60 connections"),
        (
            carried(0, 0, 30),
            "slow-request",
            "slow requests: 60 connections",
        ),
        (
            carried(15, 15, 0),
            "slow-request",
            "slow requests: 60 connections",
        ),
    ];
    for (carried, rule, summary) in table {
        let mut host = FakeHost {
            carried,
            ..FakeHost::default()
        };
        let diagnosis = look_with(&fake, &mut host, &scope);
        let finding = only(&diagnosis.findings);
        is(finding, rule, Severity::Warning);
        assert!(finding.summary.starts_with(summary), "{}", finding.summary);
        assert_eq!(number(finding, "sampled_body"), carried.body);
        let [target] = &host.sampled[..] else {
            panic!("{:?}", host.sampled);
        };
        assert_eq!(
            (target.netns, target.port, target.clients.len()),
            (NETNS, 80, 60)
        );
        assert!(
            target
                .clients
                .contains(&("10.9.0.1".parse().unwrap(), 20_000))
        );
        assert_eq!(target.pids, [142]);
    }
}

/// A host whose listener serves only these connections.
fn only_serving(kind: fn(u64) -> Conn) -> Fake {
    let fake = host();
    fake.conns.borrow_mut().clear();
    add(&fake, (0..300).map(kind));
    fake
}

/// Log senders that are never answered, and sensors that are only greeted.
#[test]
fn one_way_protocols_are_information() {
    let log = slow;
    let sensor = |n| Conn {
        sent: 4,
        last_sent: 20_000,
        ..slow(n)
    };
    let kinds: [fn(u64) -> Conn; 2] = [log, sensor];
    for kind in kinds {
        let findings = look(&only_serving(kind));
        let finding = only(&findings);
        is(finding, "slow-request", Severity::Info);
        assert!(
            finding.summary.starts_with("one-way data: "),
            "{}",
            finding.summary
        );
        assert!(finding.advice.iter().all(|a| !a.text.contains("block")));
    }
    // A status line is an answer.
    let answered = |n| Conn {
        sent: 25,
        last_sent: 20_000,
        ..slow(n)
    };
    let findings = look(&only_serving(answered));
    is(only(&findings), "slow-request", Severity::Warning);
}

#[test]
fn a_listener_that_answered_others_does_not_speak_a_one_way_protocol() {
    // One that it answers now, or one that it has answered in the last minute.
    let fake = only_serving(slow);
    add(&fake, [healthy(0)]);
    is(only(&look(&fake)), "slow-request", Severity::Warning);
    let fake = only_serving(slow);
    fake.rings[0].write(&reset(&healthy(0), 5_000, 9, 1));
    is(only(&look(&fake)), "slow-request", Severity::Warning);
    let fake = only_serving(slow);
    let asked = Conn {
        sent: 0,
        ..healthy(0)
    };
    fake.rings[0].write(&reset(&asked, 5_000, 9, 1));
    is(only(&look(&fake)), "slow-request", Severity::Info);
}

/// What is sent once its headers were seen is a request, whether or not anybody is answered.
#[test]
fn a_sample_tells_one_way_protocols_from_requests() {
    let scope = Scope {
        patience: Duration::from_secs(1),
        ..Scope::default()
    };
    let of = |headers, body, encrypted| {
        let mut host = FakeHost {
            carried: Carried {
                headers,
                body,
                encrypted,
            },
            ..FakeHost::default()
        };
        let diagnosis = look_with(&only_serving(slow), &mut host, &scope);
        let finding = only(&diagnosis.findings);
        (finding.rule, finding.severity)
    };
    assert_eq!(of(30, 0, 0), ("slow-headers", Severity::Warning));
    assert_eq!(of(0, 0, 30), ("slow-request", Severity::Warning));
    assert_eq!(of(0, 30, 0), ("slow-request", Severity::Info));
    assert_eq!(of(0, 0, 0), ("slow-request", Severity::Info));
}

/// The other ends are on this host: their process is to be looked at, and nothing to be blocked.
#[test]
fn slow_requests_of_a_process_of_this_host() {
    let fake = host();
    let client = |n| format!("10.0.0.1:{}", 40_000 + n);
    let served = |n| Conn {
        remote: client(n),
        ..slow(n)
    };
    add(&fake, (0..60).map(served));
    add(
        &fake,
        (0..60).map(|n| Conn::begun(client(n), "10.0.0.1:80", 20)),
    );
    let findings = look(&fake);
    let finding = only(&findings);
    is(finding, "slow-request", Severity::Warning);
    assert_eq!(
        finding.advice[0].text,
        "60 of them have their other end on this host, held by 900/curl: look at that process, \
         and block nothing"
    );
}
