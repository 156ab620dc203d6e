//! Tests of all sentences in all languages.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::diagnose::message::Sources;
use crate::diagnose::rules::accept_queue_full::UsedUp;
use crate::diagnose::rules::{
    accept_queue_full, close_wait, conntrack_full, crowd, dead_peers, fin_wait1, fin_wait2,
    half_open_full, kernel_limits, last_ack, local_ports, mtu_black_hole, pair_threshold, pile,
    port_exhaustion, resets, self_connect, silent, simultaneous, slow_read, slow_request,
    stuck_reader, syn_flood, syn_sent, time_wait,
};
use crate::diagnose::service::Side;
use crate::model::endpoint::Dev;
use crate::model::ident::Owner;
use crate::model::state::State;

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

fn nginx() -> Option<Owner> {
    let mut comm = [0; 16];
    comm[..5].copy_from_slice(b"nginx");
    Some(Owner { pid: 142, comm })
}

/// Each problem with each of its arguments.
fn problems() -> Vec<Problem> {
    let mut all = Vec::new();
    queues(&mut all);
    crowds(&mut all);
    floods(&mut all);
    calls(&mut all);
    kernel(&mut all);
    ends(&mut all);
    all
}

fn queues(all: &mut Vec<Problem>) {
    let used = |open| Some(UsedUp { open, limit: 64 });
    for (owner, used_up) in [
        (nginx(), None),
        (None, None),
        (nginx(), used(64)),
        (nginx(), used(65)),
    ] {
        let full = accept_queue_full::Problem::Full {
            owner,
            listener: at(),
            waiting: 512,
            limit: 511,
            used_up,
        };
        all.push(full.into());
    }
    for owner in [nginx(), None] {
        let not_closed = close_wait::Problem::NotClosed {
            owner,
            connections: 100,
        };
        all.push(not_closed.into());
    }
    if let Some(owner) = nginx() {
        let not_closed = close_wait::Problem::NotClosedByMany {
            owner,
            processes: 110,
            connections: 120,
        };
        all.push(not_closed.into());
    }
    for cookies in [true, false] {
        let full = half_open_full::Problem::Full {
            listener: at(),
            length: 384,
            limit: 384,
            cookies,
        };
        all.push(full.into());
    }
    all.extend([
        accept_queue_full::Problem::WasFull { listener: at() }.into(),
        half_open_full::Problem::WasFull { listener: at() }.into(),
    ]);
}

fn crowds(all: &mut Vec<Problem>) {
    use crowd::Kind::{OneWay, Pool, Silent, SlowBodies, SlowHeaders, SlowReads, SlowRequests};
    for kind in [
        SlowHeaders,
        SlowBodies,
        SlowRequests,
        SlowReads,
        Silent,
        Pool,
        OneWay,
    ] {
        for sources in [Sources::One(host(1)), Sources::Many(1), Sources::Many(9)] {
            let problem = crowd::Problem {
                kind,
                connections: 60,
                sources,
                listener: at(),
            };
            all.push(problem.into());
        }
    }
    use pile::Kind::{FinWait1, FinWait2, Idle, LastAck, Unanswered};
    for kind in [FinWait1, FinWait2, LastAck, Unanswered, Idle] {
        for sources in [Some(Sources::Many(100)), None] {
            let problem = pile::Problem {
                kind,
                connections: 150,
                at: at(),
                sources,
            };
            all.push(problem.into());
        }
    }
    for sources in [Some(Sources::Many(100)), None] {
        let problem = mtu_black_hole::Problem {
            connections: 150,
            at: at(),
            sources,
        };
        all.push(problem.into());
    }
    for unused in [0, 7] {
        let problem = pair_threshold::Problem::Above {
            connections: 500,
            local: host(1),
            remote: host(2),
            unused,
        };
        all.push(problem.into());
    }
}

fn floods(all: &mut Vec<Problem>) {
    use syn_flood::Origin::{Known, Spoofed, Unknown};
    for from in [Unknown, Spoofed(511), Known(vec![host(1), host(2)])] {
        let problem = syn_flood::Problem::Flood {
            per_second: 5_500,
            listener: at(),
            from,
        };
        all.push(problem.into());
    }
    let over = |seconds| syn_flood::Problem::Over {
        peak: 6_000,
        listener: at(),
        ago: Duration::from_secs(seconds),
    };
    let below = syn_flood::Problem::Below {
        limit: 200,
        per_second: 150,
        peak: 6_000,
        listener: at(),
    };
    let deferred = syn_flood::Problem::Deferred {
        half_open: 1_200,
        listener: at(),
    };
    all.push(deferred.into());
    let one_second = syn_flood::Problem::OneSecond {
        handshakes: 900,
        listener: at(),
    };
    all.extend([over(1), over(11), below, one_second].map(Problem::from));
}

