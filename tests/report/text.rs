//! Tables and details on a terminal, in both languages.

use std::mem::offset_of;
use std::net::Ipv6Addr;

use diagnose_tools::abi::{RawIdent, RawRecord, TransitionCount};
use diagnose_tools::fmt::width::width;
use diagnose_tools::render::i18n::Lang;
use testkit::fake::{ACTIVATED, Fake, NOW};
use testkit::printed::{nowhere, printed};
use testkit::records::{conn, full_record, listener};

use crate::support::{style, text};

/// A backend with long addresses, malicious names and every kind of data.
fn wide() -> Fake {
    let mut fake = Fake::new(1, 64);
    fake.verbose = 2;
    let long: Ipv6Addr = "2001:db8:1234:5678:9abc:def0:1234:5678".parse().unwrap();
    let mut bytes = full_record(NOW);
    let who = offset_of!(RawRecord, who);
    for at in [
        offset_of!(RawIdent, laddr),
        offset_of!(RawIdent, raddr),
        offset_of!(RawIdent, listener_addr),
    ] {
        bytes[who + at..][..16].copy_from_slice(&long.octets());
    }
    bytes[who + offset_of!(RawIdent, family)] = 6;
    fake.rings[0].write(&bytes);
    let mut live = conn("10.0.0.1:1", 1, ACTIVATED, 1);
    live[offset_of!(RawIdent, laddr)..][..16].copy_from_slice(&long.octets());
    live[offset_of!(RawIdent, family)] = 6;
    *fake.conns.borrow_mut() = vec![live];
    fake.transition_counts = vec![TransitionCount {
        old_state: 1,
        new_state: 4,
        count: u64::MAX,
        timed: 0,
        ..TransitionCount::default()
    }];
    fake
}

#[test]
fn tables_fit_a_terminal_in_both_languages() {
    for lang in [Lang::En, Lang::Zh] {
        for columns in [80, 100, 118, 132, 200] {
            for keys in ["format=table", "format=detail"] {
                let fake = wide();
                let text = printed(&fake, keys, style(&fake, lang, Some(columns)), nowhere());
                let rows = text.lines().take_while(|l| !l.contains("untracked"));
                let long: Vec<_> = rows.filter(|l| width(l) > columns).collect();
                assert!(long.is_empty(), "{columns} {keys}: {long:#?}");
                assert!(
                    text.contains("FIN_WAIT1") && !text.contains('\x1b'),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn without_a_terminal_nothing_is_shortened_or_decorated() {
    let fake = wide();
    let text = text(&fake, "");
    assert_eq!(
        text.matches("[2001:db8:1234:5678:9abc:def0:1234:5678]:40000")
            .count(),
        1
    );
    assert!(text.is_ascii() && !text.contains('\x1b'), "{text}");
    assert_eq!(
        text.matches("Old state").count(),
        2,
        "one heading of the part, one of the totals"
    );
    assert!(text.contains("1234/cu\\u{1b}rl"));
    for state in diagnose_tools::model::state::State::all() {
        assert!(
            text.lines().any(|l| l.starts_with(&*state.name())),
            "{}",
            state.name()
        );
    }
}

#[test]
fn chinese_labels_are_used() {
    let fake = wide();
    let text = printed(
        &fake,
        "format=detail",
        style(&fake, Lang::Zh, None),
        nowhere(),
    );
    for word in ["发送窗口", "原状态", "汇总", "丢失", "ESTABLISHED"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

/// The columns of both languages start at the same place: a heading that is too wide would shift
/// those behind it.
#[test]
fn chinese_headings_stand_above_their_columns() {
    let mut fake = wide();
    fake.listeners = vec![listener("10.0.0.1:80")];
    let lines = |lang| -> Vec<String> {
        let keys = "peek=1 connections=1 listeners=1 summary=0";
        let text = printed(&fake, keys, style(&fake, lang, None), nowhere());
        text.lines().map(str::to_owned).collect()
    };
    let (english, chinese) = (lines(Lang::En), lines(Lang::Zh));
    assert_eq!(english.len(), chinese.len());
    let mut headings = 0;
    for (english, chinese) in english.iter().zip(&chinese) {
        if let Some(before) = english.strip_suffix("Process") {
            let told = chinese.strip_suffix("进程").expect(chinese);
            assert_eq!(width(told), before.len(), "{english}\n{chinese}");
            headings += 1;
        }
    }
    assert!(headings >= 3, "{chinese:#?}");
}
