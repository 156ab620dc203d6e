//! Problems in English.

use crate::diagnose::message::{SocketAddress, Sources};
use crate::diagnose::rules::accept_queue_full::UsedUp;
use crate::diagnose::rules::{
    Problem, accept_queue_full, close_wait, conntrack_full, crowd, half_open_full, kernel_limits,
    mtu_black_hole, pair_threshold, pile, port_exhaustion, resets, self_connect, simultaneous,
    stuck_reader, syn_flood, syn_sent, time_wait,
};
use crate::diagnose::service::Side;
use crate::fmt::escape::printable_bytes;
use crate::fmt::line;
use crate::model::reason::error_name;
use crate::render::i18n::findings::en::{by, count, process, sources};
use crate::render::i18n::findings::list;

pub fn problem(problem: &Problem) -> String {
    match problem {
        Problem::AcceptQueueFull(of) => accept_queue_full(of),
        Problem::CloseWait(of) => close_wait(of),
        Problem::ConntrackFull(of) => conntrack_full(of),
        Problem::Crowd(of) => crowd(of),
        Problem::HalfOpenFull(of) => half_open_full(of),
        Problem::KernelLimits(of) => kernel_limits(of),
        Problem::MtuBlackHole(of) => mtu_black_hole(of),
        Problem::PairThreshold(of) => pair_threshold(of),
        Problem::Pile(of) => pile(of),
        Problem::PortExhaustion(of) => port_exhaustion(of),
        Problem::Resets(of) => resets(of),
        Problem::SelfConnect(of) => self_connect(of),
        Problem::Simultaneous(of) => simultaneous(of),
        Problem::StuckReader(of) => stuck_reader(of),
        Problem::SynFlood(of) => syn_flood(of),
        Problem::SynSent(of) => syn_sent(of),
        Problem::TimeWait(of) => time_wait(of),
    }
}

fn accept_queue_full(problem: &accept_queue_full::Problem) -> String {
    match problem {
        accept_queue_full::Problem::Full {
            owner,
            listener,
            waiting,
            limit,
            used_up,
        } => {
            let used = used_up.map(|UsedUp { open, limit }| match open > limit {
                true => format!("{open} descriptors open, limit {limit}, "),
                false => format!("{open} of {limit} descriptors used, "),
            });
            // The alarm is cleared some time after there is room again.
            let is = match waiting > limit {
                true => "is full",
                false => "was full a moment ago",
            };
            format!(
                "{} does not accept: {}the accept queue of {listener} {is} ({waiting} waiting, \
                 limit {limit})",
                process(*owner),
                used.unwrap_or_default()
            )
        }
        accept_queue_full::Problem::WasFull { listener } => {
            format!("the accept queue of {listener} was full, and is not now")
        }
    }
}

fn close_wait(problem: &close_wait::Problem) -> String {
    match problem {
        close_wait::Problem::NotClosed { owner, connections } => format!(
            "{} does not close {} whose {} closed (CLOSE_WAIT)",
            process(*owner),
            count(*connections, "connection"),
            by(*connections, "peer has", "peers have")
        ),
        close_wait::Problem::NotClosedByMany {
            owner,
            processes,
            connections,
        } => format!(
            "{processes} processes {} do not close {} whose peers have closed (CLOSE_WAIT)",
            printable_bytes(owner.comm_bytes()),
            count(*connections, "connection")
        ),
    }
}

fn conntrack_full(problem: &conntrack_full::Problem) -> String {
    let table = problem.table;
    let (state, then) = match table.is_full() {
        true => ("is full", "new connections are dropped"),
        false => ("is nearly full", "new connections will soon be dropped"),
    };
    format!(
        "the table of tracked connections {state} ({} of {}): {then}",
        table.entries, table.max
    )
}

fn crowd(problem: &crowd::Problem) -> String {
    let (name, one, more) = match problem.kind {
        crowd::Kind::SlowHeaders => (
            "slow headers (slowloris): ",
            "sends a request and does not finish its headers",
            "send requests and do not finish their headers",
        ),
        crowd::Kind::SlowBodies => (
            "slow POST: ",
            "sends a request and does not finish its body",
            "send requests and do not finish their bodies",
        ),
        crowd::Kind::SlowRequests => (
            "slow requests: ",
            "sends a request and does not finish it",
            "send requests and do not finish them",
        ),
        crowd::Kind::SlowReads => (
            "slow read: ",
            "hardly takes what it asked for",
            "hardly take what they asked for",
        ),
        crowd::Kind::Silent => (
            "",
            "on which nothing was ever sent",
            "on which nothing was ever sent",
        ),
        crowd::Kind::Pool => (
            "idle pool: ",
            "is kept ready and has not been used",
            "are kept ready and have not been used",
        ),
        crowd::Kind::OneWay => (
            "one-way data: ",
            "sends now and then and is never answered",
            "send now and then and are never answered",
        ),
    };
    let what = by(problem.connections, one, more);
    format!(
        "{name}{} from {} to {} {what}",
        count(problem.connections, "connection"),
        sources(&problem.sources),
        problem.listener
    )
}

