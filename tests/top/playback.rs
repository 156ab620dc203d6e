//! A capture that is played back says what was at each moment.

use ratatui_crossterm::crossterm::event::KeyCode;
use testkit::fake::Fake;
use testkit::scene::{CLOSE, ESTABLISHED, SYN_SENT, TIME_WAIT};
use testkit::traffic::{self, LENGTH_MS, Life};

use crate::support::{File, LOOK, SCREENS, Seen, assert_in_order, line_with};

/// Connections in a state, so many milliseconds after the start.
fn truth(lives: &[Life], at_ms: u64, state: u8) -> usize {
    let is_in = |life: &&Life| {
        let moves = life.moves();
        let last = moves.iter().rfind(|moved| moved.at_ms <= at_ms);
        last.is_some_and(|moved| moved.new == state)
    };
    lives.iter().filter(is_in).count()
}

fn count(lines: &[String], state: &str) -> usize {
    let line = line_with(lines, state);
    let number = line.split_whitespace().nth(2).expect("a count");
    number.replace(',', "").parse().expect("a number")
}

#[test]
fn counts_are_those_of_the_moment() {
    let lives = traffic::lives(3_000);
    let file = File::write(&traffic::record(&lives, 1 << 14), "counts");
    let capture = file.open();
    let mut seen = Seen::playing(&capture, &file.0, "interval-ms=10000", LOOK);
    for back in 0..=5 {
        let at_ms = LENGTH_MS - back * 10_000;
        let lines = seen.lines();
        for (name, state) in [
            ("= ESTABLISHED", ESTABLISHED),
            ("> SYN_SENT", SYN_SENT),
            (". TIME_WAIT", TIME_WAIT),
        ] {
            assert_eq!(
                count(&lines, name),
                truth(&lives, at_ms, state),
                "{name} {at_ms}"
            );
        }
        assert_eq!(count(&lines, ". CLOSE "), 0);
        seen.press(KeyCode::Left);
    }
    seen.press(KeyCode::Home);
    let lines = seen.lines();
    assert_in_order(
        line_with(&lines, "the recording began"),
        &["22:12:20.000", "(+/- 10.0 s)"],
    );
    assert_eq!(count(&lines, "= ESTABLISHED"), 0);
    seen.press(KeyCode::End);
    assert_eq!(
        count(&seen.lines(), "= ESTABLISHED"),
        truth(&lives, LENGTH_MS, ESTABLISHED)
    );
}

#[test]
fn events_of_the_step_are_listed() {
    let lives = traffic::lives(60);
    let moves: Vec<_> = lives.iter().flat_map(|life| life.moves()).collect();
    let file = File::write(&traffic::record(&lives, 1 << 10), "events");
    let capture = file.open();
    let mut seen = Seen::playing(&capture, &file.0, "interval-ms=1000", LOOK);
    seen.press(KeyCode::Left);
    let to = LENGTH_MS - 1_000;
    let inside = |ms: u64| ms > to - 1_000 && ms <= to;
    let expected = moves.iter().filter(|moved| inside(moved.at_ms)).count();
    assert!(expected > 1);
    let lines = seen.lines();
    let title = line_with(&lines, "Events of this moment");
    assert!(title.ends_with(&format!(": {expected}")), "{title}");
    // The brackets go from event to event.
    seen.press(KeyCode::Char('['));
    let last = moves
        .iter()
        .map(|moved| moved.at_ms)
        .filter(|ms| *ms < to)
        .max();
    let (s, ms) = (last.unwrap() / 1_000, last.unwrap() % 1_000);
    let moment = format!("22:{}:{:02}.{ms:03}", 12 + (20 + s) / 60, (20 + s) % 60);
    assert!(
        line_with(&seen.lines(), "(+/- 1.0 s)").contains(&moment),
        "{moment}"
    );
}

