//! Why connections end: every way that needs no waiting. The others are in `waits`.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use libtest_mimic::Trial;

use crate::simultaneous::calling;
use crate::support::life::{self, Life};
use crate::support::netns::{self, HostSetting, Netns};
use crate::support::nstat::Counters;
use crate::support::raw::{HOST, Peer, Wire, peer_addr};
use crate::support::segment::{ACK, FIN, RST, SYN};
use crate::support::sockets::set_option;
use crate::support::{scenario, ss, tool, traffic};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("closing_has_the_reason_of_who_began", closing),
        scenario("resets_have_a_reason_at_both_ends", resets),
        scenario("attempts_that_fail_have_their_reason", attempts),
        scenario(
            "a_connection_that_nobody_accepts_has_a_reason",
            not_accepted,
        ),
        scenario("an_unreachable_peer_is_told_with_the_error", unreachable),
        scenario("data_after_the_end_is_answered_with_a_reset", late_data),
        scenario("a_time_wait_that_is_taken_over_ends_so", reused),
        scenario("limits_of_the_kernel_are_reasons_of_their_own", limits),
        scenario("repair_mode_sends_nothing_and_is_told_so", repair),
        scenario("an_earlier_icmp_error_ends_nothing", earlier_error),
        scenario("a_deferred_fast_open_is_cancelled", deferred),
    ]
}

/// Ports of a connection: the client's and the server's.
type Ports = (u16, u16);

fn ports(client: &TcpStream) -> Ports {
    let port = |addr: std::io::Result<SocketAddr>| addr.expect("connected").port();
    (port(client.local_addr()), port(client.peer_addr()))
}

/// Lives of both ends of a connection between sockets of this machine.
#[derive(Debug)]
struct Ends {
    client: Life,
    server: Life,
}

fn ends(report: &tool::Report, (client, server): Ports) -> Ends {
    Ends {
        client: life::life(&report.transitions, client, server),
        server: life::life(&report.transitions, server, client),
    }
}

const CLIENT_OPENS: [(&str, &str); 3] = [("CLOSE", ""), ("SYN_SENT", ""), ("ESTABLISHED", "")];
const SERVER_OPENS: [(&str, &str); 3] = [("NEW", ""), ("SYN_RECV", ""), ("ESTABLISHED", "")];

fn assert_client(ends: &Ends, rest: &[(&str, &str)]) {
    ends.client.assert_is(&[&CLIENT_OPENS, rest].concat());
}

fn assert_server(ends: &Ends, rest: &[(&str, &str)]) {
    ends.server.assert_is(&[&SERVER_OPENS, rest].concat());
}

fn assert_error(life: &Life, error: &str) {
    assert_eq!(life.last()["error"], error, "{life:?}");
}

const CLOSES_FIRST: [(&str, &str); 3] = [
    ("FIN_WAIT1", "closed_local"),
    ("FIN_WAIT2", "closed_local"),
    ("TIME_WAIT", "closed_local"),
];
const CLOSES_LATER: [(&str, &str); 3] = [
    ("CLOSE_WAIT", "closed_peer"),
    ("LAST_ACK", "closed_peer"),
    ("CLOSE", "closed_peer"),
];

fn closing() {
    tool::activate("");
    let listener = traffic::listen(traffic::V4);
    let (client, mut server) = traffic::pair(&listener);
    let client_first = ports(&client);
    drop(client);
    traffic::wait_for_fin(&mut server);
    drop(server);
    let (mut client, server) = traffic::pair(&listener);
    let server_first = ports(&client);
    drop(server);
    traffic::wait_for_fin(&mut client);
    drop(client);

    traffic::until("both have ended", || {
        let rows = ss::table(None);
        rows.iter().filter(|row| row.0 == "TIME_WAIT").count() == 2
    });
    let report = tool::report("transitions=1");
    let client_first = ends(&report, client_first);
    assert_client(&client_first, &CLOSES_FIRST);
    assert_server(&client_first, &CLOSES_LATER);
    let server_first = ends(&report, server_first);
    assert_client(&server_first, &CLOSES_LATER);
    assert_server(&server_first, &CLOSES_FIRST);
    tool::end();
}