fn half_open_full(problem: &half_open_full::Problem) -> String {
    match problem {
        half_open_full::Problem::Full {
            listener,
            length,
            limit,
            cookies,
        } => {
            let then = match cookies {
                true => "answered by SYN cookies",
                false => "dropped",
            };
            let is = match length.checked_mul(2) {
                _ if length >= limit => "is full",
                Some(twice) if twice < *limit => "was full a moment ago",
                _ => "is almost full",
            };
            format!(
                "the half-open queue of {listener} {is} ({length} waiting, limit {limit}): new \
                 clients are {then}"
            )
        }
        half_open_full::Problem::WasFull { listener } => {
            format!("the half-open queue of {listener} was full, and is not now")
        }
    }
}

fn kernel_limits(problem: &kernel_limits::Problem) -> String {
    match problem {
        kernel_limits::Problem::Reached {
            limit,
            ended,
            allowed,
            used,
        } => format!(
            "{} in the last minute, because {}",
            ended_by_kernel(*limit, *ended),
            limit_reached(*limit, *allowed, *used)
        ),
        kernel_limits::Problem::WasReached { limit, ended } => format!(
            "over: {} since the activation, because {}; none in the last minute",
            ended_by_kernel(*limit, *ended),
            limit_reached(*limit, None, None)
        ),
    }
}

/// What the kernel did with the connections.
fn ended_by_kernel(limit: kernel_limits::Kind, ended: u64) -> String {
    let all = count(ended, "connection");
    match limit {
        kernel_limits::Kind::TimeWait => format!("the kernel ended {all} without TIME_WAIT"),
        kernel_limits::Kind::Orphans => {
            format!("the kernel reset {all} that no process held any more (orphans)")
        }
        kernel_limits::Kind::Memory => {
            let were = by(ended, "was", "were");
            format!("the kernel reset {all} that {were} closed and had data to send")
        }
    }
}

/// The limit with its value and its usage.
fn limit_reached(limit: kernel_limits::Kind, allowed: Option<u64>, used: Option<u64>) -> String {
    let (name, unit) = match limit {
        kernel_limits::Kind::TimeWait => ("tcp_max_tw_buckets", ""),
        kernel_limits::Kind::Orphans => ("tcp_max_orphans", ""),
        kernel_limits::Kind::Memory => ("tcp_mem", " pages"),
    };
    match (allowed, used) {
        (Some(allowed), Some(used)) => {
            format!("{name} allows {allowed}{unit} ({used}{unit} in use now)")
        }
        (Some(allowed), None) => format!("{name} allows {allowed}{unit}"),
        (None, _) => format!("{name} was reached"),
    }
}

fn mtu_black_hole(problem: &mtu_black_hole::Problem) -> String {
    let (all, at) = (count(problem.connections, "connection"), &problem.at);
    let stall = by(problem.connections, "stalls", "stall");
    let what =
        format!("{stall}: small packets pass, large ones are lost (a path MTU that nobody tells)");
    match &problem.sources {
        Some(from) => format!("{all} of {at} with {} {what}", sources(from)),
        None => format!("{all} to {at} {what}"),
    }
}

fn pair_threshold(problem: &pair_threshold::Problem) -> String {
    let pair_threshold::Problem::Above {
        connections,
        local,
        remote,
        unused,
    } = problem;
    let used = match (unused, connections) {
        (0, 1) => "which is in use".to_owned(),
        (0, _) => "all of them in use".to_owned(),
        (_, 1) => "which has not carried data both ways".to_owned(),
        (n, _) => {
            let have = by(*n, "has", "have");
            format!("{n} of them {have} not carried data both ways")
        }
    };
    format!(
        "{} between {local} and {remote}, {used}",
        count(*connections, "connection")
    )
}