#[test]
fn connections_of_the_past_are_shown_as_they_were() {
    let lives = traffic::lives(40);
    let file = File::write(&traffic::record(&lives, 1 << 10), "conns");
    let capture = file.open();
    let keys = "interval-ms=20000 screen=connections state=established";
    let mut seen = Seen::playing(&capture, &file.0, keys, LOOK);
    let rows = |lines: &[String]| lines.iter().filter(|l| l.contains("= ESTABLISHED")).count();
    for back in 0..3 {
        let at_ms = LENGTH_MS - back * 20_000;
        assert_eq!(
            rows(&seen.lines()),
            truth(&lives, at_ms, ESTABLISHED),
            "{at_ms}"
        );
        seen.press(KeyCode::Left);
    }
    seen.press(KeyCode::Char('4'));
    let text = seen.text();
    assert!(!text.contains("CLOSE_WAIT  1"), "{text}");
    seen.press(KeyCode::Char('2'));
    assert!(seen.text().contains("nothing matches the filter"));
}

#[test]
fn it_plays_and_stops_at_the_end() {
    let file = File::write(&traffic::record(&traffic::lives(40), 1 << 10), "plays");
    let capture = file.open();
    let mut seen = Seen::playing(&capture, &file.0, "interval-ms=30000", LOOK);
    seen.press(KeyCode::Char(' '));
    for moment in ["22:12:20.000", "22:12:50.000", "22:13:20.000"] {
        assert!(
            seen.text().contains(&format!("> {moment}")),
            "{}",
            seen.text()
        );
        seen.app.tick().expect("a step");
    }
    assert!(seen.text().contains("| 22:13:20.000"), "{}", seen.text());
}

#[test]
fn it_says_what_the_rings_no_longer_have() {
    let lives = traffic::lives(2_000);
    let all: usize = lives.iter().map(|life| life.moves().len()).sum();
    let file = File::write(&traffic::record(&lives, 1_024), "lost");
    let capture = file.open();
    let mut seen = Seen::playing(&capture, &file.0, "interval-ms=1000", LOOK);
    let text = seen.text();
    let lost = format!(
        "earlier events were overwritten ({},{:03})",
        (all - 2_048) / 1_000,
        (all - 2_048) % 1_000
    );
    assert!(text.contains(&lost), "{lost}:\n{text}");
    seen.press(KeyCode::Home);
    let lines = seen.lines();
    assert!(
        count(&lines, "= ESTABLISHED") > 0,
        "not from the activation on"
    );
    // Each count is still that of the moment.
    seen.press(KeyCode::End);
    seen.press(KeyCode::Left);
    let lines = seen.lines();
    let expected = truth(&lives, LENGTH_MS - 1_000, ESTABLISHED);
    assert_eq!(count(&lines, "= ESTABLISHED"), expected);
}

#[test]
fn the_time_line_of_an_ended_connection_is_whole() {
    let lives = traffic::lives(16);
    let file = File::write(&traffic::record(&lives, 1 << 10), "line");
    let capture = file.open();
    let keys = "interval-ms=1000 screen=connections sort=time";
    let mut seen = Seen::playing(&capture, &file.0, keys, LOOK);
    seen.press(KeyCode::Home);
    assert_eq!(truth(&lives, 0, CLOSE), 0);
    seen.press(KeyCode::Enter);
    let text = seen.text();
    assert!(
        text.contains("LAST_ACK > CLOSE") && text.contains("closed_peer"),
        "{text}"
    );
    assert!(!text.contains("may have been overwritten"), "{text}");
}

#[test]
fn a_capture_of_nothing_is_shown() {
    let fake = Fake::new(1, 64);
    let file = File::write(&fake, "nothing");
    let capture = file.open();
    for screen in SCREENS {
        let mut seen = Seen::playing(&capture, &file.0, &format!("screen={screen}"), LOOK);
        for code in [
            KeyCode::Home,
            KeyCode::Left,
            KeyCode::Right,
            KeyCode::End,
            KeyCode::Char('['),
            KeyCode::Char(']'),
            KeyCode::Enter,
            KeyCode::Char(' '),
        ] {
            seen.press(code);
            assert!(seen.text().contains("[CAPTURE]"));
            seen.app.tick().expect("a look");
        }
    }
}
