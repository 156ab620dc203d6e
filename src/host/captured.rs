//! The answers of a host, stored in a capture: for everything that the capture refers to, as of the
//! time when it was written.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::backend::capture::backend::Capture;
use crate::backend::capture::codec::fields;
use crate::backend::capture::read::{Reader, Source};
use crate::backend::capture::write::Writer;
use crate::backend::capture::{self, Problem};
use crate::error::Result;
use crate::fmt::text::{Text, words};
use crate::host::devices::{Devices, WHOSE};
use crate::host::names::{ConnNames, Names};
use crate::host::netns::{Namespace, SETTINGS, TRACKED};
use crate::host::processes::{Found, Living, Process};
use crate::host::sample::{Carried, Target};
use crate::host::sockets::{Listening, Open, OpenSockets};
use crate::host::{Descriptors, Host, LIKELY_PIDS};
use crate::model::conn::Conn;
use crate::model::endpoint::Dev;
use crate::model::holders::Attachment;
use crate::model::ident::{Ident, Owner};
use crate::model::key::{Lookup, Parsed, number};

/// An object of a namespace that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Device {
    netns: u32,
    index: u32,
    name: String,
}

/// The settings and counters of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Space {
    inode: u32,
    closed: Option<String>,
    settings: Vec<(String, String)>,
    counters: Vec<(String, u64)>,
}

/// A listening socket and its namespace. Earlier versions wrote a process that has it open, if the
/// module did not know one, and no open sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Socket {
    netns: u32,
    socket: Listening,
    holder: Option<Owner>,
}

/// Open files of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Files {
    pid: u32,
    files: Descriptors,
}

/// A process that was looked for; `None`: it had ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Looked {
    pid: u32,
    process: Option<Process>,
}

fields! {
    Device { netns index name }
    Space { inode closed settings counters }
    Listening { addr port inode }
    Socket { netns socket holder }
    Descriptors { open limit }
    Files { pid files }
    Process { owner uid cgroup started_ns }
    Looked { pid process }
}

/// A namespace that connections belong to.
struct Seen {
    example: Ident,
    /// Processes that are likely in it.
    pids: Vec<u32>,
}

/// Everything that a capture refers to and that has a name on the host.
#[derive(Default)]
pub struct Referred {
    /// By id, each with a connection in it.
    cgroups: FxHashMap<u64, Ident>,
    namespaces: FxHashMap<u32, Seen>,
    /// By namespace and index, each with a process that is likely in the namespace.
    devices: FxHashMap<(u32, u32), Option<u32>>,
    /// Owners of live connections and listeners.
    pids: BTreeSet<u32>,
    /// Owners of events.
    past: FxHashSet<u32>,
    /// The last of them: mostly it is the next one, too.
    last: Option<u32>,
    /// Inode numbers of the sockets of live connections.
    inodes: Vec<u64>,
}

impl Referred {
    /// Remembers the cgroup, namespace, device and owner of a connection.
    pub fn add(&mut self, who: &Ident) {
        let pid = who.owner.map(|owner| owner.pid);
        if let Some(pid) = pid.filter(|_| pid != self.last) {
            self.last = Some(pid);
            self.past.insert(pid);
        }
        if let Some(id) = who.cgroup {
            self.cgroups.entry(id).or_insert(*who);
        }
        let seen = || Seen {
            example: *who,
            pids: Vec::new(),
        };
        self.namespaces.entry(who.netns).or_insert_with(seen);
        if who.ifindex != 0 {
            let device = self.devices.entry((who.netns, who.ifindex));
            let pid = device.or_default();
            *pid = pid.or(who.owner.map(|owner| owner.pid));
        }
    }

    /// Remembers a cgroup of the totals.
    pub fn add_cgroup(&mut self, id: u64) {
        if let Some(seen) = self.namespaces.values().next() {
            let cgroup = Some(id);
            let example = Ident {
                cgroup,
                ..seen.example
            };
            self.cgroups.entry(id).or_insert(example);
        }
    }