fn pile(problem: &pile::Problem) -> String {
    let (all, at) = (count(problem.connections, "connection"), &problem.at);
    let (one, more) = match problem.kind {
        pile::Kind::FinWait1 => (
            "waits in FIN_WAIT1 for the acknowledgement of its FIN",
            "wait in FIN_WAIT1 for the acknowledgement of their FIN",
        ),
        pile::Kind::FinWait2 => (
            "waits in FIN_WAIT2 for the peer to close",
            "wait in FIN_WAIT2 for the peer to close",
        ),
        pile::Kind::LastAck => (
            "waits in LAST_ACK for the last ACK",
            "wait in LAST_ACK for the last ACK",
        ),
        pile::Kind::Unanswered => (
            "is ESTABLISHED here, and its peer does not answer any more",
            "are ESTABLISHED here, and their peers do not answer any more",
        ),
        pile::Kind::Idle => (
            "is idle for long, without keepalive: nobody would notice that the peer has gone",
            "are idle for long, without keepalive: nobody would notice that a peer has gone",
        ),
    };
    let what = by(problem.connections, one, more);
    match &problem.sources {
        Some(from) => format!("{all} of {at} with {} {what}", sources(from)),
        None => format!("{all} to {at} {what}"),
    }
}

fn port_exhaustion(problem: &port_exhaustion::Problem) -> String {
    match problem {
        port_exhaustion::Problem::NoPort {
            owner,
            to,
            failed,
            cause,
        } => no_port(&process(*owner), to, *failed, *cause),
        port_exhaustion::Problem::RunningOut {
            used,
            ports,
            destination,
        } => ports_used(*used, *ports, destination),
        port_exhaustion::Problem::Held {
            held,
            ports,
            local,
            destinations,
        } => format!(
            "bind() holds {held} of the {ports} local ports of {local} for every destination: {} \
             share none of them",
            count(*destinations, "destination")
        ),
    }
}

fn no_port(
    process: &str,
    to: &port_exhaustion::Destinations,
    failed: u64,
    cause: port_exhaustion::Cause,
) -> String {
    let (these, to) = match to {
        port_exhaustion::Destinations::One(at) => ("this destination", at.to_string()),
        port_exhaustion::Destinations::Many(n) => ("these destinations", count(*n, "destination")),
    };
    let failed = format!("{} of connect()", count(failed, "failed call"));
    match cause {
        port_exhaustion::Cause::BoundInUse => format!(
            "the address and port that the program bound are in use to {these}: {failed} by \
             {process} to {to} in the last minute"
        ),
        port_exhaustion::Cause::Held(held) => format!(
            "{process} found no local port for {to} ({failed} in the last minute): bind() holds \
             {} for every destination",
            count(held, "port")
        ),
        port_exhaustion::Cause::ToDestination => format!(
            "{process} found no local port for {to} ({failed} in the last minute): connections to \
             {these} use them"
        ),
        port_exhaustion::Cause::Unknown => {
            format!("{process} found no local port for {to} ({failed} in the last minute)")
        }
    }
}

fn ports_used(used: u64, ports: u64, destination: &SocketAddress) -> String {
    let (ports, are) = (count(ports, "local port"), by(used, "is", "are"));
    format!("{used} of the {ports} for {destination} {are} used")
}

fn resets(problem: &resets::Problem) -> String {
    let at = &problem.at;
    let here = problem.owner.map(|owner| line::text(&owner));
    let here = here.unwrap_or_else(|| "this host".into());
    let there = match &problem.sources {
        Some(from) => sources(from),
        None => at.to_string(),
    };
    let (get, reset_their) = match &problem.sources {
        Some(Sources::Many(number)) if *number != 1 => ("get", "reset their"),
        _ => ("gets", "resets its"),
    };
    let what = match problem.kind {
        resets::Kind::Refused => match problem.more_ports {
            0 => format!("{at} refuses the calls of {here}"),
            more => format!(
                "{at} and {} of that host refuse the calls of {here}",
                count(more, "other port")
            ),
        },
        resets::Kind::UnreadData => {
            format!("{here} closes before it has read all, so that {there} {get} a reset")
        }
        resets::Kind::Sent => format!("{here} resets its connections with {there}"),
        resets::Kind::Received => format!("{there} {reset_their} connections with {here}"),
        resets::Kind::AcceptQueueFull => {
            format!("the accept queue of {at} is full, and {there} {get} resets")
        }
    };
    format!(
        "{what}: {} in the last minute, {} {}",
        count(problem.resets, "reset"),
        by(problem.resets, "in", "most in"),
        problem.state.name()
    )
}

fn self_connect(problem: &self_connect::Problem) -> String {
    let more = match problem.more {
        0 => String::new(),
        more => format!(", and by {}", count(more, "more socket")),
    };
    format!(
        "{} is connected to itself by {}{more}: no service can have that port",
        process(problem.owner),
        problem.at
    )
}

