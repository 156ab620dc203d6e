//! Remedies in English.

use crate::diagnose::rules::{
    Action, accept_queue_full, close_wait, conntrack_full, crowd, dead_peers, fin_wait1, fin_wait2,
    half_open_full, kernel_limits, last_ack, local_ports, mtu_black_hole, pair_threshold,
    port_exhaustion, resets, self_connect, silent, simultaneous, slow_read, slow_request,
    stuck_reader, syn_flood, syn_sent, time_wait,
};
use crate::fmt::line;
use crate::render::i18n::findings::en::{by, count, process};
use crate::render::i18n::findings::list;

pub fn action(action: &Action) -> String {
    match action {
        Action::AcceptQueueFull(of) => accept_queue_full(of),
        Action::CloseWait(of) => close_wait(of).into(),
        Action::ConntrackFull(of) => conntrack_full(of).into(),
        Action::Crowd(of) => crowd(of),
        Action::DeadPeers(of) => dead_peers(of).into(),
        Action::FinWait1(of) => fin_wait1(of).into(),
        Action::FinWait2(of) => fin_wait2(of).into(),
        Action::HalfOpenFull(of) => half_open_full(of),
        Action::KernelLimits(of) => kernel_limits(of),
        Action::LastAck(of) => last_ack(of).into(),
        Action::LocalPorts(of) => local_ports(of).into(),
        Action::MtuBlackHole(of) => mtu_black_hole(of).into(),
        Action::PairThreshold(of) => pair_threshold(of),
        Action::PortExhaustion(of) => port_exhaustion(of).into(),
        Action::Resets(of) => resets(of).into(),
        Action::SelfConnect(of) => self_connect(of),
        Action::Silent(of) => silent(of).into(),
        Action::Simultaneous(of) => simultaneous(of).into(),
        Action::SlowRead(of) => slow_read(of).into(),
        Action::SlowRequest(of) => slow_request(of),
        Action::StuckReader(of) => stuck_reader(of),
        Action::SynFlood(of) => syn_flood(of),
        Action::SynSent(of) => syn_sent(of).into(),
        Action::TimeWait(of) => time_wait(of).into(),
    }
}

fn accept_queue_full(action: &accept_queue_full::Action) -> String {
    match action {
        accept_queue_full::Action::RaiseNofile => {
            "accept() fails with EMFILE: find out what keeps the descriptors open (`ls -l \
             /proc/PID/fd`), or raise RLIMIT_NOFILE (LimitNOFILE= of a systemd unit, `ulimit -n`) \
             and restart the program; a longer queue does not help"
                .into()
        }
        accept_queue_full::Action::SeeProgram => {
            "see what keeps the program from accept(): it is stopped, overloaded, has no free \
             worker or no free descriptor; a longer queue only helps against short bursts"
                .into()
        }
        accept_queue_full::Action::AskForMore { backlog } => format!(
            "it does not bound this queue: the program asks listen() for a backlog of {backlog} \
             only, let it ask for more and restart it"
        ),
        accept_queue_full::Action::RaiseSomaxconn => {
            "it bounds this queue: raise it, and restart the program, which takes it at listen(); \
             check that it asks for as much"
                .into()
        }
        accept_queue_full::Action::ConsiderResets => {
            "clients whose last ACK is dropped believe that they are connected, and wait; with 1 \
             they get a reset at once: better for a balancer that can go elsewhere, worse for a \
             short burst"
                .into()
        }
        accept_queue_full::Action::ConsiderWaiting => {
            "clients get a reset at once; with 0 their last ACK is dropped, they try again, and a \
             short burst is survived"
                .into()
        }
    }
}

fn close_wait(action: &close_wait::Action) -> &'static str {
    match action {
        close_wait::Action::FindLeak => {
            "the program forgot close() (a leak in the path that handles the peer's end), or is \
             stuck: look at it with `ls -l /proc/PID/fd` and a stack trace; restarting it frees \
             them"
        }
        close_wait::Action::SeeProgram => {
            "the program does not read what came before the peer's end, either: it hangs, or is \
             overloaded; look at its stack (gdb -p, /proc/PID/stack), at what it waits for, and at \
             `ls -l /proc/PID/fd`; restarting it frees them"
        }
        close_wait::Action::NoSetting => {
            "no setting heals it: keepalive ends such connections after hours, and hides the fault"
        }
    }
}