fn assert_reset(stream: &mut TcpStream) {
    stream.read(&mut [0; 1]).expect_err("a reset");
}

/// `connect()` to AF_UNSPEC: an established connection is given up.
#[allow(unsafe_code, reason = "nix has no address of no family")]
fn disconnect(stream: &TcpStream) {
    let nowhere = libc::sockaddr {
        sa_family: libc::AF_UNSPEC as libc::sa_family_t,
        sa_data: [0; 14],
    };
    let len = size_of_val(&nowhere) as libc::socklen_t;
    // SAFETY: the kernel reads one address there.
    let ret = unsafe { libc::connect(stream.as_raw_fd(), &raw const nowhere, len) };
    assert_eq!(ret, 0, "{}", std::io::Error::last_os_error());
}

fn resets() {
    tool::activate("");
    let listener = traffic::listen(traffic::V4);

    let (client, mut server) = traffic::pair(&listener);
    let lingering = ports(&client);
    traffic::close_by_reset(client);
    assert_reset(&mut server);

    let (client, mut server) = traffic::pair(&listener);
    let disconnected = ports(&client);
    disconnect(&client);
    assert_reset(&mut server);

    let (mut client, server) = traffic::pair(&listener);
    let unread = ports(&client);
    client.write_all(b"never read").expect("write");
    traffic::until("the data are there", || {
        server.peek(&mut [0; 1]).is_ok_and(|n| n == 1)
    });
    drop(server);
    assert_reset(&mut client);

    // It has closed its own half already, or the peer has.
    let unread_after = |half: fn(&TcpStream, &TcpStream)| {
        let (client, mut server) = traffic::pair(&listener);
        let who = ports(&client);
        server.write_all(b"never read").expect("write");
        half(&client, &server);
        traffic::until("the data are there", || {
            client.peek(&mut [0; 1]).is_ok_and(|n| n == 1)
        });
        drop(client);
        traffic::wait_for_state(&server, traffic::CLOSE);
        who
    };
    let unread_half_closed = unread_after(|client, _| {
        client.shutdown(Shutdown::Write).expect("shutdown");
        traffic::wait_for_state(client, traffic::FIN_WAIT2);
    });
    let unread_closed = unread_after(|client, server| {
        server.shutdown(Shutdown::Write).expect("shutdown");
        traffic::wait_for_state(client, CLOSE_WAIT);
    });

    // One end has already closed its half.
    let (client, mut server) = traffic::pair(&listener);
    let half_closed = ports(&client);
    client.shutdown(Shutdown::Write).expect("shutdown");
    traffic::wait_for_fin(&mut server);
    traffic::wait_for_state(&client, traffic::FIN_WAIT2);
    traffic::close_by_reset(server);
    traffic::wait_for_state(&client, traffic::CLOSE);

    let (mut client, server) = traffic::pair(&listener);
    let aborted = ports(&client);
    let filter = format!("sport = :{} and dport = :{}", aborted.1, aborted.0);
    ss::abort_here(&["state", "established", &filter]);
    assert_reset(&mut client);

    let report = tool::report("transitions=1");
    for who in [lingering, disconnected] {
        let ends = ends(&report, who);
        assert_client(&ends, &[("CLOSE", "reset_sent")]);
        assert_server(&ends, &[("CLOSE", "reset_received")]);
        assert_error(&ends.server, "ECONNRESET");
    }
    for who in [unread_half_closed, unread_closed] {
        let ends = ends(&report, who);
        assert_eq!(ends.client.last()["reason"], "unread_data", "{ends:?}");
        assert_eq!(ends.server.last()["reason"], "reset_received", "{ends:?}");
    }
    let aborted_on_close = Counters::here().get("TcpExtTCPAbortOnClose");
    assert_eq!(aborted_on_close, 3, "those of unread data");
    let unread = ends(&report, unread);
    assert_server(&unread, &[("CLOSE", "unread_data")]);
    assert_client(&unread, &[("CLOSE", "reset_received")]);
    let half_closed = ends(&report, half_closed);
    let (first, later) = (&CLOSES_FIRST[..2], &CLOSES_LATER[..1]);
    assert_server(&half_closed, &[later, &[("CLOSE", "reset_sent")]].concat());
    assert_client(
        &half_closed,
        &[first, &[("CLOSE", "reset_received")]].concat(),
    );
    let aborted = ends(&report, aborted);
    assert_server(&aborted, &[("CLOSE", "aborted")]);
    assert_error(&aborted.server, "ECONNABORTED");
    assert_client(&aborted, &[("CLOSE", "reset_received")]);
    drop((server, client));
    tool::end();
}

