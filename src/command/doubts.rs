//! Values that are valid but refer to nothing on this host. They cause a warning on stderr before
//! the first action, never an error.

use crate::fmt::text::{Text, text, words};
use crate::host::Host;
use crate::model::filter::{Filter, Side};

/// The warnings about a filter, one line each.
pub fn of_filter(filter: &Filter, host: &mut dyn Host) -> Vec<Text> {
    let netns = Some(filter.netns).filter(|inode| *inode != 0);
    match netns.filter(|inode| !host.has_namespace(*inode)) {
        Some(inode) => vec![no_namespace(inode, host.has_process(inode))],
        None => no_addresses(filter, netns, host),
    }
}

fn no_namespace(inode: u32, is_process: bool) -> Text {
    let advice = match is_process {
        true => text!(
            "; for that of process {inode} write netns=pid:{inode}",
            "；进程 {inode} 的命名空间请写 netns=pid:{inode}"
        ),
        false => Text::default(),
    };
    text!(
        "netns={inode}: no process and no name under /run/netns leads to a network namespace with this \
         inode number{advice}",
        "netns={inode}：没有进程或 `/run/netns` 下的名称对应这个 inode 号的网络命名空间{advice}";
        advice
    )
}

/// Checks single local addresses only: remote addresses are on other hosts, and a network may
/// include addresses that do not exist.
fn no_addresses(filter: &Filter, netns: Option<u32>, host: &mut dyn Host) -> Vec<Text> {
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
        Some(inode) => text!("network namespace {inode}", "网络命名空间 {inode} "),
        None => words!("this host", "本机").into(),
    };
    let absent = host.absent(netns, &addresses);
    let said = |(address, _)| {
        text!(
            "laddr={address}: no interface of {place} has this address",
            "laddr={address}：{place}没有网络接口使用该地址";
            place
        )
    };
    absent.into_iter().map(said).collect()
}