fn no_ports(owner: Option<Owner>, all: &mut Vec<Problem>) {
    use port_exhaustion::Cause::{BoundInUse, Held, ToDestination, Unknown};
    use port_exhaustion::Destinations::{Many, One};
    for cause in [BoundInUse, Held(90), ToDestination, Unknown] {
        for to in [One(at()), Many(9)] {
            let no_port = port_exhaustion::Problem::NoPort {
                owner,
                to,
                failed: 2,
                cause,
            };
            all.push(no_port.into());
        }
    }
}

fn table(entries: u64) -> conntrack_full::Table {
    conntrack_full::Table { entries, max: 100 }
}

fn causes() -> [Option<syn_sent::Cause>; 4] {
    use syn_sent::Cause::{AcceptQueue, Conntrack, Error};
    [
        None,
        Some(Conntrack(table(100))),
        Some(AcceptQueue),
        Some(Error(113)),
    ]
}

fn kernel(all: &mut Vec<Problem>) {
    use kernel_limits::Kind::{Memory, Orphans, TimeWait};
    for limit in [TimeWait, Orphans, Memory] {
        for (allowed, used) in [(Some(8), Some(7)), (Some(8), None), (None, None)] {
            let reached = kernel_limits::Problem::Reached {
                limit,
                ended: 55,
                allowed,
                used,
            };
            all.push(reached.into());
        }
        all.push(kernel_limits::Problem::WasReached { limit, ended: 1 }.into());
    }
    for entries in [96, 100] {
        let table = table(entries);
        all.push(conntrack_full::Problem { table }.into());
    }
}

fn calls(all: &mut Vec<Problem>) {
    for (owner, more) in [(nginx(), 0), (None, 1)] {
        let to_itself = self_connect::Problem {
            owner,
            at: at(),
            more,
        };
        let stuck = stuck_reader::Problem {
            owner,
            connections: 60,
            unread: 18_000 + more,
        };
        all.extend([to_itself.into(), stuck.into()]);
    }
    for owner in [nginx(), None] {
        no_ports(owner, all);
        for cause in causes() {
            let unanswered = syn_sent::Problem::Unanswered {
                owner,
                destination: at(),
                calls: 20,
                cause,
            };
            all.push(unanswered.into());
        }
        let scanner = syn_sent::Problem::Scanner {
            owner,
            destinations: 100,
            addresses: 1,
            ports: 100,
        };
        all.push(scanner.into());
    }
    for side in [Side::Server, Side::Client] {
        let many = time_wait::Problem::Many {
            side,
            connections: 5_000,
            at: at(),
        };
        all.push(many.into());
    }
    all.extend([
        port_exhaustion::Problem::RunningOut {
            used: 70,
            ports: 100,
            destination: at(),
        }
        .into(),
        time_wait::Problem::RunningOut {
            used: 70,
            ports: 100,
            destination: at(),
            timewait: 60,
        }
        .into(),
        port_exhaustion::Problem::Held {
            held: 90,
            ports: 100,
            local: host(1),
            destinations: 3,
        }
        .into(),
    ]);
}

fn ends(all: &mut Vec<Problem>) {
    use resets::Kind::{AcceptQueueFull, Received, Refused, Sent, UnreadData};
    for kind in [Sent, Received, Refused, UnreadData, AcceptQueueFull] {
        for (owner, sources) in [(nginx(), Some(Sources::One(host(1)))), (None, None)] {
            let problem = resets::Problem {
                kind,
                owner,
                at: at(),
                more_ports: 0,
                sources,
                resets: 60,
                state: State::ESTABLISHED,
            };
            all.push(problem.clone().into());
            if kind == Refused {
                let more_ports = 3;
                all.push(
                    resets::Problem {
                        more_ports,
                        ..problem
                    }
                    .into(),
                );
            }
        }
    }
    use simultaneous::Crossed::{Fins, Syns};
    for crossed in [Syns, Fins] {
        for (connections, last) in [(1, None), (3, Some(at()))] {
            let problem = simultaneous::Problem {
                crossed,
                connections,
                last,
            };
            all.push(problem.into());
        }
    }
}

/// Each action with each of its arguments.
fn actions() -> Vec<Action> {
    let mut all = Vec::new();
    listener_actions(&mut all);
    peer_actions(&mut all);
    client_actions(&mut all);
    kernel_actions(&mut all);
    all
}

fn kernel_actions(all: &mut Vec<Action>) {
    use kernel_limits::Action::*;
    use kernel_limits::Kind::{Memory, Orphans, TimeWait};
    let raise = [TimeWait, Orphans, Memory].map(Raise);
    all.extend(raise.map(Action::from));
    all.push(OrphanRetries.into());
    for owner in [nginx(), None] {
        let most = Most {
            owner,
            at: at(),
            connections: 52,
        };
        all.push(most.into());
    }
    all.push(conntrack_full::Action::RaiseMax.into());
}