fn simultaneous(problem: &simultaneous::Problem) -> String {
    let what = match problem.crossed {
        simultaneous::Crossed::Syns => "opened by both ends at once, their SYNs crossed",
        simultaneous::Crossed::Fins => "closed by both ends at once, their FINs crossed",
    };
    let last = match &problem.last {
        Some(at) => format!(", last of {at}"),
        None => String::new(),
    };
    format!(
        "{} {} {what}{last}",
        count(problem.connections, "connection"),
        by(problem.connections, "was", "were")
    )
}

fn stuck_reader(problem: &stuck_reader::Problem) -> String {
    format!(
        "{} does not read what has come: {} on {}",
        process(problem.owner),
        count(problem.unread, "byte"),
        count(problem.connections, "connection")
    )
}

fn syn_flood(problem: &syn_flood::Problem) -> String {
    match problem {
        syn_flood::Problem::Flood {
            per_second,
            listener,
            from,
        } => format!(
            "SYN flood: {}, from {}",
            unfinished(*per_second, listener),
            origin(from)
        ),
        syn_flood::Problem::Over {
            peak,
            listener,
            ago,
        } => format!(
            "over: up to {} a second at {listener} {} not finished, the last SYN came {} ago",
            count(*peak, "handshake"),
            by(*peak, "was", "were"),
            count(ago.as_secs(), "second")
        ),
        syn_flood::Problem::Below {
            limit,
            per_second,
            peak,
            listener,
        } => format!(
            "below the limit of {limit} a second now: {}, up to {peak} {}",
            unfinished(*per_second, listener),
            by(*peak, "was", "were")
        ),
        syn_flood::Problem::OneSecond {
            handshakes,
            listener,
        } => format!(
            "{} at {listener} {} not finished in one second, not yet in two",
            count(*handshakes, "handshake"),
            by(*handshakes, "was", "were")
        ),
        syn_flood::Problem::Deferred {
            half_open,
            listener,
        } => format!(
            "{} at {listener} {}, which {} connected: the listener has TCP_DEFER_ACCEPT",
            count(*half_open, "half-open connection"),
            by(
                *half_open,
                "waits for the first data of its client",
                "wait for the first data of their clients"
            ),
            by(*half_open, "has", "have")
        ),
    }
}

fn unfinished(per_second: u64, listener: &SocketAddress) -> String {
    let (handshakes, are) = (count(per_second, "handshake"), by(per_second, "is", "are"));
    format!("{handshakes} a second at {listener} {are} not finished")
}

fn origin(origin: &syn_flood::Origin) -> String {
    match origin {
        syn_flood::Origin::Unknown => "sources that leave no trace (SYN cookies keep none)".into(),
        syn_flood::Origin::Spoofed(n) => format!("{n} or more sources, most likely spoofed"),
        syn_flood::Origin::Known(addresses) => list(addresses, ", "),
    }
}

fn syn_sent(problem: &syn_sent::Problem) -> String {
    match problem {
        syn_sent::Problem::Unanswered {
            owner,
            destination,
            calls,
            cause,
        } => format!(
            "{} of {} to {destination} without an answer{}",
            count(*calls, "call"),
            process(*owner),
            lost(cause.as_ref())
        ),
        syn_sent::Problem::Scanner {
            owner,
            destinations,
            addresses,
            ports,
        } => format!(
            "{} calls {} ({}, {}) in vain: a scanner, a worm, or a broken monitor",
            process(*owner),
            count(*destinations, "destination"),
            count(*addresses, "address"),
            count(*ports, "port")
        ),
    }
}

/// Where SYNs are lost.
fn lost(cause: Option<&syn_sent::Cause>) -> String {
    match cause {
        Some(syn_sent::Cause::Conntrack(table)) => format!(
            ": the table of tracked connections is full ({} of {}) and drops them",
            table.entries, table.max
        ),
        Some(syn_sent::Cause::AcceptQueue) => {
            ": the accept queue of that listener of this host is full".into()
        }
        Some(syn_sent::Cause::Error(error)) => {
            format!(" ({})", error_name(*error).unwrap_or_default())
        }
        None => String::new(),
    }
}

fn time_wait(problem: &time_wait::Problem) -> String {
    match problem {
        time_wait::Problem::Many {
            side,
            connections,
            at,
        } => {
            let all = count(*connections, "connection");
            match side {
                Side::Server => format!("{all} of {at} in TIME_WAIT: this server closes first"),
                Side::Client => format!("{all} to {at} in TIME_WAIT: this client closes first"),
            }
        }
        time_wait::Problem::RunningOut {
            used,
            ports,
            destination,
            timewait,
        } => {
            let used = ports_used(*used, *ports, destination);
            format!("{used}, {timewait} of them by TIME_WAIT")
        }
    }
}
