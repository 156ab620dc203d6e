//! The owners of connections, compared with the ids of the processes.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use libtest_mimic::Trial;
use nix::unistd::{Uid, setuid};
use serde_json::Value;

use crate::support::life::{self, Life};
use crate::support::netns::Netns;
use crate::support::nstat::Counters;
use crate::support::process::{Line, Process};
use crate::support::{scenario, ss, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario(
            "equal_addresses_in_four_namespaces_are_not_mixed_up",
            crowds,
        ),
        scenario("a_passed_socket_keeps_who_accepted_it", passed),
        scenario("a_fork_after_accept_changes_no_owner", forked),
        scenario("a_process_that_is_killed_still_owns_what_ends", killed),
        scenario("the_owner_has_a_cgroup_and_a_container", cgroup),
    ]
}

/// Port of the servers in every namespace.
const PORT: u16 = 9000;
const SERVER: SocketAddr = SocketAddr::new(traffic::V4, PORT);
/// Connections of one client process; there are two such processes per namespace.
const CONNECTIONS: usize = 250;

/// A server process that listens, and accepts late, on request.
fn serve(mut line: Line) {
    let listener = traffic::listen_at(SERVER, 1024);
    line.pass(listener.as_raw_fd());
    accept(&mut line, &listener);
}

/// Another process, of another user, that accepts from the same listener.
fn serve_too(mut line: Line, uid: u32) {
    let listener = TcpListener::from(line.take());
    setuid(Uid::from_raw(uid)).expect("root may become anybody");
    accept(&mut line, &listener);
}

/// Accepts when asked to, sends the peers' ports, and closes when asked again.
fn accept(line: &mut Line, listener: &TcpListener) {
    line.hear();
    let accepted: Vec<_> = (0..CONNECTIONS)
        .map(|_| listener.accept().expect("accept"))
        .collect();
    let ports: Vec<_> = accepted
        .iter()
        .map(|(_, peer)| u64::from(peer.port()))
        .collect();
    line.tell(&ports);
    line.hear();
    drop(accepted);
    line.tell(&[]);
    // The listener stays open until the end.
    line.hear();
}

/// Connects as a user, sends its ports, and closes when asked to.
fn call(mut line: Line, uid: u32) {
    setuid(Uid::from_raw(uid)).expect("root may become anybody");
    let connected: Vec<_> = (0..CONNECTIONS)
        .map(|_| TcpStream::connect(SERVER).expect("connect"))
        .collect();
    let port = |s: &TcpStream| u64::from(s.local_addr().expect("bound").port());
    line.tell(&connected.iter().map(port).collect::<Vec<_>>());
    line.hear();
    drop(connected);
    line.tell(&[]);
}

/// Two servers and two clients in a namespace, and what they have reported.
struct Crowd {
    netns: Netns,
    servers: [Process; 2],
    clients: [Process; 2],
    /// Owner and user by the client's port, of the server's and client's end.
    server_of: BTreeMap<u16, (u64, u64)>,
    client_of: BTreeMap<u16, (u64, u64)>,
}

const CLIENT_UIDS: [u32; 2] = [1001, 1002];
const SERVER_UIDS: [u32; 2] = [0, 2002];

impl Crowd {
    /// All are connected, none is accepted.
    fn new(netns: Netns) -> Self {
        let mut first = Process::start(&netns, serve);
        let listener = first.line.take();
        let mut second = Process::start(&netns, |line| serve_too(line, SERVER_UIDS[1]));
        second.line.pass(listener.as_raw_fd());
        let mut clients =
            CLIENT_UIDS.map(|uid| Process::start(&netns, move |line| call(line, uid)));
        let mut client_of = BTreeMap::new();
        for (client, uid) in clients.iter_mut().zip(CLIENT_UIDS) {
            enter(&mut client_of, client, uid);
        }
        Self {
            netns,
            servers: [first, second],
            clients,
            server_of: BTreeMap::new(),
            client_of,
        }
    }

