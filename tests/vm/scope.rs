//! Addresses that are unique only together with a device: link-local ones, those of sockets bound
//! to a device, those in VRFs. Compared with `ss`, which shows the device as `%DEV`.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use diagnose_tools::backend::Backend;
use diagnose_tools::backend::device::Device;
use diagnose_tools::model::pair::Pair;
use libtest_mimic::Trial;
use nix::net::if_::if_nametoindex;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::listeners::number;
use crate::support::netns::Netns;
use crate::support::ss::{self, Row};
use crate::support::{guest, scenario, scenario_where, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario(
            "hosts_of_one_link_local_address_behind_two_links_are_two",
            link_local,
        ),
        scenario(
            "a_filter_by_device_keeps_the_same_for_recording_and_for_showing",
            filters,
        ),
        scenario(
            "services_of_one_port_on_two_devices_are_two",
            bound_listeners,
        ),
        scenario_where(has_vrf, "hosts_of_one_address_in_two_vrfs_are_two", vrfs),
    ]
}

const HERE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const THERE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const PORT: u16 = 80;

/// A host with a link to each of two others, which have the same addresses.
struct Fork {
    host: Netns,
    peers: [Netns; 2],
}

const DEVICES: [&str; 2] = ["v0", "v1"];

impl Fork {
    fn new(name: &str) -> Self {
        let peers = [0, 1].map(|n| format!("{name}-peer{n}"));
        let fork = Self {
            host: Netns::new(name),
            peers: peers.map(|name| Netns::new(&name)),
        };
        for (dev, peer) in DEVICES.iter().zip(&fork.peers) {
            fork.host.ip(&[
                "link", "add", dev, "type", "veth", "peer", "name", "eth0", "netns", &peer.name,
            ]);
            for (netns, dev, last) in [(&fork.host, *dev, 1), (peer, "eth0", 2)] {
                netns.ip(&["link", "set", dev, "addrgenmode", "none"]);
                netns.ip(&["link", "set", dev, "up"]);
                let link_local = format!("fe80::{last}/64");
                netns.ip(&["addr", "add", &link_local, "dev", dev, "nodad"]);
                let v4 = format!("10.88.0.{last}/24");
                netns.ip(&["addr", "add", &v4, "dev", dev]);
            }
        }
        fork
    }

    /// Index of a device in this namespace.
    fn index(netns: &Netns, dev: &str) -> u32 {
        netns.run(|| if_nametoindex(dev).expect("a device"))
    }

    /// This number of connections from a peer to the host's listener: the peer's ends and the
    /// host's.
    fn call(
        &self,
        peer: usize,
        listener: &TcpListener,
        count: usize,
    ) -> Vec<(TcpStream, TcpStream)> {
        let port = listener.local_addr().expect("bound").port();
        let to = link_local_addr(&self.peers[peer], "eth0", HERE, port);
        let call = || {
            let client = self.peers[peer].run(|| TcpStream::connect(to).expect("connect"));
            (client, listener.accept().expect("accept").0)
        };
        (0..count).map(|_| call()).collect()
    }

    /// The pairs of the host and its peers in the module's table.
    fn pairs(&self, remote: IpAddr) -> Vec<Pair> {
        let pairs = Device::open().and_then(|device| device.pairs());
        let inode = self.host.inode();
        let mut own = pairs.expect("a recording");
        own.retain(|p| u64::from(p.netns) == inode && p.remote() == remote);
        own.sort_by_key(|p| p.ifindex);
        own
    }
}

fn link_local_addr(netns: &Netns, dev: &str, addr: Ipv6Addr, port: u16) -> SocketAddr {
    SocketAddrV6::new(addr, port, 0, Fork::index(netns, dev)).into()
}

/// A listener, bound to a device if one is given.
fn listen_on(addr: IpAddr, port: u16, dev: Option<&str>) -> TcpListener {
    let domain = match addr {
        IpAddr::V4(_) => Domain::IPV4,
        IpAddr::V6(_) => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::STREAM, None).expect("socket");
    socket.set_reuse_address(true).expect("SO_REUSEADDR");
    if let Some(dev) = dev {
        socket
            .bind_device(Some(dev.as_bytes()))
            .expect("SO_BINDTODEVICE");
    }
    socket
        .bind(&SocketAddr::new(addr, port).into())
        .expect("bind");
    socket.listen(64).expect("listen");
    let listener = socket.into();
    traffic::bound_waiting(&listener);
    listener
}

