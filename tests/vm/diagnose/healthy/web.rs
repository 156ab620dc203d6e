//! Web servers and a database, with real programs.

use std::cell::OnceCell;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

use super::{assert_nothing, print_counts};
use crate::support::crowd;
use crate::support::link::{FAR, Link};
use crate::support::nginx::Nginx;
use crate::support::process::{Line, Process};
use crate::support::program::Program;
use crate::support::{tool, traffic};

/// All at once, each on its own link; the link is removed last.
pub fn healthy() {
    tool::activate("");
    let keeping = Loaded::start("keep", &[]);
    let closing = Loaded::start("short", &["-H", "Connection: close"]);
    let database = Database::start();
    let download = Download::start();
    let mut restarted = Restarted::start();
    // The time for which a client may be slow before it counts as an attack.
    thread::sleep(Duration::from_secs(8));
    assert_nothing("while they are busy", "");
    restarted.restart();
    assert_nothing("just after a restart", "");
    print_counts();
    keeping.finish();
    closing.finish();
    database.finish();
    download.finish();
    restarted.finish();
    tool::tcpstates(&["--deactivate"]);
}

/// nginx and `wrk`, at full speed.
struct Loaded {
    wrk: Program,
    _nginx: Nginx,
    _link: Link,
}

impl Loaded {
    fn start(name: &str, header: &[&str]) -> Self {
        let link = Link::new(&format!("{name}near"), &format!("{name}far"));
        let nginx = Nginx::start(&link.far, FAR);
        let load = [
            "wrk",
            "--threads",
            "1",
            "--connections",
            "20",
            // It is ended with the scenario, which takes long where each access is checked.
            "--duration",
            "3600",
        ];
        let url = nginx.url("/");
        let wrk = Program::start(&link.near, &[&load, header, &[&url]].concat());
        Self {
            _link: link,
            _nginx: nginx,
            wrk,
        }
    }

    fn finish(mut self) {
        self.wrk.assert_runs();
    }
}

/// A server with a pool of connections from one client that sends no requests.
struct Database {
    client: Process,
    server: Process,
    _link: Link,
}

const POOL: usize = 500;

impl Database {
    fn start() -> Self {
        let link = Link::new("poolnear", "poolfar");
        let (server, to) = crowd::start_server(&link.far, c"database", FAR);
        let mut client = Process::named(&link.near, c"pool", move |mut line| {
            let mut pool: Vec<_> = (0..POOL)
                .map(|_| TcpStream::connect(to).expect("connect"))
                .collect();
            for stream in &mut pool {
                setsockopt(stream, sockopt::KeepAlive, &true).expect("SO_KEEPALIVE");
                crowd::ask(stream);
            }
            line.tell(&[]);
            line.hear();
        });
        client.line.hear();
        Self {
            _link: link,
            server,
            client,
        }
    }

    fn finish(mut self) {
        self.server.assert_runs();
        self.client.assert_runs();
    }
}

/// One client on a slow link downloads 64 MiB.
struct Download {
    curl: Program,
    _nginx: Nginx,
    _link: Link,
}

impl Download {
    fn start() -> Self {
        let link = Link::new("slownear", "slowfar");
        let nginx = Nginx::start(&link.far, FAR);
        let url = nginx.url("/big");
        let curl = [
            "curl",
            "-s",
            "-S",
            "-o",
            "/dev/null",
            "--limit-rate",
            "30k",
            &url,
        ];
        let curl = Program::start(&link.near, &curl);
        Self {
            _link: link,
            _nginx: nginx,
            curl,
        }
    }

    fn finish(mut self) {
        self.curl.assert_runs();
    }
}

/// A server that restarts, and clients that reconnect at once.
struct Restarted {
    clients: Process,
    nginx: Nginx,
    link: Link,
}

const FAITHFUL: usize = 150;

impl Restarted {
    fn start() -> Self {
        let link = Link::new("againnear", "againfar");
        link.lend("10.78.0.0/16");
        let nginx = Nginx::start(&link.far, FAR);
        let to = nginx.addr;
        let mut clients = Process::named(&link.near, c"faithful", move |line| come_back(line, to));
        clients.line.hear();
        Self {
            link,
            nginx,
            clients,
        }
    }

    /// ... and all clients are connected again.
    fn restart(&mut self) {
        self.nginx.restart(&self.link.far);
        self.clients.line.hear();
    }

    fn finish(mut self) {
        self.clients.assert_runs();
    }
}

/// Keeps connections; when the server closes them, opens new ones.
fn come_back(mut line: Line, to: SocketAddr) {
    loop {
        let mut streams: Vec<_> = (0..FAITHFUL).map(|n| connect(n, to)).collect();
        streams.iter_mut().for_each(crowd::ask);
        line.tell(&[]);
        for stream in &mut streams {
            traffic::wait_for_fin(stream);
        }
    }
}

fn connect(number: usize, to: SocketAddr) -> TcpStream {
    let from = Ipv4Addr::new(10, 78, 0, 1 + (number % 10) as u8);
    let connected = OnceCell::new();
    traffic::within(Duration::from_secs(60), "the server is there again", || {
        traffic::try_connect_from(from, to).is_ok_and(|stream| connected.set(stream).is_ok())
    });
    connected.into_inner().expect("it is connected")
}
