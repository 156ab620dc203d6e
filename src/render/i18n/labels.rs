//! The labels of text reports in English and Chinese.

use crate::render::i18n::Lang;

texts! {
    /// The texts of one language.
    Labels:
    time: "Time", "时间";
    local: "Local", "本地地址";
    remote: "Remote", "远端地址";
    old: "Old state", "原状态";
    new: "New state", "新状态";
    in_old: "In old", "时长";
    in_old_long: "Time in old state", "原状态时长";
    local_port: "Local port", "本地端口";
    remote_port: "Remote port", "远端端口";
    family: "Family", "地址族";
    ended_one: "ended", "已结束";
    duration: "Duration", "时长";
    began: "Began", "开始于";
    at_least: "or earlier, its beginning was not seen", "或更早，未见其开始";
    gaps: "some of its records are missing", "部分记录缺失";
    states: "States", "各状态";
    connections_short: "Connections", "连接";
    transitions: "Transitions", "状态转换";
    ends: "Ends", "结束";
    oldest: "Oldest", "最久";
    state: "State", "状态";
    in_state: "In state", "时长";
    first_seen: "First seen", "首次发现";
    older: "or earlier", "或更早";
    process: "Process", "进程";
    held_by: "Held by", "持有者";
    opened_by: "Opened by", "打开者";
    user: "User id", "用户ID";
    role: "Role", "角色";
    reason: "Reason", "原因";
    error: "Error", "错误";
    synacks: "SYN-ACKs sent", "已发SYN-ACK";
    listener: "Listener", "监听地址";
    diagnosis: "Diagnosis", "诊断";
    critical: "CRITICAL", "严重";
    warning: "WARNING", "警告";
    info: "INFO", "提示";
    nothing_found: "nothing found", "未发现异常";
    situations: "situations looked for", "检查项";
    listeners_counted: "listeners", "监听端";
    who: "Who", "对象";
    others: "Peers", "对端";
    numbers: "Numbers", "依据";
    remedies: "To do", "建议";
    when: "Seen", "出现";
    is_new: "new", "新出现";
    since: "since", "始于";
    gone: "Gone", "已消失";
    none_stands_out: "addresses, none stands out", "个地址，无突出者";
    unreadable: "its settings could not be read", "无法读取其设置";
    see_diagnose: "see `diagnose-tools tcpstates --diagnose`", "详见 `diagnose-tools tcpstates --diagnose`";
    cgroup: "Control group", "控制组";
    container: "Container", "容器";
    namespace: "Network namespace", "网络命名空间";
    connection: "Connection", "连接";
    snd_cwnd: "Congestion window", "拥塞窗口";
    snd_wnd: "Send window", "发送窗口";
    rcv_wnd: "Receive window", "接收窗口";
    sndbuf: "Send buffer", "发送缓冲区";
    sndbuf_used: "Send buffer used", "发送缓冲区已用";
    rcvbuf: "Receive buffer", "接收缓冲区";
    rcvbuf_used: "Recv buffer used", "接收缓冲区已用";
    sent: "Sent", "已发送";
    received: "Received", "已接收";
    bytes_sent: "Bytes sent", "发送字节";
    bytes_received: "Bytes received", "接收字节";
    bytes_acked: "Bytes acknowledged", "已确认字节";
    backlog: "Backlog", "全连接队列";
    max_backlog: "Max backlog", "全连接队列上限";
    retrans: "Retransmissions", "重传次数";
    retrans_short: "Retrans", "重传";
    srtt: "Round-trip time", "往返时间";
    last_recv: "Data received", "上次收到数据";
    last_sent: "Data sent", "上次发送数据";
    ago: "ago", "前";
    unacked: "Unacknowledged", "未确认报文段";
    retransmits: "Timeouts in a row", "连续超时";
    probes: "Probes unanswered", "未应答探测";
    socket: "Socket", "套接字";
    alarm: "Alarm", "告警";
    raised: "RAISED", "触发";
    cleared: "cleared", "解除";
    value: "Value", "当前值";
    threshold: "Threshold", "阈值";
    threshold_short: "threshold", "阈值";
    peak: "Peak", "峰值";
    most: "most", "最多";
    limit: "limit", "上限";
    lasted: "Since raised", "已持续";
    lasted_short: "after", "持续";
    accept_queue: "Accept queue", "全连接队列";
    half_open: "Half-open", "半连接";
    established: "Established", "已建立";
    established_short: "Estab", "已建立";
    closing: "Closing", "关闭中";
    timewait: "Timewait", "TimeWait";
    unfinished: "Unfinished / s", "每秒未完成";
    overflows: "Overflows", "队列溢出";
    drops: "Drops", "丢弃";
    listening: "Listening for", "监听时长";
    alarms_raised: "Alarms", "告警";
    events: "Events", "事件";
    connections: "Live connections", "当前连接";
    lost_here: "events were overwritten before they were read, on CPU", "个事件在读取前被覆盖，CPU";
    summary: "Summary", "汇总";
    active_since: "active since", "激活于";
    count: "Count", "次数";
    median: "Median", "中位数";
    p99: "99 %", "99 %";
    longest: "Longest", "最长";
    total: "Total", "总计";
    in_syn_recv: "counted in SYN_RECV", "已计入 SYN_RECV";
    handshakes: "Handshakes on listeners", "监听端握手";
    hs_syns: "SYNs received", "收到的 SYN";
    hs_requests: "half-open requests started", "新建半连接";
    hs_seeded: "half-open at activation", "激活时已有半连接";
    hs_fast_open: "started by Fast Open", "Fast Open 建立";
    hs_cookies_sent: "SYN cookies sent", "已发 SYN cookie";
    hs_cookies_accepted: "SYN cookies accepted", "已接受 SYN cookie";
    hs_cookies_rejected: "SYN cookies rejected", "已拒绝 SYN cookie";
    hs_syn_queue_full: "SYNs dropped, half-open queue full", "半连接队列满而丢弃的 SYN";
    hs_syn_accept_queue_full: "SYNs dropped, accept queue full", "全连接队列满而丢弃的 SYN";
    hs_syn_dropped_other: "SYNs dropped otherwise", "因其他原因丢弃的 SYN";
    hs_ack_accept_queue_full: "last ACKs dropped, accept queue full", "全连接队列满而丢弃的最后 ACK";
    hs_migrated: "given to another listener", "转给其他监听者";
    hs_promoted: "completed", "握手完成";
    hs_expired: "ended, no answer to SYN-ACKs", "结束: SYN-ACK 无应答";
    hs_accept_queue_full: "ended, accept queue full", "结束: 全连接队列满";
    hs_reset_received: "ended, reset received", "结束: 收到复位";
    hs_reset_sent: "ended, reset sent", "结束: 发出复位";
    hs_unreachable: "ended, unreachable", "结束: 不可达";
    hs_aborted: "ended, aborted", "结束: 被管理员中止";
    hs_listener_closed: "ended, listener closed", "结束: 监听关闭";
    hs_netns_gone: "ended, namespace gone", "结束: 命名空间消失";
    hs_duplicate: "ended, duplicate", "结束: 重复";
    hs_unknown: "ended, reason unknown", "结束: 原因未知";
    hs_synacks_sent_again: "SYN-ACKs sent again", "重发的 SYN-ACK";
    ended: "Ended connections", "已结束连接";
    lived: "From ESTABLISHED to the end", "从建立到结束";
    accept_wait_all: "waited for accept()", "等待 accept()";
    accept_wait: "Accept wait", "accept等待";
    accept_wait_average: "Wait for accept()", "等待 accept()";
    others_cgroups: "others", "其他";
    pairs: "Pairs of addresses", "地址对";
    listeners: "Listeners", "监听端";
    evicted: "evicted", "已淘汰";
    uncounted: "not counted (table full)", "未计入（表满）";
    alarms: "alarms", "告警";
    tracked: "tracked", "已跟踪";
    untracked: "untracked", "未跟踪";
    unmatched: "unmatched", "未匹配";
    seeded: "found at activation", "激活时已有";
    seen: "seen", "已见";
    recorded: "recorded", "已记录";
    filtered: "filtered", "已过滤";
    too_short: "too short", "时长不足";
    reported: "reported", "已报告";
    pending: "pending", "待报告";
    lost: "Lost", "丢失";
    overwritten: "overwritten", "被覆盖";
    kprobe_missed: "missed by kprobes", "kprobe 漏报";
    ringless: "on CPUs without a ring", "CPU 无环形缓冲区";
    stale: "ends not seen", "未见结束";
    this_report: "This report", "本次报告";
    read: "read", "已读取";
    shown: "shown", "已显示";
    unknown: "unknown records", "未知记录";
    active: "Active since", "激活于";
    not_active: "not active: use --activate first", "未激活: 请先使用 --activate";
    settings: "Settings", "设置";
    last_report: "Last report", "上次报告";
    never: "never", "从未";
    hook: "Hook", "挂钩";
    kind: "Kind", "类型";
    status: "Status", "状况";
    attached: "attached", "已挂接";
    missing: "MISSING", "缺失";
    not_attached: "not attached", "未挂接";
    loses: "lost", "丢失";
    required: "required", "必需";
    missed: "Missed", "漏报";
    feeds: "Without it is lost", "缺少时丢失";
    memory: "Memory", "内存";
    rings: "Rings", "环形缓冲区";
    records_each: "records each", "条记录/个";
    of: "of", "/";
}

