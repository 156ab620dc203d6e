//! Remedies in simplified Chinese.

use crate::diagnose::rules::{
    Action, accept_queue_full, close_wait, conntrack_full, crowd, dead_peers, fin_wait1, fin_wait2,
    half_open_full, kernel_limits, last_ack, local_ports, mtu_black_hole, pair_threshold,
    port_exhaustion, resets, self_connect, silent, simultaneous, slow_read, slow_request,
    stuck_reader, syn_flood, syn_sent, time_wait,
};
use crate::fmt::line;
use crate::render::i18n::findings::list;
use crate::render::i18n::findings::zh::process;

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
            "accept() 返回 EMFILE：查明是什么占用了文件描述符（`ls -l /proc/PID/fd`），或调大 \
             RLIMIT_NOFILE（systemd 单元的 LimitNOFILE=，或 `ulimit -n`）并重启程序；加长队列没有用"
                .into()
        }
        accept_queue_full::Action::SeeProgram => {
            "查明程序为什么不调用 accept()：被停止、过载、没有空闲的工作进程，或文件描述符用尽；加\
             长队列只能应对短时突发"
                .into()
        }
        accept_queue_full::Action::AskForMore { backlog } => format!(
            "该队列不受它限制：程序调用 listen() 时要求的 backlog 只有 {backlog}，让程序要求更大的\
             值并重启"
        ),
        accept_queue_full::Action::RaiseSomaxconn => {
            "该队列受它限制：调大它并重启程序，因为只在 listen() 时生效；并确认程序要求的 backlog \
             也这么大"
                .into()
        }
        accept_queue_full::Action::ConsiderResets => {
            "最后一个 ACK 被丢弃的客户端以为连接已建立，会一直等待；设为 1 时客户端立即收到复位：\
             适合可以改连他处的负载均衡器，不利于应对短时突发"
                .into()
        }
        accept_queue_full::Action::ConsiderWaiting => {
            "客户端立即收到复位；设为 0 时丢弃客户端的最后一个 ACK，客户端会重试，可以度过短时突发"
                .into()
        }
    }
}

fn close_wait(action: &close_wait::Action) -> &'static str {
    match action {
        close_wait::Action::FindLeak => {
            "程序忘记调用 close()（处理对端关闭的代码有泄漏），或已卡住：用 `ls -l /proc/PID/fd` \
             和调用栈检查；重启程序可以释放这些连接"
        }
        close_wait::Action::SeeProgram => {
            "程序也没有读取对端关闭之前发来的数据：它已卡住或过载；检查它的调用栈（gdb -p、\
             /proc/PID/stack）、它在等待什么，以及 `ls -l /proc/PID/fd`；重启程序可以释放这些连接"
        }
        close_wait::Action::NoSetting => {
            "没有设置可以解决：keepalive 要数小时后才结束这类连接，而且会掩盖缺陷"
        }
    }
}

fn conntrack_full(action: &conntrack_full::Action) -> &'static str {
    match action {
        conntrack_full::Action::RaiseMax => {
            "调大它，并相应调大 nf_conntrack_buckets；若多数条目属于已结束的连接（`conntrack -L`），\
             则缩短 nf_conntrack_tcp_timeout_*；或不跟踪不需要 NAT 和状态的流量（nftables `notrack`）"
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
                bytes => format!("，它有 {bytes} 字节未读"),
            };
            return format!(
                "其中 {connections} 个连接的另一端也在本机，由 {} 持有{queue}：检查该进程，不要封\
                 禁任何地址",
                process(*owner)
            );
        }
    };
    let first = match block.is_empty() {
        true => "没有突出的来源".to_owned(),
        false => format!("若来自 {} 的都不是正常业务，则将其封禁", list(block, "、")),
    };
    format!(
        "{first}；限制单个来源的连接数：在服务器中（nginx limit_conn），或在防火墙中（nftables \
         `ct count`、iptables connlimit）"
    )
}

