//! The peer has acknowledged our FIN, but does not close.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Finding;
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::crowd::other_ends;
use crate::diagnose::rules::pile::{self, Kind, Pile, is_orphan};
use crate::diagnose::rules::{Bound, Rule};
use crate::model::conn::Conn;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["fin-wait2"],
    looks_at: "connections in FIN_WAIT2, by listener or destination, orphans and others",
    refuted_by: "a FIN that is only seconds old; data that the peer still sends (a download after \
                 a half-close); a share of the connections that is small",
    alike: "peers that work for longer on their answer before they send it, and peers that forgot \
            to close",
    remedy: "fix the peers' programs; let the local one close the socket",
    limits: &[COUNT, AGE, QUIET, pile::SHARE],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 100,
    range: (1, 100_000_000),
    unit: "connections",
    why: "some clients of any server leave their end open",
};
const AGE: Limit = Limit {
    key: "age-s",
    default: 10,
    range: (0, 86_400),
    unit: "seconds in FIN_WAIT2, at least",
    why: "a program that reads the end of the data closes at once",
};
const QUIET: Limit = Limit {
    key: "quiet-s",
    default: 60,
    range: (1, 86_400),
    unit: "seconds since data last came, at least, if any came in FIN_WAIT2",
    why: "a peer that still streams sends at least a heartbeat in a minute",
};

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Fix the programs of the peers.
    MendPeers,
    /// Make the local program close the socket.
    CloseHere,
    /// How long orphans wait.
    FinTimeout,
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let quiet_ms = limits.get(&QUIET) * 1_000;
    let is_left = |conn: &Conn| {
        let received_ms = conn.activity.and_then(|a| a.last_recv_ms);
        !pile::is_since(facts, conn, received_ms, quiet_ms)
    };
    pile::findings(
        facts,
        limits,
        State::FIN_WAIT2,
        (&COUNT, &AGE),
        is_left,
        |pile| finding(facts, pile),
    )
}

/// Whether a process keeps it. A connection without meters is already a timewait socket, which is
/// always an orphan.
fn is_kept(conn: &Conn) -> bool {
    conn.meters.is_some() && !is_orphan(conn)
}

fn finding(facts: &Facts, pile: &Pile) -> Finding {
    let kept = pile.count(is_kept);
    let orphans = pile.size() - kept;
    let finding = pile
        .warning(facts, "fin-wait2", Kind::FinWait2)
        .number("orphans", orphans)
        .number("held_by_process", kept);
    let finding = match other_ends(facts, pile.whos(), pile.size()) {
        Some(here) => finding.remedy(here),
        None => finding.remedy(Action::MendPeers),
    };
    let finding = match kept {
        0 => finding,
        _ => finding.remedy(Action::CloseHere),
    };
    match orphans {
        0 => finding,
        _ => finding.remedy_if(facts.remedy(
            pile.service.netns,
            "net.ipv4.tcp_fin_timeout",
            Action::FinTimeout,
        )),
    }
}
