//! The data that the rules check: one snapshot of the live connections, the tables of listeners and
//! of pairs, the transitions of the last minute, and, if a rule requests them, the settings and
//! counters of a network namespace.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::backend::{Backend, session};
use crate::diagnose::finding::{Finding, Peer, Remedy, Severity, Subject};
use crate::diagnose::message::SocketAddress;
use crate::diagnose::other_ends::OtherEnds;
use crate::diagnose::parties::Parties;
use crate::diagnose::recent::Recent;
use crate::diagnose::rules::{Action, Problem};
use crate::diagnose::service::{Live, Service, Side, Sockets, live, service};
use crate::diagnose::subflows::Subflows;
use crate::diagnose::tally::Tally;
use crate::error::Result;
use crate::fmt::text::Text;
use crate::host::held;
use crate::host::netns::Namespace;
use crate::host::sample::{Carried, Target};
use crate::host::sockets::Listening;
use crate::host::{Descriptors, Host, LIKELY_PIDS};
use crate::model::activation::Settings;
use crate::model::conn::Conn;
use crate::model::endpoint::{Dev, is_link_local};
use crate::model::filter::Filter;
use crate::model::holders::{Attachment, Held, ListenerInodes, add_listeners};
use crate::model::ident::{Ident, Owner, Remote, Role};
use crate::model::listener::Listener;
use crate::model::lives::Lives;
use crate::model::pair::Pair;
use crate::model::state::State;
use crate::model::transition_count::TransitionCount;

const NS_PER_MS: u64 = 1_000_000;
/// Minimum share of a peer to be listed in a finding, in percent of its connections.
const STANDS_OUT: u64 = 1;

/// All data that the rules check.
pub struct Facts<'a> {
    /// Monotonic nanoseconds, read after all other data.
    pub now_ns: u64,
    /// Settings of the activation.
    pub settings: Settings,
    /// The live connections.
    pub conns: Vec<Conn>,
    /// The listeners.
    pub listeners: Vec<Listener>,
    /// The pairs of addresses.
    pub pairs: Vec<Pair>,
    /// Transition counts since the activation.
    pub transition_counts: Vec<TransitionCount>,
    /// Transitions of the last minute.
    pub recent: Recent,
    /// Connections that have ended since the activation, whatever the filter.
    pub lives: Lives,
    /// How long to sample packets of slow clients; zero: no sampling.
    pub patience: Duration,
    /// Whether a filter excludes some connections.
    pub narrowed: bool,
    live: HashMap<Service, Live>,
    sockets: Sockets,
    /// The sockets of the live connections, by the module's ids, once a process was asked for.
    attached: OnceCell<FxHashMap<u64, Attachment>>,
    /// Those of all listeners.
    listening: ListenerInodes,
    other_ends: OtherEnds,
    /// Collected on first use.
    subflows: OnceCell<Subflows>,
    host: RefCell<&'a mut dyn Host>,
    namespaces: RefCell<HashMap<u32, Rc<Namespace>>>,
    /// Devices by namespace and index.
    devices: RefCell<HashMap<(u32, u32), Dev>>,
}

