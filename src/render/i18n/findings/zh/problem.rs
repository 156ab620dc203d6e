//! Problems in simplified Chinese.

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
use crate::render::i18n::findings::list;
use crate::render::i18n::findings::zh::{process, sources};

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
                true => format!("文件描述符已打开 {open} 个，上限 {limit}，"),
                false => format!("文件描述符已用 {open}/{limit}，"),
            });
            // The alarm is cleared some time after there is room again.
            let is = match waiting > limit {
                true => "已满",
                false => "刚才曾满",
            };
            format!(
                "{} 没有调用 accept()：{}{listener} 的全连接队列{is}（{waiting} 个等待，上限 {limit}）",
                process(*owner),
                used.unwrap_or_default()
            )
        }
        accept_queue_full::Problem::WasFull { listener } => {
            format!("{listener} 的全连接队列曾经满过，现在未满")
        }
    }
}

fn close_wait(problem: &close_wait::Problem) -> String {
    match problem {
        close_wait::Problem::NotClosed { owner, connections } => format!(
            "{} 没有关闭 {connections} 个对端已关闭的连接（CLOSE_WAIT）",
            process(*owner)
        ),
        close_wait::Problem::NotClosedByMany {
            owner,
            processes,
            connections,
        } => format!(
            "{processes} 个 {} 进程没有关闭 {connections} 个对端已关闭的连接（CLOSE_WAIT）",
            printable_bytes(owner.comm_bytes())
        ),
    }
}

fn conntrack_full(problem: &conntrack_full::Problem) -> String {
    let table = problem.table;
    let (state, then) = match table.is_full() {
        true => ("已满", "新的连接被丢弃"),
        false => ("将满", "新的连接不久将被丢弃"),
    };
    format!(
        "连接跟踪表{state}（{}/{}）：{then}",
        table.entries, table.max
    )
}

fn crowd(problem: &crowd::Problem) -> String {
    let (name, what) = match problem.kind {
        crowd::Kind::SlowHeaders => ("慢速请求头（slowloris）：", "发送请求，但迟迟不发完请求头"),
        crowd::Kind::SlowBodies => ("慢速 POST：", "发送请求，但迟迟不发完请求体"),
        crowd::Kind::SlowRequests => ("慢速请求：", "发送请求，但迟迟不发完"),
        crowd::Kind::SlowReads => ("慢速读取：", "几乎不接收所请求的数据"),
        crowd::Kind::Silent => ("", "从未传输过数据"),
        crowd::Kind::Pool => ("空闲连接池：", "保持打开备用，尚未使用"),
        crowd::Kind::OneWay => ("单向数据：", "不时发送数据，从未得到应答"),
    };
    format!(
        "{name}来自 {} 到 {} 的 {} 个连接{what}",
        sources(&problem.sources),
        problem.listener,
        problem.connections
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
                true => "由 SYN cookie 应答",
                false => "被丢弃",
            };
            let is = match length.checked_mul(2) {
                _ if length >= limit => "已满",
                Some(twice) if twice < *limit => "刚才曾满",
                _ => "将满",
            };
            format!(
                "{listener} 的半连接队列{is}（{length} 个等待，上限 {limit}）：新的连接请求{then}"
            )
        }
        half_open_full::Problem::WasFull { listener } => {
            format!("{listener} 的半连接队列曾经满过，现在未满")
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
            "最近一分钟{}，因为{}",
            ended_by_kernel(*limit, *ended),
            limit_reached(*limit, *allowed, *used)
        ),
        kernel_limits::Problem::WasReached { limit, ended } => format!(
            "已结束：激活以来{}，因为{}；最近一分钟没有发生",
            ended_by_kernel(*limit, *ended),
            limit_reached(*limit, None, None)
        ),
    }
}

/// What the kernel did with the connections.
fn ended_by_kernel(limit: kernel_limits::Kind, ended: u64) -> String {
    match limit {
        kernel_limits::Kind::TimeWait => {
            format!("内核未经 TIME_WAIT 就结束了 {ended} 个连接")
        }
        kernel_limits::Kind::Orphans => {
            format!("内核复位了 {ended} 个不再属于任何进程的连接（孤儿连接）")
        }
        kernel_limits::Kind::Memory => {
            format!("内核复位了 {ended} 个已关闭但仍有数据待发送的连接")
        }
    }
}