fn dead_peers(action: &dead_peers::Action) -> &'static str {
    match action {
        dead_peers::Action::ComparePeers => {
            "对端没有发送 FIN 就消失了（断电、断网，或 NAT、防火墙丢失了连接记录）：检查它们有什么\
             共同点；在程序中设置 TCP_USER_TIMEOUT 可以更早结束这类连接"
        }
        dead_peers::Action::LowerRetries => {
            "数据得不到确认时，结束连接之前的重传次数：15 次约需 15 分钟，8 次约需 2 分钟"
        }
        dead_peers::Action::SetKeepalive => {
            "让程序设置 SO_KEEPALIVE，并把 TCP_KEEPIDLE 设为几分钟：以下设置只对启用了 keepalive \
             的套接字生效"
        }
        dead_peers::Action::KeepaliveTime => "发送第一个探测之前的空闲秒数",
        dead_peers::Action::KeepaliveInterval => "两次探测之间的秒数",
        dead_peers::Action::KeepaliveProbes => "结束连接之前无应答的探测次数",
    }
}

fn fin_wait1(action: &fin_wait1::Action) -> &'static str {
    match action {
        fin_wait1::Action::SeeSlowRead => {
            "对端的窗口为零：对端仍然在线，但不读取数据，参见 slow-read"
        }
        fin_wait1::Action::ComparePeers => {
            "对端已消失，或到对端的路径已中断：检查它们是否有共同的地址、网络或防火墙"
        }
        fin_wait1::Action::LowerOrphanRetries => {
            "放弃不再属于任何进程的连接之前的重传次数；0 表示 8 次，需要数分钟：调小可以更早释放内\
             存"
        }
        fin_wait1::Action::MaxOrphans => "整个主机的孤儿连接超过此数时，内核复位多余的连接",
    }
}

fn fin_wait2(action: &fin_wait2::Action) -> &'static str {
    match action {
        fin_wait2::Action::MendPeers => {
            "对端没有关闭连接：在对端处于 CLOSE_WAIT，是程序忘记调用 close()，需要在对端修复"
        }
        fin_wait2::Action::CloseHere => {
            "仍被进程持有的连接（调用了 shutdown() 但没有调用 close()）会无限期等待：让程序自己设\
             置超时并关闭它们"
        }
        fin_wait2::Action::FinTimeout => {
            "放弃 FIN_WAIT2 中的孤儿连接之前的秒数；不影响仍被进程持有的连接，也不影响始终为 60 秒\
             的 TIME_WAIT"
        }
    }
}

fn half_open_full(action: &half_open_full::Action) -> String {
    match action {
        half_open_full::Action::EnableCookies => {
            "设为 1：队列满时到达的 SYN 由 SYN cookie 应答".into()
        }
        half_open_full::Action::SynackRetries => {
            "设为 2 时，无应答的半连接 7 秒后结束；设为 5 时 63 秒后结束".into()
        }
        half_open_full::Action::AskForMore { backlog } => format!(
            "队列长度等于 listen() 的 backlog，即 {backlog}：让程序要求更大的值，最大不超过此设置"
        ),
        half_open_full::Action::RaiseSomaxconn { backlog } => format!(
            "它限制 listen() 的 backlog，此处为 {backlog}：调大它和程序要求的 backlog；两者都在 \
             listen() 时生效，因此需要重启程序"
        ),
        half_open_full::Action::RaiseSynBacklog { unknown, backlog } => format!(
            "未启用 SYN cookie 时，超过其四分之三（{unknown}）就拒绝未知的客户端：调大到 \
             {backlog} 以上"
        ),
        half_open_full::Action::RaiseBoth => {
            "与 backlog 一起调大：未启用 SYN cookie 时它也是一个上限".into()
        }
    }
}

