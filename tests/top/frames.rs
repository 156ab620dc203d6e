//! Frames of a live view on a terminal in memory.

use std::fs;
use std::path::Path;

use diagnose_tools::command::top::ui::Todo;
use diagnose_tools::render::i18n::Lang;
use ratatui_crossterm::crossterm::event::KeyCode;
use testkit::fake::Fake;
use testkit::host::{FakeHost, process};
use testkit::records::listener;
use testkit::scene::{self, Conn};
use testkit::traffic;

use crate::support::{LOOK, Look, SCREENS, Seen, assert_in_order, line_with};

fn busy() -> Fake {
    let mut fake = traffic::record(&traffic::lives(400), 4_096);
    fake.listeners = vec![listener("10.0.0.1:80"), listener("10.0.0.1:8080")];
    fake
}

/// The frames in `golden/` are what people see; `UPDATE=1` writes them.
#[test]
fn each_screen_looks_like_this() {
    let fake = busy();
    for (name, lang, size) in [
        ("80x24", Lang::En, [80, 24]),
        ("140x30", Lang::En, [140, 30]),
        ("zh", Lang::Zh, [100, 24]),
    ] {
        let look = Look { lang, size, ..LOOK };
        for screen in SCREENS {
            let mut seen = Seen::new(&fake, &format!("screen={screen}"), look);
            compare(&format!("{screen}-{name}"), &seen.text());
        }
        let mut seen = Seen::new(&fake, "screen=connections", look);
        seen.press(KeyCode::Down);
        seen.press(KeyCode::Enter);
        compare(&format!("time-line-{name}"), &seen.text());
        seen.press(KeyCode::Char('?'));
        compare(&format!("help-{name}"), &seen.text());
    }
}