fn conntrack_full(action: &conntrack_full::Action) -> &'static str {
    match action {
        conntrack_full::Action::RaiseMax => {
            "raise it, and nf_conntrack_buckets with it; shorten nf_conntrack_tcp_timeout_* if most \
             entries are of connections that have ended (`conntrack -L`); or do not track traffic \
             that needs no NAT and no state (nftables `notrack`)"
        }
    }
}

fn crowd(action: &crowd::Action) -> String {
    let block = match action {
        crowd::Action::LimitSources { block } => block,
        crowd::Action::SeeOtherEnds {
            owner,
            connections,
            unread,
        } => {
            let queue = match unread {
                0 => String::new(),
                bytes => format!(", which has not read {}", count(*bytes, "byte")),
            };
            return format!(
                "{connections} of them have their other end on this host, held by {}{queue}: look \
                 at that process, and block nothing",
                process(*owner)
            );
        }
    };
    let first = match block.is_empty() {
        true => "no source stands out".to_owned(),
        false => format!(
            "block {} if nothing useful comes from there",
            list(block, ", ")
        ),
    };
    format!(
        "{first}; limit the connections of one source, in the server (nginx limit_conn) or in the \
         firewall (nftables `ct count`, iptables connlimit)"
    )
}

fn dead_peers(action: &dead_peers::Action) -> &'static str {
    match action {
        dead_peers::Action::ComparePeers => {
            "the peers vanished without a FIN (power, network, a NAT or firewall that forgot \
             them): see what they have in common; TCP_USER_TIMEOUT in the program ends such \
             connections earlier"
        }
        dead_peers::Action::LowerRetries => {
            "retransmissions until data that nobody acknowledges ends the connection: 15 takes \
             some 15 minutes, 8 some 2"
        }
        dead_peers::Action::SetKeepalive => {
            "let the program set SO_KEEPALIVE, and TCP_KEEPIDLE to some minutes: the settings \
             below act only on sockets that asked for keepalive"
        }
        dead_peers::Action::KeepaliveTime => "seconds of silence before the first probe",
        dead_peers::Action::KeepaliveInterval => "seconds between probes",
        dead_peers::Action::KeepaliveProbes => "probes without an answer that end the connection",
    }
}

fn fin_wait1(action: &fin_wait1::Action) -> &'static str {
    match action {
        fin_wait1::Action::SeeSlowRead => {
            "the peers' windows are zero: they live and do not read, see slow-read"
        }
        fin_wait1::Action::ComparePeers => {
            "the peers, or the path to them, have gone: see whether they have an address, a \
             network or a firewall in common"
        }
        fin_wait1::Action::LowerOrphanRetries => {
            "retransmissions before a connection that no process has any more is given up; 0 \
             means 8, which takes minutes: a lower number frees their memory earlier"
        }
        fin_wait1::Action::MaxOrphans => {
            "of more orphans than this, on all of the host, the kernel resets the rest"
        }
    }
}

fn fin_wait2(action: &fin_wait2::Action) -> &'static str {
    match action {
        fin_wait2::Action::MendPeers => {
            "the peers do not close: on their side it is CLOSE_WAIT, a program that forgets \
             close(), so it is to be mended there"
        }
        fin_wait2::Action::CloseHere => {
            "those that a process still holds (shutdown() without close()) wait without limit: \
             let the program close them after a time-out of its own"
        }
        fin_wait2::Action::FinTimeout => {
            "seconds until an orphan in FIN_WAIT2 is given up; it does not touch those that a \
             process holds, nor TIME_WAIT, which always lasts 60"
        }
    }
}

fn half_open_full(action: &half_open_full::Action) -> String {
    match action {
        half_open_full::Action::EnableCookies => {
            "set it to 1: then SYNs that find the queue full are answered by cookies".into()
        }
        half_open_full::Action::SynackRetries => {
            "2 ends a request that nobody answers after 7 seconds, 5 after 63".into()
        }
        half_open_full::Action::AskForMore { backlog } => format!(
            "the queue is as long as the backlog of listen(), {backlog}: let the program ask for \
             more, up to this"
        ),
        half_open_full::Action::RaiseSomaxconn { backlog } => format!(
            "it bounds the backlog of listen(), which is {backlog} here: raise it, and the backlog \
             that the program asks for; both are taken at listen(), so restart the program"
        ),
        half_open_full::Action::RaiseSynBacklog { unknown, backlog } => format!(
            "without cookies, clients that are not known are refused above three quarters of it, \
             {unknown}: raise it above {backlog}"
        ),
        half_open_full::Action::RaiseBoth => {
            "raise it together with the backlog: without cookies it is a limit, too".into()
        }
    }
}

