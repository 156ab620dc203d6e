//! The id of a finding: a readable key of its rule and subject.
//!
//! ```text
//! accept-queue-full:web:10.0.0.1:80            a listener in the namespace `web`
//! syn-sent:4026531840:to=10.0.0.9:5432         a destination
//! pair-threshold:web:10.0.0.1:to=10.9.0.1      two addresses
//! close-wait:web:process=java                  a process, by its name
//! dead-peers:web:10.0.0.1:80:idle              one of several kinds of findings about a subject
//! ```
//!
//! It contains nothing that changes while the problem lasts: no pid (a worker is restarted), no
//! number, no peer, no severity, and only the first of a rule's names (a sample of packets finds
//! slow-headers where a diagnosis without one finds slow-request). It is no hash, so that people
//! recognize it, and rules of alerts can match a part of it.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::diagnose::finding::{Finding, Subject};
use crate::diagnose::rules::RULES;
use crate::model::endpoint::Dev;

/// The part of its subject that identifies a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum About {
    /// The listener, the destination or the pair of addresses.
    #[default]
    Addresses,
    /// The same without ports, which several of its connections may have.
    Hosts,
    /// The process, whatever it is connected to.
    Process,
    /// The namespace.
    Namespace,
    /// Nothing: it is about the whole host, and the subject is an example.
    Host,
}

/// Sets the ids of all findings of a diagnosis. Several processes may have the same name: the ids of
/// all but the one with the lowest pid end with `#2`, `#3` …
pub fn identify(findings: &mut [Finding]) {
    let mut by_pid: Vec<&mut Finding> = findings.iter_mut().collect();
    by_pid.sort_by_key(|finding| finding.subject.owner.map(|o| o.pid));
    let mut taken: HashMap<String, u32> = HashMap::new();
    for finding in by_pid {
        let key = key(finding);
        let number = taken.entry(key.clone()).or_default();
        *number += 1;
        finding.id = match *number {
            1 => key,
            number => format!("{key}#{number}"),
        };
    }
}

/// The id, which several findings may have.
fn key(finding: &Finding) -> String {
    let subject = &finding.subject;
    let of_rule = RULES.iter().find(|r| r.names.contains(&finding.rule));
    let rule = of_rule.map_or(finding.rule, |rule| rule.name());
    let mut parts = vec![rule.to_owned()];
    match finding.about {
        About::Addresses => {
            parts.extend(netns(subject));
            parts.extend(addresses(subject, true));
        }
        About::Hosts => {
            parts.extend(netns(subject));
            parts.extend(addresses(subject, false));
        }
        About::Process => {
            let comm = subject.owner.as_ref().map(|o| escaped(o.comm_bytes()));
            parts.extend(netns(subject));
            parts.push(format!("process={}", comm.unwrap_or_default()));
        }
        About::Namespace => parts.extend(netns(subject)),
        About::Host => {}
    }
    parts.extend(finding.variant.map(str::to_owned));
    parts.join(":")
}

/// The name of the namespace, or its inode number.
fn netns(subject: &Subject) -> Option<String> {
    let inode = subject.netns?;
    Some(match subject.netns_name.as_deref() {
        None => inode.to_string(),
        // A name that looks like an inode number.
        Some(name) if name.bytes().all(|b| b.is_ascii_digit()) => name.bytes().map(hex).collect(),
        Some(name) => escaped(name.as_bytes()),
    })
}

/// The local address, and the remote one after `to=`; the device is part of the first.
fn addresses(subject: &Subject, with_ports: bool) -> impl Iterator<Item = String> {
    let end = |(addr, port): (IpAddr, Option<u16>)| (addr, port.filter(|_| with_ports));
    let local = subject.local.map(end);
    let local = local.map(|end| address(end, subject.dev.as_ref()));
    let dev = subject.dev.as_ref().filter(|_| local.is_none());
    let remote = subject.remote.map(end).map(|end| address(end, dev));
    let remote = remote.map(|text| format!("to={text}"));
    local.into_iter().chain(remote)
}

fn address((addr, port): (IpAddr, Option<u16>), dev: Option<&Dev>) -> String {
    let dev = dev.map(|dev| match &dev.name {
        Some(name) => format!("%{}", escaped(name.as_bytes())),
        None => format!("%{}", dev.index),
    });
    let dev = dev.unwrap_or_default();
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    match addr {
        IpAddr::V4(addr) => format!("{addr}{dev}{port}"),
        IpAddr::V6(addr) => format!("[{addr}{dev}]{port}"),
    }
}

