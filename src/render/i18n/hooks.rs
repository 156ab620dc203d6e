//! Data that is missing without a hook, by the hook's id.

use crate::fmt::text::{Words, words};
use crate::model::hook::id as hook_id;

/// One table for all languages, so that no language can lack a text.
macro_rules! losses {
    ($($id:ident: $en:literal, $zh:literal;)*) => {
        /// Data that is missing without the hook `id`; `None` for a hook of a newer module.
        pub fn lost_without(id: u32) -> Option<Words> {
            match id {
                $(hook_id::$id => Some(words!($en, $zh)),)*
                _ => None,
            }
        }
    };
}

losses! {
    SOCK_DESTROY: "removal of sockets whose end was not seen", "未见结束的套接字的清除";
    V4_REQUEST_FREE: "ends of half-open connections", "半连接的结束";
    V6_REQUEST_FREE: "half-open connections by IPv6", "IPv6 半连接";
    TIMEWAIT_FREE: "ends of TIME_WAIT", "TIME_WAIT 的结束";
    STATE_TRACEPOINT: "transitions of sockets", "套接字的状态转换";
    STATE_STORE: "transitions of sockets", "套接字的状态转换";
    STATE_SET: "transitions of sockets", "套接字的状态转换";
    CONNECT: "local ports of clients, CLOSE to SYN_SENT", "客户端本地端口，CLOSE 到 SYN_SENT";
    TIMEWAIT_START: "TIME_WAIT", "TIME_WAIT 连接";
    TIMEWAIT_TIMER: "FIN_WAIT2 to TIME_WAIT of orphans", "孤儿连接的 FIN_WAIT2 到 TIME_WAIT";
    TIMEWAIT_PACKET: "reasons of a TIME_WAIT that ends early", "TIME_WAIT 提前结束的原因";
    REQUEST_DONE: "completed handshakes", "完成的握手";
    SYNACK_TIMEOUT: "handshakes that expire", "超时的握手";
    REQUEST_TIMER: "handshakes that expire", "超时的握手";
    REQUEST_PACKET: "resets of handshakes, last ACKs dropped", "握手的复位，被丢弃的最后 ACK";
    REQUEST_ICMP: "handshakes ended by ICMP", "因 ICMP 结束的握手";
    ABORT: "ends by the administrator", "管理员中止的连接";
    RESET: "our resets for data after close()", "close() 后收到数据而发出的复位";
    REQUEST_MIGRATE: "handshakes that go to another listener", "转给其他监听者的握手";
    REQUEST_START: "half-open connections", "半连接";
    CHILD_QUEUE: "SYN_RECV of Fast Open and SYN cookies", "Fast Open 和 SYN cookie 的 SYN_RECV";
    ACCEPT: "owners of accepted connections", "已接受连接的所有者";
    SYNACK_AGAIN: "count of SYN-ACKs sent again", "重发的 SYN-ACK 数";
    SYN: "counts of SYNs, and of those dropped", "SYN 数及其中被丢弃的数目";
    V4_COOKIE_SENT: "count of SYN cookies sent by IPv4", "IPv4 发出的 SYN cookie 数";
    V6_COOKIE_SENT: "count of SYN cookies sent by IPv6", "IPv6 发出的 SYN cookie 数";
    V4_COOKIE_CHECK: "counts of SYN cookies that came back by IPv4", "IPv4 返回的 SYN cookie 数";
    V6_COOKIE_CHECK: "counts of SYN cookies that came back by IPv6", "IPv6 返回的 SYN cookie 数";
    COOKIE_SOCK: "SYN cookies that found the accept queue full", "遇到全连接队列满的 SYN cookie";
    CLOCK_SET: "moments at which the wall clock is set", "系统时钟被设置的时刻";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_of_the_module_has_its_text() {
        for id in 1..hook_id::COUNT {
            assert!(lost_without(id).is_some_and(|t| t.en().is_ascii()), "{id}");
        }
        assert_eq!(lost_without(0), None);
        assert_eq!(lost_without(hook_id::COUNT), None);
    }

    #[test]
    fn every_hook_of_the_table_has_an_id_of_its_own() {
        let table = include_str!("../../../kmod/hook_table.c");
        let lines = |start: &str| -> Vec<&str> {
            let lines = table.lines().map(str::trim);
            lines.filter(|l| l.starts_with(start)).collect()
        };
        let mut ids = lines(".id = TCPSTATES_HOOK_ID_");
        assert_eq!(ids.len(), lines(".symbols = ").len());
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), hook_id::COUNT as usize - 1);
    }
}