    fn accept(&mut self) {
        for (server, uid) in self.servers.iter_mut().zip(SERVER_UIDS) {
            server.line.tell(&[]);
            enter(&mut self.server_of, server, uid);
        }
    }

    /// Closes the clients first, and the servers when all their FINs have arrived.
    fn close(&mut self) {
        close(&mut self.clients);
        traffic::until("all FINs of the clients have come", || {
            let rows = ss::table(Some(&self.netns.name));
            rows.iter().filter(|row| row.0 == "CLOSE_WAIT").count() == 2 * CONNECTIONS
        });
        close(&mut self.servers);
    }

    fn finish(self) -> Netns {
        for mut server in self.servers {
            server.line.tell(&[]);
            server.finish();
        }
        self.clients.into_iter().for_each(Process::finish);
        self.netns
    }
}

fn close(processes: &mut [Process]) {
    for process in processes {
        process.line.tell(&[]);
        process.line.hear();
    }
}

/// Records the owner of the ports that the process reports.
fn enter(owners: &mut BTreeMap<u16, (u64, u64)>, process: &mut Process, uid: u32) {
    for port in process.line.hear() {
        let owner = (process.pid(), u64::from(uid));
        let before = owners.insert(port as u16, owner);
        assert!(before.is_none(), "port {port} was told twice");
    }
}

fn crowds() {
    // Created before the recording: the inode number of a removed namespace may be reused, and
    // connections that ended in the old one have it, too.
    let netns = ["crowd1", "crowd2", "crowd3", "crowd4"].map(Netns::new);
    tool::activate("");
    let mut crowds: Vec<_> = netns.map(Crowd::new).into();
    for crowd in &crowds {
        assert_not_accepted(crowd);
    }
    crowds.iter_mut().for_each(Crowd::accept);
    let accepted = tool::report("peek=1 transitions=0 connections=1 state=ESTABLISHED");
    let owned = accepted
        .connections
        .iter()
        .filter(|c| c.get("pid").is_some());
    assert_eq!(
        owned.count(),
        crowds.len() * CONNECTIONS * 4,
        "both ends of all"
    );
    crowds.iter_mut().for_each(Crowd::close);
    let report = tool::report("transitions=1");
    let mut ids = BTreeSet::new();
    for crowd in &crowds {
        assert_crowd(crowd, &report.transitions, &mut ids);
    }
    assert_eq!(ids.len(), crowds.len() * CONNECTIONS * 4, "an id each");
    let kept: Vec<_> = crowds.into_iter().map(Crowd::finish).collect();
    tool::end();
    drop(kept);
}

/// Before accept() the server's ends have no owner.
fn assert_not_accepted(crowd: &Crowd) {
    let inode = crowd.netns.inode();
    let live = tool::report(&format!(
        "peek=1 transitions=0 connections=1 netns={inode} lport={PORT} state=ESTABLISHED"
    ));
    assert_eq!(live.connections.len(), 2 * CONNECTIONS);
    for connection in &live.connections {
        assert!(connection.get("pid").is_none(), "{connection}");
        assert!(connection.get("comm").is_none(), "{connection}");
    }
}

/// Each connection of the namespace has one life at each end, with its owner.
fn assert_crowd(crowd: &Crowd, transitions: &[Value], ids: &mut BTreeSet<u64>) {
    let inode = crowd.netns.inode();
    let own: Vec<_> = transitions
        .iter()
        .filter(|r| r["netns"] == inode && r["role"] != "listener")
        .cloned()
        .collect();
    let mut clients = 0;
    let mut servers = 0;
    for life in life::lives(&own) {
        assert!(ids.insert(life.last()["conn"].as_u64().expect("an id")));
        if life.port("rport") == PORT {
            clients += 1;
            assert_client(&life, crowd.client_of[&life.port("lport")]);
        } else {
            servers += 1;
            assert_server(&life, crowd.server_of[&life.port("rport")]);
        }
    }
    assert_eq!((clients, servers), (2 * CONNECTIONS, 2 * CONNECTIONS));
}