fn listener_actions(all: &mut Vec<Action>) {
    {
        use accept_queue_full::Action::*;
        let backlog = 511;
        let of = [SeeProgram, AskForMore { backlog }, RaiseSomaxconn];
        all.extend(of.map(Action::from));
        all.push(RaiseNofile.into());
        all.extend([ConsiderResets, ConsiderWaiting].map(Action::from));
    }
    {
        use half_open_full::Action::*;
        let (unknown, backlog) = (384, 511);
        let raise = RaiseSynBacklog { unknown, backlog };
        all.extend([EnableCookies, SynackRetries, RaiseBoth, raise].map(Action::from));
        let of = [AskForMore { backlog }, RaiseSomaxconn { backlog }];
        all.extend(of.map(Action::from));
    }
    {
        use syn_flood::Action::*;
        let sources = vec![host(1), host(2)];
        let of = [EnableCookies, KeepCookies, Block { sources }, LimitSyns];
        all.extend(of.map(Action::from));
        all.push(KeepDeferring.into());
    }
    {
        use slow_request::Action::*;
        let of = [LimitHeaders, LimitBodies, LimitBoth, LimitBothEncrypted];
        all.extend(of.map(Action::from));
        all.push(KeepOneWay.into());
    }
    for block in [vec![], vec![host(1), host(2)]] {
        all.push(crowd::Action::LimitSources { block }.into());
    }
    for (owner, unread) in [(nginx(), 18_000), (None, 0)] {
        let here = crowd::Action::SeeOtherEnds {
            owner,
            connections: 60,
            unread,
        };
        all.push(here.into());
    }
    for pid in [Some(142), None] {
        all.push(stuck_reader::Action::SeeProcess { pid }.into());
    }
    all.push(stuck_reader::Action::SparePeers.into());
    all.extend([silent::Action::CloseSilent, silent::Action::KeepPool].map(Action::from));
    all.push(slow_read::Action::EndAnswers.into());
}

fn peer_actions(all: &mut Vec<Action>) {
    {
        use dead_peers::Action::*;
        all.extend([ComparePeers, LowerRetries, SetKeepalive].map(Action::from));
        all.extend([KeepaliveTime, KeepaliveInterval, KeepaliveProbes].map(Action::from));
    }
    {
        use fin_wait1::Action::*;
        all.extend([SeeSlowRead, ComparePeers].map(Action::from));
        all.extend([LowerOrphanRetries, MaxOrphans].map(Action::from));
    }
    {
        use fin_wait2::Action::*;
        all.extend([MendPeers, CloseHere, FinTimeout].map(Action::from));
    }
    {
        use last_ack::Action::*;
        all.extend([ComparePeers, OrphanRetries].map(Action::from));
    }
    {
        use resets::Action::*;
        all.extend([StartService, ReadAll, SeeProgram, AcceptFaster].map(Action::from));
        all.extend([CompareTimeouts, SeeDestination, AbortOnOverflow].map(Action::from));
        all.push(KeepChecks.into());
    }
    {
        use mtu_black_hole::Action::*;
        all.extend([TestPath, ClampMss, MtuProbing].map(Action::from));
    }
    {
        use self_connect::Action::*;
        all.extend([CloseIt, ReservePort { port: 40_020 }].map(Action::from));
    }
    all.push(simultaneous::Action::Nothing.into());
}

fn client_actions(all: &mut Vec<Action>) {
    {
        use close_wait::Action::*;
        all.extend([FindLeak, SeeProgram, NoSetting].map(Action::from));
    }
    {
        use local_ports::Action::*;
        all.extend([WidenRange, TwReuse].map(Action::from));
    }
    for connections in [None, Some(499)] {
        use pair_threshold::Action::*;
        let most = connections.map(|connections| pair_threshold::Share {
            connections,
            at: at(),
        });
        let of = [FindLeak { most: most.clone() }, RaiseThreshold { most }];
        all.extend(of.map(Action::from));
    }
    {
        use port_exhaustion::Action::*;
        all.extend([ReuseConnections, FindLeak, BindNoPort, IfBound].map(Action::from));
        all.extend([OtherPort, Timestamps].map(Action::from));
    }
    {
        use syn_sent::Action::*;
        all.extend([TryDestination, SynRetries, IdentifyProcess].map(Action::from));
        all.extend([SeeConntrack, SeeAcceptQueue].map(Action::from));
    }
    {
        use time_wait::Action::*;
        all.extend([SaveHandshakes, ReuseConnections].map(Action::from));
        all.extend([ReuseForPorts, TwBuckets].map(Action::from));
    }
}