    /// Remembers the names of a live connection or listener, and its owner.
    pub fn add_live(&mut self, who: &Ident) {
        self.add(who);
        let Some(Owner { pid, .. }) = who.owner else {
            return;
        };
        self.pids.insert(pid);
        if let Some(seen) = self.namespaces.get_mut(&who.netns) {
            if seen.pids.len() < LIKELY_PIDS && !seen.pids.contains(&pid) {
                seen.pids.push(pid);
            }
        }
    }

    /// Remembers a live connection and its socket.
    pub fn add_conn(&mut self, conn: &Conn) {
        self.add_live(&conn.who);
        if let Attachment::Inode(inode) = Attachment::of(conn) {
            self.inodes.push(inode);
        }
    }

    /// Asks the host for all of them, and writes the answers.
    ///
    /// # Errors
    /// The capture cannot be written.
    pub fn write<W: Write>(mut self, host: &mut dyn Host, writer: &mut Writer<W>) -> Result<()> {
        let (spaces, sockets) = self.namespaces(host);
        self.inodes.extend(sockets.iter().map(|s| s.socket.inode));
        let (open, complete) = self.open_sockets(host);
        let processes = self.processes(host);
        for cgroup in processes.iter().filter_map(|p| p.process?.cgroup) {
            self.add_cgroup(cgroup);
        }
        self.write_names(host, writer)?;
        writer.put_all(capture::NAMESPACES, &spaces)?;
        writer.put_all(capture::SOCKETS, &sockets)?;
        for pid in &self.pids {
            if let Some(files) = host.descriptors(*pid) {
                writer.put(capture::DESCRIPTORS, &Files { pid: *pid, files })?;
            }
        }
        writer.put_all(capture::PROCESSES, &processes)?;
        writer.put_all(capture::OPEN_SOCKETS, &open)?;
        writer.put(capture::SCANS, &complete)
    }

    fn write_names<W: Write>(&self, host: &mut dyn Host, writer: &mut Writer<W>) -> Result<()> {
        for (id, who) in &self.cgroups {
            if let Some(path) = host.names(who).cgroup_path() {
                writer.put(capture::CGROUP_PATHS, &(*id, path.to_owned()))?;
            }
        }
        for (inode, seen) in &self.namespaces {
            if let Some(name) = host.names(&seen.example).netns {
                writer.put(capture::NETNS_NAMES, &(*inode, name.to_string()))?;
            }
        }
        for ((netns, index), pid) in &self.devices {
            if let Some(name) = host.dev(*netns, *index, *pid).name {
                let (netns, index, name) = (*netns, *index, name.to_string());
                writer.put(capture::DEVICES, &Device { netns, index, name })?;
            }
        }
        Ok(())
    }

    /// The namespaces and their listening sockets.
    fn namespaces(&self, host: &mut dyn Host) -> (Vec<Space>, Vec<Socket>) {
        let (mut spaces, mut sockets) = (Vec::new(), Vec::new());
        for (netns, seen) in &self.namespaces {
            let read = host.namespace(*netns, &seen.pids);
            let of_netns = |socket: &Listening| Socket {
                netns: *netns,
                socket: *socket,
                holder: None,
            };
            sockets.extend(read.listening.iter().map(of_netns));
            spaces.push(Space::new(*netns, read));
        }
        (spaces, sockets)
    }

    /// Pairs of a socket and a process that has it open, and whether the sockets without a process
    /// have none. Remembers the processes.
    fn open_sockets(&mut self, host: &mut dyn Host) -> (Vec<(u64, u32)>, bool) {
        let mut inodes = std::mem::take(&mut self.inodes);
        inodes.sort_unstable();
        inodes.dedup();
        let (mut pairs, mut complete) = (Vec::new(), true);
        for inode in inodes {
            match host.open_by(inode) {
                Open::By(pids) if pairs.len() + pids.len() <= capture::OPEN => {
                    self.pids.extend(&pids);
                    pairs.extend(pids.into_iter().map(|pid| (inode, pid)));
                }
                Open::Nobody => {}
                Open::By(_) | Open::Unknown => complete = false,
            }
        }
        (pairs, complete)
    }