fn kernel_limits(action: &kernel_limits::Action) -> String {
    use kernel_limits::Kind::{Memory, Orphans, TimeWait};
    match action {
        kernel_limits::Action::Raise(TimeWait) => {
            "above it the kernel ends connections without TIME_WAIT, and counts \
             TCPTimeWaitOverflow: a peer that still sends gets a reset, and a late segment may \
             reach a new connection; raise it, each costs 250 bytes"
                .into()
        }
        kernel_limits::Action::Raise(Orphans) => {
            "of more orphans than this on all of the host the kernel resets some, and their peers \
             lose the rest of the data; one whose peer does not answer or does not read counts \
             twice or four times; raise it, each holds its send buffer"
                .into()
        }
        kernel_limits::Action::Raise(Memory) => {
            "the last number is the limit of all TCP buffers of the host, in pages: above it the \
             kernel resets closed connections that have data to send, and drops data that \
             arrives; raise it, or lower tcp_rmem and tcp_wmem, or let clients and programs read \
             faster"
                .into()
        }
        kernel_limits::Action::OrphanRetries => {
            "retransmissions before an orphan is given up; 0 means 8, which takes minutes: a lower \
             number makes room earlier"
                .into()
        }
        kernel_limits::Action::Most {
            owner,
            at,
            connections,
        } => {
            let of = owner.map(|owner| format!(" ({})", line::text(&owner)));
            format!(
                "{connections} of them were connections of {at}{}: neither this program nor its \
                 peers have reset them",
                of.unwrap_or_default()
            )
        }
    }
}

fn last_ack(action: &last_ack::Action) -> &'static str {
    match action {
        last_ack::Action::ComparePeers => {
            "the peers have sent their FIN and gone, or a firewall has forgotten the connections: \
             see whether they have an address, a network or a firewall in common"
        }
        last_ack::Action::OrphanRetries => {
            "retransmissions before a connection that no process has any more is given up; 0 \
             means 8, which takes minutes"
        }
    }
}

fn local_ports(action: &local_ports::Action) -> &'static str {
    match action {
        local_ports::Action::WidenRange => {
            "a wider range, such as 1024 to 65535 with the ports of services in \
             ip_local_reserved_ports, or more local or remote addresses, make room"
        }
        local_ports::Action::TwReuse => {
            "1 lets connect() take over a port in TIME_WAIT after a second, on the connecting \
             side and with timestamps; 2 does so on loopback only"
        }
    }
}

fn mtu_black_hole(action: &mtu_black_hole::Action) -> &'static str {
    match action {
        mtu_black_hole::Action::TestPath => {
            "a router, tunnel or firewall on the way drops packets that are too large for it and \
             does not say so, or its ICMP is dropped: let ICMP `fragmentation needed` (IPv6: \
             `packet too big`) through; test with `ping -M do -s 1472`, `tracepath`"
        }
        mtu_black_hole::Action::ClampMss => {
            "on the router before the narrow link, clamp the MSS: nftables `tcp option maxseg size \
             set rt mtu`, iptables `TCPMSS --clamp-mss-to-pmtu`; or give the route to the peers \
             here a smaller `mtu`"
        }
        mtu_black_hole::Action::MtuProbing => {
            "1 lets TCP try smaller segments after some time-outs, so that the connections go on; \
             0 does not"
        }
    }
}

fn pair_threshold(action: &pair_threshold::Action) -> String {
    let (most, what) = match action {
        pair_threshold::Action::FindLeak { most } => (
            most,
            "look for a program that opens connections and does not close or use them, or for an \
             attack; limit the connections of one source",
        ),
        pair_threshold::Action::RaiseThreshold { most } => (
            most,
            "fine if it is a pool or a proxy: then raise `threshold` at the activation; otherwise \
             let the clients use fewer connections",
        ),
    };
    match most {
        Some(pair_threshold::Share { connections, at }) => {
            let belong = by(*connections, "belongs", "belong");
            format!("{connections} of them {belong} to {at}; {what}")
        }
        None => what.into(),
    }
}

