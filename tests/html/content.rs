//! The numbers of the page are those of the report, and it says what is left out.

use diagnose_tools::backend::Backend;
use diagnose_tools::backend::capture::backend::Capture;
use diagnose_tools::cli::parse;
use diagnose_tools::command::options::HtmlOptions;
use diagnose_tools::command::{dump, html};
use diagnose_tools::host::captured::CapturedHost;
use diagnose_tools::render::i18n::Lang;
use serde_json::Value;
use testkit::fake::Fake;
use testkit::records::listener;
use testkit::scene::Conn;
use testkit::town::town;

use crate::markup::{assert_well_formed, number, table, tables, text};
use crate::support::{Directory, host, json, page, page_with, style, summary, write};

/// Compares everything that is in the totals.
pub fn assert_totals(page: &str, fake: &Fake) {
    let summary = summary(fake);
    assert_transitions(page, &summary);
    assert_ends(page, &summary);
    let handshakes = summary["handshakes"].as_object().unwrap();
    let shown = table(page, "Handshakes on listeners");
    let counted = handshakes
        .values()
        .filter(|count| count.as_u64() != Some(0));
    assert_eq!(shown.rows.len() - 1, counted.count());
    let text = text(page);
    for (label, key) in [
        ("seen", "seen"),
        ("recorded", "recorded"),
        ("filtered", "filtered"),
        ("pending", "pending"),
    ] {
        let count = summary[key].as_u64().unwrap();
        assert!(number_after(&text, label, count), "{label} {count}");
    }
}

/// Whether a label is followed by a number, anywhere.
fn number_after(text: &str, label: &str, count: u64) -> bool {
    let label = format!("{label} ");
    let after = text.split(&label).skip(1).map(|after| {
        let end = after.find(|c: char| !c.is_ascii_digit() && c != ',');
        &after[..end.unwrap_or(after.len())]
    });
    after
        .filter(|digits| !digits.is_empty())
        .any(|digits| number(digits) == count)
}

fn assert_transitions(page: &str, summary: &Value) {
    let shown = table(page, "Transitions");
    let counts = summary["transitions"].as_array().unwrap();
    assert_eq!(shown.rows.len() - 1, counts.len());
    for counted in counts {
        let [old, new] = ["old", "new"].map(|key| counted[key].as_str().unwrap());
        let is_it = |row: &&Vec<String>| row[0] == old && row[1] == new;
        let row = shown.rows.iter().find(is_it).expect("a row for each");
        assert_eq!(number(&row[3]), counted["count"].as_u64().unwrap());
        let is_known = counted["p50_ns"].is_u64();
        assert_eq!(row[4] != "-", is_known, "{row:?}");
    }
}

fn assert_ends(page: &str, summary: &Value) {
    let shown = table(page, "Ended");
    for (role, reasons) in summary["ends"].as_object().unwrap() {
        for (reason, count) in reasons.as_object().unwrap() {
            assert_eq!(shown.number(reason, role), count.as_u64().unwrap());
        }
    }
    let lived = table(page, "Lifetimes and waits");
    for (role, of) in summary["lives"].as_object().unwrap() {
        assert_eq!(lived.number(role, "Count"), of["count"].as_u64().unwrap());
        let bars: u64 = table(page, role).rows[1..]
            .iter()
            .map(|r| number(&r[1]))
            .sum();
        assert_eq!(bars, of["count"].as_u64().unwrap(), "the histogram has all");
    }
    let waits = summary["accept_wait"]["count"].as_u64().unwrap();
    assert_eq!(lived.number("waited for accept()", "Count"), waits);
}