/// The limit with its value and its usage.
fn limit_reached(limit: kernel_limits::Kind, allowed: Option<u64>, used: Option<u64>) -> String {
    let (name, unit) = match limit {
        kernel_limits::Kind::TimeWait => ("tcp_max_tw_buckets", "个"),
        kernel_limits::Kind::Orphans => ("tcp_max_orphans", "个"),
        kernel_limits::Kind::Memory => ("tcp_mem", "页"),
    };
    match (allowed, used) {
        (Some(allowed), Some(used)) => {
            format!(" {name} 只允许 {allowed} {unit}（现在使用 {used} {unit}）")
        }
        (Some(allowed), None) => format!(" {name} 只允许 {allowed} {unit}"),
        (None, _) => format!("达到了 {name} 的上限"),
    }
}

fn mtu_black_hole(problem: &mtu_black_hole::Problem) -> String {
    let (all, at) = (problem.connections, &problem.at);
    let what = "停滞：小的报文能通过，大的报文丢失（路径 MTU 黑洞）";
    match &problem.sources {
        Some(from) => format!("{at} 与 {} 的 {all} 个连接{what}", sources(from)),
        None => format!("到 {at} 的 {all} 个连接{what}"),
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
        (0, 1) => "在使用中".to_owned(),
        (0, _) => "全部在使用中".to_owned(),
        (_, 1) => "没有双向传输过数据".to_owned(),
        (n, _) => format!("其中 {n} 个没有双向传输过数据"),
    };
    format!("{local} 与 {remote} 之间有 {connections} 个连接，{used}")
}

fn pile(problem: &pile::Problem) -> String {
    let (all, at) = (problem.connections, &problem.at);
    let what = match problem.kind {
        pile::Kind::FinWait1 => "停留在 FIN_WAIT1，等待对端确认 FIN",
        pile::Kind::FinWait2 => "停留在 FIN_WAIT2，等待对端关闭",
        pile::Kind::LastAck => "停留在 LAST_ACK，等待最后一个 ACK",
        pile::Kind::Unanswered => "在本机处于 ESTABLISHED，但对端不再应答",
        pile::Kind::Idle => "长时间空闲，且未启用 keepalive：对端消失时无法察觉",
    };
    match &problem.sources {
        Some(from) => format!("{at} 与 {} 的 {all} 个连接{what}", sources(from)),
        None => format!("到 {at} 的 {all} 个连接{what}"),
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
        } => format!("到 {destination} 的 {ports} 个本地端口已用 {used} 个"),
        port_exhaustion::Problem::Held {
            held,
            ports,
            local,
            destinations,
        } => format!(
            "{local} 的 {ports} 个本地端口中有 {held} 个被 bind() 占用，对所有目的地都不可用：\
             {destinations} 个目的地没有共用任何端口"
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
        port_exhaustion::Destinations::One(at) => ("该目的地", at.to_string()),
        port_exhaustion::Destinations::Many(n) => ("这些目的地", format!("{n} 个目的地")),
    };
    let failed = format!("最近一分钟 {failed} 次 connect() 失败");
    match cause {
        port_exhaustion::Cause::BoundInUse => {
            format!("程序绑定的地址和端口已被到{these}的连接占用：{process} 连接 {to}，{failed}")
        }
        port_exhaustion::Cause::Held(held) => format!(
            "{process} 连接 {to} 时没有可用的本地端口（{failed}）：{held} 个端口被 bind() 占用，对所\
             有目的地都不可用"
        ),
        port_exhaustion::Cause::ToDestination => format!(
            "{process} 连接 {to} 时没有可用的本地端口（{failed}）：端口被到{these}的连接占用"
        ),
        port_exhaustion::Cause::Unknown => {
            format!("{process} 连接 {to} 时没有可用的本地端口（{failed}）")
        }
    }
}

fn resets(problem: &resets::Problem) -> String {
    let at = &problem.at;
    let here = problem.owner.map(|owner| line::text(&owner));
    let here = here.unwrap_or_else(|| "本机".into());
    let there = match &problem.sources {
        Some(from) => sources(from),
        None => at.to_string(),
    };
    let what = match problem.kind {
        resets::Kind::Refused => match problem.more_ports {
            0 => format!("{at} 拒绝 {here} 的连接请求"),
            more => format!("{at} 和该主机的另外 {more} 个端口拒绝 {here} 的连接请求"),
        },
        resets::Kind::UnreadData => {
            format!("{here} 没有读完数据就关闭连接，{there} 因此收到复位")
        }
        resets::Kind::Sent => format!("{here} 复位与 {there} 的连接"),
        resets::Kind::Received => format!("{there} 复位与 {here} 的连接"),
        resets::Kind::AcceptQueueFull => {
            format!("{at} 的全连接队列已满，{there} 收到复位")
        }
    };
    let most = match problem.resets {
        1 => "处于",
        _ => "多数处于",
    };
    format!(
        "{what}：最近一分钟复位 {} 次，{most} {}",
        problem.resets,
        problem.state.name()
    )
}