    /// The processes that are referred to, as far as they are known.
    fn processes(&self, host: &mut dyn Host) -> Vec<Looked> {
        let past = self.past.iter().filter(|pid| !self.pids.contains(pid));
        let pids = self.pids.iter().chain(past).copied();
        let look = |pid| match host.process(pid) {
            Found::Alive(process) => Some(Looked {
                pid,
                process: Some(process),
            }),
            Found::Gone => Some(Looked { pid, process: None }),
            Found::Unknown => None,
        };
        pids.take(capture::NAMES).filter_map(look).collect()
    }
}

impl Space {
    fn new(inode: u32, read: Namespace) -> Self {
        let settings = read.settings.into_iter();
        let settings: BTreeMap<_, _> = settings.map(|(n, v)| (n.to_owned(), v)).collect();
        let counters: BTreeMap<_, _> = read.counters.into_iter().collect();
        Self {
            inode,
            closed: read.closed.map(|reason| reason.en().to_owned()),
            settings: settings.into_iter().collect(),
            counters: counters.into_iter().collect(),
        }
    }

    /// Drops settings that this version does not know: no remedy uses them.
    fn into_namespace(self) -> Namespace {
        let known = |(name, value): (String, String)| {
            let name = SETTINGS.iter().find(|known| **known == name)?;
            Some((*name, value))
        };
        Namespace {
            settings: self.settings.into_iter().filter_map(known).collect(),
            counters: self.counters.into_iter().collect(),
            listening: Vec::new(),
            closed: self.closed.map(Text::same),
        }
    }
}

/// The host on which a capture was written, as far as the capture refers to it.
pub struct CapturedHost {
    cgroups: Vec<(u64, String)>,
    netns: Vec<(u32, String)>,
    devices: Vec<Device>,
    names: Names,
    namespaces: HashMap<u32, Namespace>,
    descriptors: HashMap<u32, Descriptors>,
    processes: Rc<FxHashMap<u32, Found<Process>>>,
    sockets: OpenSockets,
}

impl CapturedHost {
    /// Reads the data about the host from a capture.
    ///
    /// # Errors
    /// The data is invalid.
    pub fn new(capture: &Capture<impl Source>) -> Result<Self> {
        Self::read(capture.reader()).map_err(|problem| capture.error(problem))
    }

    fn read(reader: &Reader<impl Source>) -> std::result::Result<Self, Problem> {
        let (cgroups, netns) = (
            reader.table(capture::CGROUP_PATHS)?,
            reader.table(capture::NETNS_NAMES)?,
        );
        let devices = reader.table(capture::DEVICES)?;
        let mut namespaces = HashMap::new();
        for space in reader.table::<Space>(capture::NAMESPACES)? {
            namespaces.insert(space.inode, space.into_namespace());
        }
        let mut processes = FxHashMap::default();
        for Looked { pid, process } in reader.table(capture::PROCESSES)? {
            processes.insert(pid, process.map_or(Found::Gone, Found::Alive));
        }
        let mut open: Vec<(u64, u32)> = reader.table(capture::OPEN_SOCKETS)?;
        let complete = reader.table(capture::SCANS)?.first() == Some(&true);
        for Socket {
            netns,
            socket,
            holder,
        } in reader.table(capture::SOCKETS)?
        {
            if let Some(namespace) = namespaces.get_mut(&netns) {
                namespace.listening.push(socket);
            }
            if let Some(owner) = holder {
                open.push((socket.inode, owner.pid));
                processes.entry(owner.pid).or_insert(only_named(owner));
            }
        }
        let descriptors = reader.table::<Files>(capture::DESCRIPTORS)?;
        let processes = Rc::new(processes);
        Ok(Self {
            names: names(&cgroups, &netns, &devices, &processes),
            cgroups,
            netns,
            devices,
            namespaces,
            descriptors: descriptors.into_iter().map(|f| (f.pid, f.files)).collect(),
            processes,
            sockets: OpenSockets::new(open, complete),
        })
    }

