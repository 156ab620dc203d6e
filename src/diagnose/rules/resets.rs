//! Connections that ended without FINs.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::facts::Facts;
use crate::diagnose::finding::{Finding, Severity, Subject};
use crate::diagnose::identity::About;
use crate::diagnose::limits::Limit;
use crate::diagnose::message::{SocketAddress, Sources};
use crate::diagnose::recent::{StepKey, Steps};
use crate::diagnose::rules::{Bound, Rule, kernel_limits};
use crate::diagnose::service::{Service, Side};
use crate::diagnose::tally::{Tally, percent};
use crate::fmt::text::words;
use crate::model::conn::Conn;
use crate::model::ident::{Owner, Remote};
use crate::model::reason::Reason;
use crate::model::state::State;

/// The rule.
pub static RULE: Rule = Rule {
    names: &["resets"],
    looks_at: words!(
        "connections that ended by a reset in the last minute, by listener or destination \
               and by sender: a warning if most connections end so and it continues, else \
               information",
        "最近一分钟因复位而结束的连接，按监听端或目的地以及复位的发送方统计：若多数连接如此结束且仍在继续则为警告，否则为提示"
    ),
    refuted_by: words!(
        "connections that end well in the same minute (their share), and destinations \
                 that are connected; resets that have stopped; a service that is served again; \
                 connections that carried nothing, ended at once, and come from few sources at a \
                 regular pace: health checks; another end on this host that the kernel ended for \
                 one of its limits (see `kernel-limits`)",
        "同一分钟内正常结束的连接（其比例），以及已连上的目的地；复位已停止；服务已恢复；没有传输数据、立即结束、来源很少且间隔规律的连接是健康检查；另一端也在本机、由内核因某个上限而结束（参见 `kernel-limits`）"
    ),
    alike: words!(
        "a peer's program that resets, and a middlebox that does so in its name; health checks \
            and a slow port scan",
        "对端程序发出的复位，与中间设备以其名义发出的复位；健康检查与慢速端口扫描"
    ),
    remedy: words!(
        "depends on the sender: start the service, make the program read all data, compare \
             time-outs",
        "取决于发送方：启动服务，让程序读完数据，对照超时"
    ),
    limits: &[COUNT, SHARE, SECONDS, RECENT, CHECKERS, CHECKS],
    find,
};

const COUNT: Limit = Limit {
    key: "count",
    default: 50,
    range: (1, 100_000_000),
    unit: words!(
        "resets of one kind in the last minute",
        "最近一分钟同一种复位的次数"
    ),
    why: words!(
        "about one a second: browsers that leave a page cause fewer",
        "约每秒一次：离开页面的浏览器引起的更少"
    ),
};
const SHARE: Limit = Limit {
    key: "share",
    default: 50,
    range: (1, 100),
    unit: words!(
        "percent of the connections that ended, resets of all kinds together",
        "占已结束连接的百分比，各种复位合计"
    ),
    why: words!(
        "below half, most clients are served",
        "不到一半时，多数客户端得到了服务"
    ),
};
const SECONDS: Limit = Limit {
    key: "seconds",
    default: 5,
    range: (1, 60),
    unit: words!(
        "different seconds of the last minute in which there were any",
        "最近一分钟中出现复位的秒数"
    ),
    why: words!(
        "a program that ends resets all its connections at one moment",
        "程序结束时会在同一时刻复位其全部连接"
    ),
};
const RECENT: Limit = Limit {
    key: "recent-s",
    default: 10,
    range: (1, 60),
    unit: words!(
        "seconds since the last one, at most",
        "距最后一次复位的最多秒数"
    ),
    why: words!(
        "resets that have stopped need nobody at night: a server was restarted",
        "已停止的复位无需半夜处理：只是服务器重启过"
    ),
};
const CHECKERS: Limit = Limit {
    key: "checkers",
    default: 20,
    range: (1, 1_000_000),
    unit: words!(
        "sources of health checks, at most",
        "健康检查来源的最多个数"
    ),
    why: words!(
        "the balancers before a server, with the addresses that they check from",
        "服务器前面的负载均衡器，及其发起检查的地址"
    ),
};
const CHECKS: Limit = Limit {
    key: "checks",
    default: 3,
    range: (1, 1_000_000),
    unit: words!(
        "health checks of one source in a second, at most, on average",
        "一个来源平均每秒的最多健康检查次数"
    ),
    why: words!(
        "a check a second by each of a few processes or rules of a balancer",
        "负载均衡器的少数几个进程或规则各每秒检查一次"
    ),
};