impl<'a> Facts<'a> {
    /// Reads all data of the connections that match `filter` from the module, once.
    ///
    /// # Errors
    /// Not active, or a call fails.
    pub fn gather(
        backend: &dyn Backend,
        filter: &Filter,
        patience: Duration,
        host: &'a mut dyn Host,
    ) -> Result<Self> {
        let settings = session::active_settings(backend)?;
        let mut sockets = Sockets::new();
        for who in backend.listeners()?.iter().map(|l| l.who) {
            sockets.entry((who.netns, who.lport)).or_default().push(who);
        }
        // The slowest read comes first, so that the other data and the counters of the namespaces,
        // which are read last, are from almost the same time.
        let wanted = |who: &Ident| filter.matches(who).then(|| service(&sockets, who));
        let recent = Recent::read(backend, backend.stats()?.now_ns, wanted)?;
        let (mut conns, mut listening) = (Vec::new(), ListenerInodes::default());
        for batch in backend.live() {
            let batch = batch?;
            add_listeners(&mut listening, &batch);
            conns.extend(batch.into_iter().filter(|c| filter.matches(&c.who)));
        }
        let mut pairs = backend.pairs()?;
        pairs.retain(|p| filter.matches_pair(&ends_of(p)));
        let mut listeners = backend.listeners()?;
        listeners.retain(|l| filter.matches_listener(&l.who));
        let transition_counts = backend.transition_counts()?;
        Ok(Self {
            now_ns: backend.stats()?.now_ns,
            recent,
            live: live(&sockets, &conns),
            conns,
            listeners,
            pairs,
            transition_counts,
            lives: backend.lives()?,
            settings,
            patience,
            narrowed: *filter != Filter::default(),
            sockets,
            attached: OnceCell::new(),
            listening,
            other_ends: OtherEnds::default(),
            subflows: OnceCell::new(),
            host: RefCell::new(host),
            namespaces: RefCell::default(),
            devices: RefCell::default(),
        })
    }

    /// The listener or destination of a connection.
    pub fn service(&self, who: &Ident) -> Service {
        service(&self.sockets, who)
    }

    /// Number of connections of a service.
    pub fn live(&self, service: &Service) -> Live {
        self.live.get(service).copied().unwrap_or_default()
    }

    /// The connections that have been in one of these states for at least `age_ms`, by service.
    pub fn in_state(&self, states: &[State], age_ms: u64) -> BTreeMap<Service, Vec<&Conn>> {
        let old = |c: &&Conn| states.contains(&c.state) && self.age_ms(c) >= age_ms;
        let mut by_service: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for conn in self.conns.iter().filter(old) {
            by_service
                .entry(self.service(&conn.who))
                .or_default()
                .push(conn);
        }
        by_service
    }

    /// The other end of a connection, if it is on this host, too.
    pub fn other_end(&self, who: &Ident) -> Option<&Conn> {
        self.other_ends.of(&self.conns, who)
    }

    /// Milliseconds in the state; a lower bound if the exact time is unknown.
    pub fn age_ms(&self, conn: &Conn) -> u64 {
        conn.age(self.now_ns).ns().unwrap_or(0) / NS_PER_MS
    }

    /// Milliseconds since the connection was first seen.
    pub fn lifetime_ms(&self, conn: &Conn) -> u64 {
        self.now_ns.saturating_sub(conn.first_seen_ns) / NS_PER_MS
    }

    /// Seconds since a point in time.
    pub fn seconds_since(&self, ns: u64) -> u64 {
        self.now_ns.saturating_sub(ns) / (1_000 * NS_PER_MS)
    }

    /// The listening sockets by address and port; `SO_REUSEPORT` allows several.
    pub fn endpoints(&self) -> BTreeMap<Service, Vec<&Listener>> {
        let mut endpoints: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for listener in &self.listeners {
            let service = Service {
                netns: listener.who.netns,
                side: Side::Server,
                ifindex: listener.who.ifindex,
                addr: listener.who.local(),
                port: listener.who.lport,
            };
            endpoints.entry(service).or_default().push(listener);
        }
        endpoints
    }

    /// The settings and counters of a namespace, read on first use.
    pub fn namespace(&self, inode: u32) -> Rc<Namespace> {
        if let Some(known) = self.namespaces.borrow().get(&inode) {
            return known.clone();
        }
        let pids = self.pids_in(inode);
        let read = Rc::new(self.host.borrow_mut().namespace(inode, &pids));
        self.namespaces.borrow_mut().insert(inode, read.clone());
        read
    }

