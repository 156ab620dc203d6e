//! The peer has acknowledged our FIN, but does not close.

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::Finding;
use crate::diagnose::limits::Limit;
use crate::diagnose::rules::crowd::other_ends;
use crate::diagnose::rules::pile::{self, Kind, Pile, is_orphan};
use crate::diagnose::rules::{Bound, Rule};
use crate::fmt::text::words;
use crate::model::conn::Conn;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["fin-wait2"],
    looks_at: words!(
        "connections in FIN_WAIT2, by listener or destination, orphans and others",
        "处于 FIN_WAIT2 的连接，按监听端或目的地统计，包括孤儿连接和其他连接"
    ),
    refuted_by: words!(
        "a FIN that is only seconds old; data that the peer still sends (a download after \
                 a half-close); a share of the connections that is small",
        "FIN 发出才几秒；对端仍在发送数据（半关闭之后的下载）；所占比例很小"
    ),
    alike: words!(
        "peers that work for longer on their answer before they send it, and peers that forgot \
            to close",
        "发送应答之前需要较长时间处理的对端，与忘记关闭的对端"
    ),
    remedy: words!(
        "fix the peers' programs; let the local one close the socket",
        "修复对端的程序；让本机程序关闭套接字"
    ),
    limits: &[COUNT, AGE, QUIET, pile::SHARE],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 100,
    range: (1, 100_000_000),
    unit: words!("connections", "连接数"),
    why: words!(
        "some clients of any server leave their end open",
        "任何服务器都有一些客户端不关闭自己的一端"
    ),
};
const AGE: Limit = Limit {
    key: "age-s",
    default: 10,
    range: (0, 86_400),
    unit: words!(
        "seconds in FIN_WAIT2, at least",
        "处于 FIN_WAIT2 的最少秒数"
    ),
    why: words!(
        "a program that reads the end of the data closes at once",
        "读到数据末尾的程序会立即关闭"
    ),
};
const QUIET: Limit = Limit {
    key: "quiet-s",
    default: 60,
    range: (1, 86_400),
    unit: words!(
        "seconds since data last came, at least, if any came in FIN_WAIT2",
        "若在 FIN_WAIT2 中收到过数据，距上次收到的最少秒数"
    ),
    why: words!(
        "a peer that still streams sends at least a heartbeat in a minute",
        "仍在传输的对端每分钟至少发送一次心跳"
    ),
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