fn kernel_limits(action: &kernel_limits::Action) -> String {
    use kernel_limits::Kind::{Memory, Orphans, TimeWait};
    match action {
        kernel_limits::Action::Raise(TimeWait) => {
            "超过此数时，内核不经过 TIME_WAIT 就结束连接，并计入 TCPTimeWaitOverflow：仍在发送的对\
             端会收到复位，迟到的报文段可能进入新的连接；调大它，每个占 250 字节"
                .into()
        }
        kernel_limits::Action::Raise(Orphans) => {
            "整个主机的孤儿连接超过此数时，内核复位其中一部分，对端因此丢失剩余的数据；对端不应答或\
             不读取的，一个按两个或四个计；调大它，每个占用其发送缓冲区"
                .into()
        }
        kernel_limits::Action::Raise(Memory) => {
            "最后一个数是整个主机 TCP 缓冲区的上限，以页为单位：超过时内核复位已关闭但仍有数据待发\
             送的连接，并丢弃收到的数据；调大它，或调小 tcp_rmem 和 tcp_wmem，或让客户端和程序更快\
             地读取"
                .into()
        }
        kernel_limits::Action::OrphanRetries => {
            "放弃孤儿连接之前的重传次数；0 表示 8 次，需要数分钟：调小可以更早腾出位置".into()
        }
        kernel_limits::Action::Most {
            owner,
            at,
            connections,
        } => {
            let of = owner.map(|owner| format!("（{}）", line::text(&owner)));
            let of = of.unwrap_or_else(|| " ".into());
            format!("其中 {connections} 个是 {at}{of}的连接：该程序和对端都没有复位它们")
        }
    }
}

fn last_ack(action: &last_ack::Action) -> &'static str {
    match action {
        last_ack::Action::ComparePeers => {
            "对端发送 FIN 后消失了，或防火墙丢失了连接记录：检查它们是否有共同的地址、网络或防火墙"
        }
        last_ack::Action::OrphanRetries => {
            "放弃不再属于任何进程的连接之前的重传次数；0 表示 8 次，需要数分钟"
        }
    }
}

fn local_ports(action: &local_ports::Action) -> &'static str {
    match action {
        local_ports::Action::WidenRange => {
            "扩大范围（例如 1024 到 65535，并把服务的端口列入 ip_local_reserved_ports），或增加本\
             地地址或远端地址，可以得到更多端口"
        }
        local_ports::Action::TwReuse => {
            "设为 1 时，connect() 可以在一秒后接管处于 TIME_WAIT 的端口，仅限主动连接的一端，并且\
             需要时间戳；设为 2 时仅限回环地址"
        }
    }
}

fn mtu_black_hole(action: &mtu_black_hole::Action) -> &'static str {
    match action {
        mtu_black_hole::Action::TestPath => {
            "途中的路由器、隧道或防火墙丢弃过大的报文而不通知，或其 ICMP 被丢弃：放行 ICMP \
             fragmentation needed（IPv6 为 packet too big）；用 `ping -M do -s 1472`、`tracepath` \
             测试"
        }
        mtu_black_hole::Action::ClampMss => {
            "在窄链路之前的路由器上限制 MSS：nftables 的 `tcp option maxseg size set rt mtu`、iptables 的 \
             `TCPMSS --clamp-mss-to-pmtu`；或在本机为到对端的路由设置较小的 `mtu`"
        }
        mtu_black_hole::Action::MtuProbing => {
            "设为 1 时，TCP 在几次超时后尝试较小的报文段，连接得以继续；设为 0 时不尝试"
        }
    }
}

fn pair_threshold(action: &pair_threshold::Action) -> String {
    let (most, what) = match action {
        pair_threshold::Action::FindLeak { most } => (
            most,
            "查找打开连接后不关闭或不使用的程序，或者攻击；限制单个来源的连接数",
        ),
        pair_threshold::Action::RaiseThreshold { most } => (
            most,
            "若是连接池或代理则属正常：在激活时调大 `threshold`；否则让客户端使用较少的连接",
        ),
    };
    match most {
        Some(pair_threshold::Share { connections, at }) => {
            format!("其中 {connections} 个属于 {at}；{what}")
        }
        None => what.into(),
    }
}

