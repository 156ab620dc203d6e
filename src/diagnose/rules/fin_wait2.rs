//! The peer has acknowledged our FIN, but does not close.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Finding;
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::pile::{self, Kind, Pile, is_orphan};
use crate::diagnose::rules::{Bound, Rule};
use crate::model::conn::Conn;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["fin-wait2"],
    looks_at: "connections in FIN_WAIT2, by listener or destination, orphans and others",
    refuted_by: "a FIN that is only seconds old; a share of the connections that is small",
    alike: "peers that still work on their answer, and peers that forgot to close",
    remedy: "fix the peers' programs; let the local one close the socket",
    limits: &[COUNT, AGE, pile::SHARE],
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
    pile::findings(facts, limits, State::FIN_WAIT2, (&COUNT, &AGE), |pile| {
        finding(facts, pile)
    })
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
        .number("held_by_process", kept)
        .remedy(Action::MendPeers);
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