fn self_connect(problem: &self_connect::Problem) -> String {
    let more = match problem.more {
        0 => String::new(),
        more => format!("，另有 {more} 个这样的套接字"),
    };
    format!(
        "{} 通过 {} 连接到了自己{more}：服务无法使用该端口",
        process(problem.owner),
        problem.at
    )
}

fn simultaneous(problem: &simultaneous::Problem) -> String {
    let what = match problem.crossed {
        simultaneous::Crossed::Syns => "由两端同时打开，SYN 相互交叉",
        simultaneous::Crossed::Fins => "由两端同时关闭，FIN 相互交叉",
    };
    let last = match &problem.last {
        Some(at) => format!("，最近的属于 {at}"),
        None => String::new(),
    };
    format!("{} 个连接{what}{last}", problem.connections)
}

fn stuck_reader(problem: &stuck_reader::Problem) -> String {
    format!(
        "{} 不读取数据：{} 个连接上有对端发来的 {} 字节未读",
        process(problem.owner),
        problem.connections,
        problem.unread
    )
}

fn syn_flood(problem: &syn_flood::Problem) -> String {
    match problem {
        syn_flood::Problem::Flood {
            per_second,
            listener,
            from,
        } => format!(
            "SYN 洪水攻击：{listener} 每秒有 {per_second} 次握手未完成，来源：{}",
            origin(from)
        ),
        syn_flood::Problem::Over {
            peak,
            listener,
            ago,
        } => format!(
            "已结束：{listener} 曾经每秒最多有 {peak} 次握手未完成，最后一个 SYN 在 {} 秒前到达",
            ago.as_secs()
        ),
        syn_flood::Problem::Below {
            limit,
            per_second,
            peak,
            listener,
        } => format!(
            "现在低于每秒 {limit} 次的限值：{listener} 每秒有 {per_second} 次握手未完成，最多时曾达 \
             {peak} 次"
        ),
        syn_flood::Problem::OneSecond {
            handshakes,
            listener,
        } => format!("{listener} 在一秒内有 {handshakes} 次握手未完成，尚未持续两秒"),
        syn_flood::Problem::Deferred {
            half_open,
            listener,
        } => format!(
            "{listener} 有 {half_open} 个半连接在等待客户端的第一个数据，客户端已经连接：监听端设置\
             了 TCP_DEFER_ACCEPT"
        ),
    }
}

fn origin(origin: &syn_flood::Origin) -> String {
    match origin {
        syn_flood::Origin::Unknown => "未留下痕迹（SYN cookie 不保存来源）".into(),
        syn_flood::Origin::Spoofed(n) => format!("至少 {n} 个地址，很可能是伪造的"),
        syn_flood::Origin::Known(addresses) => list(addresses, "、"),
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
            "{} 到 {destination} 的 {calls} 次连接请求没有应答{}",
            process(*owner),
            lost(cause.as_ref())
        ),
        syn_sent::Problem::Scanner {
            owner,
            destinations,
            addresses,
            ports,
        } => format!(
            "{} 连接 {destinations} 个目的地（{addresses} 个地址，{ports} 个端口）均未成功：\
             可能是扫描器、蠕虫，或出现故障的监控程序",
            process(*owner)
        ),
    }
}

/// Where SYNs are lost.
fn lost(cause: Option<&syn_sent::Cause>) -> String {
    match cause {
        Some(syn_sent::Cause::Conntrack(table)) => format!(
            "：连接跟踪表已满（{}/{}），丢弃了这些请求",
            table.entries, table.max
        ),
        Some(syn_sent::Cause::AcceptQueue) => "：目的地是本机的监听端，其全连接队列已满".into(),
        Some(syn_sent::Cause::Error(error)) => {
            format!("（{}）", error_name(*error).unwrap_or_default())
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
        } => match side {
            Side::Server => {
                format!("{at} 有 {connections} 个连接处于 TIME_WAIT：本服务端先关闭连接")
            }
            Side::Client => {
                format!("到 {at} 有 {connections} 个连接处于 TIME_WAIT：本客户端先关闭连接")
            }
        },
        time_wait::Problem::RunningOut {
            used,
            ports,
            destination,
            timewait,
        } => format!(
            "到 {destination} 的 {ports} 个本地端口已用 {used} 个，其中 {timewait} 个被 TIME_WAIT \
             占用"
        ),
    }
}