fn port_exhaustion(action: &port_exhaustion::Action) -> &'static str {
    match action {
        port_exhaustion::Action::ReuseConnections => {
            "保持并复用连接（keep-alive、连接池），并查明为什么新建这么多连接"
        }
        port_exhaustion::Action::BindNoPort => {
            "让程序在绑定端口为 0 的地址之前设置 IP_BIND_ADDRESS_NO_PORT：由 connect() 选择端口，一个\
             端口可用于多个目的地"
        }
        port_exhaustion::Action::IfBound => {
            "如果程序绑定本地地址，让它先设置 IP_BIND_ADDRESS_NO_PORT：否则 bind() 占用的端口对所有\
             其他目的地都不可用"
        }
        port_exhaustion::Action::OtherPort => {
            "相同的两个地址和端口之间只能有一个连接，SO_REUSEADDR 改变不了这一点：让程序使用其他源端\
             口或源地址，由 connect() 选择端口，或等待之前的连接结束"
        }
        port_exhaustion::Action::Timestamps => {
            "启用时间戳（1）时，connect() 可以接管所绑定的处于 TIME_WAIT 的端口，否则需要等待 60 秒；\
             让另一端先关闭，则 TIME_WAIT 在另一端"
        }
        port_exhaustion::Action::FindLeak => {
            "连接一直保持打开，处于 TIME_WAIT 的很少：查找泄漏，或让较少的连接承载更多请求"
        }
    }
}

fn resets(action: &resets::Action) -> &'static str {
    match action {
        resets::Action::StartService => {
            "那里没有监听，或由防火墙代为应答：启动服务，或改正程序所连接的地址和端口"
        }
        resets::Action::ReadAll => {
            "让程序在 close() 之前读完数据：途中的应答会因复位而丢失（nginx lingering_close 即为此\
             而设）"
        }
        resets::Action::SeeProgram => {
            "程序要求复位（SO_LINGER 为 0），或数据在 close() 之后才到达：若是断开客户端的负载均衡\
             器则属正常，否则是程序的缺陷"
        }
        resets::Action::AcceptFaster => "程序调用 accept() 不够快：参见 accept-queue-full",
        resets::Action::CompareTimeouts => {
            "客户端，或中间的负载均衡器、防火墙中止了连接：对照它们的超时和应答所需的时间"
        }
        resets::Action::SeeDestination => {
            "对端，或中间的负载均衡器、防火墙中止了连接：检查其日志和限制，以及空闲连接的保持时间\
             是否超过其超时"
        }
        resets::Action::KeepChecks => {
            "无需处理：没有传输数据、间隔规律、来源很少的连接是健康检查，连接后即复位（HAProxy、\
             keepalived、云负载均衡器）"
        }
        resets::Action::AbortOnOverflow => "设为 1 时，队列满则复位客户端；设为 0 时客户端可以重试",
    }
}

fn self_connect(action: &self_connect::Action) -> String {
    match action {
        self_connect::Action::CloseIt => {
            "connect() 连接到无人监听的本地端口时，恰好选中该端口作为自己的端口：让程序在 \
             getsockname() 与 getpeername() 相同时关闭套接字，稍后重试；在关闭之前，服务无法启动"
                .into()
        }
        self_connect::Action::ReservePort { port } => format!(
            "使 connect() 不再选用 {port}：把它加入 net.ipv4.ip_local_reserved_ports，或让服务使用 \
             net.ipv4.ip_local_port_range 之外的端口"
        ),
    }
}

fn silent(action: &silent::Action) -> &'static str {
    match action {
        silent::Action::KeepPool => {
            "若是自己的程序保持备用的连接池，则无需处理；否则让服务器或连接池关闭长时间空闲的连接"
        }
        silent::Action::CloseSilent => {
            "让服务器关闭不发送请求的连接：nginx client_header_timeout、TCP_DEFER_ACCEPT，或协议自\
             身的登录超时"
        }
    }
}

fn simultaneous(action: &simultaneous::Action) -> &'static str {
    match action {
        simultaneous::Action::Nothing => "无需处理：TCP 允许这种情况",
    }
}

fn slow_read(action: &slow_read::Action) -> &'static str {
    match action {
        slow_read::Action::EndAnswers => {
            "结束无人接收的应答：nginx send_timeout 配合 reset_timedout_connection、\
             HAProxy timeout client、TCP_USER_TIMEOUT"
        }
    }
}