fn assert_failed(life: &Life, reason: &str) {
    life.assert_is(&[("CLOSE", ""), ("SYN_SENT", ""), ("CLOSE", reason)]);
}

/// Lives of connections to a port that did not get past SYN_SENT.
fn attempts_to(report: &tool::Report, port: u16) -> Vec<Life> {
    life::lives(&report.transitions)
        .into_iter()
        .filter(|l| l.port("rport") == port && l.0.iter().all(|r| r["new"] != "ESTABLISHED"))
        .collect()
}

fn attempts() {
    let netns = Netns::new("attempts");
    let wire = Wire::new(&netns);
    netns.ip(&["route", "add", "unreachable", "10.80.0.0/16"]);
    tool::activate("");
    let nobody = netns.run(|| {
        let listener = traffic::listen(traffic::V4);
        let nobody = listener.local_addr().expect("bound");
        drop(listener);
        TcpStream::connect(nobody).expect_err("refused");
        nobody.port()
    });
    // A program that does not wait for the answer.
    let (socket, mut peer) = calling(&netns, &wire);
    let given_up = peer.remote.port();
    drop(socket);

    // A hand-made peer that refuses.
    let (socket, mut refusing) = calling(&netns, &wire);
    let refused = refusing.remote.port();
    refusing.reset();
    traffic::wait_for_state(&socket, traffic::CLOSE);

    // Without a route, no connection is even started.
    let err = netns.run(|| TcpStream::connect("10.80.0.1:80").expect_err("no route"));
    assert_eq!(err.raw_os_error(), Some(libc::EHOSTUNREACH));

    let report = tool::report("transitions=1");
    let by_kernel = attempts_to(&report, nobody);
    assert_eq!(by_kernel.len(), 1, "{by_kernel:?}");
    assert_failed(&by_kernel[0], "refused");
    assert_error(&by_kernel[0], "ECONNREFUSED");
    let by_hand = life::life(&report.transitions, refused, peer.local.port());
    assert_failed(&by_hand, "refused");
    assert_error(&by_hand, "ECONNREFUSED");
    let given_up = life::life(&report.transitions, given_up, peer.local.port());
    assert_failed(&given_up, "cancelled");
    let never = attempts_to(&report, 80);
    assert!(never.is_empty(), "{never:?}");
    peer.reset();
    no_port(&netns);
    tool::end();
}

/// Two local ports, and three connections to one address.
fn no_port(netns: &Netns) {
    let listener = netns.run(|| traffic::listen(traffic::V4));
    let to = listener.local_addr().expect("bound");
    netns.sysctl("net.ipv4.ip_local_port_range", "50000 50001");
    let held = netns.run(|| [traffic::pair(&listener), traffic::pair(&listener)]);
    let err = netns.run(|| TcpStream::connect(to).expect_err("no port is left"));
    assert_eq!(err.raw_os_error(), Some(libc::EADDRNOTAVAIL));
    let report = tool::report("transitions=1");
    let failed = attempts_to(&report, to.port());
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_failed(&failed[0], "no_port");
    for record in &failed[0].0 {
        assert!(record.get("lport").is_none(), "none was found: {record}");
        assert_eq!(record["pid"], std::process::id(), "{record}");
    }
    drop(held);
}

/// The listener is closed while the connection waits to be accepted.
fn not_accepted() {
    tool::activate("");
    let listener = traffic::listen(traffic::V4);
    let to = listener.local_addr().expect("bound");
    let mut client = TcpStream::connect(to).expect("connect");
    let who = ports(&client);
    traffic::wait_to_accept(&listener);
    drop(listener);
    assert_reset(&mut client);
    let report = tool::report("transitions=1");
    let ends = ends(&report, who);
    assert_server(&ends, &[("CLOSE", "listener_closed")]);
    assert_client(&ends, &[("CLOSE", "reset_received")]);
    for record in &ends.server.0 {
        assert!(record.get("pid").is_none(), "nobody accepted it: {record}");
    }
    tool::end();
}

