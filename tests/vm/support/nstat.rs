//! Truth: the kernel's own counters of a namespace, as `nstat` reads them.

use std::process::Command;

use serde_json::Value;

const NSTAT: [&str; 5] = ["nstat", "--ignore", "--noupdate", "--zeros", "--json"];

/// All counters of a namespace at one moment.
pub struct Counters(Value);

impl Counters {
    pub fn of(netns: &str) -> Self {
        Self::read(
            Command::new("ip")
                .args(["netns", "exec", netns])
                .args(NSTAT),
        )
    }

    /// Counters of the calling thread's namespace.
    pub fn here() -> Self {
        Self::read(Command::new(NSTAT[0]).args(&NSTAT[1..]))
    }

    fn read(command: &mut Command) -> Self {
        let output = command.output().expect("iproute2 is installed");
        assert!(
            output.status.success(),
            "nstat: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let tree: Value = serde_json::from_slice(&output.stdout).expect("nstat prints JSON");
        Self(tree["kernel"].clone())
    }

    /// A counter, by the name that `nstat` uses.
    pub fn get(&self, name: &str) -> u64 {
        self.0[name]
            .as_u64()
            .unwrap_or_else(|| panic!("no counter {name}"))
    }
}