impl Labels {
    /// The label of a handshake counter.
    pub fn handshake(&self, counter: &'static str) -> &'static str {
        match counter {
            "syns" => self.hs_syns,
            "requests" => self.hs_requests,
            "seeded" => self.hs_seeded,
            "fast_open" => self.hs_fast_open,
            "cookies_sent" => self.hs_cookies_sent,
            "cookies_accepted" => self.hs_cookies_accepted,
            "cookies_rejected" => self.hs_cookies_rejected,
            "syn_queue_full" => self.hs_syn_queue_full,
            "syn_accept_queue_full" => self.hs_syn_accept_queue_full,
            "syn_dropped_other" => self.hs_syn_dropped_other,
            "ack_accept_queue_full" => self.hs_ack_accept_queue_full,
            "migrated" => self.hs_migrated,
            "promoted" => self.hs_promoted,
            "expired" => self.hs_expired,
            "accept_queue_full" => self.hs_accept_queue_full,
            "reset_received" => self.hs_reset_received,
            "reset_sent" => self.hs_reset_sent,
            "unreachable" => self.hs_unreachable,
            "aborted" => self.hs_aborted,
            "listener_closed" => self.hs_listener_closed,
            "netns_gone" => self.hs_netns_gone,
            "duplicate" => self.hs_duplicate,
            "unknown" => self.hs_unknown,
            "synacks_sent_again" => self.hs_synacks_sent_again,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::handshakes::{Handshakes, counters};

    #[test]
    fn every_word_is_there() {
        for labels in [&EN, &ZH] {
            assert!(labels.all().iter().all(|w| !w.trim().is_empty()));
        }
        assert!(EN.all().iter().all(|w| w.is_ascii()));
    }

    /// Signs, and a state that has its name in each language.
    const THE_SAME: &[&str] = &["/", "99 %", "TimeWait"];

    #[test]
    fn every_label_is_translated() {
        let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
        for label in ZH.all() {
            let is_same = THE_SAME.contains(&label);
            assert!(label.contains(is_chinese) || is_same, "{label}");
        }
    }

    #[test]
    fn every_counter_of_handshakes_has_its_words() {
        for labels in [&EN, &ZH] {
            for counter in counters(&Handshakes::default(), &[]) {
                assert_ne!(labels.handshake(counter.name), counter.name);
            }
        }
    }
}