/// The kernel's counters of resets.
const COUNTERS: [&str; 7] = [
    "TcpOutRsts",
    "TcpEstabResets",
    "TcpAttemptFails",
    "TcpExtTCPAbortOnData",
    "TcpExtTCPAbortOnClose",
    "TcpExtTCPAbortOnTimeout",
    "TcpExtTCPAbortOnMemory",
];

/// The problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Who sends the resets, and why.
    pub kind: Kind,
    /// The local process; `None`: unknown.
    pub owner: Option<Owner>,
    /// The listener or destination; the port with most of the resets, if there are several.
    pub at: SocketAddress,
    /// Number of further ports of the destination.
    pub more_ports: u64,
    /// The clients of a listener; `None` for a destination.
    pub sources: Option<Sources>,
    /// Number of resets in the last minute.
    pub resets: u64,
    /// The state in which most of the resets occurred.
    pub state: State,
}

/// Who sends the resets, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The local process resets.
    Sent,
    /// The peer resets.
    Received,
    /// No socket listens on the port.
    Refused,
    /// The local process closes with unread data.
    UnreadData,
    /// The kernel resets because the accept queue is full.
    AcceptQueueFull,
}

impl Kind {
    /// The kind of reset for this reason; `None`: it is not a reset.
    fn of(reason: Reason) -> Option<Self> {
        match reason {
            Reason::REFUSED => Some(Self::Refused),
            Reason::UNREAD_DATA => Some(Self::UnreadData),
            Reason::RESET_SENT => Some(Self::Sent),
            Reason::RESET_RECEIVED => Some(Self::Received),
            Reason::ACCEPT_QUEUE_FULL => Some(Self::AcceptQueueFull),
            _ => None,
        }
    }

    /// Its name in the ids of findings.
    fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Refused => "refused",
            Self::UnreadData => "unread-data",
            Self::AcceptQueueFull => "accept-queue-full",
        }
    }
}

/// The actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start the service, or correct the address.
    StartService,
    /// Make the program read all data.
    ReadAll,
    /// Find out why the program resets.
    SeeProgram,
    /// Make the program accept faster.
    AcceptFaster,
    /// Compare the time-outs of the clients.
    CompareTimeouts,
    /// Check the destination.
    SeeDestination,
    /// Effect of resetting clients.
    AbortOnOverflow,
    /// Nothing: health checks.
    KeepChecks,
}

/// Resets of one kind: of a listener or a destination, or of all ports of a host that refuses.
struct Resets {
    /// The listener or destination with most of them.
    service: Service,
    kind: Kind,
    steps: Steps,
    states: Tally<State>,
    ports: Tally<u16>,
    /// The processes.
    pids: BTreeSet<Option<u32>>,
    /// Number of all connections that ended, and of those that ended by any reset.
    ends: Ends,
}

/// Number of connections that have ended.
#[derive(Clone, Copy, Default)]
struct Ends {
    all: u64,
    by_reset: u64,
}

impl Ends {
    fn add(&mut self, key: &StepKey, steps: &Steps) {
        self.all += steps.count;
        self.by_reset += Kind::of(key.reason()).map_or(0, |_| steps.count);
    }
}

/// What is judged together: a service, or all ports of a host that refuses calls.
type Group = (Service, Kind);

/// A destination that refuses is one host, whichever its ports.
fn group(service: &Service, kind: Kind) -> Group {
    match is_of_host(service, kind) {
        true => (host(service), kind),
        false => (*service, kind),
    }
}

fn is_of_host(service: &Service, kind: Kind) -> bool {
    kind == Kind::Refused && service.side == Side::Client
}

/// All ports of a host.
fn host(service: &Service) -> Service {
    Service {
        port: 0,
        ..*service
    }
}

