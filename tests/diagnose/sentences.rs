//! The sentences of made-up problems agree with their numbers, in each language.

use std::time::Duration;

use diagnose_tools::diagnose::message::{HostAddress, SocketAddress, Sources};
use diagnose_tools::diagnose::rules::accept_queue_full::UsedUp;
use diagnose_tools::diagnose::rules::{
    Problem, accept_queue_full, close_wait, crowd, half_open_full, pair_threshold, pile,
    port_exhaustion, resets, simultaneous, syn_flood, syn_sent, time_wait,
};
use diagnose_tools::diagnose::service::Side;
use diagnose_tools::model::state::State;
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::i18n::findings::problem;

use crate::support::grammar;

fn at() -> SocketAddress {
    SocketAddress {
        addr: [10, 0, 0, 1].into(),
        dev: None,
        port: 80,
    }
}

fn host(last: u8) -> HostAddress {
    HostAddress {
        addr: [10, 9, 0, last].into(),
        dev: None,
    }
}

/// Problems with this number of connections, a part of which is different.
fn problems(all: u64, part: u64) -> Vec<Problem> {
    let mut made = of_listeners(all, part);
    made.extend(of_connections(all, part));
    made.extend(of_calls(all, part));
    made
}

fn of_listeners(all: u64, part: u64) -> Vec<Problem> {
    let (length, limit) = (part as u32, all as u32);
    let listener = at();
    let full = |(waiting, limit)| accept_queue_full::Problem::Full {
        owner: None,
        listener: at(),
        waiting,
        limit,
        used_up: (part > 1).then_some(UsedUp {
            open: all.max(part),
            limit: part,
        }),
    };
    let half_open = |(length, limit)| half_open_full::Problem::Full {
        listener: at(),
        length,
        limit,
        cookies: all > 1,
    };
    // Some kernels keep one more than the limit.
    let queues = [(length, limit), (limit, length), (limit + 1, limit)];
    let mut made: Vec<Problem> = queues.map(full).map(Problem::from).into();
    made.extend(queues.map(half_open).map(Problem::from));
    use syn_flood::Origin::{Known, Spoofed, Unknown};
    for from in [Unknown, Spoofed(part), Known(vec![host(1), host(2)])] {
        let flood = syn_flood::Problem::Flood {
            per_second: all,
            listener: at(),
            from,
        };
        made.push(flood.into());
    }
    let over = syn_flood::Problem::Over {
        peak: all,
        listener: at(),
        ago: Duration::from_secs(part),
    };
    let below = syn_flood::Problem::Below {
        limit: all + 1,
        per_second: part,
        peak: all,
        listener: at(),
    };
    let one_second = syn_flood::Problem::OneSecond {
        handshakes: all,
        listener,
    };
    made.extend([over, below, one_second].map(Problem::from));
    made
}

fn of_connections(all: u64, part: u64) -> Vec<Problem> {
    let mut made = Vec::new();
    for sources in [Sources::One(host(1)), Sources::Many(part), Sources::Many(0)] {
        use crowd::Kind::{Silent, SlowBodies, SlowHeaders, SlowReads, SlowRequests};
        for kind in [SlowHeaders, SlowBodies, SlowRequests, SlowReads, Silent] {
            let crowd = crowd::Problem {
                kind,
                connections: all,
                sources: sources.clone(),
                listener: at(),
            };
            made.push(Problem::from(crowd));
        }
        use pile::Kind::{FinWait1, FinWait2, Idle, LastAck, Unanswered};
        for kind in [FinWait1, FinWait2, LastAck, Unanswered, Idle] {
            let pile = |sources| pile::Problem {
                kind,
                connections: all,
                at: at(),
                sources,
            };
            made.extend([Some(sources.clone()), None].map(|s| pile(s).into()));
        }
        use resets::Kind::{AcceptQueueFull, Received, Refused, Sent, UnreadData};
        for kind in [Sent, Received, Refused, UnreadData, AcceptQueueFull] {
            let resets = resets::Problem {
                kind,
                owner: None,
                at: at(),
                sources: Some(sources.clone()),
                more_ports: part - 1,
                resets: all,
                state: State::ESTABLISHED,
            };
            made.push(resets.into());
        }
    }
    for unused in [0, part] {
        let above = pair_threshold::Problem::Above {
            connections: all,
            local: host(1),
            remote: host(2),
            unused,
        };
        made.push(above.into());
    }
    made
}

fn of_calls(all: u64, part: u64) -> Vec<Problem> {
    let destination = at;
    let mut made: Vec<Problem> = vec![
        close_wait::Problem::NotClosed {
            owner: None,
            connections: all,
        }
        .into(),
        syn_sent::Problem::Unanswered {
            owner: None,
            destination: destination(),
            calls: all,
            cause: None,
        }
        .into(),
        syn_sent::Problem::Scanner {
            owner: None,
            destinations: all,
            addresses: part,
            ports: part,
        }
        .into(),
        port_exhaustion::Problem::RunningOut {
            used: part,
            ports: all,
            destination: destination(),
        }
        .into(),
    ];
    made.extend(of_time_wait(all, part));
    use simultaneous::Crossed::{Fins, Syns};
    for (crossed, last) in [(Syns, None), (Fins, Some(at()))] {
        let simultaneous = simultaneous::Problem {
            crossed,
            connections: all,
            last,
        };
        made.push(simultaneous.into());
    }
    made
}

fn of_time_wait(all: u64, part: u64) -> Vec<Problem> {
    let running_out = time_wait::Problem::RunningOut {
        used: all,
        ports: all + 1,
        destination: at(),
        timewait: part,
    };
    let many = |side| time_wait::Problem::Many {
        side,
        connections: all,
        at: at(),
    };
    let made = [running_out, many(Side::Server), many(Side::Client)];
    made.map(Problem::from).into()
}

#[test]
fn sentences_agree_with_their_numbers() {
    for (all, part) in [
        (1, 1),
        (2, 1),
        (2, 2),
        (3, 2),
        (100, 1),
        (100, 99),
        (5_000, 40),
    ] {
        for made in problems(all, part) {
            let text = problem(Lang::En, &made);
            assert_eq!(grammar::english(&text), None, "{text}");
            let text = problem(Lang::Zh, &made);
            assert_eq!(grammar::chinese(&text), None, "{text}");
        }
    }
}

/// A queue is called full only if it is full.
#[test]
fn a_queue_that_is_full_has_its_limit() {
    let text = |waiting, limit| {
        let full = accept_queue_full::Problem::Full {
            owner: None,
            listener: at(),
            waiting,
            limit,
            used_up: None,
        };
        let half_open = half_open_full::Problem::Full {
            listener: at(),
            length: waiting,
            limit,
            cookies: true,
        };
        [full.into(), half_open.into()].map(|made: Problem| problem(Lang::En, &made))
    };
    let is = |text: &String| text.contains(" is full (");
    assert!(text(6, 5).iter().all(is));
    assert!(!text(2, 5).iter().any(is));
    let [accept, half_open] = text(2, 5);
    assert!(
        accept.contains(" was full a moment ago (2 waiting, limit 5)"),
        "{accept}"
    );
    assert!(
        half_open.contains(" was full a moment ago (2 waiting, limit 5)"),
        "{half_open}"
    );
    let [_, half_open] = text(490, 511);
    assert!(
        half_open.contains(" is almost full (490 waiting, limit 511)"),
        "{half_open}"
    );
}