/// The output of `ss` for a namespace, with the device of each socket, sorted.
fn truth(netns: &Netns) -> Vec<(Row, Option<String>)> {
    let mut rows = ss::table_with_devices(&netns.name);
    rows.sort();
    rows
}

fn end(line: &Value, side: char) -> (Ipv6Addr, u16) {
    let text = line[format!("{side}addr")].as_str().expect("an address");
    let addr = match text.parse().expect("an address without a device") {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let port = line.get(format!("{side}port")).and_then(Value::as_u64);
    (addr, port.unwrap_or(0) as u16)
}

fn dev_of(line: &Value) -> Option<String> {
    let dev = line.get("dev").and_then(Value::as_str).map(str::to_owned);
    assert_eq!(dev.is_some(), line.get("ifindex").is_some(), "{line}");
    dev
}

/// The live table, in the form of `ss`.
fn as_ss(lines: &[Value]) -> Vec<(Row, Option<String>)> {
    let row = |line: &Value| {
        let state = line["state"].as_str().expect("a state").to_owned();
        let remote = end(line, 'r');
        ((state, end(line, 'l'), remote), dev_of(line))
    };
    let mut rows: Vec<_> = lines.iter().map(row).collect();
    rows.sort();
    rows
}

/// Asserts that the live table equals the output of `ss`, before and after it.
fn assert_equals_ss(netns: &Netns) -> Vec<Value> {
    let keys = format!(
        "peek=1 transitions=0 alarms=0 connections=1 listeners=0 netns={}",
        netns.inode()
    );
    let deadline = std::time::Instant::now() + guest::patience(20);
    loop {
        let before = truth(netns);
        let told = tool::report(&keys).connections;
        if before == as_ss(&told) {
            return told;
        }
        let late = std::time::Instant::now() > deadline;
        assert!(!late, "ss: {before:#?}\ntool: {:#?}", as_ss(&told));
        thread::sleep(Duration::from_millis(100));
    }
}

fn alarms(netns: &Netns) -> Vec<Value> {
    let keys = "peek=1 transitions=0 alarms=1 connections=0";
    tool::report(&format!("{keys} netns={}", netns.inode())).alarms
}

fn link_local() {
    let fork = Fork::new("forked");
    tool::activate("threshold=30");
    let listener = fork
        .host
        .run(|| traffic::listen_at(SocketAddr::new(HERE_ANY, PORT), 64));
    let mut open: Vec<_> = (0..2).map(|n| fork.call(n, &listener, 20)).collect();

    // Both ways into TIME_WAIT, and a request whose SYN-ACK is lost, on each link.
    let mut calls = Vec::new();
    for (dev, peer) in DEVICES.iter().zip(&fork.peers) {
        let far = peer.run(|| traffic::listen_at(SocketAddr::new(HERE_ANY, 8080), 64));
        let to = link_local_addr(&fork.host, dev, THERE, 8080);
        let near = fork.host.run(|| TcpStream::connect(to).expect("connect"));
        let mut far_end = far.accept().expect("accept").0;
        drop(near);
        traffic::wait_for_time_wait(&mut far_end);
        fork.host.ip(&[
            "neigh",
            "replace",
            "fe80::2",
            "dev",
            dev,
            "lladdr",
            "02:00:00:00:00:99",
            "nud",
            "permanent",
        ]);
        let to = link_local_addr(peer, "eth0", HERE, PORT);
        calls.push(peer.run(|| {
            let socket = Socket::new(Domain::IPV6, Type::STREAM, None).expect("socket");
            socket.set_nonblocking(true).expect("O_NONBLOCK");
            assert!(socket.connect(&to.into()).is_err(), "it takes a while");
            socket
        }));
    }
    let told = assert_equals_ss(&fork.host);
    for dev in DEVICES {
        let of = |state: &str| {
            let is_it = |c: &&Value| c["state"] == state && dev_of(c).as_deref() == Some(dev);
            told.iter().filter(is_it).count()
        };
        let states = ["ESTABLISHED", "SYN_RECV", "TIME_WAIT"].map(of);
        assert_eq!(states, [20, 1, 1], "{dev}: {told:#?}");
    }
    for peer in &fork.peers {
        assert_equals_ss(peer);
    }

    // Two pairs, neither of which is near the threshold.
    assert_eq!(alarms(&fork.host), [] as [Value; 0]);
    let pairs = fork.pairs(THERE.into());
    let indices = DEVICES.map(|dev| Fork::index(&fork.host, dev));
    let counts: Vec<_> = pairs
        .iter()
        .map(|p| (p.ifindex, p.established, p.half_open, p.timewait))
        .collect();
    assert_eq!(counts, indices.map(|index| (index, 20, 1, 1)));

    for dev in DEVICES {
        fork.host.ip(&["neigh", "flush", "dev", dev]);
        fork.host.ip(&["neigh", "del", "fe80::2", "dev", dev]);
    }
    drop(calls);
    open.push(fork.call(0, &listener, 10));
    traffic::until("the alarm of one of the pairs has come", || {
        !alarms(&fork.host).is_empty()
    });
    let alarms = alarms(&fork.host);
    assert_eq!(alarms.len(), 1, "{alarms:#?}");
    assert_eq!(dev_of(&alarms[0]).as_deref(), Some("v0"), "{}", alarms[0]);
    assert_eq!(number(&alarms[0], "ifindex"), u64::from(indices[0]));
    texts(&fork);
    drop(open);
    ss::kill(&fork.host);
    tool::tcpstates(&["--deactivate"]);
}

const HERE_ANY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Output for people.
fn texts(fork: &Fork) {
    let inode = fork.host.inode();
    let table = tool::tcpstates(&[&format!(
        "--report=peek=1 connections=1 transitions=0 summary=0 findings=0 lport={PORT} \
         netns={inode}"
    )]);
    let alarm = table.lines().find(|line| line.contains("RAISED"));
    let alarm = alarm.unwrap_or_else(|| panic!("{table}"));
    assert!(alarm.contains(" fe80::1%v0 "), "{alarm}");
    assert!(alarm.contains(" fe80::2%v0 "), "{alarm}");
    for (dev, count) in [("v0", 30), ("v1", 20)] {
        let local = format!("[fe80::1%{dev}]:{PORT} ");
        let remote = format!(" [fe80::2%{dev}]:");
        let lines = table.lines().filter(|l| l.starts_with(&local));
        let lines = lines.filter(|l| l.contains(&remote) && l.contains(" ESTABLISHED "));
        assert_eq!(lines.count(), count, "{table}");
    }
    let findings = tool::tcpstates(&[&format!(
        "--diagnose=sample=0 rules=pair-threshold netns={inode}"
    )]);
    let between = "between fe80::1%v0 and fe80::2%v0,";
    assert!(findings.contains(between), "{findings}");
    assert!(!findings.contains("%v1"), "{findings}");
}

/// Filters are applied once by the module while it records, and once by the controller.
fn filters() {
    let fork = Fork::new("scoped");
    let index = Fork::index(&fork.host, "v0");
    let workload = || {
        let listener = fork
            .host
            .run(|| traffic::listen_at(SocketAddr::new(HERE_ANY, PORT), 64));
        for (peer, count) in [(0, 2), (1, 3)] {
            for (mut client, server) in fork.call(peer, &listener, count) {
                client.write_all(b"x").expect("write");
                drop(server);
                drop(client);
            }
        }
        let rows = || ss::table(Some(&fork.host.name));
        traffic::until("no connection is on its way", || {
            rows()
                .iter()
                .all(|row| ["LISTEN", "TIME_WAIT", "CLOSE"].contains(&row.0.as_str()))
        });
    };
    let keys = [
        ("addr=fe80::2%v0", Some("v0")),
        (&*format!("raddr=fe80::%{index}/10"), Some("v0")),
        ("addr=!fe80::2%v0 raddr=fe80::/10", Some("v1")),
        ("raddr=fe80::2%v1|fe80::3", Some("v1")),
        ("laddr=fe80::2%v0", None),
    ]
    .map(|(keys, dev)| (keys.to_owned(), dev));
    for (keys, dev) in keys {
        let keys = format!("{keys} netns={}", fork.host.name);
        tool::activate(&keys);
        workload();
        let recorded = tool::report("transitions=1");
        recorded.assert_totals_balance();
        tool::activate(&format!("netns={}", fork.host.inode()));
        workload();
        let shown = tool::report(&format!("transitions=1 {keys}"));
        for report in [&recorded, &shown] {
            let lines = &report.transitions;
            let expected = match dev {
                Some("v0") => 2,
                Some(_) => 3,
                None => 0,
            };
            let conns: std::collections::BTreeSet<_> =
                lines.iter().map(|t| number(t, "conn")).collect();
            assert_eq!(conns.len(), expected, "{keys}: {lines:#?}");
            assert!(
                lines.iter().all(|t| dev_of(t).as_deref() == dev),
                "{keys}: {lines:#?}"
            );
        }
        assert_eq!(
            recorded.transitions.len(),
            shown.transitions.len(),
            "{keys}"
        );
    }
    refused(&fork);
    tool::end();
}

/// A key that names no device is reported, together with the devices that exist.
fn refused(fork: &Fork) {
    let error = |keys: &str| {
        let outcome = tool::run(&["tcpstates", &format!("--report=peek=1 {keys}")]);
        assert_eq!((outcome.status, &*outcome.stdout), (2, ""), "{outcome:?}");
        outcome.stderr
    };
    let told = error(&format!("addr=fe80::2%v7 netns={}", fork.host.name));
    assert!(told.contains("'v7' is not a device of"), "{told}");
    assert!(
        told.contains("which has lo, v0, v1") || told.contains("v1, v0"),
        "{told}"
    );
    let told = error("addr=fe80::2%v0");
    assert!(told.contains("for another namespace add netns="), "{told}");
    let told = error("addr=fe80::2%v0 netns=7");
    assert!(told.contains("write the index"), "{told}");
}

/// The first three exist when the recording starts.
fn bound_listeners() {
    const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let fork = Fork::new("served");
    let listen = |port, dev| fork.host.run(|| listen_on(ANY, port, dev));
    let both = DEVICES.map(|dev| listen(PORT, Some(dev)));
    let plain = listen(PORT + 1, None);
    let call = |peer: usize, port| {
        fork.peers[peer].run(|| TcpStream::connect(("10.88.0.1", port)).expect("connect"))
    };
    let serve = |peer: usize, count: usize| -> Vec<_> {
        let one = |_| (call(peer, PORT), both[peer].accept().expect("accept").0);
        (0..count).map(one).collect()
    };
    let early = (serve(0, 3), serve(1, 5), call(0, PORT + 1), plain.accept());
    tool::activate("unfinished=0");
    let told = || {
        let keys = "peek=1 transitions=0 alarms=0 connections=0 listeners=1";
        let report = tool::report(&format!("{keys} netns={}", fork.host.inode()));
        let of = |line: &Value| {
            let (port, established) = (number(line, "lport"), number(line, "established"));
            (
                port,
                dev_of(line),
                established,
                number(line, "accept_queue"),
            )
        };
        let mut all: Vec<_> = report.listeners.iter().map(of).collect();
        all.sort();
        all
    };
    let v = |n: usize| Some(DEVICES[n].to_owned());
    assert_eq!(
        told(),
        [(80, v(0), 3, 0), (80, v(1), 5, 0), (81, None, 1, 0)]
    );

    let late = (serve(0, 4), serve(1, 1));
    // These are not accepted: they belong only to the second service.
    let waiting: Vec<_> = (0..7).map(|_| call(1, PORT)).collect();
    let expected = [(80, v(0), 7, 0), (80, v(1), 13, 7), (81, None, 1, 0)];
    traffic::until("all connections are counted", || told() == expected);
    let rows = assert_equals_ss(&fork.host);
    assert_eq!(rows.iter().filter(|r| dev_of(r) == v(1)).count(), 14);

    // A listener that is bound to a device later is shown as ss shows it.
    let socket = Socket::from(plain);
    socket.bind_device(Some(b"v1")).expect("SO_BINDTODEVICE");
    assert_equals_ss(&fork.host);
    assert!(told().contains(&(81, v(1), 1, 0)), "{:?}", told());

    let services = tool::tcpstates(&[&format!(
        "--report=peek=1 listeners=1 connections=0 transitions=0 summary=0 findings=0 netns={}",
        fork.host.inode()
    )]);
    for dev in DEVICES {
        let name = format!("0.0.0.0%{dev}:{PORT} ");
        assert_eq!(
            services.lines().filter(|l| l.starts_with(&name)).count(),
            1,
            "{services}"
        );
    }
    drop((early, late, waiting));
    ss::kill(&fork.host);
    tool::tcpstates(&["--deactivate"]);
}

fn has_vrf() -> bool {
    let loaded = Command::new("modprobe").arg("vrf").output();
    loaded.is_ok_and(|o| o.status.success())
}

/// Two separate networks with the same addresses.
fn vrfs() {
    let fork = Fork::new("routed");
    for (vrf, dev, table) in [("red", "v0", "10"), ("blue", "v1", "20")] {
        fork.host
            .ip(&["link", "add", vrf, "type", "vrf", "table", table]);
        fork.host.ip(&["link", "set", vrf, "up"]);
        fork.host.ip(&["link", "set", dev, "master", vrf]);
        // Enslaving removes IPv6 addresses.
        fork.host
            .ip(&["addr", "replace", "fe80::1/64", "dev", dev, "nodad"]);
    }
    // One listener that serves both networks, as this setting allows, and one in a VRF.
    fork.host.sysctl("net.ipv4.tcp_l3mdev_accept", "1");
    let both = fork.host.run(|| listen_on(HERE_ANY, PORT, None));
    let red = fork.host.run(|| listen_on(HERE_ANY, PORT + 1, Some("red")));
    let to_v4 = |port| SocketAddr::from(([10, 88, 0, 1], port));
    let calls = || {
        let serve = |peer: usize, to: SocketAddr, listener: &TcpListener| {
            let client = fork.peers[peer].run(|| TcpStream::connect(to).expect("connect"));
            (client, listener.accept().expect("accept").0)
        };
        let mut all = Vec::new();
        for (peer, count) in [(0, 4), (1, 6)] {
            for _ in 0..count {
                all.push(serve(peer, to_v4(PORT), &both));
            }
        }
        all.push(serve(0, to_v4(PORT + 1), &red));
        // A link-local peer in the VRF: its socket has the device of the link.
        let to = link_local_addr(&fork.peers[0], "eth0", HERE, PORT + 1);
        all.push(serve(0, to, &red));
        all
    };
    let early = calls();
    tool::activate("threshold=17");
    let late = calls();
    let told = assert_equals_ss(&fork.host);
    let of = |dev: &str, port: u16| {
        let is_it = |c: &&Value| {
            c["state"] == "ESTABLISHED"
                && number(c, "lport") == u64::from(port)
                && dev_of(c).as_deref() == Some(dev)
        };
        told.iter().filter(is_it).count()
    };
    assert_eq!([of("red", PORT), of("blue", PORT)], [8, 12], "{told:#?}");
    assert_eq!(
        [of("red", PORT + 1), of("v0", PORT + 1)],
        [2, 2],
        "{told:#?}"
    );
    let peer = Ipv4Addr::new(10, 88, 0, 2).to_ipv6_mapped();
    let indices = ["red", "blue"].map(|dev| Fork::index(&fork.host, dev));
    let mut counts: Vec<_> = fork
        .pairs(peer.into())
        .iter()
        .map(|p| (p.ifindex, p.established))
        .collect();
    counts.sort_unstable();
    let mut expected = [(indices[0], 10), (indices[1], 12)];
    expected.sort_unstable();
    assert_eq!(counts, expected);
    assert_eq!(alarms(&fork.host), [] as [Value; 0]);
    // All connections have reached their listeners, including the older ones.
    let keys = "peek=1 transitions=0 alarms=0 connections=0 listeners=1";
    let listeners = tool::report(&format!("{keys} netns={}", fork.host.inode())).listeners;
    let mut came: Vec<_> = listeners
        .iter()
        .map(|l| (number(l, "lport"), dev_of(l), number(l, "established")))
        .collect();
    came.sort();
    assert_eq!(came, [(80, None, 20), (81, Some("red".into()), 4)]);
    drop((early, late));
    ss::kill(&fork.host);
    tool::tcpstates(&["--deactivate"]);
}