fn slow_request(action: &slow_request::Action) -> String {
    let headers = "缩短等待请求头的时间：nginx client_header_timeout、Apache RequestReadTimeout \
                   header=、HAProxy timeout http-request";
    let bodies = "缩短等待请求体的时间：nginx client_body_timeout、Apache RequestReadTimeout \
                  body=；在工作进程少的服务器之前放置缓冲请求的代理";
    match action {
        slow_request::Action::KeepOneWay => {
            "若发送方不期待应答（syslog、MQTT、监控指标），则无需处理；若服务是 HTTP，则为慢速请\
             求：用 `sample=` 检查，并限制其时间"
                .into()
        }
        slow_request::Action::LimitHeaders => headers.into(),
        slow_request::Action::LimitBodies => bodies.into(),
        slow_request::Action::LimitBoth => format!("{headers}；{bodies}"),
        slow_request::Action::LimitBothEncrypted => {
            format!("{headers}；{bodies}；连接已加密，从外部无法区分请求头和请求体")
        }
    }
}

fn stuck_reader(action: &stuck_reader::Action) -> String {
    match action {
        stuck_reader::Action::SeeProcess { pid } => {
            let pid = pid.map_or_else(|| "PID".into(), |pid| pid.to_string());
            format!(
                "程序已卡住、被停止或过载：检查其状态和等待的对象（`cat /proc/{pid}/status \
                 /proc/{pid}/stack`）、线程和 CPU 时间（`top -H -p {pid}`）、调用栈（`gdb -p \
                 {pid}`、`strace -f -p {pid}`）"
            )
        }
        stuck_reader::Action::SparePeers => {
            "对端没有问题：其数据已经到达本机，不要封禁地址，也不要缩短超时".into()
        }
    }
}

fn syn_flood(action: &syn_flood::Action) -> String {
    match action {
        syn_flood::Action::EnableCookies => {
            "设为 1：队列满时不丢弃客户端，而由 SYN cookie 应答".into()
        }
        syn_flood::Action::KeepCookies => "保持大于 0：队列满时由 SYN cookie 为客户端服务".into(),
        syn_flood::Action::Block { sources } => format!(
            "在防火墙中封禁 {}，使其 SYN 不到达监听端",
            list(sources, "、")
        ),
        syn_flood::Action::KeepDeferring => {
            "若客户端很快发送数据，则无需处理：浏览器会提前连接；超过程序为 TCP_DEFER_ACCEPT 设置的\
             时间后，内核丢弃这样的请求"
                .into()
        }
        syn_flood::Action::LimitSyns => {
            "没有突出的来源，封禁地址无效：在防火墙（nftables synproxy）或上游限制 SYN；若是真实的\
             客户端，查找返回路径在哪里中断"
                .into()
        }
    }
}

fn syn_sent(action: &syn_sent::Action) -> &'static str {
    match action {
        syn_sent::Action::SeeConntrack => {
            "SYN 没有离开本机，或应答没有到达程序：参见 conntrack-full；没有迹象表明目的地有问题"
        }
        syn_sent::Action::SeeAcceptQueue => {
            "目的地在本机：参见 accept-queue-full，是其程序没有调用 accept()"
        }
        syn_sent::Action::TryDestination => {
            "目的地已停机、不可达，或途中的防火墙丢弃 SYN：从本机和其他主机分别尝试，并检查路由和\
             两端的防火墙"
        }
        syn_sent::Action::SynRetries => {
            "设为 6 时 connect() 最多等待约 2 分钟，调小则缩短；更好的办法是在程序中设置超时"
        }
        syn_sent::Action::IdentifyProcess => {
            "查明这是什么进程、由谁启动、来自哪个文件（`ls -l /proc/PID/exe`）；如果无人知晓，应视\
             为主机已被入侵，并将其隔离"
        }
    }
}

fn time_wait(action: &time_wait::Action) -> &'static str {
    match action {
        time_wait::Action::SaveHandshakes => {
            "本身无害：每个占 250 字节，服务端的端口不会用尽；使用 keep-alive 可以省去握手"
        }
        time_wait::Action::ReuseConnections => "保持并复用连接（keep-alive、连接池）",
        time_wait::Action::ReuseForPorts => "保持并复用连接（keep-alive、连接池）：还可以省去握手",
        time_wait::Action::TwBuckets => {
            "超过此数时，内核不经过 TIME_WAIT 就结束连接，并计入 TCPTimeWaitOverflow：调小不是解决\
             办法；TIME_WAIT 始终持续 60 秒"
        }
    }
}