/// A name that others have chosen: characters other than letters, digits and `-_.+/@` as `%XX`, so
/// that it cannot be mistaken for other parts of the id.
fn escaped(name: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(*byte).to_string(),
        b'-' | b'_' | b'.' | b'+' | b'/' | b'@' => char::from(*byte).to_string(),
        other => hex(*other),
    };
    name.iter().map(one).collect()
}

fn hex(byte: u8) -> String {
    format!("%{byte:02X}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::diagnose::finding::{Peer, Severity};
    use crate::diagnose::rules::{close_wait, names};
    use crate::fmt::random::random_bytes;
    use crate::model::ident::Owner;

    /// Made-up choices.
    struct Random(u64);

    impl Random {
        fn below(&mut self, count: usize) -> usize {
            let bytes: [u8; 8] = random_bytes(&mut self.0);
            (u64::from_ne_bytes(bytes) % count as u64) as usize
        }

        fn one<T: Clone>(&mut self, of: &[T]) -> T {
            of[self.below(of.len())].clone()
        }
    }

    /// What the id of a finding depends on, and nothing else.
    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    struct Made {
        rule: &'static str,
        netns: Option<(u32, Option<&'static str>)>,
        local: Option<(&'static str, Option<u16>)>,
        remote: Option<(&'static str, Option<u16>)>,
        dev: Option<(u32, Option<&'static str>)>,
        process: Option<&'static str>,
        variant: Option<&'static str>,
    }

    const ADDRESSES: [&str; 6] = [
        "10.0.0.1",
        "10.0.0.11",
        "::ffff:10.0.0.1",
        "::1",
        "fe80::1",
        "fe80::1:80",
    ];
    const COMMS: [&str; 9] = [
        "nginx",
        "nginx:80",
        "10.0.0.1",
        "to=10.0.0.1",
        "[::1]",
        "a b",
        "a%20b",
        "",
        "java#2",
    ];

    impl Made {
        fn new(random: &mut Random) -> Self {
            let firsts = [
                "close-wait",
                "syn-sent",
                "syn-flood",
                "slow-request",
                "pair-threshold",
            ];
            let netns = [
                None,
                Some((1, None)),
                Some((12, None)),
                Some((1, Some("12"))),
                Some((1, Some("web"))),
                Some((1, Some("web:10.0.0.1"))),
            ];
            let devs = [
                None,
                Some((2, None)),
                Some((2, Some("eth0"))),
                Some((2, Some("2:x"))),
            ];
            let ends = |random: &mut Random| {
                let port = random.one(&[None, Some(80), Some(8), Some(0)]);
                (random.below(3) > 0).then(|| (random.one(&ADDRESSES), port))
            };
            let mut made = Self {
                rule: random.one(&firsts),
                netns: random.one(&netns),
                local: ends(random),
                remote: ends(random),
                dev: random.one(&devs),
                process: None,
                variant: random.one(&[None, None, Some("idle"), Some("refused")]),
            };
            if random.below(3) == 0 {
                made.process = Some(random.one(&COMMS));
                (made.local, made.remote, made.dev) = (None, None, None);
            }
            if made.local.is_none() && made.remote.is_none() {
                made.dev = None;
            }
            made
        }

        /// A finding with this id, and whatever else.
        fn finding(&self, random: &mut Random) -> Finding {
            let end = |(addr, port): (&str, Option<u16>)| (addr.parse().unwrap(), port);
            let mut comm = [0; 16];
            let name = self.process.unwrap_or_else(|| random.one(&COMMS));
            comm[..name.len()].copy_from_slice(name.as_bytes());
            let pid = 1 + random.below(1_000) as u32;
            let known = self.process.is_some() || random.below(2) == 0;
            let dev = |(index, name): (u32, Option<&str>)| Dev {
                index,
                name: name.map(Into::into),
            };
            let peer = |random: &mut Random| Peer {
                addr: random.one(&ADDRESSES).parse().unwrap(),
                dev: None,
                port: None,
                count: random.below(900) as u64,
            };
            let problem = close_wait::Problem::NotClosed {
                owner: None,
                connections: random.below(9) as u64,
            };
            let subject = Subject {
                netns: self.netns.map(|(inode, _)| inode),
                netns_name: self.netns.and_then(|(_, name)| name).map(str::to_owned),
                local: self.local.map(end),
                remote: self.remote.map(end),
                dev: self.dev.map(dev),
                owner: known.then_some(Owner { pid, comm }),
                uid: Some(random.below(3) as u32),
                cgroup: Some(format!("/{}", random.below(5))),
                processes: random.below(4) as u64,
                peers: (0..random.below(3)).map(|_| peer(random)).collect(),
                peer_count: random.below(7) as u64,
                ..Subject::default()
            };
            let of_rule = RULES.iter().find(|r| r.name() == self.rule).unwrap();
            let severity = random.one(&Severity::ALL);
            let number = random.below(99) as u64;
            let finding = Finding::new(random.one(of_rule.names), severity, problem, subject)
                .number("connections", number);
            let finding = match self.process {
                Some(_) => finding.about(About::Process),
                None => finding,
            };
            match self.variant {
                Some(variant) => finding.variant(variant),
                None => finding,
            }
        }
    }

    #[test]
    fn a_subject_keeps_its_id_and_no_other_has_it() {
        let mut random = Random(0x1d_1d1d);
        let mut ids: HashMap<String, Made> = HashMap::new();
        let mut made_up = HashSet::new();
        for _ in 0..20_000 {
            let made = Made::new(&mut random);
            let id = key(&made.finding(&mut random));
            assert_eq!(id, key(&made.finding(&mut random)), "{made:?}");
            let graphic = id.bytes().all(|b| b.is_ascii_graphic());
            assert!(graphic && !id.contains(['#', '"', '\\']), "{id}");
            let known = ids.entry(id.clone()).or_insert_with(|| made.clone());
            assert_eq!(*known, made, "{id}");
            made_up.insert(made);
        }
        assert_eq!(ids.len(), made_up.len());
        assert!(ids.len() > 5_000, "{}", ids.len());
    }

    #[test]
    fn no_two_findings_of_a_diagnosis_have_the_same_id() {
        let mut random = Random(0x0dd_ba11);
        for _ in 0..300 {
            let kinds: Vec<_> = (0..9).map(|_| Made::new(&mut random)).collect();
            let one = |_| {
                let made = random.one(&kinds);
                made.finding(&mut random)
            };
            let mut findings: Vec<_> = (0..40).map(one).collect();
            identify(&mut findings);
            let ids: HashSet<_> = findings.iter().map(|f| f.id.as_str()).collect();
            assert_eq!(ids.len(), findings.len(), "{ids:?}");
        }
    }

    #[test]
    fn ids_can_be_read() {
        let mut random = Random(7);
        let plain = Made {
            rule: "close-wait",
            netns: Some((4_026_531_840, None)),
            local: Some(("10.0.0.1", Some(80))),
            remote: None,
            dev: None,
            process: None,
            variant: None,
        };
        let bound = Made {
            netns: Some((1, Some("web"))),
            local: Some(("fe80::1", Some(80))),
            remote: Some(("fe80::1:80", None)),
            dev: Some((2, Some("eth0"))),
            ..plain.clone()
        };
        let destination = Made {
            rule: "slow-request",
            local: None,
            ..bound.clone()
        };
        let process = Made {
            netns: Some((1, Some("7"))),
            process: Some("a b"),
            variant: Some("idle"),
            ..plain.clone()
        };
        let made = [plain, bound, destination, process];
        let told = made.map(|made| key(&made.finding(&mut random)));
        let expected = [
            "close-wait:4026531840:10.0.0.1:80",
            "close-wait:web:[fe80::1%eth0]:80:to=[fe80::1:80]",
            "slow-request:web:to=[fe80::1:80%eth0]",
            "close-wait:%37:process=a%20b:idle",
        ];
        assert_eq!(told, expected);
        let problem = close_wait::Problem::NotClosed {
            owner: None,
            connections: 1,
        };
        let host = Finding::new("simultaneous", Severity::Info, problem, Subject::default())
            .about(About::Host)
            .variant("fins");
        assert_eq!(key(&host), "simultaneous:fins");
    }

    /// Names of rules are parts of ids, and those of variants and namespaces are beside them.
    #[test]
    fn names_of_rules_need_no_escape() {
        assert!(names().all(|name| escaped(name.as_bytes()) == name));
    }
}
