//! The program in a real terminal.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use testkit::traffic;

use crate::cli::{Done, program, run};
use crate::support::File;
use crate::tmux::Tmux;

const UTF8: [(&str, &str); 2] = [("LANG", "C.UTF-8"), ("TZ", "UTC")];

fn capture(name: &str) -> File {
    File::write(&traffic::record(&traffic::lives(400), 4_096), name)
}

fn started(file: &File, size: [u16; 2], variables: &[(&str, &str)], keys: &str) -> Tmux {
    let option = format!("--top=from={} {keys}", file.0.display());
    Tmux::start(size, variables, &["tcpstates", &option])
}

#[test]
fn keys_go_through_all_screens() {
    let file = capture("keys");
    let tmux = started(&file, [120, 35], &UTF8, "interval-ms=1000");
    tmux.shows("tcpstates [CAPTURE]");
    for (key, text) in [
        ("2", "Accept queue"),
        ("Tab", "= ESTABLISHED"),
        ("Tab", "142/nginx"),
        ("c", "Container / control group"),
        ("5", "closed_peer"),
        ("6", "Diagnosis of 22:13:20"),
        ("?", "Marks of states"),
        ("Escape", "Diagnosis of"),
        ("BTab", "closed_peer"),
        ("1", "Events of this moment"),
        ("Home", "| 22:12:20.000"),
        ("Right", "| 22:12:21.000"),
        ("End", "| 22:13:20.000"),
        ("3", "sort: latest"),
        ("s", "sort: longest in state"),
        ("Enter", "In old state"),
    ] {
        tmux.keys(&[key]);
        tmux.shows(text);
    }
    tmux.keys(&["q"]);
    assert_eq!(tmux.end(), (0, String::new()));
}

#[test]
fn a_filter_is_typed() {
    let file = capture("filter");
    let tmux = started(&file, [100, 30], &UTF8, "screen=connections");
    tmux.shows("= ESTABLISHED");
    tmux.keys(&["/"]);
    tmux.shows("as in --report");
    tmux.type_text("colour=red");
    tmux.keys(&["Enter"]);
    tmux.shows("unknown key 'colour'");
    tmux.keys(&["C-u"]);
    tmux.type_text("state=time-wait");
    tmux.keys(&["Enter"]);
    let is_it = |screen: &str| screen.contains(". TIME_WAIT") && !screen.contains("= ESTAB");
    tmux.until("only TIME_WAIT", is_it);
    tmux.keys(&["Escape"]);
    tmux.shows("= ESTABLISHED");
    tmux.keys(&["Escape"]);
    assert_eq!(tmux.end(), (0, String::new()));
}

#[test]
fn the_size_changes_while_it_runs() {
    let file = capture("size");
    let tmux = started(&file, [200, 50], &UTF8, "");
    tmux.shows("Trend");
    tmux.resize([59, 20]);
    tmux.shows("The terminal is too small: 59x20");
    tmux.resize([60, 15]);
    let screen = tmux.shows("Median");
    assert!(
        !screen.contains("Trend") && screen.contains("? help"),
        "{screen}"
    );
    // The size is one of the settings of a terminal.
    tmux.resize([200, 50]);
    tmux.shows("Trend");
    tmux.keys(&["C-c"]);
    assert_eq!(tmux.end(), (0, String::new()));
}

#[test]
fn signals_leave_the_terminal_as_it_was() {
    let file = capture("signals");
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let tmux = started(&file, [80, 24], &UTF8, "");
        tmux.shows("tcpstates [CAPTURE]");
        tmux.signal(signal);
        assert_eq!(tmux.end(), (0, String::new()), "{signal}");
    }
}

#[test]
fn it_is_stopped_and_continued() {
    let file = capture("stops");
    let tmux = started(&file, [80, 24], &UTF8, "");
    tmux.shows("tcpstates [CAPTURE]");
    for by_key in [true, false] {
        match by_key {
            true => tmux.keys(&["C-z"]),
            false => tmux.signal(Signal::SIGTSTP),
        }
        let stat = format!("/proc/{}/stat", tmux.pid());
        tmux.until("it stops", |screen| {
            let stat = fs::read_to_string(&stat).expect("it runs");
            stat.contains(") T ") && !screen.contains("tcpstates [")
        });
        tmux.signal(Signal::SIGCONT);
        tmux.shows("tcpstates [CAPTURE]");
    }
    tmux.keys(&["2"]);
    tmux.shows("nothing to show");
    tmux.keys(&["q"]);
    assert_eq!(tmux.end(), (0, String::new()));
}