#[test]
fn the_numbers_are_those_of_the_report() {
    let fake = town(3_000);
    let page = page(&fake);
    assert_well_formed(&page);
    assert_totals(&page, &fake);
    let live = json(&fake, "transitions=0 alarms=0 connections=1 listeners=0");
    let live: Vec<_> = live.iter().filter(|l| l["type"] == "connection").collect();
    let in_state = |state: &str| live.iter().filter(|l| l["state"] == state).count() as u64;
    let course = table(&page, "Connections over time");
    let sums = [
        "By process",
        "By container or control group",
        "By remote address",
    ];
    for state in [
        "ESTABLISHED",
        "SYN_RECV",
        "CLOSE_WAIT",
        "TIME_WAIT",
        "SYN_SENT",
    ] {
        assert!(in_state(state) > 0, "{state}");
        assert_eq!(course.number(state, "Now"), in_state(state), "{state}");
        for caption in sums {
            let table = table(&page, caption);
            let at = table.rows[0].iter().position(|head| head == state);
            let column = table.rows[1..].iter().map(|row| number(&row[at.unwrap()]));
            assert_eq!(column.sum::<u64>(), in_state(state), "{caption} {state}");
        }
    }
    let first = &table(&page, "By process").rows[1];
    // In parentheses: it had the socket, of which a timewait or request socket is left.
    let is_past = first[0].starts_with('(');
    let pid = first[0].trim_start_matches('(').split('/').next();
    let pid: u64 = pid.unwrap().parse().unwrap();
    let of_it = live.iter().filter(|l| {
        let is_small = l["state"] == "TIME_WAIT" || l["state"] == "SYN_RECV";
        l["pid"] == pid && is_small == is_past
    });
    let of_it = of_it.count();
    assert_eq!(number(first.last().unwrap()), of_it as u64);
}

#[test]
fn connections_over_time_are_those_that_the_lives_make() {
    let page = page(&town(3_000));
    let course = table(&page, "Connections over time");
    // Nobody had a connection at the start; the programs that never close pile up until now.
    let numbers =
        |state| ["At the start", "Lowest", "Highest", "Now"].map(|c| course.number(state, c));
    let [start, lowest, highest, now] = numbers("CLOSE_WAIT");
    assert!(start < now / 10 && lowest == 0 && highest >= now && now > 50);
    let [_, lowest, highest, now] = numbers("ESTABLISHED");
    assert!(lowest == 0 && highest > now, "the wave is over");
    assert!(text(&page).contains("Some transitions were not recorded"));
}

#[test]
fn what_the_rfc_does_not_have_is_told_apart() {
    let page = page(&town(300));
    let shown = table(&page, "Transitions");
    let forbidden: Vec<_> = shown
        .rows
        .iter()
        .filter(|r| r[2] == "not in the RFC")
        .collect();
    assert_eq!(forbidden.len(), 2);
    assert_eq!(shown.rows[1][2], "not in the RFC", "it comes first");
    assert_eq!(page.matches("<g class=\"forbidden\">").count(), 2);
    assert!(page.contains("<title>CLOSE_WAIT → ESTABLISHED: 2</title>"));
}

#[test]
fn nothing_is_a_page_as_well() {
    for lang in [Lang::En, Lang::Zh] {
        let fake = Fake::new(1, 64);
        let page = page_with(&fake, &mut host(), &HtmlOptions::default(), lang);
        assert_well_formed(&page);
        let words = match lang {
            Lang::En => ["No transition is recorded.", "nothing found", "None."],
            Lang::Zh => ["没有已记录的状态转换。", "未发现异常", "无。"],
        };
        for word in words {
            assert!(text(&page).contains(word), "{word}");
        }
    }
}

#[test]
fn a_page_refers_to_nothing_else() {
    let page = page(&town(300));
    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src \
                  &#39;none&#39;; style-src &#39;unsafe-inline&#39;\" />";
    assert!(page.contains(policy));
    for needless in [
        "<script",
        "javascript:",
        " src=",
        "@import",
        "<link",
        "<iframe",
    ] {
        assert!(!page.contains(needless), "{needless}");
    }
    // Names of namespaces are no addresses to load from.
    let links = page.matches("http").count();
    let spaces = page.matches("http://www.w3.org/").count();
    assert_eq!(links, spaces + "http-equiv".matches("http").count());
    let pictures = page.matches("<svg ").count();
    assert!(pictures > 8);
    assert_eq!(page.matches("role=\"img\"").count(), pictures);
    assert_eq!(page.matches("<desc ").count(), pictures);
}