fn compare(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/top/golden");
    let path = folder.join(format!("{name}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(&folder).expect("a folder");
        return fs::write(path, text).expect("a file");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "{name} is now:\n{text}\nit was:\n{expected}"
    );
}

#[test]
fn every_size_shows_the_screen_or_says_that_it_is_too_small() {
    let fake = busy();
    for lang in [Lang::En, Lang::Zh] {
        for size in [
            [60, 15],
            [61, 16],
            [79, 15],
            [300, 90],
            [59, 15],
            [60, 14],
            [1, 1],
            [10, 200],
        ] {
            for screen in SCREENS {
                let look = Look { size, lang, ..LOOK };
                let mut seen = Seen::new(&fake, &format!("screen={screen}"), look);
                let text = seen.text();
                let fits = size[0] >= 60 && size[1] >= 15;
                assert_eq!(text.starts_with("tcpstates ["), fits, "{size:?}:\n{text}");
                for key in [KeyCode::Enter, KeyCode::Char('?'), KeyCode::Char('/')] {
                    seen.press(key);
                    seen.text();
                }
            }
        }
    }
    let look = Look {
        size: [40, 10],
        ..LOOK
    };
    let text = Seen::new(&fake, "", look).text();
    assert!(text.contains("The terminal is too small: 40x10"), "{text}");
    assert!(text.contains("needed 60x15"), "{text}");
}

#[test]
fn an_empty_recording_says_so() {
    let mut fake = Fake::new(1, 64);
    fake.states = Some([0; 13]);
    for (screen, text) in [
        ("states", "> SYN_SENT"),
        ("listeners", "nothing to show"),
        ("connections", "nothing to show"),
        ("processes", "nothing to show"),
        ("reasons", "no connection has ended yet"),
        ("findings", "nothing found"),
    ] {
        let mut seen = Seen::new(&fake, &format!("screen={screen}"), LOOK);
        assert!(seen.text().contains(text), "{}", seen.text());
        seen.press(KeyCode::Enter);
        seen.press(KeyCode::Down);
        seen.text();
    }
}

#[test]
fn states_have_counts_rates_and_times() {
    let fake = busy();
    let count = format!("{} ", fake.states.unwrap()[1]);
    let mut seen = Seen::new(&fake, "", LOOK);
    let lines = seen.lines();
    assert_in_order(line_with(&lines, "= ESTABLISHED"), &[&count, "- ", " s "]);
    fake.later.set(2_000_000_000);
    seen.app.tick().expect("a look");
    let lines = seen.lines();
    assert_in_order(line_with(&lines, "= ESTABLISHED"), &[&count, " 0 ", " 0 "]);
}

#[test]
fn rates_are_those_of_the_interval() {
    let fake = busy();
    let mut seen = Seen::new(&fake, "state=established", LOOK);
    let lines = seen.lines();
    assert!(line_with(&lines, "filter: ").contains("state=ESTABLISHED"));
    // A filter counts the events from now on.
    let conn = Conn::served(scene::attacker(1), 2);
    for (old, new) in [(0, 12), (12, 1), (1, 7), (7, 2)] {
        fake.rings[0].write(&scene::step(&conn, 0, old, new, 5));
    }
    fake.later.set(1_000_000_000);
    seen.app.tick().expect("a look");
    let lines = seen.lines();
    assert_in_order(line_with(&lines, "= ESTABLISHED"), &[" 1.0 ", " 1.0 "]);
    assert_in_order(line_with(&lines, "> SYN_SENT"), &[" 0 ", " 0 ", " 0 "]);
    seen.press(KeyCode::Char('5'));
    let lines = seen.lines();
    assert_in_order(line_with(&lines, "x reset_received"), &["1.0", " 1 "]);
}

#[test]
fn connections_are_sorted() {
    let fake = busy();
    let look = Look {
        size: [140, 40],
        ..LOOK
    };
    let mut seen = Seen::new(&fake, "screen=connections sort=retrans", look);
    let retransmitted = |lines: &[String]| -> Vec<u32> {
        let rows = lines.iter().filter(|line| line.contains("10.0.0.1:"));
        // Behind both ends, the state, its time in two words, and the bytes.
        let field = |line: &String| line.split_whitespace().nth(9)?.parse().ok();
        rows.filter_map(field).collect()
    };
    let lines = seen.lines();
    assert!(line_with(&lines, "sort: ").contains("most retransmissions"));
    let first = retransmitted(&lines);
    assert!(
        first.len() > 10 && first.is_sorted_by(|a, b| a >= b),
        "{first:?}"
    );
    assert!(first[0] > 0 && first[first.len() - 1] == 0, "{first:?}");
    seen.press(KeyCode::Char('r'));
    let lines = seen.lines();
    assert!(line_with(&lines, "sort: ").contains("most retransmissions, reversed"));
    seen.press(KeyCode::Char('s'));
    assert!(line_with(&seen.lines(), "sort: ").contains("sort: latest"));
}

#[test]
fn a_hundred_thousand_connections_fit() {
    let fake = Fake::new(1, 64);
    let conns = (0..100_000u64).map(|n| {
        Conn {
            sent: n,
            ..Conn::served(
                format!("10.{}.{}.{}:1024", n >> 16, n >> 8 & 255, n & 255),
                5,
            )
        }
        .bytes()
    });
    fake.conns.replace(conns.collect());
    let mut seen = Seen::new(&fake, "screen=connections sort=bytes", LOOK);
    let lines = seen.lines();
    assert!(line_with(&lines, "sort: ").contains("shown 1,000 of 100,000"));
    assert!(
        line_with(&lines, "10.1.134.159:1024").contains("97.6K"),
        "the most"
    );
    seen.press(KeyCode::Char('G'));
    let lines = seen.lines();
    assert!(!lines.iter().any(|line| line.contains("10.1.134.159:1024")));
    seen.press(KeyCode::Char('4'));
    assert!(line_with(&seen.lines(), "142/nginx").contains("100K"));
}

#[test]
fn hostile_names_cannot_draw() {
    let names: [&'static str; 5] = [
        "\x1b[2J\x1b]0;x\x07",
        "a\nb\rc\td",
        "\u{202e}evil",
        "全连接队列",
        "e\u{301}\u{301}\u{301}",
    ];
    let fake = Fake::new(1, 64);
    let conns = names.iter().enumerate().map(|(n, name)| {
        let remote = format!("10.0.0.{}:99", n + 2);
        let pid = 500 + n as u32;
        Conn {
            pid,
            comm: name,
            ..Conn::served(remote, 5)
        }
        .bytes()
    });
    fake.conns.replace(conns.collect());
    for screen in ["connections", "processes"] {
        for color in [true, false] {
            let size = [160, 20];
            let look = Look {
                size,
                color,
                ..LOOK
            };
            let host = || -> Box<dyn diagnose_tools::host::Host> {
                let mut host = FakeHost::default();
                host.processes.insert(500, process(500, "\x1b[31mred"));
                Box::new(host)
            };
            let mut seen = Seen::with(&fake, host, &format!("screen={screen}"), look);
            let text = seen.text();
            assert!(text.contains("503/全连接队列"), "{text}");
            assert!(
                text.contains("\\u{202e}") || text.contains("\\u{1b}"),
                "{text}"
            );
            let bad = |symbol: &String| symbol.chars().any(|c| c.is_control() || c == '\u{202e}');
            assert!(!seen.symbols().iter().any(bad), "{text}");
        }
    }
}

#[test]
fn without_colour_nothing_is_coloured() {
    let fake = busy();
    for screen in SCREENS {
        for (color, unicode) in [(true, true), (false, false)] {
            let look = Look {
                color,
                unicode,
                ..LOOK
            };
            let mut seen = Seen::new(&fake, &format!("screen={screen}"), look);
            assert_eq!(seen.has_colors(), color, "{screen}");
            assert!(seen.text().is_ascii() || unicode, "{screen}");
        }
    }
}

#[test]
fn a_line_is_opened_and_left_again() {
    let fake = busy();
    let mut seen = Seen::new(&fake, "", LOOK);
    seen.press(KeyCode::Enter);
    let text = seen.text();
    assert!(text.contains("filter: state=ESTABLISHED"), "{text}");
    assert!(
        text.contains("= ESTABLISHED") && !text.contains("TIME_WAIT  "),
        "{text}"
    );
    seen.press(KeyCode::Enter);
    let text = seen.text();
    assert!(
        text.contains("> NEW > SYN_RECV") || text.contains("> CLOSE > SYN_SENT"),
        "{text}"
    );
    assert_eq!(seen.press(KeyCode::Esc), Todo::Collect);
    assert!(seen.text().contains("filter: state=ESTABLISHED"));
    seen.press(KeyCode::Esc);
    let text = seen.text();
    assert!(
        text.contains("Median") && !text.contains("filter: "),
        "{text}"
    );
    assert_eq!(seen.press(KeyCode::Esc), Todo::Quit);
    seen.press(KeyCode::Char('4'));
    seen.press(KeyCode::Enter);
    assert!(seen.text().contains("filter: pid="), "{}", seen.text());
}

#[test]
fn a_filter_is_typed_and_its_error_is_shown_in_place() {
    let fake = busy();
    let mut seen = Seen::new(&fake, "screen=connections", LOOK);
    seen.press(KeyCode::Char('/'));
    assert!(seen.text().contains("as in --report"));
    seen.type_text("stat=x");
    seen.press(KeyCode::Enter);
    let text = seen.text();
    assert!(
        text.contains("unknown key 'stat' with value 'x', did you mean 'state'?"),
        "{text}"
    );
    assert!(
        text.contains("filter: stat=x"),
        "it can be corrected: {text}"
    );
    for _ in 0..3 {
        seen.press(KeyCode::Backspace);
    }
    seen.type_text("te=time-wait q");
    seen.press(KeyCode::Backspace);
    seen.press(KeyCode::Enter);
    let text = seen.text();
    assert!(text.contains("filter: state=time-wait"), "{text}");
    assert!(
        text.contains(". TIME_WAIT") && !text.contains("= ESTABLISHED"),
        "{text}"
    );
    seen.press(KeyCode::Char('/'));
    seen.type_text("zzz");
    seen.press(KeyCode::Esc);
    assert!(seen.text().contains("filter: state=time-wait"));
    seen.press(KeyCode::Char('/'));
    for _ in 0..40 {
        seen.press(KeyCode::Backspace);
    }
    seen.type_text("lport=1");
    seen.press(KeyCode::Enter);
    assert!(seen.text().contains("nothing matches the filter"));
}

#[test]
fn it_waits_while_nothing_is_active() {
    let fake = busy();
    let mut seen = Seen::new(&fake, "screen=connections", LOOK);
    fake.active.set(false);
    seen.app.tick().expect("a look");
    let text = seen.text();
    assert!(
        text.contains("[WAITING]") && text.contains("Recording is not active."),
        "{text}"
    );
    for code in [KeyCode::Char('1'), KeyCode::Char('s'), KeyCode::Enter] {
        seen.press(code);
    }
    assert!(seen.text().contains("Recording is not active."));
    fake.generation.set(8);
    fake.active.set(true);
    seen.app.tick().expect("a look");
    assert!(seen.text().contains("[LIVE]"));
}

#[test]
fn a_pause_stands_still() {
    let fake = busy();
    let mut seen = Seen::new(&fake, "screen=connections", LOOK);
    seen.press(KeyCode::Char(' '));
    let before = seen.text();
    assert!(before.contains("[PAUSED]"));
    fake.later.set(9_000_000_000);
    fake.conns.borrow_mut().clear();
    seen.app.tick().expect("no look");
    assert_eq!(seen.text(), before);
    seen.press(KeyCode::Char(' '));
    let text = seen.text();
    assert!(
        text.contains("[LIVE]") && text.contains("nothing to show"),
        "{text}"
    );
}
