//! Clients that send their requests in small pieces (slowloris, slow POST): the server waits for
//! the rest, and each client occupies a connection or a worker.

use std::collections::HashSet;

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::limits::Limit;
use crate::diagnose::recent::ANSWER;
use crate::diagnose::rules::crowd::{self, Crowd, Kind, crowds};
use crate::diagnose::rules::{Bound, Rule};
use crate::diagnose::tally::{percent, sum};
use crate::fmt::text::words;
use crate::host::sample::{Carried, Target, Verdict};
use crate::model::conn::Conn;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["slow-request", "slow-headers", "slow-body"],
    looks_at: words!(
        "ESTABLISHED connections of a listener that receive few bytes a second, and on which \
               data still comes although the server has not answered; a sample of the packets \
               (`sample=`) distinguishes headers from bodies, and without one the finding is \
               `slow-request`",
        "监听端每秒只收到很少字节的 ESTABLISHED 连接，服务器尚未应答而数据仍在到来；对报文采样（`sample=`）可以区分请求头和请求体，没有采样时结果为 `slow-request`"
    ),
    refuted_by: words!(
        "answers of the server after the last data (a long poll, a WebSocket); requests \
                 that arrive fast; connections that have been quiet for long; data that our own \
                 program has not read (`stuck-reader`); a listener that answers nobody, or only \
                 greets, unless the sample shows headers or TLS: a one-way protocol such as syslog \
                 or MQTT (information only)",
        "最后的数据之后服务器有应答（长轮询、WebSocket）；请求到达得快；连接已安静很久；本机程序没有读取的数据（`stuck-reader`）；监听端不应答任何客户端或只发送问候，而采样没有显示请求头或 TLS：是 `syslog`、MQTT 之类的单向协议（只作为提示）"
    ),
    alike: words!(
        "an upload over a very slow network; a one-way protocol inside of TLS; without a sample, \
            headers and bodies",
        "通过极慢网络的上传；TLS 中的单向协议；没有采样时的请求头与请求体"
    ),
    remedy: words!(
        "lower the server's time-outs for headers and bodies, limit connections per source",
        "调小服务器对请求头和请求体的超时，限制单个来源的连接数"
    ),
    limits: &[
        crowd::ONE_SOURCE,
        crowd::MANY_SOURCES,
        crowd::SHARE,
        crowd::CRITICAL,
        AGE,
        RATE,
        GAP,
        QUIET,
    ],
    find,
};

const AGE: Limit = Limit {
    key: "age-s",
    default: 8,
    range: (1, 86_400),
    unit: words!(
        "seconds in ESTABLISHED, at least",
        "处于 ESTABLISHED 的最少秒数"
    ),
    why: words!(
        "a request arrives whole within a few round trips, lost segments included",
        "请求会在几个往返时间内完整到达，即使有报文段丢失"
    ),
};
const RATE: Limit = Limit {
    key: "bytes-per-second",
    default: 256,
    range: (1, 1_000_000),
    unit: words!(
        "received a second on average, less than this",
        "平均每秒收到的字节数，须小于此值"
    ),
    why: words!(
        "a modem of 1998 sent 4,000",
        "1998 年的调制解调器每秒发送 4,000 字节"
    ),
};
const GAP: Limit = Limit {
    key: "gap-s",
    default: 5,
    range: (1, 86_400),
    unit: words!(
        "seconds between the start, or the last answer, and the last data received",
        "从连接开始或最后一次应答，到最后收到数据之间的秒数"
    ),
    why: words!(
        "data that comes so late belongs to a request that the server has long been waiting for; \
          a long poll is answered after its last data",
        "这么晚到来的数据属于服务器早已在等待的请求；长轮询在其最后的数据之后得到应答"
    ),
};
const QUIET: Limit = Limit {
    key: "quiet-s",
    default: 120,
    range: (1, 86_400),
    unit: words!(
        "seconds since the last data, at most",
        "距最后的数据的最多秒数"
    ),
    why: words!(
        "servers give up waiting after a minute, so whoever attacks them sends more often",
        "服务器等待一分钟后放弃，因此攻击者会更频繁地发送"
    ),
};

/// The actions: shorten time-outs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The time-out for headers.
    LimitHeaders,
    /// The time-out for bodies.
    LimitBodies,
    /// Both time-outs.
    LimitBoth,
    /// Both time-outs, because encryption hides which one applies.
    LimitBothEncrypted,
    /// Senders that expect no answer may stay.
    KeepOneWay,
}

/// Percent of the connections that must have been greeted only.
const MOST: u64 = 90;