    /// All names, for printing.
    pub fn all_names(&self) -> Names {
        names(&self.cgroups, &self.netns, &self.devices, &self.processes)
    }
}

/// A process of which an earlier version has written the name only.
fn only_named(owner: Owner) -> Found<Process> {
    Found::Alive(Process {
        owner,
        uid: None,
        cgroup: None,
        started_ns: 0,
    })
}

fn names(
    cgroups: &[(u64, String)],
    netns: &[(u32, String)],
    devices: &[Device],
    processes: &Rc<FxHashMap<u32, Found<Process>>>,
) -> Names {
    let mut by_netns: FxHashMap<u32, Vec<(u32, String)>> = FxHashMap::default();
    for Device { netns, index, name } in devices {
        by_netns
            .entry(*netns)
            .or_default()
            .push((*index, name.clone()));
    }
    let devices = Devices::new(Box::new(move |netns, _| by_netns.get(&netns).cloned()));
    let processes = processes.clone();
    let started = move |pid: u32| processes.get(&pid).map_or(Found::Unknown, |p| p.started());
    Names::known(cgroups, netns)
        .with_devices(devices)
        .with_living(Living::new(Box::new(started)))
}

/// Looks up names in a capture, which is read when the first name is asked for.
pub struct InCapture<'a> {
    path: &'a Path,
    host: OnceCell<Parsed<CapturedHost>>,
}

impl<'a> InCapture<'a> {
    /// Looks up names in the capture at `path`.
    pub fn new(path: &'a Path) -> Self {
        let host = OnceCell::new();
        Self { path, host }
    }

    fn host(&self) -> Parsed<&CapturedHost> {
        let read = || {
            let host = Capture::open(self.path).and_then(|capture| CapturedHost::new(&capture));
            host.map_err(|error| error.text())
        };
        self.host.get_or_init(read).as_ref().map_err(Clone::clone)
    }
}

impl Lookup for InCapture<'_> {
    fn device(&self, name: &str, netns: u32) -> Parsed<u32> {
        let netns = self.netns_of_devices(netns)?;
        let devices = &self.host()?.devices;
        let is_it = |device: &&Device| (device.netns, device.name.as_str()) == (netns, name);
        let known = devices.iter().find(is_it).map(|device| device.index);
        // The name of a device may be a number.
        let index = || number(name).ok().and_then(|n| u32::try_from(n).ok());
        known
            .or_else(|| index().filter(|index| *index != 0))
            .ok_or_else(|| {
                let text = words!(
                    "the capture has no device of this name there",
                    "捕获文件中该命名空间没有这个名称的设备"
                );
                text.into()
            })
    }

    fn netns_of_devices(&self, netns: u32) -> Parsed<u32> {
        match netns {
            0 => Err(WHOSE.into()),
            netns => Ok(netns),
        }
    }

    fn netns(&self, name: &str) -> Parsed<u32> {
        // The path on the original host is accepted too.
        let name = name.strip_prefix("/run/netns/").unwrap_or(name);
        let namespaces = &self.host()?.netns;
        let known = namespaces.iter().find(|(_, known)| known == name);
        known.map(|(inode, _)| *inode).ok_or_else(|| {
            let text = words!(
                "the capture has no namespace of this name",
                "捕获文件中没有这个名称的命名空间"
            );
            text.into()
        })
    }
}

impl Host for CapturedHost {
    fn names(&mut self, who: &Ident) -> ConnNames {
        self.names.of(who)
    }

    fn dev(&mut self, netns: u32, index: u32, pid: Option<u32>) -> Dev {
        self.names.dev_at(netns, index, pid)
    }

    fn namespace(&mut self, inode: u32, _: &[u32]) -> Namespace {
        let known = self.namespaces.get(&inode).cloned();
        known.unwrap_or_else(|| Namespace {
            closed: Some(words!("the capture has nothing of it", "捕获文件中没有它的数据").into()),
            ..Namespace::default()
        })
    }

