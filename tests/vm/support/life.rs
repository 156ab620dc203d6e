//! The transitions of a report, connection by connection.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::netns;

/// All transitions of one connection, in order.
pub struct Life(pub Vec<Value>);

/// The lives of all connections among these transitions, by id. Sockets that an earlier scenario
/// left in a removed namespace may end while a recording starts, before they are found: their
/// transitions have no id.
pub fn lives(transitions: &[Value]) -> Vec<Life> {
    let mut by_id: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for record in transitions {
        match record["conn"].as_u64() {
            Some(id) => by_id.entry(id).or_default().push(record.clone()),
            None => assert!(is_left_behind(record), "no id: {record}"),
        }
    }
    by_id.into_values().map(Life).collect()
}

fn is_left_behind(record: &Value) -> bool {
    record["new"] == "CLOSE" && record["netns"].as_u64().is_some_and(netns::is_gone)
}

/// The one life of a socket with these ports, local and remote.
pub fn life(transitions: &[Value], lport: u16, rport: u16) -> Life {
    let mut found = of_ports(transitions, lport, rport);
    assert_eq!(
        found.len(),
        1,
        "lives of {lport} to {rport}: {found:#?} of {:#?}",
        lives(transitions)
    );
    found.remove(0)
}

/// All lives that sockets with these ports had, one after the other.
pub fn of_ports(transitions: &[Value], lport: u16, rport: u16) -> Vec<Life> {
    lives(transitions)
        .into_iter()
        .filter(|l| (l.port("lport"), l.port("rport")) == (lport, rport))
        .collect()
}

impl Life {
    /// A port as the last transition has it.
    pub fn port(&self, name: &str) -> u16 {
        let port = self.last()[name].as_u64().unwrap_or(0);
        u16::try_from(port).expect("a port")
    }

    pub fn first(&self) -> &Value {
        self.0.first().expect("a life has a transition")
    }

    pub fn last(&self) -> &Value {
        self.0.last().expect("a life has a transition")
    }

    /// The transition between two states.
    pub fn step(&self, old: &str, new: &str) -> &Value {
        self.0
            .iter()
            .find(|r| r["old"] == old && r["new"] == new)
            .unwrap_or_else(|| panic!("no {old} to {new}: {self:?}"))
    }

    /// Asserts that these states follow one another, from the first record's old one to the last
    /// record's new one, each with the reason that came with it (or an empty text).
    pub fn assert_is(&self, states: &[(&str, &str)]) {
        let told = self.states();
        assert_eq!(told, states, "{self:#?}");
        for pair in self.0.windows(2) {
            assert_eq!(pair[0]["new"], pair[1]["old"], "a gap: {self:#?}");
        }
    }

    /// The states and the reasons that came with them.
    fn states(&self) -> Vec<(&str, &str)> {
        let mut states = vec![(text(&self.first()["old"]), "")];
        for record in &self.0 {
            states.push((text(&record["new"]), text(&record["reason"])));
        }
        states
    }
}

/// An absent value is an empty text.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "connection {}:", self.last()["conn"])?;
        for record in &self.0 {
            let shown: Map<_, _> = record
                .as_object()
                .expect("a record is an object")
                .iter()
                .filter(|(name, _)| SHOWN.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            writeln!(f, "  {}", Value::Object(shown))?;
        }
        Ok(())
    }
}

/// Fields of a record that are printed when a life is not as expected.
const SHOWN: &[&str] = &[
    "netns",
    "laddr",
    "lport",
    "raddr",
    "rport",
    "old",
    "new",
    "in_old_ns",
    "reason",
    "error",
    "synacks",
    "pid",
    "role",
];
