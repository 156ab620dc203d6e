//! Values that are valid but refer to nothing on this host. They cause a warning on stderr before
//! the first action, never an error.

use crate::host::Host;
use crate::model::filter::{Filter, Side};

/// The warnings about a filter, one line each.
pub fn of_filter(filter: &Filter, host: &mut dyn Host) -> Vec<String> {
    let netns = Some(filter.netns).filter(|inode| *inode != 0);
    match netns.filter(|inode| !host.has_namespace(*inode)) {
        Some(inode) => vec![no_namespace(inode, host.has_process(inode))],
        None => no_addresses(filter, netns, host),
    }
}

fn no_namespace(inode: u32, is_process: bool) -> String {
    let advice = match is_process {
        true => format!("; for that of process {inode} write netns=pid:{inode}"),
        false => String::new(),
    };
    format!(
        "netns={inode}: no process and no name under /run/netns leads to a network namespace with this \
         inode number{advice}"
    )
}

/// Checks single local addresses only: remote addresses are on other hosts, and a network may
/// include addresses that do not exist.
fn no_addresses(filter: &Filter, netns: Option<u32>, host: &mut dyn Host) -> Vec<String> {
    let local = filter
        .addrs
        .iter()
        .filter(|r| r.side == Side::Local && !r.negate);
    let addresses: Vec<_> = local
        .filter_map(|rule| Some((rule.address()?, rule.ifindex)))
        .collect();
    if addresses.is_empty() {
        return Vec::new();
    }
    let place = match netns {
        Some(inode) => format!("network namespace {inode}"),
        None => "this host".to_owned(),
    };
    let absent = host.absent(netns, &addresses);
    let said = |(address, _)| format!("laddr={address}: no interface of {place} has this address");
    absent.into_iter().map(said).collect()
}