/// All sentences of a language: problems, then remedies with and without a setting.
fn sentences(lang: Lang) -> Vec<String> {
    let settings = [None, Some(None), Some(Some("15".to_owned()))];
    let settings = settings.map(|known| {
        known.map(|value| Setting {
            name: "net.ipv4.tcp_retries2",
            value,
        })
    });
    let mut all: Vec<_> = problems().iter().map(|p| problem(lang, p)).collect();
    for action in actions() {
        all.extend(settings.iter().map(|setting| {
            let (action, setting) = (action.clone(), setting.clone());
            remedy(lang, &Remedy { action, setting })
        }));
    }
    all
}

#[test]
fn every_message_has_a_sentence_in_every_language() {
    for lang in [Lang::En, Lang::Zh] {
        for text in sentences(lang) {
            assert!(!text.trim().is_empty() && text.trim() == text, "{text:?}");
            assert!(!text.contains(['{', '}', '\n']), "{text:?}");
            assert!(!text.contains("  "), "{text:?}");
        }
    }
}

/// No two problems have the same text.
#[test]
fn sentences_differ() {
    for lang in [Lang::En, Lang::Zh] {
        let mut texts: Vec<_> = problems().iter().map(|p| problem(lang, p)).collect();
        let all = texts.len();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), all, "{lang:?}");
    }
}

#[test]
fn english_is_ascii() {
    assert!(sentences(Lang::En).iter().all(|text| text.is_ascii()));
}

/// Names are not translated, but three English words in a row are a sentence. Full-width
/// punctuation has no adjacent space.
#[test]
fn chinese_has_no_english_sentence() {
    let is_word = |word: &&str| word.len() > 1 && word.bytes().all(|b| b.is_ascii_lowercase());
    let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    for text in sentences(Lang::Zh) {
        assert!(text.contains(is_chinese), "{text}");
        let plain: String = text.split('`').step_by(2).collect();
        let words: Vec<_> = plain.split(' ').collect();
        let mut three = words.windows(3);
        assert!(!three.any(|words| words.iter().all(is_word)), "{text}");
        for mark in ["，", "。", "；", "：", "、", "（", "）"] {
            let spaced = [format!(" {mark}"), format!("{mark} ")];
            assert!(!spaced.iter().any(|s| text.contains(s)), "{text}");
        }
        assert!(!text.contains([';', '\'']), "{text}");
        let western = text.contains(", ") || text.contains(": ");
        assert!(!western, "{text}");
    }
}

/// The numbers of a text, and its names of settings and functions, each once.
fn facts(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_.:%".contains(c);
    let words = text.split(|c: char| !is_name(c));
    let words = words.map(|word| word.trim_matches(['.', ':']));
    let is_fact = |word: &&str| word.contains('_') || word.contains(|c: char| c.is_ascii_digit());
    words.filter(is_fact).collect()
}

/// The arguments of a problem are the same in each language, and a remedy names the same settings.
#[test]
fn languages_agree_on_the_facts() {
    for made in problems() {
        let [en, zh] = [Lang::En, Lang::Zh].map(|lang| problem(lang, &made));
        assert_eq!(facts(&en), facts(&zh), "{en} / {zh}");
    }
    let is_name = |word: &&str| word.contains('_');
    for made in actions() {
        let [en, zh] = [Lang::En, Lang::Zh].map(|lang| action(lang, &made));
        let [of_en, of_zh] = [&en, &zh].map(|text| facts(text));
        let [of_en, of_zh]: [Vec<_>; 2] =
            [of_en, of_zh].map(|f| f.into_iter().filter(is_name).collect());
        assert_eq!(of_en, of_zh, "{en} / {zh}");
    }
}

#[test]
fn what_strangers_have_named_is_escaped() {
    let named = |name: &str| accept_queue_full::Problem::Full {
        owner: Some(Owner {
            pid: 7,
            comm: *b"a\x1bb\0\0\0\0\0\0\0\0\0\0\0\0\0",
        }),
        listener: SocketAddress {
            dev: Some(Dev {
                index: 3,
                name: Some(name.into()),
            }),
            ..at()
        },
        waiting: 2,
        limit: 1,
        used_up: None,
    };
    let remedy = Remedy {
        action: silent::Action::CloseSilent.into(),
        setting: Some(Setting {
            name: "net.core.somaxconn",
            value: Some("1\x1b".into()),
        }),
    };
    for lang in [Lang::En, Lang::Zh] {
        let text = problem(lang, &named("e\n0").into()) + &super::remedy(lang, &remedy);
        for escaped in ["7/a\\u{1b}b ", "10.0.0.1%e\\n0:80 ", "1\\u{1b}"] {
            assert!(text.contains(escaped), "{text}");
        }
        assert!(!text.contains(char::is_control), "{text}");
    }
}