fn find(facts: &Facts, limits: &Bound) -> Vec<Finding> {
    let mut ends: BTreeMap<Service, Ends> = BTreeMap::new();
    let mut groups: BTreeMap<Group, Resets> = BTreeMap::new();
    let in_order = facts.recent.in_order().into_iter();
    for (key, steps) in in_order.filter(|(key, _)| is_end(key)) {
        let kind = Kind::of(key.reason());
        ends.entry(key.service).or_default().add(key, steps);
        if let Some(kind) = kind {
            let group = group(&key.service, kind);
            let resets = groups.entry(group).and_modify(|r| r.steps.merge(steps));
            let resets = resets.or_insert_with(|| Resets::new(key.service, kind, steps));
            resets.states.add(key.old.known_as(), steps.count);
            resets.ports.add(key.service.port, steps.count);
            resets.pids.insert(key.pid);
        }
    }
    let by_kernel = kernel_limits::ended_here(facts);
    groups.retain(|_, resets| {
        let count = resets.steps.count;
        count.saturating_sub(resets.of_kernel(&by_kernel)) >= limits.get(&COUNT)
    });
    let found = groups.into_values().map(|mut resets| {
        if let Some((port, _)) = resets.ports.top() {
            resets.service.port = port;
        }
        resets.ends = match resets.is_of_host() {
            true => resets.ends_of_host(facts),
            false => ends.get(&resets.service).copied().unwrap_or_default(),
        };
        finding(facts, limits, &resets)
    });
    found.collect()
}

/// A half-open request counts if a reset ended it because the accept queue was full.
fn is_end(key: &StepKey) -> bool {
    let refused = key.new == State::CLOSE && key.reason() == Reason::ACCEPT_QUEUE_FULL;
    key.is_end() || refused
}

impl Resets {
    /// Resets that came from the kernel of this host because of one of its limits.
    fn of_kernel(&self, by_kernel: &BTreeMap<Service, u64>) -> u64 {
        if self.kind != Kind::Received {
            return 0;
        }
        let sender = self.service.canonical();
        let is_other_end = |end: &Service| {
            end.side != sender.side
                && end.port == sender.port
                && (end.addr == sender.addr || end.addr.is_unspecified())
        };
        let ended = by_kernel.iter().filter(|(end, _)| is_other_end(end));
        ended.map(|(_, count)| *count).sum()
    }

    fn new(service: Service, kind: Kind, steps: &Steps) -> Self {
        Self {
            service,
            kind,
            steps: steps.clone(),
            states: Tally::default(),
            ports: Tally::default(),
            pids: BTreeSet::new(),
            ends: Ends::default(),
        }
    }

    /// Number of health checks among them. The checker resets: on a server they are received, on
    /// the checker's own host they are sent.
    fn checks(&self, limits: &Bound) -> u64 {
        let by_checker = [(Kind::Received, Side::Server), (Kind::Sent, Side::Client)];
        let sources = self.steps.peers.kinds();
        let pace = sources * limits.get(&CHECKS) * self.steps.seconds();
        let are_checks = by_checker.contains(&(self.kind, self.service.side))
            && sources <= limits.get(&CHECKERS)
            && self.steps.bare <= pace;
        if are_checks { self.steps.bare } else { 0 }
    }

    fn is_of_host(&self) -> bool {
        is_of_host(&self.service, self.kind)
    }

    /// Connections of the same processes to any port of the host that have ended.
    fn ends_of_host(&self, facts: &Facts) -> Ends {
        let here = host(&self.service);
        let mut ends = Ends::default();
        for (key, steps) in &facts.recent.steps {
            if is_end(key) && host(&key.service) == here && self.pids.contains(&key.pid) {
                ends.add(key, steps);
            }
        }
        ends
    }

    /// Number of connections of the same processes to any port of the host: calls that succeed.
    fn connected(&self, facts: &Facts) -> u64 {
        if !self.is_of_host() {
            return 0;
        }
        let here = host(&self.service);
        let is_one = |c: &&Conn| {
            c.state == State::ESTABLISHED
                && self.pids.contains(&c.who.owner.map(|o| o.pid))
                && host(&facts.service(&c.who)) == here
        };
        facts.conns.iter().filter(is_one).count() as u64
    }

