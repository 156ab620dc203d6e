//! `--settings` against a backend in memory.

use diagnose_tools::abi::{
    TCPSTATES_HOOK_ATTACHED, TCPSTATES_HOOK_IS_FTRACE, TCPSTATES_HOOK_IS_KPROBE, hook_id,
};
use diagnose_tools::backend::Backend;
use diagnose_tools::command::options::SettingsOptions;
use diagnose_tools::command::settings::settings;
use diagnose_tools::render::Style;
use diagnose_tools::render::i18n::Lang;
use diagnose_tools::render::time::Clock;
use jiff::tz::TimeZone;
use serde_json::Value;
use testkit::fake::Fake;
use testkit::records::hook;

fn text(fake: &Fake, lang: Lang, json: bool) -> String {
    let style = Style {
        labels: lang.labels(),
        clock: Clock::with_zone(&fake.stats().unwrap(), TimeZone::UTC),
        width: None,
        color: false,
    };
    let mut out = Vec::new();
    settings(
        fake,
        &SettingsOptions { json, from: None },
        &style,
        &mut out,
    )
    .unwrap();
    String::from_utf8(out).unwrap()
}

/// An activation without two optional hooks.
fn degraded() -> Fake {
    let mut fake = Fake::new(1, 64);
    fake.hooks = vec![
        hook(
            "security_sock_graft",
            hook_id::ACCEPT,
            TCPSTATES_HOOK_IS_KPROBE,
        ),
        hook(
            "inet_sock_set_state",
            hook_id::STATE_TRACEPOINT,
            TCPSTATES_HOOK_ATTACHED,
        ),
        hook("tcp_conn_request", hook_id::SYN, TCPSTATES_HOOK_IS_KPROBE),
    ];
    fake
}

#[test]
fn what_is_missing_and_what_is_lost_is_plain() {
    let text = text(&degraded(), Lang::En, false);
    let missing: Vec<_> = text
        .lines()
        .filter(|l| l.starts_with("not attached"))
        .collect();
    assert_eq!(
        missing,
        [
            "not attached: security_sock_graft; lost: owners of accepted connections",
            "not attached: tcp_conn_request; lost: counts of SYNs, and of those dropped",
        ]
    );
    let chinese = self::text(&degraded(), Lang::Zh, false);
    assert!(
        chinese.contains("未挂接: tcp_conn_request; 丢失: SYN 数"),
        "{chinese}"
    );
}

#[test]
fn json_tells_of_each_hook_whether_it_is_attached() {
    let value: Value = serde_json::from_str(&text(&degraded(), Lang::En, true)).unwrap();
    let lost: Vec<_> = value["hooks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|h| h["attached"] == false)
        .map(|h| (h["symbol"].as_str().unwrap(), h["feeds"].as_str().unwrap()))
        .collect();
    assert_eq!(
        lost,
        [
            ("security_sock_graft", "owners of accepted connections"),
            ("tcp_conn_request", "counts of SYNs, and of those dropped"),
        ]
    );
}

#[test]
fn a_hook_of_a_later_module_is_shown_without_a_text() {
    let mut fake = Fake::new(1, 64);
    fake.hooks = vec![hook("tcp_later", hook_id::COUNT, TCPSTATES_HOOK_IS_KPROBE)];
    let lines = text(&fake, Lang::En, false);
    assert!(lines.contains("\nnot attached: tcp_later\n"), "{lines}");
    let value: Value = serde_json::from_str(&text(&fake, Lang::En, true)).unwrap();
    assert_eq!(value["hooks"][0]["symbol"], "tcp_later");
    assert!(value["hooks"][0].get("feeds").is_none(), "{value}");
}

#[test]
fn hooks_are_of_three_kinds() {
    let mut fake = Fake::new(1, 64);
    let flags = [0, TCPSTATES_HOOK_IS_KPROBE, TCPSTATES_HOOK_IS_FTRACE];
    fake.hooks = flags.map(|flag| hook("a", 0, flag)).to_vec();
    let value: Value = serde_json::from_str(&text(&fake, Lang::En, true)).unwrap();
    let kinds = [0, 1, 2].map(|n| value["hooks"][n]["kind"].clone());
    assert_eq!(kinds, ["tracepoint", "kprobe", "ftrace"]);
}

#[test]
fn with_all_hooks_nothing_is_missing() {
    let mut fake = Fake::new(1, 64);
    fake.hooks = vec![hook("a", 0, TCPSTATES_HOOK_ATTACHED)];
    assert!(!text(&fake, Lang::En, false).contains("not attached"));
    fake.active.set(false);
    assert!(text(&fake, Lang::En, false).starts_with("not active"));
}