/// The errors of ICMP's codes (RFC 1122, 4.2.3.9).
const CODES: [(u8, &str); 3] = [
    (0, "ENETUNREACH"),
    (1, "EHOSTUNREACH"),
    (13, "EHOSTUNREACH"),
];

fn unreachable() {
    let netns = Netns::new("unreachable");
    let wire = Wire::new(&netns);
    tool::activate("");
    let mut expected = Vec::new();
    for (code, error) in CODES {
        let (socket, peer) = calling(&netns, &wire);
        // ICMP quotes the kernel's SYN.
        let mut syn = peer.segment(SYN);
        (syn.from, syn.to) = (peer.remote, peer.local);
        syn.seq = peer.ack.wrapping_sub(1);
        wire.send_unreachable(code, &syn);
        traffic::wait_for_state(&socket, traffic::CLOSE);
        let told = socket.take_error().expect("SO_ERROR").expect("an error");
        assert_eq!(
            told.raw_os_error(),
            Some(errno(error)),
            "the socket's own error"
        );
        expected.push((peer.remote.port(), peer.local.port(), error));
    }
    let report = tool::report("transitions=1");
    for (lport, rport, error) in expected {
        let life = life::life(&report.transitions, lport, rport);
        assert_failed(&life, "unreachable");
        assert_error(&life, error);
    }
    tool::end();
}

fn errno(name: &str) -> i32 {
    match name {
        "ENETUNREACH" => libc::ENETUNREACH,
        "EHOSTUNREACH" => libc::EHOSTUNREACH,
        other => panic!("{other} is not known here"),
    }
}

/// Its number in `TCP_INFO`.
const CLOSE_WAIT: u8 = 8;

/// Number of lives of this report, in this namespace, that ended for a reason: limits apply to the
/// whole kernel, and orphans that other scenarios have left are given up as well.
fn ended(report: &tool::Report, reason: &str) -> u64 {
    let here = netns::current_inode();
    let of =
        |r: &&serde_json::Value| r["new"] == "CLOSE" && r["reason"] == reason && r["netns"] == here;
    report.transitions.iter().filter(of).count() as u64
}

/// Connections that the kernel ends at a limit, compared with its own counter.
fn limits() {
    tool::activate("");
    out_of_timewait();
    out_of_orphans();
    out_of_memory();
    tool::end();
}

fn out_of_timewait() {
    let listener = traffic::listen(traffic::V4);
    let before = Counters::here().get("TcpExtTCPTimeWaitOverflow");
    netns::sysctl("net.ipv4.tcp_max_tw_buckets", "0");
    // With the peer's FIN, without it, and with both FINs at the same time.
    for _ in 0..3 {
        traffic::client_first(&listener);
        let (client, server) = traffic::pair(&listener);
        drop(client);
        traffic::wait_for_state(&server, CLOSE_WAIT);
        drop(server);
    }
    netns::sysctl("net.ipv4.tcp_max_tw_buckets", "65536");
    let overflowed = Counters::here().get("TcpExtTCPTimeWaitOverflow") - before;
    let report = tool::report("transitions=1");
    assert!(overflowed >= 6, "{overflowed}");
    assert_eq!(ended(&report, "out_of_timewait"), overflowed);
    assert_eq!(ended(&report, "reset_sent"), 0);
}

fn out_of_orphans() {
    let listener = traffic::listen(traffic::V4);
    let before = Counters::here().get("TcpExtTCPAbortOnMemory");
    let orphans = HostSetting::new("net.ipv4.tcp_max_orphans", "2");
    let (clients, servers): (Vec<_>, Vec<_>) = (0..12).map(|_| traffic::stuffed(&listener)).unzip();
    for server in servers {
        drop(server);
        // The kernel adds them up at most ten times per second.
        std::thread::sleep(std::time::Duration::from_millis(120));
    }
    // The remaining ones are probed, and given up as long as there are too many.
    drop(orphans);
    let aborted = Counters::here().get("TcpExtTCPAbortOnMemory") - before;
    let report = tool::report("transitions=1");
    assert!(aborted > 0, "none was given up");
    assert_eq!(ended(&report, "out_of_orphans"), aborted);
    drop(clients);
    traffic::until("those that were left are reset", || {
        ss::table(None).iter().all(|row| row.0 != "FIN_WAIT1")
    });
    tool::report("transitions=1");
}