#[test]
fn colour_and_language_are_those_of_the_user() {
    let file = capture("styles");
    let zh = [("LANG", "zh_CN.UTF-8")];
    let tmux = started(&file, [100, 30], &zh, "");
    let screen = tmux.shows("[捕获]");
    assert!(
        screen.contains("中位数") && screen.contains("█"),
        "{screen}"
    );
    assert!(tmux.colored().contains("\u{1b}[3"), "colours");
    drop(tmux);
    let plain = [("LANG", "C"), ("NO_COLOR", "1")];
    let tmux = started(&file, [100, 30], &plain, "");
    let screen = tmux.shows("= ESTABLISHED");
    assert!(screen.is_ascii(), "{screen}");
    let colored = tmux.colored();
    let has_color = (30..38).any(|color| colored.contains(&format!("[{color}m")));
    assert!(!has_color && colored.contains("7m"), "{colored:?}");
}

#[test]
fn a_live_view_of_no_module_fails_before_it_draws() {
    let device = [("DIAGNOSE_TOOLS_DEVICE", "/nonexistent/device")];
    let tmux = Tmux::start([80, 24], &device, &["tcpstates", "--top"]);
    let (status, err) = tmux.end();
    let expected = "diagnose-tools: the module is not loaded: run `diagnose-tools install`\n";
    assert_eq!((status, err.as_str()), (1, expected));
}

/// Bytes of a capture, the one in the middle changed.
fn damaged(file: &File) -> PathBuf {
    let mut bytes = fs::read(&file.0).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file.0, bytes).expect("a file");
    file.0.clone()
}

#[test]
fn a_damaged_capture_fails_before_it_draws() {
    let file = capture("damaged");
    let path = damaged(&file);
    let tmux = started(&file, [80, 24], &UTF8, "");
    let (status, err) = tmux.end();
    assert_eq!(status, 1, "{err}");
    let start = format!("diagnose-tools: {}: it is damaged at byte ", path.display());
    assert!(err.starts_with(&start) && err.lines().count() == 1, "{err}");
}

/// Both ends of a terminal without anything behind it.
fn terminal() -> (OwnedFd, OwnedFd) {
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = openpty(Some(&size), None).expect("a terminal");
    for end in [&pty.master, &pty.slave] {
        let flag = FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC);
        fcntl(end, flag).expect("a descriptor");
    }
    (pty.master, pty.slave)
}

#[test]
fn without_a_terminal_it_names_what_to_use_instead() {
    let file = capture("pipe");
    let option = format!("--top=from={}", file.0.display());
    let args = ["tcpstates", "--deactivate", &option];
    let (hint, chain) = ("use --follow, which prints events line by line", &args[..]);
    let Done { status, out, err } = run(chain);
    let expected = format!("diagnose-tools: --top: stdout is not a terminal: {hint}\n");
    assert_eq!(
        (status, out.as_str(), err),
        (2, "", expected),
        "nothing was done"
    );
    let (master, slave) = terminal();
    let mut command = program(&["tcpstates", &option]);
    command.stdout(slave.try_clone().expect("a copy"));
    let done: Done = command
        .stderr(Stdio::piped())
        .output()
        .expect("it runs")
        .into();
    let expected = format!("diagnose-tools: --top: stdin is not a terminal: {hint}\n");
    assert_eq!((done.status, done.err), (2, expected));
    let mut command = program(&["tcpstates", &option]);
    command
        .env("TERM", "dumb")
        .stdin(slave.try_clone().expect("a copy"));
    let command = command.stdout(slave).stderr(Stdio::piped());
    let done: Done = command.output().expect("it runs").into();
    let expected = format!(
        "diagnose-tools: --top: this terminal cannot move its cursor (TERM=dumb): {hint}\n"
    );
    assert_eq!((done.status, done.err), (2, expected));
    drop(master);
}

#[test]
fn it_ends_with_its_terminal() {
    let file = capture("gone");
    let option = format!("--top=from={}", file.0.display());
    let (master, slave) = terminal();
    let mut command = program(&["tcpstates", &option]);
    command.env("TERM", "xterm");
    command.stdin(slave.try_clone().expect("a copy"));
    command.stdout(slave).stderr(Stdio::null());
    let mut child = command.spawn().expect("it runs");
    drop(command);
    sleep(Duration::from_millis(500));
    drop(master);
    let mut waited = 0;
    while child.try_wait().expect("a child").is_none() {
        sleep(Duration::from_millis(50));
        waited += 1;
        if waited > 1_200 {
            let _ = child.kill();
            panic!("it did not end");
        }
    }
}
