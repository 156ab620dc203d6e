//! The peer has acknowledged our FIN, and does not close.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Finding;
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::pile::{self, Pile, is_orphan};
use crate::diagnose::rules::{Bound, Rule};
use crate::model::conn::Conn;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["fin-wait2"],
    looks_at: "connections in FIN_WAIT2, by listener or destination, orphans and others",
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

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    pile::findings(facts, limits, State::FIN_WAIT2, (&COUNT, &AGE), |pile| {
        finding(facts, pile)
    })
}

/// Without meters it is a timewait socket already, and those are orphans, all of them.
fn is_kept(conn: &Conn) -> bool {
    conn.meters.is_some() && !is_orphan(conn)
}

fn finding(facts: &Facts, pile: &Pile) -> Finding {
    let what = "wait in FIN_WAIT2 for the peer to close";
    let kept = pile.count(is_kept);
    let orphans = pile.size() - kept;
    let finding = pile
        .warning(facts, "fin-wait2", what)
        .number("orphans", orphans)
        .number("held_by_process", kept)
        .advise(
            "the peers do not close: on their side it is CLOSE_WAIT, a program that forgets \
             close(), so it is to be mended there",
        );
    let finding = match kept {
        0 => finding,
        _ => finding.advise(
            "those that a process still holds (shutdown() without close()) wait without limit: let \
             the program close them after a time-out of its own",
        ),
    };
    match orphans {
        0 => finding,
        _ => finding.advise_setting(facts.advice(
            pile.service.netns,
            "net.ipv4.tcp_fin_timeout",
            "seconds until an orphan in FIN_WAIT2 is given up; it does not touch those that a \
             process holds, nor TIME_WAIT, which always lasts 60",
        )),
    }
}