    fn tracks_connections(&mut self) -> bool {
        let mut namespaces = self.namespaces.values();
        namespaces.any(|namespace| namespace.counter(TRACKED).is_some())
    }

    fn descriptors(&mut self, pid: u32) -> Option<Descriptors> {
        self.descriptors.get(&pid).copied()
    }

    fn open_by(&mut self, inode: u64) -> Open {
        self.sockets.get(inode)
    }

    fn process(&mut self, pid: u32) -> Found<Process> {
        self.processes.get(&pid).copied().unwrap_or(Found::Unknown)
    }

    /// Current packets are unrelated to those at the time of the capture.
    fn sample(&mut self, targets: &[Target], _: Duration) -> Vec<Carried> {
        vec![Carried::default(); targets.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::capture::codec::tests::assert_round_trip;
    use crate::model::ident::tests::ident;

    #[test]
    fn what_a_host_answers_comes_back() {
        let name = || "x".to_owned();
        let socket = Listening {
            addr: [10, 0, 0, 1].into(),
            port: 80,
            inode: 1 << 40,
        };
        let owner = Owner {
            pid: 7,
            comm: *b"nginx\0\0\0\0\0\0\0\0\0\0\0",
        };
        let files = Descriptors {
            open: 5,
            limit: Some(9),
        };
        assert_round_trip(&Device {
            netns: 1,
            index: 2,
            name: name(),
        });
        assert_round_trip(&Space {
            inode: 1,
            closed: Some(name()),
            settings: vec![(name(), name())],
            counters: vec![(name(), 1)],
        });
        assert_round_trip(&Socket {
            netns: 1,
            socket,
            holder: Some(owner),
        });
        assert_round_trip(&Files { pid: 7, files });
        let process = Process {
            owner,
            uid: Some(33),
            cgroup: Some(1),
            started_ns: 5,
        };
        for process in [Some(process), None] {
            assert_round_trip(&Looked { pid: 7, process });
        }
    }

    /// A host that answers with numbers.
    struct Numbered;

    impl Host for Numbered {
        fn names(&mut self, who: &Ident) -> ConnNames {
            let cgroups: Vec<_> = who
                .cgroup
                .map(|id| (id, format!("/g{id}")))
                .into_iter()
                .collect();
            Names::known(&cgroups, &[(who.netns, format!("n{}", who.netns))]).of(who)
        }

        fn dev(&mut self, netns: u32, index: u32, _: Option<u32>) -> Dev {
            let name = Some(format!("d{netns}-{index}").into());
            Dev { index, name }
        }

        fn namespace(&mut self, inode: u32, pids: &[u32]) -> Namespace {
            let closed = pids.is_empty().then(|| Text::same("no way"));
            let listening = Listening {
                addr: [10, 0, 0, 1].into(),
                port: 80,
                inode: inode.into(),
            };
            Namespace {
                settings: [(SETTINGS[0], inode.to_string())].into(),
                counters: [("C".to_owned(), inode.into())].into(),
                listening: vec![listening],
                closed,
            }
        }

        fn descriptors(&mut self, pid: u32) -> Option<Descriptors> {
            let open = pid.into();
            (pid != 9).then_some(Descriptors { open, limit: None })
        }

        fn open_by(&mut self, inode: u64) -> Open {
            match inode {
                9 => Open::Nobody,
                _ => Open::By(vec![100 + inode as u32, 200]),
            }
        }

        fn process(&mut self, pid: u32) -> Found<Process> {
            let process = Process {
                owner: Owner {
                    pid,
                    comm: [b'h'; 16],
                },
                uid: None,
                cgroup: Some(pid.into()),
                started_ns: 50,
            };
            match pid {
                7 => Found::Gone,
                8 => Found::Unknown,
                _ => Found::Alive(process),
            }
        }

        fn sample(&mut self, _: &[Target], _: Duration) -> Vec<Carried> {
            Vec::new()
        }
    }

    fn captured(referred: Referred) -> CapturedHost {
        let mut writer = Writer::new(Vec::new(), "memory").unwrap();
        referred.write(&mut Numbered, &mut writer).unwrap();
        let bytes = writer.finish().unwrap();
        let reader = Reader::new(bytes, capture::KINDS).unwrap();
        CapturedHost::read(&reader).unwrap()
    }

    fn owned(mut who: Ident, netns: u32, pid: u32) -> Ident {
        who.netns = netns;
        who.cgroup = Some(pid.into());
        who.owner = (pid != 0).then_some(Owner { pid, comm: [0; 16] });
        who
    }

    #[test]
    fn all_that_is_referred_to_has_its_answer() {
        let who = ident("10.0.0.1:80", "10.0.0.2:9");
        let mut referred = Referred::default();
        let past = owned(Ident { ifindex: 3, ..who }, 1, 7);
        referred.add(&past);
        referred.add_live(&owned(who, 2, 8));
        referred.add_live(&owned(who, 2, 9));
        referred.add_live(&owned(who, 3, 0));
        let mut host = captured(referred);
        let names = host.names(&past);
        assert_eq!(
            (names.cgroup_path(), names.netns.as_deref()),
            (Some("/g7"), Some("n1"))
        );
        let dev = names.dev.unwrap();
        assert_eq!((dev.index, dev.name.as_deref()), (3, Some("d1-3")));
        assert!(host.all_names().of(&owned(who, 2, 8)).cgroup_path() == Some("/g8"));
        let space = host.namespace(2, &[]);
        assert_eq!(
            (space.setting(SETTINGS[0]), space.counter("C")),
            (Some("2"), Some(2))
        );
        assert_eq!((space.closed, space.listening[0].inode), (None, 2));
        assert_eq!(host.namespace(1, &[]).closed, Some(Text::same("no way")));
        assert_eq!(
            host.namespace(4, &[]).closed.as_ref().map(Text::en),
            Some("the capture has nothing of it")
        );
        let open = |host: &mut CapturedHost, pid| host.descriptors(pid).map(|d| d.open);
        let counts = [7, 8, 9, 103].map(|pid| open(&mut host, pid));
        assert_eq!(counts, [None, Some(8), None, Some(103)], "of live ones");
        let open = |host: &mut CapturedHost, netns| {
            let socket = Numbered.namespace(netns, &[]).listening[0];
            host.open_by(socket.inode)
        };
        assert_eq!(open(&mut host, 2), Open::By(vec![102, 200]));
        assert_eq!(host.open_by(9), Open::Nobody);
        let processes = [7, 8, 102].map(|pid| host.process(pid));
        assert_eq!(processes, [7, 8, 102].map(|pid| Numbered.process(pid)));
        // A cgroup that only a process is in.
        assert_eq!(
            host.all_names().of(&owned(who, 2, 102)).cgroup_path(),
            Some("/g102")
        );
        let mut names = host.all_names();
        let ended = [(7, 60), (8, 60), (102, 60), (102, 40)];
        let ended = ended.map(|(pid, ts)| names.has_ended(&owned(who, 2, pid), ts));
        assert_eq!(ended, [true, false, false, true]);
    }

    #[test]
    fn of_an_earlier_version_only_listeners_without_an_owner_are_known() {
        let socket = Listening {
            addr: [10, 0, 0, 1].into(),
            port: 80,
            inode: 5,
        };
        let comm = *b"apache2\0\0\0\0\0\0\0\0\0";
        let owner = Owner { pid: 77, comm };
        let mut writer = Writer::new(Vec::new(), "memory").unwrap();
        let socket = Socket {
            netns: 1,
            socket,
            holder: Some(owner),
        };
        writer.put(capture::SOCKETS, &socket).unwrap();
        let reader = Reader::new(writer.finish().unwrap(), capture::KINDS).unwrap();
        let mut host = CapturedHost::read(&reader).unwrap();
        assert_eq!(host.open_by(5), Open::By(vec![77]));
        assert_eq!(host.process(77), only_named(owner));
        assert_eq!(
            (host.open_by(6), host.process(78)),
            (Open::Unknown, Found::Unknown)
        );
    }
}
