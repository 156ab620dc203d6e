//! A real terminal: tmux, with a server of its own.

#![allow(dead_code, reason = "shared by tests that each use a part")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long to wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(120);

/// A terminal in which a shell runs the program once. Its server ends when this is dropped.
pub struct Tmux {
    name: String,
    folder: PathBuf,
}

impl Tmux {
    /// Starts the program in a terminal of this size, with these variables.
    pub fn start([columns, lines]: [u16; 2], variables: &[(&str, &str)], args: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("diagnose-tools-top-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir_all(&folder).expect("a folder");
        let tmux = Self { name, folder };
        let script = tmux.script(variables, args);
        let size = [columns.to_string(), lines.to_string()];
        tmux.run(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &size[0],
            "-y",
            &size[1],
            &script,
        ]);
        tmux
    }

    /// The settings of the terminal before and after, the program's number and its status are in
    /// files.
    fn script(&self, variables: &[(&str, &str)], args: &[&str]) -> String {
        let folder = self.folder.display();
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let set: Vec<_> = variables
            .iter()
            .map(|(name, value)| format!("{name}={}", quoted(value)))
            .collect();
        let program = quoted(env!("CARGO_BIN_EXE_diagnose-tools"));
        let args: Vec<_> = args.iter().map(|arg| quoted(arg)).collect();
        let (set, args) = (set.join(" "), args.join(" "));
        format!(
            "cd {folder} && stty -a >before; \
             env -u LC_ALL -u LC_CTYPE -u LC_MESSAGES -u NO_COLOR {set} \
             sh -c 'echo $$ >pid; exec \"$@\"' sh {program} {args} 2>err; \
             echo $? >status; stty -a >after; echo back >done; echo BACK IN THE SHELL; sleep 1000"
        )
    }

    fn run(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-u", "-L", &self.name]).args(args);
        command.env_remove("TMUX").stdin(Stdio::null());
        let output = command.output().expect("tmux: run scripts/setup");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {args:?}: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Presses keys, by the names that tmux gives them.
    pub fn keys(&self, keys: &[&str]) {
        let mut args = vec!["send-keys"];
        args.extend(keys);
        self.run(&args);
    }

    /// Types a text.
    pub fn type_text(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
    }

    pub fn resize(&self, [columns, lines]: [u16; 2]) {
        let [columns, lines] = [columns, lines].map(|n| n.to_string());
        self.run(&["resize-window", "-x", &columns, "-y", &lines]);
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// The same with escape sequences for colours.
    pub fn colored(&self) -> String {
        self.run(&["capture-pane", "-p", "-e"])
    }

    /// Waits until the screen is as it should be, and returns it.
    #[track_caller]
    pub fn until(&self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if is_it(&screen) {
                return screen;
            }
            let err = self.file("err");
            assert!(start.elapsed() < PATIENCE, "{what}: {err}\n{screen}");
            sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the screen has this text.
    #[track_caller]
    pub fn shows(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// The number of the program.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.file("pid").trim().parse().expect("a number"))
    }

    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// Waits for the end of the program, asserts that it has left the terminal as it was, and returns
    /// its exit status and what it has said.
    #[track_caller]
    pub fn end(&self) -> (i32, String) {
        self.shows("BACK IN THE SHELL");
        let (before, after) = (self.file("before"), self.file("after"));
        assert!(
            before.contains("icanon") && before == after,
            "{before}{after}"
        );
        let flags = self.run(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        assert_eq!(flags.trim(), "0 1", "alternate screen, cursor");
        let status = self.file("status").trim().parse().expect("a status");
        (status, self.file("err"))
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.name, "kill-server"]);
        let _ = command.stderr(Stdio::null()).status();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