    /// A device of a namespace, by its index; `None` for index 0.
    pub fn dev(&self, netns: u32, index: u32) -> Option<Dev> {
        if index == 0 {
            return None;
        }
        if let Some(known) = self.devices.borrow().get(&(netns, index)) {
            return Some(known.clone());
        }
        let pid = self.pids_in(netns).first().copied();
        let dev = self.host.borrow_mut().dev(netns, index, pid);
        self.devices
            .borrow_mut()
            .insert((netns, index), dev.clone());
        Some(dev)
    }

    /// The address, port and device of a service.
    pub fn at(&self, service: &Service) -> SocketAddress {
        SocketAddress {
            addr: service.addr,
            dev: self.dev(service.netns, service.ifindex),
            port: service.port,
        }
    }

    /// Adds the peers with the most connections to a subject, if their share is large enough.
    pub fn set_peers(&self, subject: &mut Subject, peers: &Tally<Remote>) {
        let least = (peers.total * STANDS_OUT).div_ceil(100).max(1);
        let stand_out = peers.at_least(least).into_iter().take(Subject::PEERS);
        let peers_of = stand_out.map(|(remote, count)| self.peer(subject, remote, None, count));
        subject.peers = peers_of.collect();
        subject.peer_count = peers.kinds();
    }

    /// Sets the destinations with the most connections as the peers of a subject.
    pub fn set_destinations(
        &self,
        subject: &mut Subject,
        destinations: &BTreeMap<(Remote, u16), u64>,
    ) {
        let mut most: Vec<_> = destinations.iter().collect();
        most.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let most = most.into_iter().take(Subject::PEERS);
        let peer = |((remote, port), count): (&(Remote, u16), &u64)| {
            self.peer(subject, *remote, Some(*port), *count)
        };
        subject.peers = most.map(peer).collect();
        subject.peer_count = destinations.len() as u64;
    }

    /// A peer of a subject. Includes the device if the address is link-local, or if it differs from
    /// the device of the subject.
    pub fn peer(&self, of: &Subject, remote: Remote, port: Option<u16>, count: u64) -> Peer {
        let Remote { addr, ifindex } = remote;
        let told = of.dev.as_ref().is_some_and(|dev| dev.index == ifindex);
        let netns = of.netns.filter(|_| !told || is_link_local(addr));
        Peer {
            addr,
            dev: netns.and_then(|netns| self.dev(netns, ifindex)),
            port,
            count,
        }
    }

    /// The namespaces that a rule requested but that could not be entered, with the reason.
    pub fn unreadable(&self) -> Vec<(u32, Text)> {
        let namespaces = self.namespaces.borrow();
        let closed = namespaces
            .iter()
            .filter_map(|(inode, n)| Some((*inode, n.closed.clone()?)));
        let mut closed: Vec<_> = closed.collect();
        closed.sort_unstable();
        closed
    }

    /// Some processes that own sockets in a namespace.
    fn pids_in(&self, inode: u32) -> Vec<u32> {
        let listeners = self.listeners.iter().map(|l| &l.who);
        let all = listeners.chain(self.conns.iter().map(|c| &c.who));
        let mut pids = Vec::new();
        for pid in all
            .filter(|who| who.netns == inode)
            .filter_map(|who| who.owner.map(|o| o.pid))
        {
            if !pids.contains(&pid) {
                pids.push(pid);
            }
            if pids.len() >= LIKELY_PIDS {
                break;
            }
        }
        pids
    }

    /// The namespaces with the most connections and listeners.
    pub fn largest_namespaces(&self, most: usize) -> Vec<u32> {
        let listeners = self.listeners.iter().map(|l| l.who.netns);
        let all = Tally::of(listeners.chain(self.conns.iter().map(|c| c.who.netns)));
        let largest = all.at_least(1).into_iter().take(most);
        largest.map(|(netns, _)| netns).collect()
    }

    /// Whether connections are tracked (`nf_conntrack`).
    pub fn tracks_connections(&self) -> bool {
        self.host.borrow_mut().tracks_connections()
    }

    /// The MPTCP connections that have carried data.
    pub fn subflows(&self) -> &Subflows {
        self.subflows.get_or_init(|| Subflows::of(&self.conns))
    }

