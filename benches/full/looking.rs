//! Cost of listing all live connections, compared with other tools that list the same sockets: CPU
//! time and memory of the process.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use crate::common::child::{self, Spent};
use crate::common::held::Held;
use crate::common::median;
use crate::figure::emit;
use crate::support::tool;

const PART: &str = "looking";
const OUTPUT: &str = "/dev/shm/look";

/// The tools, and their commands.
const LOOKS: [(&str, &str); 5] = [
    (
        "table",
        "--report=transitions=0 alarms=0 connections=1 listeners=0 summary=0 findings=0 peek=1",
    ),
    (
        "json",
        "--report=transitions=0 alarms=0 connections=1 listeners=0 summary=0 findings=0 peek=1 json=1",
    ),
    ("ss_tan", "ss -Htan"),
    ("ss_tanie", "ss -Htanie"),
    ("proc_net_tcp", "cat /proc/net/tcp"),
];

fn command(text: &str) -> Command {
    if text.starts_with("--") {
        return tool::command(&["tcpstates", text]);
    }
    let mut words = text.split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words);
    command
}

/// Cost of a command, and its number of lines.
fn look(text: &str) -> (Spent, usize) {
    let mut command = command(text);
    command.stdin(Stdio::null());
    command.stdout(File::create(OUTPUT).expect("a file in memory"));
    let spent = child::run(command);
    let all = fs::read(OUTPUT).expect("its output");
    (spent, all.iter().filter(|b| **b == b'\n').count())
}

pub fn measure(live: usize, rounds: usize) {
    let mut held = Held::new("held");
    held.keep(live, 1);
    tool::activate("max-conns=1200000");
    let case = format!("live_{live}");
    for (name, text) in LOOKS {
        let mut seconds = Vec::new();
        let mut peak = 0.0;
        for _ in 0..rounds {
            // `ss` and /proc show one namespace.
            let (spent, lines) = held.netns().run(|| look(text));
            assert!(lines >= live, "{name} shows {lines} of {live}");
            seconds.push(spent.cpu);
            peak = spent.peak.max(peak);
        }
        emit(PART, &case, name, median(seconds), "s");
        let memory = format!("{name}_memory");
        emit(PART, &case, &memory, peak / f64::from(1 << 20), "MiB");
    }
    tool::fresh();
}
