//! Warnings about namespaces and local addresses that do not exist, with a host made by the test.

use std::net::IpAddr;
use std::time::Duration;

use diagnose_tools::cli::parse;
use diagnose_tools::command::doubts::of_filter;
use diagnose_tools::host::addresses::Local;
use diagnose_tools::host::names::ConnNames;
use diagnose_tools::host::netns::Namespace;
use diagnose_tools::host::sample::{Carried, Target};
use diagnose_tools::host::{Descriptors, Host};
use diagnose_tools::model::ident::Ident;

const NETNS: u32 = 4_026_531_840;

/// A host with one namespace, process 77, and the addresses 10.0.0.1 and ::1.
struct Small;

impl Host for Small {
    fn names(&mut self, _: &Ident) -> ConnNames {
        ConnNames::default()
    }

    fn namespace(&mut self, _: u32, _: &[u32]) -> Namespace {
        Namespace::default()
    }

    fn descriptors(&mut self, _: u32) -> Option<Descriptors> {
        None
    }

    fn sample(&mut self, _: &[Target], _: Duration) -> Vec<Carried> {
        Vec::new()
    }

    fn has_namespace(&mut self, inode: u32) -> bool {
        inode == NETNS
    }

    fn has_process(&mut self, pid: u32) -> bool {
        pid == 77
    }

    fn absent(&mut self, netns: Option<u32>, addresses: &[Local]) -> Vec<Local> {
        assert!(netns.is_none_or(|inode| inode == NETNS) && !addresses.is_empty());
        let here = ["10.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().unwrap());
        let absent = addresses
            .iter()
            .filter(|(address, _)| !here.contains(address));
        absent.copied().collect()
    }
}

fn doubts(keys: &str) -> Vec<String> {
    let options = parse::report(keys).unwrap();
    let doubts = of_filter(&options.show.filter, &mut Small);
    doubts.iter().map(|doubt| doubt.en().to_owned()).collect()
}

#[test]
fn a_local_address_that_no_interface_has_is_told() {
    assert_eq!(
        doubts("laddr=10.0.0.1|10.0.0.2|!10.0.0.3|2001:db8::1|::1"),
        [
            "laddr=10.0.0.2: no interface of this host has this address",
            "laddr=2001:db8::1: no interface of this host has this address",
        ]
    );
    assert_eq!(
        doubts(&format!("laddr=10.0.0.2 netns={NETNS}")),
        ["laddr=10.0.0.2: no interface of network namespace 4026531840 has this address"]
    );
}

#[test]
fn networks_negations_and_other_sides_are_not_told() {
    for keys in [
        "",
        "laddr=10.0.0.1",
        "laddr=10.9.0.0/16",
        "laddr=!10.0.0.2",
        "addr=10.0.0.2",
        "raddr=10.0.0.2",
        &format!("netns={NETNS}"),
    ] {
        assert_eq!(doubts(keys), [""; 0], "{keys}");
    }
}

#[test]
fn a_namespace_that_does_not_exist_is_told_alone() {
    assert_eq!(
        doubts("netns=78 laddr=10.0.0.2"),
        [
            "netns=78: no process and no name under /run/netns leads to a network namespace with this \
             inode number"
        ]
    );
    assert_eq!(
        doubts("netns=77"),
        [
            "netns=77: no process and no name under /run/netns leads to a network namespace with this \
             inode number; for that of process 77 write netns=pid:77"
        ]
    );
}