fn out_of_memory() {
    let listener = traffic::listen(traffic::V4);
    let before = Counters::here().get("TcpExtTCPAbortOnMemory");
    let (clients, servers): (Vec<_>, Vec<_>) = (0..12).map(|_| traffic::stuffed(&listener)).unzip();
    let memory = HostSetting::new("net.ipv4.tcp_mem", "1 2 3");
    drop(servers);
    let aborted = Counters::here().get("TcpExtTCPAbortOnMemory") - before;
    drop(memory);
    let report = tool::report("transitions=1");
    assert_eq!(aborted, 12);
    assert_eq!(ended(&report, "out_of_memory"), aborted);
    drop(clients);
}

/// What a checkpoint of a container does with its connections, and the restore afterwards.
fn repair() {
    let listener = traffic::listen(traffic::V4);
    let to = listener.local_addr().expect("bound");
    tool::activate("");
    let (client, server) = traffic::pair(&listener);
    let who = ports(&client);
    let before = Counters::here();
    let repair_mode = |socket: &dyn AsRawFd, on: i32| {
        set_option(&socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_REPAIR, on).expect("repair");
    };
    repair_mode(&server, 1);
    drop(server);
    let restored = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let restored = restored.expect("a socket");
    restored.set_reuse_address(true).expect("set");
    repair_mode(&restored, 1);
    restored.bind(&to.into()).expect("the port is free");
    let peer = client.local_addr().expect("bound");
    restored.connect(&peer.into()).expect("restored");
    let after = Counters::here();
    for counter in ["TcpOutRsts", "TcpOutSegs", "TcpActiveOpens"] {
        assert_eq!(after.get(counter), before.get(counter), "{counter}");
    }
    let report = tool::report("transitions=1");
    let lives = life::of_ports(&report.transitions, who.1, who.0);
    assert_eq!(lives.len(), 2, "{lives:?}");
    let (ended, begun) = match lives[0].last()["new"] == "CLOSE" {
        true => (&lives[0], &lives[1]),
        false => (&lives[1], &lives[0]),
    };
    ended.assert_is(&[&SERVER_OPENS[..], &[("CLOSE", "repair")]].concat());
    begun.assert_is(&[("CLOSE", ""), ("ESTABLISHED", "repair")]);
    assert_eq!(begun.last()["role"], "server", "{begun:?}");
    // Without repair mode, it ends like any other connection, and nothing of it is left.
    drop(restored);
    drop(client);
    tool::end();
}