    /// Whether all ports that refused connections serve them now: the service was restarted.
    fn are_back(&self, facts: &Facts) -> bool {
        let is_back = |(port, _)| {
            let service = Service {
                port,
                ..self.service
            };
            facts.live(&service).established > 0
        };
        self.kind == Kind::Refused && self.ports.at_least(1).into_iter().all(is_back)
    }

    fn subject(&self, facts: &Facts) -> Subject {
        let mut subject = facts.subject(&self.service, [&self.steps.example]);
        if self.service.side == Side::Server {
            facts.set_peers(&mut subject, &self.steps.peers);
        } else if self.ports.kinds() > 1 {
            let remote = Remote {
                addr: self.service.addr,
                ifindex: self.service.ifindex,
            };
            let ports = self.ports.at_least(1).into_iter().take(Subject::PEERS);
            let peer = |(port, count)| facts.peer(&subject, remote, Some(port), count);
            subject.peers = ports.map(peer).collect();
            subject.peer_count = self.ports.kinds();
            subject.remote = Some((self.service.addr, None));
        }
        subject
    }
}

fn severity(facts: &Facts, limits: &Bound, resets: &Resets, share: u64) -> Severity {
    let steps = &resets.steps;
    let ago = facts.seconds_since(steps.last_ns);
    let goes_on = steps.seconds() >= limits.get(&SECONDS)
        && ago <= limits.get(&RECENT)
        && !resets.are_back(facts);
    let others = steps.count - resets.checks(limits);
    let is_bad = goes_on && share >= limits.get(&SHARE) && others >= limits.get(&COUNT);
    if is_bad {
        Severity::Warning
    } else {
        Severity::Info
    }
}

fn finding(facts: &Facts, limits: &Bound, resets: &Resets) -> Finding {
    let (service, steps, ends) = (&resets.service, &resets.steps, resets.ends);
    let checks = resets.checks(limits);
    let served = ends.all.saturating_sub(checks) + resets.connected(facts);
    let share = match served {
        0 => 0,
        _ => percent(ends.by_reset.saturating_sub(checks), served),
    };
    let subject = resets.subject(facts);
    let problem = Problem {
        kind: resets.kind,
        owner: subject.owner,
        at: facts.at(service),
        more_ports: resets.ports.kinds().saturating_sub(1),
        sources: (service.side == Side::Server).then(|| subject.sources()),
        resets: steps.count,
        state: resets.states.top().map_or(State::CLOSE, |(state, _)| state),
    };
    let severity = severity(facts, limits, resets, share);
    let finding = Finding::new("resets", severity, problem, subject)
        .about(match resets.is_of_host() {
            true => About::Hosts,
            false => About::Addresses,
        })
        .variant(resets.kind.name())
        .number("resets", steps.count)
        .number("ends", ends.all)
        .number("percent", share)
        .number("health_checks", checks)
        .number("seconds", steps.seconds())
        .number("seconds_ago", facts.seconds_since(steps.last_ns))
        .number("established", facts.live(service).established)
        .counters(&facts.namespace(service.netns), &COUNTERS);
    match steps.count - checks < limits.get(&COUNT) {
        true => finding.remedy(Action::KeepChecks),
        false => remedies(facts, service, resets.kind, finding),
    }
}

fn remedies(facts: &Facts, service: &Service, kind: Kind, finding: Finding) -> Finding {
    let finding = finding.remedy(match (kind, service.side) {
        (Kind::Refused, _) => Action::StartService,
        (Kind::UnreadData, _) => Action::ReadAll,
        (Kind::Sent, _) => Action::SeeProgram,
        (Kind::AcceptQueueFull, _) => Action::AcceptFaster,
        (Kind::Received, Side::Server) => Action::CompareTimeouts,
        (Kind::Received, Side::Client) => Action::SeeDestination,
    });
    match kind {
        Kind::AcceptQueueFull => finding.remedy_if(facts.remedy(
            service.netns,
            "net.ipv4.tcp_abort_on_overflow",
            Action::AbortOnOverflow,
        )),
        _ => finding,
    }
}
