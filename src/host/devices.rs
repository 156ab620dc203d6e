//! Names of network devices. A socket may be bound to a device, by its program or because its
//! peer's address is link-local. Its addresses are then only meaningful together with the device.
//! The module provides the index, which is specific to a namespace.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use nix::net::if_::if_nameindex;
use rustc_hash::FxHashMap;

use crate::fmt::errno;
use crate::fmt::escape::printable;
use crate::fmt::text::{Text, Words, text, words};
use crate::host::names::uptime;
use crate::host::netns::{self, Namespaces, inode_of, inside};
use crate::model::endpoint::Dev;
use crate::model::ident::Ident;
use crate::model::key::Parsed;

/// How long names are valid, and the time between tries if they are not available: a try may search
/// all processes for a way into the namespace.
const REFRESH: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_secs(10);
/// Maximum number of namespaces whose names are kept, and of names for each.
const MOST_NAMESPACES: usize = 256;
const MOST_NAMES: usize = 16_384;
/// Maximum number of names in an error.
const MOST_TOLD: usize = 8;
/// Path to the namespace of the calling thread.
const HERE: &str = "/proc/thread-self/ns/net";

/// Names of devices, by their indices.
type Names = FxHashMap<u32, Rc<str>>;

/// Reads the names of a namespace, given a process that is likely in it; `None`: not available.
pub type Read = Box<dyn FnMut(u32, Option<u32>) -> Option<Vec<(u32, String)>>>;

/// Names that were read from one namespace.
struct Known {
    names: Names,
    read: Duration,
    /// How long they are valid.
    lasts: Duration,
}

/// Names of devices by namespace and index. They are read on first use, and again when they are
/// old: devices are renamed, and namespace numbers are reused.
pub struct Devices {
    read: Read,
    known: FxHashMap<u32, Known>,
}

impl Devices {
    /// Uses `read` to read names.
    pub fn new(read: Read) -> Self {
        Self {
            read,
            known: FxHashMap::default(),
        }
    }

    /// Names of this host.
    pub fn of_host() -> Self {
        Self::new(Box::new(|netns, pid| read(netns, pid).ok()))
    }

    /// The device that a socket is bound to.
    #[inline]
    pub fn of(&mut self, who: &Ident) -> Option<Dev> {
        let pid = || who.owner.map(|o| o.pid);
        (who.ifindex != 0).then(|| self.get(who.netns, who.ifindex, pid()))
    }

    /// A device of a namespace; `pid` is a process that is likely in it.
    pub fn get(&mut self, netns: u32, index: u32, pid: Option<u32>) -> Dev {
        let now = uptime();
        let is_new = |known: &Known| now.saturating_sub(known.read) < known.lasts;
        if !self.known.get(&netns).is_some_and(is_new) {
            self.refresh(netns, pid, now);
        }
        let known = self.known.get(&netns);
        Dev {
            index,
            name: known.and_then(|known| known.names.get(&index).cloned()),
        }
    }

    fn refresh(&mut self, netns: u32, pid: Option<u32>, now: Duration) {
        if self.known.len() >= MOST_NAMESPACES && !self.known.contains_key(&netns) {
            self.known.clear();
        }
        let read = (self.read)(netns, pid);
        let lasts = if read.is_some() { REFRESH } else { RETRY };
        let names = read.unwrap_or_default().into_iter().take(MOST_NAMES);
        let known = Known {
            names: names.map(|(index, name)| (index, name.into())).collect(),
            read: now,
            lasts,
        };
        self.known.insert(netns, known);
    }
}

/// The inode number of the namespace of the calling thread.
fn netns_here() -> Option<u32> {
    inode_of(Path::new(HERE)).and_then(|inode| u32::try_from(inode).ok())
}

/// Reads the devices of a namespace; the error says why they are not available.
fn read(netns: u32, pid: Option<u32>) -> Parsed<Vec<(u32, String)>> {
    if netns_here() == Some(netns) {
        return read_here();
    }
    let pids: Vec<_> = pid.into_iter().collect();
    let path = Namespaces::default().find(netns.into(), &pids);
    let path = path.ok_or(netns::NO_PATH)?;
    inside(&path, netns, read_here)?
}

fn read_here() -> Parsed<Vec<(u32, String)>> {
    let all = if_nameindex().map_err(|e| {
        let reason = errno::description(e);
        text!("reading them: {reason}", "读取失败：{reason}"; reason)
    })?;
    let one = |device: &nix::net::if_::Interface| {
        let name = device.name().to_string_lossy().into_owned();
        (device.index(), name)
    };
    Ok(all.iter().map(one).collect())
}

/// Devices are looked up in a namespace.
pub(crate) const WHOSE: Words = words!(
    "say with netns= whose device that is",
    "请用 netns= 指明这是哪个命名空间的设备"
);