fn port_exhaustion(action: &port_exhaustion::Action) -> &'static str {
    match action {
        port_exhaustion::Action::ReuseConnections => {
            "keep connections and use them again (keep-alive, a pool), and see why so many are \
             opened"
        }
        port_exhaustion::Action::BindNoPort => {
            "let the program set IP_BIND_ADDRESS_NO_PORT before it binds an address with port 0: \
             then connect() chooses the port, and one port serves many destinations"
        }
        port_exhaustion::Action::IfBound => {
            "if the program binds its local address, let it set IP_BIND_ADDRESS_NO_PORT before: \
             without it, bind() takes the ports away from all other destinations"
        }
        port_exhaustion::Action::OtherPort => {
            "there can be one connection between the same two addresses and ports, and \
             SO_REUSEADDR does not change that: let the program use another source port or \
             address, leave the port to connect(), or wait until the earlier connection has ended"
        }
        port_exhaustion::Action::Timestamps => {
            "with timestamps (1) connect() takes over a bound port in TIME_WAIT, without them it \
             waits for 60 seconds; let the other end close first, which then has the TIME_WAIT"
        }
        port_exhaustion::Action::FindLeak => {
            "connections are kept open, and few wait in TIME_WAIT: look for a leak, or let fewer \
             connections carry more requests"
        }
    }
}

fn resets(action: &resets::Action) -> &'static str {
    match action {
        resets::Action::StartService => {
            "nothing listens there, or a firewall answers for it: start the service, or correct \
             the address and port that the program calls"
        }
        resets::Action::ReadAll => {
            "let the program read to the end before close(): an answer on its way is lost with \
             the reset (nginx lingering_close does so)"
        }
        resets::Action::SeeProgram => {
            "the program asks for it (SO_LINGER of 0), or data came after its close(): fine for a \
             balancer that drops clients, else a fault of the program"
        }
        resets::Action::AcceptFaster => {
            "the program does not accept fast enough: see accept-queue-full"
        }
        resets::Action::CompareTimeouts => {
            "the clients, or a balancer or firewall between, abort: compare with their time-outs, \
             and with how long the answers take"
        }
        resets::Action::SeeDestination => {
            "the other end, or a balancer or firewall between, aborts: see its log and its \
             limits, and whether idle connections outlive its time-out"
        }
        resets::Action::KeepChecks => {
            "nothing: connections without a byte, at a regular pace and from few sources, are \
             health checks that connect and reset (HAProxy, keepalived, balancers of clouds)"
        }
        resets::Action::AbortOnOverflow => {
            "with 1, clients that find the queue full get a reset; with 0 they try again"
        }
    }
}

fn self_connect(action: &self_connect::Action) -> String {
    match action {
        self_connect::Action::CloseIt => {
            "connect() to a local port on which nobody listened chose that port as its own: let \
             the program close a socket whose getsockname() equals its getpeername(), and call \
             again later; until it closes, the service cannot start"
                .into()
        }
        self_connect::Action::ReservePort { port } => format!(
            "take {port} out of the ports that connect() chooses from: add it to \
             net.ipv4.ip_local_reserved_ports, or move the service below \
             net.ipv4.ip_local_port_range"
        ),
    }
}

fn silent(action: &silent::Action) -> &'static str {
    match action {
        silent::Action::KeepPool => {
            "nothing, if it is a pool that a program of yours keeps ready; otherwise let the \
             server, or the pool, close what is idle for long"
        }
        silent::Action::CloseSilent => {
            "let the server close connections that ask nothing: nginx client_header_timeout, \
             TCP_DEFER_ACCEPT, or the protocol's own time-out of logins"
        }
    }
}

fn simultaneous(action: &simultaneous::Action) -> &'static str {
    match action {
        simultaneous::Action::Nothing => "nothing: TCP is made for it",
    }
}

fn slow_read(action: &slow_read::Action) -> &'static str {
    match action {
        slow_read::Action::EndAnswers => {
            "end answers that nobody takes: nginx send_timeout with reset_timedout_connection, \
             HAProxy timeout client, TCP_USER_TIMEOUT"
        }
    }
}

