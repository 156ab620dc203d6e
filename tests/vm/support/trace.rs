//! Truth: the kernel's own trace event for each change of a socket's state.

use std::fs;
use std::net::Ipv6Addr;
use std::path::PathBuf;

/// A change of state, in a form in which two sources can be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Change {
    pub local: (Ipv6Addr, u16),
    pub remote: (Ipv6Addr, u16),
    pub family: u8,
    pub old: String,
    pub new: String,
}

/// The trace event, recorded from `start` to `stop` in a separate buffer.
pub struct Trace {
    dir: PathBuf,
}

impl Trace {
    pub fn start() -> Self {
        let dir = PathBuf::from("/sys/kernel/tracing/instances/truth");
        if !dir.exists() {
            fs::create_dir(&dir).expect("a trace instance");
        }
        let trace = Self { dir };
        trace.write("buffer_size_kb", "32768");
        trace.write("trace", "");
        trace.write("events/sock/inet_sock_set_state/filter", "protocol == 6");
        trace.write("events/sock/inet_sock_set_state/enable", "1");
        trace
    }

    fn write(&self, file: &str, value: &str) {
        let path = self.dir.join(file);
        fs::write(&path, value).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// All changes since the start; asserts that none was lost.
    pub fn stop(self) -> Vec<Change> {
        self.write("events/sock/inet_sock_set_state/enable", "0");
        self.assert_complete();
        let text = fs::read_to_string(self.dir.join("trace")).expect("the trace");
        text.lines().filter_map(parse).collect()
    }

    fn assert_complete(&self) {
        for cpu in fs::read_dir(self.dir.join("per_cpu")).expect("per_cpu") {
            let stats = cpu.expect("an entry").path().join("stats");
            let text = fs::read_to_string(&stats).expect("stats of the trace");
            for line in text.lines() {
                let lost = line
                    .strip_prefix("overrun: ")
                    .or(line.strip_prefix("dropped events: "));
                assert!(
                    lost.is_none_or(|n| n == "0"),
                    "the truth itself lost events: {text}"
                );
            }
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // A file system that no longer exists needs no clean-up.
        let _ = fs::write(self.dir.join("events/sock/inet_sock_set_state/enable"), "0");
        let _ = fs::remove_dir(&self.dir);
    }
}

fn parse(line: &str) -> Option<Change> {
    let (_, fields) = line.split_once("inet_sock_set_state: ")?;
    let field = |name: &str| {
        fields
            .split(' ')
            .find_map(|f| f.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_else(|| panic!("no {name}: {line}"))
    };
    let addr = |name: &str| {
        field(name)
            .parse()
            .unwrap_or_else(|e| panic!("{name}: {e}: {line}"))
    };
    let port = |name: &str| {
        field(name)
            .parse()
            .unwrap_or_else(|e| panic!("{name}: {e}: {line}"))
    };
    let state = |name: &str| field(name).trim_start_matches("TCP_").to_owned();
    Some(Change {
        local: (addr("saddrv6"), port("sport")),
        remote: (addr("daddrv6"), port("dport")),
        family: if field("family") == "AF_INET6" { 6 } else { 4 },
        old: state("oldstate"),
        new: state("newstate"),
    })
}