    /// The open files of a process.
    pub fn descriptors(&self, pid: u32) -> Option<Descriptors> {
        self.host.borrow_mut().descriptors(pid)
    }

    /// Samples the next incoming data of these connections.
    pub fn sample(&self, targets: &[Target]) -> Vec<Carried> {
        self.host.borrow_mut().sample(targets, self.patience)
    }

    /// A connection with the processes that have its socket open; as recorded, if it has ended.
    pub fn held(&self, who: &Ident) -> Held {
        let mut host = self.host.borrow_mut();
        match self.attachment(who) {
            Some(socket) => held::held(&mut **host, who, socket),
            None => held::past(&mut **host, who),
        }
    }

    /// The process that has the socket of a live connection open.
    pub fn holder(&self, who: &Ident) -> Option<Owner> {
        self.held(who).who.owner
    }

    /// The socket of a live connection; `None`: it has ended.
    fn attachment(&self, who: &Ident) -> Option<Attachment> {
        if let Some(inode) = self.listening.get(&who.conn) {
            return Some(Attachment::Inode(*inode));
        }
        if who.role == Some(Role::Listener) {
            return Some(Attachment::Unknown);
        }
        let read = || {
            let socket = |conn: &Conn| (conn.who.conn, Attachment::of(conn));
            self.conns.iter().map(socket).collect()
        };
        self.attached.get_or_init(read).get(&who.conn).copied()
    }