fn is_slow(facts: &Facts, limits: &Bound, conn: &Conn) -> bool {
    let (Some(meters), Some(activity)) = (conn.meters, conn.activity) else {
        return false;
    };
    let age = facts.age_ms(conn);
    let received = meters.bytes_received;
    let quiet = activity.last_recv_ms.unwrap_or(0);
    let gap = match meters.bytes_sent {
        0 => age.saturating_sub(quiet),
        _ => activity.last_sent_ms.unwrap_or(0).saturating_sub(quiet),
    };
    conn.state == State::ESTABLISHED
        // The client has sent what our own program does not read.
        && conn.unread() == 0
        && age >= limits.get(&AGE) * 1_000
        && received > 0
        && received.saturating_mul(1_000) < limits.get(&RATE).saturating_mul(age)
        && gap >= limits.get(&GAP) * 1_000
        && quiet <= limits.get(&QUIET) * 1_000
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let crowds = crowds(facts, limits, |conn| is_slow(facts, limits, conn));
    let carried = match facts.patience.is_zero() || crowds.is_empty() {
        true => vec![Carried::default(); crowds.len()],
        false => facts.sample(&crowds.iter().map(target).collect::<Vec<_>>()),
    };
    let pairs = crowds.iter().zip(carried);
    pairs
        .map(|(crowd, carried)| finding(facts, limits, crowd, carried))
        .collect()
}

fn target(crowd: &Crowd) -> Target {
    let pids: HashSet<_> = crowd
        .whos()
        .filter_map(|who| who.owner.map(|o| o.pid))
        .collect();
    Target {
        netns: crowd.service.netns,
        pids: pids.into_iter().collect(),
        port: crowd.service.port,
        clients: crowd
            .whos()
            .map(|who| (who.remote().to_canonical(), who.rport))
            .collect(),
    }
}

/// Whether the protocol may be one-way: the listener greets these clients at most, or answers none
/// of its clients, now and in the last minute.
fn is_one_way(facts: &Facts, crowd: &Crowd) -> bool {
    let sent = |c: &Conn| c.meters.map_or(0, |m| m.bytes_sent);
    let greeted = crowd.conns.iter().map(|c| sent(c));
    let greeted = greeted.filter(|sent| (1..ANSWER).contains(sent)).count() as u64;
    if percent(greeted, crowd.size()) >= MOST {
        return true;
    }
    let service = &crowd.service;
    let answers = |c: &Conn| sent(c) >= ANSWER && facts.service(&c.who) == *service;
    let mut steps = facts.recent.steps.iter();
    !facts.conns.iter().any(answers)
        && !steps.any(|(key, steps)| key.service == *service && steps.answered > 0)
}

fn finding(facts: &Facts, limits: &Bound, crowd: &Crowd, carried: Carried) -> Finding {
    let verdict = carried.verdict();
    let age_ms = |conn: &Conn| facts.age_ms(conn);
    let is_http = [Verdict::Headers, Verdict::Encrypted].contains(&verdict);
    let finding = if !is_http && is_one_way(facts, crowd) {
        let mut finding = crowd.unjudged(facts, "slow-request", Kind::OneWay, age_ms);
        finding.severity = Severity::Info;
        finding.remedy(Action::KeepOneWay)
    } else {
        let (rule, kind, action) = match verdict {
            Verdict::Headers => ("slow-headers", Kind::SlowHeaders, Action::LimitHeaders),
            Verdict::Body => ("slow-body", Kind::SlowBodies, Action::LimitBodies),
            Verdict::Encrypted => (
                "slow-request",
                Kind::SlowRequests,
                Action::LimitBothEncrypted,
            ),
            Verdict::Unknown => ("slow-request", Kind::SlowRequests, Action::LimitBoth),
        };
        let finding = crowd.finding(facts, limits, rule, kind, age_ms);
        finding.remedy(action)
    };
    numbers(facts, crowd, carried, finding)
}

fn numbers(facts: &Facts, crowd: &Crowd, carried: Carried, finding: Finding) -> Finding {
    let ages = sum(crowd.conns.iter().map(|c| facts.age_ms(c)));
    let received = crowd.conns.iter().filter_map(|c| c.meters);
    let received = sum(received.map(|m| m.bytes_received));
    finding
        .number("bytes_received", received)
        .number(
            "bytes_per_second_each",
            received.saturating_mul(1_000) / ages.max(1),
        )
        .number("sampled_headers", carried.headers)
        .number("sampled_body", carried.body)
        .number("sampled_encrypted", carried.encrypted)
}
