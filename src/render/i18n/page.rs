//! The labels of the page that `--html` writes, in English and Chinese. Those that it shares with
//! text reports are in [`labels`](crate::render::i18n::labels).

use crate::render::i18n::Lang;

texts! {
    /// The texts of one language.
    PageLabels:
    tag: "en", "zh-CN";
    title: "TCP states", "TCP 状态";
    as_of: "As of", "截至";
    this_host: "this host", "本机";
    capture: "capture", "捕获文件";
    filter: "Filter", "过滤条件";
    contents: "Contents", "目录";
    connections: "Connections", "连接";
    live_now: "Live connections", "当前连接";
    ended: "Ended", "已结束";
    events_read: "Events read", "已读取事件";
    findings: "Findings", "诊断结果";
    filtered_totals: "The filter applies to live connections, listeners, connections over time and findings. All other numbers count everything.", "过滤条件只作用于当前连接、监听端、连接数变化和诊断结果；其他数值均为全部连接的统计。";
    machine: "State machine", "状态机";
    machine_note: "As figure 5 of RFC 9293 draws it. At a line: how often connections went this way since the activation; below it the median and the 99th percentile of the time in the old state. The thicker a line, the more often. In a state: its live connections.", "布局同 RFC 9293 图 5。线旁数字：激活以来的转换次数，其下为在原状态停留时间的中位数和第 99 百分位。线越粗，次数越多。框内数字：该状态的当前连接数。";
    machine_is: "States of TCP as boxes, transitions as lines with their counts. The table below has the same numbers.", "方框为 TCP 状态，连线为状态转换及次数。下方表格列出相同数值。";
    opening: "opens a connection", "建立连接";
    closing: "closes it", "正常关闭";
    failure: "ends it early: reset, time-out, abort", "提前结束：复位、超时、中止";
    forbidden: "not in the RFC", "RFC 中没有";
    forbidden_count: "Transitions not in the RFC", "RFC 中没有的转换";
    unused: "did not happen", "未发生";
    kind: "Kind", "类别";
    transitions: "Transitions", "状态转换";
    as_table: "The same as a table", "以表格显示";
    over_time: "Connections over time", "连接数变化";
    over_time_note: "Counted from the live connections backwards through the recorded transitions. Muted: the lowest number in each 96th of the time. Vivid: up to its highest.", "从当前连接沿已记录的状态转换向前回推。时间分为 96 段，暗色至段内最低值，亮色至段内最高值。";
    inexact: "Some transitions were not recorded (filter, min-ms, losses), so earlier numbers are inexact.", "部分状态转换未被记录（过滤、min-ms、丢失），较早的数值可能不准。";
    no_transitions: "No transition is recorded.", "没有已记录的状态转换。";
    always_none: "None at any time:", "始终为零：";
    at_start: "At the start", "开始时";
    lowest: "Lowest", "最低";
    highest: "Highest", "最高";
    now: "Now", "当前";
    ends: "Ends and lifetimes", "结束原因与存续时间";
    ends_note: "Connections that have ended since the activation, by reason and side; how long they had lived since ESTABLISHED; how long connections waited for accept().", "激活以来已结束的连接：按原因和角色统计；自 ESTABLISHED 起的存续时间；等待 accept() 的时间。";
    how_long: "Lifetimes and waits", "存续与等待时间";
    durations_are: "Number of connections by duration; each bar is twice as long as the one before.", "各时长的连接数；每一柱的时长为前一柱的两倍。";
    no_histogram: "No histograms: an earlier version has written the capture.", "无直方图：捕获文件由较早版本写出。";
    duration: "Duration", "时长";
    listeners_note: "Queues as now / most / limit. Red: the queue is full, or an alarm is raised.", "队列：当前 / 最高 / 上限。红色：队列已满或已触发告警。";
    average_longest: "average / longest", "平均 / 最长";
    who: "Whose connections", "连接归属";
    who_note: "Live connections without listeners. The stronger a colour, the more (logarithmic). A process in parentheses had the socket, or opened it.", "当前连接，不含监听端。颜色越浓，数量越多（对数）。括号内的进程曾持有或打开该套接字。";
    by_process: "By process", "按进程";
    by_container: "By container or control group", "按容器或控制组";
    by_remote: "By remote address", "按远端地址";
    and_more: "and", "另有";
    more: "more", "项";
    totals: "Totals", "总计";
    totals_note: "Since the activation. Both lines of events add up.", "激活以来。两行事件数各自平衡。";
    key: "Key", "键";
    value: "Value", "值";
    hooks: "Hooks", "挂钩";
    none: "None.", "无。";
    written_by: "Written by", "生成工具";
    times_note: "Medians and 99th percentiles are at most a quarter too long.", "中位数和第 99 百分位最多偏大四分之一。";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_there() {
        for labels in [&EN, &ZH] {
            assert!(labels.all().iter().all(|w| !w.trim().is_empty()));
        }
        assert!(EN.all().iter().all(|w| w.is_ascii()));
        let same = EN.all().into_iter().zip(ZH.all()).filter(|(a, b)| a == b);
        assert_eq!(same.count(), 0);
    }
}
