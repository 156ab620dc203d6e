//! The texts of the live view in English and Chinese.

use crate::model::top::screen::{By, Order, Screen};
use crate::render::i18n::Lang;

texts! {
    /// The texts of one language.
    Texts:
    states: "States", "状态";
    listeners: "Listeners", "监听";
    connections: "Connections", "连接";
    processes: "Processes", "进程";
    reasons: "Reasons", "原因";
    findings: "Findings", "诊断";
    live: "LIVE", "实时";
    paused: "PAUSED", "已暂停";
    playback: "CAPTURE", "捕获";
    waiting: "WAITING", "等待中";
    active: "active", "已激活";
    tracked: "connections", "个连接";
    changes: "changes/s", "次变化/秒";
    ends: "ends/s", "个结束/秒";
    lost: "lost", "丢失";
    sort: "sort", "排序";
    reversed: "reversed", "倒序";
    filter: "filter", "过滤";
    shown: "shown", "已显示";
    of: "of", "/";
    count: "Count", "数量";
    share: "Share", "占比";
    entered: "In/s", "进入/秒";
    left: "Out/s", "离开/秒";
    median: "Median", "中位数";
    p99: "99 %", "99 %";
    median_lately: "Med 1min", "近1分";
    p99_lately: "99 % 1min", "近1分99%";
    trend: "Trend", "趋势";
    queue: "Accept queue", "全连接队列";
    half_open: "Half-open", "半连接";
    peak: "Peak", "峰值";
    per_second: "Per second", "每秒";
    total: "Total", "总计";
    client: "Client", "客户端";
    server: "Server", "服务端";
    opening: "Opening", "建立中";
    closing: "Closing", "关闭中";
    speed: "Bytes/s", "字节/秒";
    rtt: "RTT", "往返";
    container: "Container / control group", "容器 / 控制组";
    opened_by: "Opened by", "打开者";
    no_process: "no process", "无进程";
    unknown: "unknown", "未知";
    full: "FULL", "已满";
    nothing: "nothing to show", "无内容";
    nothing_matches: "nothing matches the filter", "没有符合过滤条件的内容";
    no_ends: "no connection has ended yet", "尚无连接结束";
    no_findings: "nothing found", "未发现异常";
    diagnosing: "Diagnosis of", "诊断时间";
    looked_ago: "repeated every few seconds", "每隔数秒重复";
    time_line: "Time line", "时间线";
    events: "Events", "事件";
    events_here: "Events of this moment", "此刻的事件";
    none_here: "none", "无";
    more: "more", "更多";
    earlier_lost: "earlier events of it may have been overwritten", "更早的事件可能已被覆盖";
    time: "Time", "时间";
    change: "Change", "变化";
    in_old: "In old state", "原状态时长";
    reason: "Reason", "原因";
    begins_active: "the recording began", "记录开始";
    begins_lost: "earlier events were overwritten", "更早的事件已被覆盖";
    at_end: "as at the end of the capture", "捕获结束时的情况";
    too_small: "The terminal is too small", "终端太小";
    needed: "needed", "需要";
    not_active: "Recording is not active.", "未在记录。";
    will_resume: "This view continues when it is activated again.", "重新激活后将继续显示。";
    filter_hint: "as in --report, such as state=close-wait port=443; Enter: apply, Esc: cancel", "与 --report 相同，例如 state=close-wait port=443；Enter 应用，Esc 取消";
    key_help: "help", "帮助";
    key_sort: "sort", "排序";
    key_filter: "filter", "过滤";
    key_pause: "pause", "暂停";
    key_resume: "resume", "继续";
    key_play: "play", "播放";
    key_open: "open", "打开";
    key_back: "back", "返回";
    key_quit: "quit", "退出";
    key_time: "time", "时间";
    help_title: "Keys", "按键";
    help_screens: "screens", "切换画面";
    help_move: "select a line; a page; the first, the last", "选择行；翻页；首行、末行";
    help_open: "time line of a connection; connections of a state, listener or process", "连接的时间线；某状态、监听端或进程的连接";
    help_sort: "next order; reverse it", "下一种排序；倒序";
    help_filter: "filter, with the keys of --report; empty: everything", "过滤，键与 --report 相同；空：全部";
    help_by: "processes or containers", "进程或容器";
    help_pause: "pause; in a capture: play", "暂停；捕获中：播放";
    help_time: "in a capture: one step back, forward; the next or last event; start, end", "捕获中：后退、前进一步；相邻事件；开头、结尾";
    help_redraw: "draw everything again", "重新绘制";
    help_back: "back: close what is open, then clear the filter, then quit", "返回：依次关闭打开的内容、清除过滤、退出";
    help_quit: "quit", "退出";
    help_marks: "Marks of states", "状态标记";
    mark_opening: "opening", "建立中";
    mark_open: "established", "已建立";
    mark_listen: "listening", "监听";
    mark_closing: "closing", "关闭中";
    mark_waits: "peer closed, program not", "对端已关闭，程序未关闭";
    mark_over: "over", "已结束";
    by_process: "processes", "进程";
    by_container: "containers", "容器";
    order_time: "latest", "最新";
    order_age: "longest in state", "状态最久";
    order_rate: "most per second", "每秒最多";
    order_bytes: "most bytes", "字节最多";
    order_retrans: "most retransmissions", "重传最多";
    order_count: "most", "数量最多";
    order_queue: "fullest queue", "队列最满";
    order_name: "name", "名称";
}

impl Texts {
    /// The title of a screen.
    pub fn screen(&self, screen: Screen) -> &'static str {
        match screen {
            Screen::States => self.states,
            Screen::Listeners => self.listeners,
            Screen::Connections => self.connections,
            Screen::Processes => self.processes,
            Screen::Reasons => self.reasons,
            Screen::Findings => self.findings,
        }
    }

    /// The words for an order.
    pub fn order(&self, order: Order) -> &'static str {
        match order {
            Order::Time => self.order_time,
            Order::Age => self.order_age,
            Order::Rate => self.order_rate,
            Order::Bytes => self.order_bytes,
            Order::Retrans => self.order_retrans,
            Order::Count => self.order_count,
            Order::Queue => self.order_queue,
            Order::Name => self.order_name,
        }
    }

    /// The words for a grouping.
    pub fn by(&self, by: By) -> &'static str {
        match by {
            By::Process => self.by_process,
            By::Container => self.by_container,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_there_and_translated() {
        let (en, zh) = (EN.all(), ZH.all());
        let same = en.iter().zip(&zh).filter(|(en, zh)| en == zh);
        let same: Vec<_> = same.map(|(en, _)| *en).collect();
        assert_eq!(same, ["99 %"]);
        assert!(en.iter().chain(&zh).all(|text| !text.is_empty()));
        assert!(en.iter().all(|text| text.is_ascii()));
    }
}