fn assert_owner(record: &Value, (pid, uid): (u64, u64)) {
    assert_eq!(record["pid"], pid, "{record}");
    assert_eq!(record["uid"], uid, "{record}");
    assert!(
        record["comm"].as_str().is_some_and(|c| !c.is_empty()),
        "{record}"
    );
}

/// The life without a final reset: on a busy machine a FIN is sent twice and answered twice; for
/// the second answer there is no socket any more, and the reset that it causes ends TIME_WAIT.
fn before_reset(life: &Life) -> Life {
    let last = life.last();
    let is_reset = last["old"] == "TIME_WAIT" && last["reason"] == "reset_received";
    Life(life.0[..life.0.len() - usize::from(is_reset)].to_vec())
}

fn assert_client(life: &Life, owner: (u64, u64)) {
    before_reset(life).assert_is(&[
        ("CLOSE", ""),
        ("SYN_SENT", ""),
        ("ESTABLISHED", ""),
        ("FIN_WAIT1", "closed_local"),
        ("FIN_WAIT2", "closed_local"),
        ("TIME_WAIT", "closed_local"),
    ]);
    for record in &life.0 {
        assert_owner(record, owner);
    }
}

fn assert_server(life: &Life, owner: (u64, u64)) {
    life.assert_is(&[
        ("NEW", ""),
        ("SYN_RECV", ""),
        ("ESTABLISHED", ""),
        ("CLOSE_WAIT", "closed_peer"),
        ("LAST_ACK", "closed_peer"),
        ("CLOSE", "closed_peer"),
    ]);
    let (before, after) = life.0.split_at(2);
    for record in before {
        assert!(record.get("pid").is_none(), "{record}");
        assert!(record.get("comm").is_none(), "{record}");
    }
    for record in after {
        assert_owner(record, owner);
    }
}

/// The life of the server's end of the only connection with this client port, as far as it has got.
fn server_life(client: &TcpStream) -> Life {
    let report = tool::report("transitions=1 peek=1");
    let port = client.local_addr().expect("bound").port();
    life::life(&report.transitions, PORT, port)
}

/// Asserts that its last records, from ESTABLISHED on, belong to this process.
fn assert_owned(life: &Life, pid: u64) {
    for record in &life.0[2..] {
        assert_eq!(record["pid"], pid, "{record}");
    }
    assert!(life.0.len() > 2, "{life:?}");
}

fn wait_for_end(netns: &Netns) {
    traffic::until("it has ended", || {
        let rows = ss::table(Some(&netns.name));
        rows.iter()
            .all(|row| row.0 == "TIME_WAIT" || row.0 == "LISTEN")
    });
}

fn listen_and_accept() -> TcpStream {
    let listener = traffic::listen_at(SERVER, 16);
    listener.accept().expect("accept").0
}

/// Connects; the port is open as soon as a process listens on it.
fn connect(netns: &Netns) -> TcpStream {
    let connected = OnceCell::new();
    traffic::until("somebody listens", || {
        let stream = netns.run(|| TcpStream::connect(SERVER));
        stream.is_ok_and(|stream| connected.set(stream).is_ok())
    });
    connected.into_inner().expect("it is connected")
}

fn passed() {
    let netns = Netns::new("passing");
    tool::activate("");
    let mut accepting = Process::start(&netns, |mut line| {
        let stream = listen_and_accept();
        line.pass(stream.as_raw_fd());
    });
    let mut client = connect(&netns);
    let fd = accepting.line.take();
    let pid = accepting.pid();
    accepting.finish();
    let mut using = Process::start(&netns, |mut line| {
        let stream = line.take();
        line.hear();
        drop(stream);
    });
    using.line.pass(fd.as_raw_fd());
    drop(fd);
    assert_ne!(using.pid(), pid);
    using.line.tell(&[]);
    using.finish();
    traffic::wait_for_fin(&mut client);
    let life = server_life(&client);
    assert_owned(&life, pid);
    assert!(life.0.iter().any(|r| r["new"] == "FIN_WAIT1"), "{life:?}");
    drop(client);
    wait_for_end(&netns);
    tool::end();
}