    /// A subject: a listener or a destination, the process that has most of the sockets of `whos`
    /// open, and, for a listener, its largest peers.
    pub fn subject<'b>(
        &self,
        service: &Service,
        whos: impl IntoIterator<Item = &'b Ident> + Clone,
    ) -> Subject {
        let end = Some((service.addr, Some(service.port)));
        let (local, remote) = match service.side {
            Side::Server => (end, None),
            Side::Client => (None, end),
        };
        let mut subject = Subject {
            netns: Some(service.netns),
            local,
            remote,
            dev: self.dev(service.netns, service.ifindex),
            ..Subject::default()
        };
        let parties = self.parties(whos.clone());
        self.set_owner(&mut subject, &parties);
        if service.side == Side::Server {
            let remotes = whos.into_iter().map(Ident::peer);
            // A listener has no remote address.
            let remotes = remotes.filter(|remote| !remote.addr.is_unspecified());
            self.set_peers(&mut subject, &Tally::of(remotes));
        }
        if parties.may_be_of_listener() && service.side == Side::Server {
            self.set_listener_owner(&mut subject, service);
        }
        subject
    }

    fn parties<'b>(&self, whos: impl IntoIterator<Item = &'b Ident>) -> Parties {
        let mut parties = Parties::default();
        for who in whos {
            parties.add(self.held(who));
        }
        parties
    }

    /// A subject without addresses: a namespace, and the process that has most of the sockets of
    /// `whos` open.
    pub fn owners<'b>(&self, netns: u32, whos: impl IntoIterator<Item = &'b Ident>) -> Subject {
        let mut subject = Subject {
            netns: Some(netns),
            ..Subject::default()
        };
        self.set_owner(&mut subject, &self.parties(whos));
        subject
    }

    /// A subject that is a namespace only.
    pub fn nobody(&self, netns: u32) -> Subject {
        let all = self.listeners.iter().map(|l| &l.who);
        let all = all.chain(self.conns.iter().map(|c| &c.who));
        let recent = self.recent.steps.values().map(|steps| &steps.example);
        let example = all.chain(recent).find(|who| who.netns == netns);
        let names = example.map(|who| self.host.borrow_mut().names(who));
        let name = names.as_ref().and_then(|names| names.netns.as_deref());
        Subject {
            netns: Some(netns),
            netns_name: name.map(str::to_owned),
            ..Subject::default()
        }
    }

    /// Sets the owner to the listening process, for connections that are not accepted, are orphans
    /// or are older than the activation.
    fn set_listener_owner(&self, subject: &mut Subject, service: &Service) {
        let listeners = self.sockets.get(&(service.netns, service.port));
        let mut here = listeners.into_iter().flatten();
        let is_it = |who: &&Ident| (who.local(), who.ifindex) == (service.addr, service.ifindex);
        let Some(who) = here.find(is_it) else {
            return;
        };
        let is_known = who.owner.is_some() || self.listening.contains_key(&who.conn);
        let inode = match is_known {
            true => None,
            false => self.socket_of_listener(service),
        };
        let held = match inode {
            Some(inode) => {
                let mut host = self.host.borrow_mut();
                held::held(&mut **host, who, Attachment::Inode(inode))
            }
            None => self.held(who),
        };
        if held.who.owner.is_some() || subject.opened_by.is_none() {
            let mut parties = Parties::default();
            parties.add(held);
            self.set_owner(subject, &parties);
        }
    }

    /// The inode number of a listening socket that is not among the live connections, according to
    /// `/proc`, which does not show devices.
    fn socket_of_listener(&self, service: &Service) -> Option<u64> {
        let listeners = self.sockets.get(&(service.netns, service.port));
        let mut same = listeners.into_iter().flatten();
        if same.any(|l| l.local() == service.addr && l.ifindex != service.ifindex) {
            return None;
        }
        let namespace = self.namespace(service.netns);
        let is_it = |l: &&Listening| l.addr == service.addr && l.port == service.port;
        namespace.listening.iter().find(is_it).map(|l| l.inode)
    }

    fn set_owner(&self, subject: &mut Subject, parties: &Parties) {
        let Some(held) = parties.most() else {
            return;
        };
        let names = self.host.borrow_mut().names(&held.who);
        subject.netns_name = names.netns.as_deref().map(str::to_owned);
        subject.owner = held.who.owner;
        subject.owner_gone = held.holders.gone;
        subject.opened_by = held.holders.opened_by;
        subject.processes = parties.count();
        subject.uid = held.who.uid;
        subject.cgroup = names.cgroup_path().map(str::to_owned);
        subject.container = names.container().map(str::to_owned);
    }

    /// Sets the name of a subject's namespace if it is missing: a pair may have no connection left.
    pub fn name_netns(&self, subject: &mut Subject) {
        let Some(netns) = subject.netns.filter(|_| subject.netns_name.is_none()) else {
            return;
        };
        let listeners = self.listeners.iter().map(|l| l.who);
        let conns = self.conns.iter().map(|c| c.who);
        let mut all = listeners.chain(conns).chain(self.pairs.iter().map(ends_of));
        if let Some(who) = all.find(|who| who.netns == netns) {
            let names = self.host.borrow_mut().names(&who);
            subject.netns_name = names.netns.as_deref().map(str::to_owned);
        }
    }

    /// A remedy for a setting of a namespace; `None` if the namespace does not have the setting.
    pub fn remedy(
        &self,
        netns: u32,
        setting: &'static str,
        action: impl Into<Action>,
    ) -> Option<Remedy> {
        Remedy::of_setting(&self.namespace(netns), setting, action)
    }

    /// Creates a finding about a service.
    pub fn finding<'b>(
        &self,
        rule: &'static str,
        severity: Severity,
        problem: impl Into<Problem>,
        service: &Service,
        whos: impl IntoIterator<Item = &'b Ident> + Clone,
    ) -> Finding {
        Finding::new(rule, severity, problem, self.subject(service, whos))
    }
}

/// The two addresses of a pair, for matching a filter.
fn ends_of(pair: &Pair) -> Ident {
    Ident {
        conn: 0,
        laddr: pair.laddr,
        raddr: pair.raddr,
        lport: 0,
        rport: 0,
        listener: None,
        netns: pair.netns,
        cgroup: None,
        owner: None,
        uid: None,
        family: pair.family,
        role: None,
        seeded: false,
        subflow: false,
        ifindex: pair.ifindex,
    }
}