fn slow_request(action: &slow_request::Action) -> String {
    let headers = "give clients less time for their headers: nginx client_header_timeout, Apache \
                   RequestReadTimeout header=, HAProxy timeout http-request";
    let bodies = "give clients less time for their bodies: nginx client_body_timeout, Apache \
                  RequestReadTimeout body=; let a proxy that buffers requests stand before servers \
                  with few workers";
    match action {
        slow_request::Action::KeepOneWay => {
            "nothing, if the senders expect no answer (syslog, MQTT, metrics); if the service is \
             HTTP, these are slow requests: look at them with `sample=` and limit their time"
                .into()
        }
        slow_request::Action::LimitHeaders => headers.into(),
        slow_request::Action::LimitBodies => bodies.into(),
        slow_request::Action::LimitBoth => format!("{headers}; {bodies}"),
        slow_request::Action::LimitBothEncrypted => format!(
            "{headers}; {bodies}; the connections are encrypted, so headers and bodies look the \
             same from outside"
        ),
    }
}

fn stuck_reader(action: &stuck_reader::Action) -> String {
    match action {
        stuck_reader::Action::SeeProcess { pid } => {
            let pid = pid.map_or_else(|| "PID".into(), |pid| pid.to_string());
            format!(
                "the program hangs, is stopped or is overloaded: see its state and what it waits \
                 for (`cat /proc/{pid}/status /proc/{pid}/stack`), its threads and CPU time (`top \
                 -H -p {pid}`), its stack (`gdb -p {pid}`, `strace -f -p {pid}`)"
            )
        }
        stuck_reader::Action::SparePeers => {
            "the peers are innocent: what they sent is here, so block none and shorten no time-out"
                .into()
        }
    }
}

fn syn_flood(action: &syn_flood::Action) -> String {
    match action {
        syn_flood::Action::EnableCookies => {
            "set it to 1: then a full queue drops no client, it is answered by cookies".into()
        }
        syn_flood::Action::KeepCookies => {
            "keep it above 0: clients are served by cookies while the queue is full".into()
        }
        syn_flood::Action::Block { sources } => format!(
            "block {} in the firewall, before the listener sees the SYNs",
            list(sources, ", ")
        ),
        syn_flood::Action::KeepDeferring => {
            "nothing, if the clients send soon: browsers connect ahead of a request; the kernel \
             drops such a request after the time-out that the program gave to TCP_DEFER_ACCEPT"
                .into()
        }
        syn_flood::Action::LimitSyns => {
            "no source stands out, so blocking addresses does not help: limit SYNs in the firewall \
             (nftables synproxy) or upstream; if these are real clients, look for the cut way back \
             to them"
                .into()
        }
    }
}

fn syn_sent(action: &syn_sent::Action) -> &'static str {
    match action {
        syn_sent::Action::SeeConntrack => {
            "the SYNs do not leave this host, or their answers do not reach the program: see \
             conntrack-full; nothing is known against the destination"
        }
        syn_sent::Action::SeeAcceptQueue => {
            "the destination is on this host: see accept-queue-full, whose program does not accept"
        }
        syn_sent::Action::TryDestination => {
            "the destination is down, unreachable, or a firewall on the way drops the SYNs: try \
             it from here and from elsewhere, and look at the route and at the firewall of both \
             ends"
        }
        syn_sent::Action::SynRetries => {
            "6 lets connect() wait for some 2 minutes, and a lower number for less; better is a \
             time-out in the program"
        }
        syn_sent::Action::IdentifyProcess => {
            "find out what the process is, who started it and from which file (`ls -l \
             /proc/PID/exe`); if nobody knows it, treat the host as broken into, and cut it off"
        }
    }
}

fn time_wait(action: &time_wait::Action) -> &'static str {
    match action {
        time_wait::Action::SaveHandshakes => {
            "harmless as such: each costs 250 bytes, and a server's port is not used up; \
             keep-alive would save the handshakes"
        }
        time_wait::Action::ReuseConnections => {
            "keep connections and use them again (keep-alive, a pool)"
        }
        time_wait::Action::ReuseForPorts => {
            "keep connections and use them again (keep-alive, a pool): it also saves handshakes"
        }
        time_wait::Action::TwBuckets => {
            "above it the kernel ends connections without TIME_WAIT and counts \
             TCPTimeWaitOverflow: lowering it is no remedy; TIME_WAIT itself always lasts 60 \
             seconds"
        }
    }
}
