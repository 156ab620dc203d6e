//! The live view of a real recording, in a real terminal.

use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::support::{netns, scenario, tool, traffic};
use crate::tmux::Tmux;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("a_live_view_shows_what_happens_and_moves_nothing", shows),
        scenario("a_live_view_waits_for_the_next_activation", waits),
        scenario("a_live_view_leaves_the_terminal_as_it_was", leaves),
    ]
}

/// Starts a view of this namespace.
fn view(keys: &str) -> Tmux {
    let option = format!("--top=interval-ms=300 {keys}");
    let utf8 = [("LANG", "C.UTF-8"), ("TERM", "screen")];
    let tmux = Tmux::start([110, 30], &utf8, &["tcpstates", &option]);
    tmux.shows("tcpstates [LIVE]");
    tmux
}

/// Whether a line that has this text has this word, too.
fn has(screen: &str, text: &str, word: &str) -> bool {
    let lines = screen.lines().filter(|line| line.contains(text));
    let mut words = lines.flat_map(str::split_whitespace);
    words.any(|other| other == word)
}

fn shows() {
    tool::activate_here("");
    let tmux = view(&format!("netns={}", netns::current_inode()));
    let listener = traffic::listen_with_backlog([127, 0, 0, 1], 7);
    let port = listener.local_addr().expect("bound").port();
    let held: Vec<_> = (0..5).map(|_| traffic::pair(&listener)).collect();
    // Both ends are here.
    tmux.until("ten ends", |screen| has(screen, "= ESTABLISHED", "10"));
    tmux.keys(&["2"]);
    tmux.shows(&format!("127.0.0.1:{port}"));
    let waiting: Vec<_> = (0..3)
        .map(|_| std::net::TcpStream::connect(listener.local_addr().expect("bound")))
        .collect();
    tmux.until("three wait for accept()", |screen| {
        has(screen, &format!(":{port}"), "3/7")
    });
    tmux.keys(&["3"]);
    tmux.shows("= ESTABLISHED");
    tmux.keys(&["/"]);
    // It is added to the filter that is in force.
    tmux.type_text(&format!(" lport={port} state=established"));
    tmux.keys(&["Enter"]);
    tmux.keys(&["Enter"]);
    let line = tmux.shows("SYN_RECV > ESTABLISHED");
    assert!(line.contains("NEW > SYN_RECV"), "{line}");
    // Together they would be another key.
    tmux.keys(&["Escape"]);
    tmux.shows("sort: latest");
    // Without a filter, because ends are transitions from other states.
    tmux.keys(&["Escape"]);
    tmux.until("no filter", |screen| !screen.contains("filter:"));
    tmux.keys(&["4"]);
    tmux.shows(&format!("{}/", std::process::id()));
    drop((held, waiting));
    tmux.keys(&["5"]);
    tmux.shows("closed_");
    tmux.keys(&["6"]);
    tmux.shows("Diagnosis of");
    tmux.keys(&["q"]);
    assert_eq!(tmux.end(), (0, String::new()));
    let report = tool::report("transitions=1");
    assert!(report.transitions.len() > 30, "the view took nothing");
    assert_eq!(
        report.transitions.len() as u64,
        report.recorded_transitions()
    );
    tool::tcpstates(&["--deactivate"]);
}

fn waits() {
    tool::activate_here("");
    let tmux = view("");
    tool::tcpstates(&["--deactivate"]);
    let screen = tmux.shows("tcpstates [WAITING]");
    assert!(screen.contains("Recording is not active."), "{screen}");
    tmux.keys(&["3"]);
    tmux.shows("Recording is not active.");
    tool::activate_here("");
    let listener = traffic::listen(traffic::V4);
    let port = listener.local_addr().expect("bound").port();
    tmux.shows("tcpstates [LIVE]");
    tmux.shows(&format!("127.0.0.1:{port}"));
    tmux.keys(&["q"]);
    assert_eq!(tmux.end(), (0, String::new()));
    tool::tcpstates(&["--deactivate"]);
}

fn leaves() {
    tool::activate_here("");
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let tmux = view("screen=connections");
        tmux.signal(signal);
        assert_eq!(tmux.end(), (0, String::new()), "{signal}");
    }
    tool::tcpstates(&["--deactivate"]);
}