#[test]
fn what_is_left_out_is_said() {
    let mut fake = town(0);
    let conn = |number: u64| Conn {
        pid: 100 + number as u32,
        ..Conn::begun(
            "10.0.0.1:40000".into(),
            &format!("10.1.{}.{}:80", number / 250, number % 250),
            5,
        )
    };
    *fake.conns.borrow_mut() = (0..500).map(|number| conn(number).bytes()).collect();
    fake.listeners = (0..70)
        .map(|port| listener(&format!("10.0.0.1:{}", 1_000 + port)))
        .collect();
    let page = page(&fake);
    for caption in ["By process", "By remote address"] {
        let table = table(&page, caption);
        assert_eq!(table.rows.len(), 1 + 20 + 1);
        assert_eq!(
            table.number("and 480 more", "ESTABLISHED"),
            480,
            "{caption}"
        );
        assert_eq!(table.number("and 480 more", "Total"), 480, "{caption}");
    }
    let shown = table(&page, "Listeners");
    assert_eq!(
        (shown.rows.len(), &*shown.rows[51][0]),
        (1 + 50 + 1, "and 20 more")
    );
}

#[test]
fn a_filter_narrows_what_it_says() {
    let fake = town(3_000);
    let options = parse::html("file=x lport=8080").unwrap();
    let page = page_with(&fake, &mut host(), &options, Lang::En);
    assert!(text(&page).contains("Filter: lport=8080 The filter applies to"));
    let processes = table(&page, "By process");
    let of_java = |row: &Vec<String>| row[0].contains("/java");
    assert!(processes.rows[1..].iter().all(of_java) && processes.rows.len() > 2);
    assert_totals(&page, &fake);
}

#[test]
fn a_page_of_a_capture_is_that_of_the_host() {
    let fake = town(1_000);
    let expected = page(&fake);
    let directory = Directory::new("capture");
    let mut bytes = Vec::new();
    dump::write(&fake, &mut host(), "memory", &mut bytes).unwrap();
    let path = directory.put("town.cap", &bytes);
    let capture = Capture::open(&path).unwrap();
    let options = parse::html(&format!("file=x from={}", path.display())).unwrap();
    let mut captured = CapturedHost::new(&capture).unwrap();
    let gathered = html::gather(&capture, &mut captured, &options).unwrap();
    let mut out = Vec::new();
    diagnose_tools::render::html::write(&mut out, &style(&capture, Lang::En), &gathered).unwrap();
    let told = String::from_utf8(out).unwrap();
    assert_eq!(told.replace("capture town.cap", "this host"), expected);
}

#[test]
fn no_position_moves() {
    let fake = town(100);
    let before = (fake.consumed(), fake.stats().unwrap());
    let directory = Directory::new("position");
    let file = directory.path("page.html");
    let told = write(&fake, &mut host(), &file).unwrap();
    assert_eq!((fake.consumed(), fake.stats().unwrap()), before);
    assert_eq!(fake.consume_calls.get(), 0);
    let events = fake.stats().unwrap().recorded;
    let expected = format!("written: {events} events, ");
    assert!(
        told.starts_with(&expected) && told.ends_with("page.html\n"),
        "{told}"
    );
    assert_eq!(directory.names(), ["page.html"]);
}

#[test]
fn labels_are_of_the_language() {
    let fake = town(300);
    let page = page_with(&fake, &mut host(), &HtmlOptions::default(), Lang::Zh);
    assert_well_formed(&page);
    assert!(page.contains("lang=\"zh-CN\""));
    let text = text(&page);
    for word in ["状态机", "按进程", "握手完成", "严重"] {
        assert!(text.contains(word), "{word}");
    }
    let captions: Vec<_> = tables(&page).into_iter().map(|t| t.caption).collect();
    assert!(captions.contains(&"状态转换".to_owned()), "{captions:?}");
}