/// An ICMP error that is left for the program to read, and then another event that ends the
/// connection.
fn earlier_error() {
    let netns = Netns::new("earlier");
    let wire = Wire::new(&netns);
    tool::activate("");
    type End = fn(TcpStream, &mut Peer<'_>);
    let ends: [(End, &str); 3] = [
        (
            |socket, peer| {
                traffic::close_by_reset(socket);
                peer.expect(RST);
            },
            "reset_sent",
        ),
        (
            |socket, peer| {
                peer.send_data(b"never read");
                traffic::until("the data are there", || traffic::unread(&socket) > 0);
                drop(socket);
                peer.expect(RST);
            },
            "unread_data",
        ),
        (
            |socket, peer| {
                peer.reset();
                traffic::wait_for_state(&socket, traffic::CLOSE);
            },
            "reset_received",
        ),
    ];
    for (end, reason) in ends {
        let (socket, mut peer) = calling(&netns, &wire);
        peer.answer();
        traffic::wait_for_state(&socket, traffic::ESTABLISHED);
        set_option(&socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1).expect("IP_RECVERR");
        (&socket).write_all(b"x").expect("write");
        let data = peer.expect(ACK);
        wire.send_unreachable(1, &data);
        let told = || socket.take_error().expect("SO_ERROR").is_some();
        traffic::until("the error is there", told);
        // A read clears the error: another one remains.
        let unreachable = || Counters::of(&netns.name).get("IcmpInDestUnreachs");
        let before = unreachable();
        wire.send_unreachable(1, &data);
        traffic::until("another error is there", || unreachable() > before);
        let who = (peer.remote.port(), peer.local.port());
        end(socket, &mut peer);
        let report = tool::report("transitions=1");
        let life = life::life(&report.transitions, who.0, who.1);
        assert_eq!(life.last()["reason"], reason, "{life:?}");
    }
    tool::end();
}

/// With `TCP_FASTOPEN_CONNECT` the SYN waits for the first data: until then nothing has failed.
fn deferred() {
    netns::sysctl("net.ipv4.tcp_fastopen", "3");
    tool::activate("");
    let listener = traffic::listen(traffic::V4);
    set_option(&listener, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, 5).expect("TCP_FASTOPEN");
    let to = listener.local_addr().expect("bound");
    let call = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket");
        set_option(&socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, 1).expect("set");
        socket.connect(&to.into()).expect("connect");
        socket
    };
    // The first connection gets the cookie, with which the second one is deferred.
    let mut first: TcpStream = call().into();
    first.write_all(b"x").expect("write");
    drop(first);
    let second = call();
    let port = second
        .local_addr()
        .expect("bound")
        .as_socket()
        .expect("IPv4")
        .port();
    drop(second);
    let report = tool::report("transitions=1");
    let life = life::life(&report.transitions, port, to.port());
    assert_eq!(life.last()["reason"], "cancelled", "{life:?}");
    tool::end();
}

/// This end has closed, and the peer still sends: the data can no longer be read.
fn late_data() {
    let netns = Netns::new("late");
    let wire = Wire::new(&netns);
    tool::activate("");
    let (socket, mut peer) = calling(&netns, &wire);
    peer.answer();
    let who = (peer.remote.port(), peer.local.port());
    drop(socket);
    peer.expect(FIN | ACK);
    peer.send(ACK);
    traffic::until("it is FIN_WAIT2", || {
        let rows = ss::table(Some(&netns.name));
        rows.iter().any(|row| row.0 == "FIN_WAIT2")
    });
    peer.send_data(b"too late");
    peer.expect(RST);
    let report = tool::report("transitions=1");
    let life = life::life(&report.transitions, who.0, who.1);
    let rest = [CLOSES_FIRST[0], CLOSES_FIRST[1], ("CLOSE", "reset_sent")];
    life.assert_is(&[&CLIENT_OPENS[..], &rest].concat());
    tool::end();
}

/// The server has closed first and is in TIME_WAIT; the same peer calls again from the same port,
/// which is allowed because its sequence numbers have advanced.
fn reused() {
    let netns = Netns::new("again");
    let wire = Wire::new(&netns);
    let listener = netns.run(|| TcpListener::bind((HOST, 0)).expect("a listener"));
    let SocketAddr::V4(to) = listener.local_addr().expect("bound") else {
        panic!("HOST is an IPv4 address");
    };
    tool::activate("");
    let from = std::net::SocketAddrV4::new(peer_addr(0), 4000);
    let mut peer = Peer::new(&wire, from, to);
    peer.open();
    let (server, _) = listener.accept().expect("accept");
    drop(server);
    peer.expect(FIN | ACK);
    peer.close();
    peer.expect(ACK);
    let waiting = ss::table(Some(&netns.name));
    assert!(
        waiting.iter().any(|row| row.0 == "TIME_WAIT"),
        "{waiting:?}"
    );
    peer.seq += 100_000;
    peer.open();
    let (server, _) = listener.accept().expect("accept");

    let report = tool::report("transitions=1");
    let lives = life::of_ports(&report.transitions, to.port(), from.port());
    assert_eq!(lives.len(), 2, "{lives:?}");
    let (first, second) = match lives[0].last()["new"] == "CLOSE" {
        true => (&lives[0], &lives[1]),
        false => (&lives[1], &lives[0]),
    };
    let end = [("CLOSE", "reused")];
    first.assert_is(&[&SERVER_OPENS[..], &CLOSES_FIRST, &end].concat());
    second.assert_is(&SERVER_OPENS);
    drop(server);
    tool::end();
}