fn forked() {
    let netns = Netns::new("forking");
    tool::activate("");
    let mut accepting = Process::start(&netns, |mut line| {
        let stream = listen_and_accept();
        let mut child = Process::fork(|mut line| {
            line.hear();
        });
        drop(stream);
        line.tell(&[child.pid()]);
        line.hear();
        // Now the child's copy is the last one, and is closed.
        child.line.tell(&[]);
        child.finish();
        line.tell(&[]);
    });
    let mut client = connect(&netns);
    let child = accepting.line.hear();
    assert_ne!(child, [accepting.pid()]);
    let before = server_life(&client);
    assert_eq!(before.last()["new"], "ESTABLISHED", "{before:?}");
    accepting.line.tell(&[]);
    accepting.line.hear();
    traffic::wait_for_fin(&mut client);
    assert_owned(&server_life(&client), accepting.pid());
    accepting.finish();
    drop(client);
    wait_for_end(&netns);
    tool::end();
}

/// The kernel closes the sockets of a killed process, when it no longer runs.
fn killed() {
    const COUNT: usize = 10;
    let netns = Netns::new("killed");
    tool::activate("");
    let listener = netns.run(|| traffic::listen_at(SERVER, 16));
    let mut calling = Process::start(&netns, |mut line| {
        let held: Vec<_> = (0..COUNT)
            .map(|_| TcpStream::connect(SERVER).expect("connect"))
            .collect();
        line.tell(&[]);
        line.hear();
        drop(held);
    });
    let accepted: Vec<_> = (0..COUNT)
        .map(|_| listener.accept().expect("accept").0)
        .collect();
    calling.line.hear();
    calling.kill();
    for mut server in accepted {
        traffic::wait_for_fin(&mut server);
    }
    wait_for_end(&netns);
    let report = tool::report("transitions=1");
    let clients: Vec<_> = life::lives(&report.transitions)
        .into_iter()
        .filter(|l| l.port("rport") == PORT)
        .collect();
    assert_eq!(clients.len(), COUNT);
    for life in &clients {
        assert_client(life, (calling.pid(), 0));
    }
    let ended: usize = clients
        .iter()
        .map(|l| l.0.len() - before_reset(l).0.len())
        .sum();
    let resets = Counters::of(&netns.name).get("TcpOutRsts");
    assert_eq!(ended as u64, resets, "{clients:#?}");
    tool::end();
}

const CONTAINER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A cgroup that is removed when this is dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(path: &str) -> Self {
        let dir = PathBuf::from(format!("/sys/fs/cgroup{path}"));
        fs::create_dir_all(&dir).expect("a cgroup");
        Self(dir)
    }

    fn enter(&self) {
        fs::write(self.0.join("cgroup.procs"), "0").expect("root may enter a cgroup");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn cgroup() {
    let path = format!("/system.slice/docker-{CONTAINER}.scope");
    let cgroup = Cgroup::new(&path);
    let netns = Netns::new("contained");
    tool::activate("");
    let listener = netns.run(|| traffic::listen_at(SERVER, 16));
    let mut calling = Process::start(&netns, |mut line| {
        cgroup.enter();
        let stream = TcpStream::connect(SERVER).expect("connect");
        line.tell(&[]);
        line.hear();
        drop(stream);
    });
    calling.line.hear();
    let (mut server, _) = listener.accept().expect("accept");
    let id = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&cgroup.0).expect("it is there"));
    calling.line.tell(&[]);
    calling.finish();
    traffic::wait_for_fin(&mut server);
    drop(server);
    wait_for_end(&netns);
    let report = tool::report("transitions=1");
    let mut clients = life::lives(&report.transitions);
    clients.retain(|l| l.port("rport") == PORT);
    assert_eq!(clients.len(), 1, "{clients:?}");
    for record in &clients[0].0 {
        assert_eq!(record["cgroup_id"], id, "{record}");
        assert_eq!(record["cgroup"], path.as_str(), "{record}");
        assert_eq!(record["container"], CONTAINER, "{record}");
        assert_eq!(record["netns_name"], "contained", "{record}");
    }
    tool::end();
}