/// The namespace for a device in a filter: the one that `netns=` names, otherwise that of the
/// controller.
///
/// # Errors
/// The remedy, as text.
pub fn netns_of_filter(netns: u32) -> Parsed<u32> {
    match netns {
        0 => netns_here().ok_or_else(|| WHOSE.into()),
        netns => Ok(netns),
    }
}

/// The index of a device, given as an index or as a name in the namespace that `netns=` names (0:
/// that of the controller).
///
/// # Errors
/// The problem and the remedy, as text.
pub fn index(text: &str, netns: u32) -> Parsed<u32> {
    let number = || -> Option<u32> {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|n| digits && *n != 0)
    };
    let of = netns_of_filter(netns)?;
    let devices = match (read(of, None), number()) {
        (Ok(devices), _) => devices,
        (Err(_), Some(number)) => return Ok(number),
        (Err(reason), None) => {
            return Err(text!(
                "the devices of network namespace {of} cannot be looked up ({reason}): write the \
                 index of the device, such as fe80::1%2",
                "无法查找网络命名空间 {of} 的网络设备（{reason}）：请写设备的索引，如 fe80::1%2";
                reason
            ));
        }
    };
    // The name of a device may be a number.
    let named = devices.iter().find(|(_, name)| name == text);
    named
        .map(|(index, _)| *index)
        .or_else(number)
        .ok_or_else(|| unknown(text, netns, devices))
}

fn unknown(text: &str, netns: u32, devices: Vec<(u32, String)>) -> Text {
    let all = devices.len();
    let names = devices.into_iter().map(|(_, name)| printable(&name));
    let mut told: Vec<_> = names.take(MOST_TOLD).collect();
    if all > MOST_TOLD {
        told.push("...".into());
    }
    let (text, told) = (printable(text), told.join(", "));
    match netns {
        0 => text!(
            "'{text}' is not a device of this network namespace, which has {told}; for another \
             namespace add netns=",
            "'{text}' 不是本网络命名空间的设备，这里有 {told}；其他命名空间请加上 netns="
        ),
        netns => text!(
            "'{text}' is not a device of network namespace {netns}, which has {told}",
            "'{text}' 不是网络命名空间 {netns} 的设备，那里有 {told}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::line;
    use crate::model::ident::tests::ident;
    use std::cell::Cell;

    #[test]
    fn the_devices_of_this_namespace_have_names() {
        let here = netns_here().unwrap();
        let mut devices = Devices::of_host();
        assert_eq!(line::text(&devices.get(here, 1, None)), "lo");
        assert_eq!(line::text(&devices.get(here, u32::MAX, None)), "4294967295");
        assert_eq!(line::text(&devices.get(1, 7, None)), "7");
        let mut who = ident("[fe80::1]:80", "[fe80::2]:40000");
        assert_eq!(devices.of(&who), None);
        (who.netns, who.ifindex) = (here, 1);
        let name = devices.of(&who).and_then(|dev| dev.name);
        assert_eq!(name.as_deref(), Some("lo"));
    }

    #[test]
    fn a_device_is_found_by_name_and_by_index() {
        let here = netns_here().unwrap();
        for netns in [0, here] {
            assert_eq!(index("lo", netns), Ok(1));
            assert_eq!(index("77", netns), Ok(77));
            for wrong in ["", "0", "+1", "no-such-device", "4294967296"] {
                let error = index(wrong, netns).unwrap_err();
                let error = error.en();
                assert!(error.contains("which has lo"), "{error}");
                assert_eq!(error.contains("add netns="), netns == 0, "{error}");
            }
        }
        assert_eq!(index("7", 1), Ok(7));
        let error = index("eth0", 1).unwrap_err();
        assert!(error.en().contains("write the index"), "{error:?}");
        assert_eq!(netns_of_filter(0), Ok(here));
        assert_eq!(netns_of_filter(9), Ok(9));
    }

    #[test]
    fn names_are_kept_for_a_while_and_few_at_a_time() {
        let reads = Rc::new(Cell::new(0));
        let counted = reads.clone();
        let mut devices = Devices::new(Box::new(move |netns, _| {
            counted.set(counted.get() + 1);
            Some(vec![(2, format!("eth{netns}\n"))])
        }));
        for _ in 0..100 {
            assert_eq!(line::text(&devices.get(5, 2, None)), "eth5\\n");
            assert_eq!(line::text(&devices.get(5, 3, None)), "3");
        }
        assert!(reads.get() < 5, "{}", reads.get());
        (0..3_000).for_each(|netns| drop(devices.get(netns, 2, None)));
        assert!(devices.known.len() <= MOST_NAMESPACES);
    }
}
