//! A real web server.

use std::fs::{self, Permissions};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use super::crowd;
use super::netns::Netns;
use super::program::Program;
use super::{guest, ss, traffic};

const PORT: u16 = 80;
/// Address of the server behind nginx, which answers requests with a body.
const BEHIND: &str = "127.0.0.1:8081";

/// nginx in a namespace: `/` is what [`crowd`] expects, `/big` is 64 MiB, and `/form` takes a body,
/// which nginx reads completely before it passes it on; or a reverse proxy.
pub struct Nginx {
    program: Program,
    folder: PathBuf,
    pub addr: SocketAddr,
}

impl Nginx {
    pub fn start(netns: &Netns, at: IpAddr) -> Self {
        Self::serve(netns, at, web)
    }

    /// A reverse proxy that keeps the connections to this server.
    pub fn start_proxy(netns: &Netns, at: IpAddr, to: SocketAddr) -> Self {
        Self::serve(netns, at, |_, addr| proxy(addr, to))
    }

    /// Starts it with these servers, given its folder and its address.
    fn serve(netns: &Netns, at: IpAddr, servers: impl Fn(&Path, SocketAddr) -> String) -> Self {
        let addr = SocketAddr::new(at, PORT);
        let folder = PathBuf::from(format!("/tmp/nginx-{}", netns.name));
        fs::create_dir_all(folder.join("html")).expect("a folder");
        // Its workers run as another user.
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("a mode");
        fs::write(folder.join("html/index.html"), crowd::BODY).expect("a file");
        let big = fs::File::create(folder.join("html/big")).expect("a file");
        big.set_len(64 << 20).expect("a length");
        let servers = servers(&folder, addr);
        fs::write(folder.join("conf"), configuration(&folder, &servers)).expect("a file");
        let program = run(netns, &folder);
        let nginx = Self {
            program,
            folder,
            addr,
        };
        nginx.wait(netns);
        nginx
    }

    fn wait(&self, netns: &Netns) {
        traffic::until("nginx listens", || {
            let listening = ss::listening(&netns.name);
            listening.iter().any(|l| l.local.1 == self.addr.port())
        });
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Ids of the process that listens, and of the one that accepts.
    pub fn pids(&mut self) -> [u64; 2] {
        let master = self.program.pid();
        let path = format!("/proc/{master}/task/{master}/children");
        let children = fs::read_to_string(path).expect("its children");
        let worker = children.split_whitespace().next().expect("a worker");
        [master, worker.parse().expect("a number")]
    }

    /// Restarts it, like an administrator: it ends, and starts again.
    pub fn restart(&mut self, netns: &Netns) {
        self.program.quit();
        self.program = run(netns, &self.folder);
        self.wait(netns);
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A worker survives when its master is killed. The master ends when `program` is dropped.
        if let Some(worker) = self.program.stopped_child() {
            let _ = kill(worker, Signal::SIGKILL);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn run(netns: &Netns, folder: &Path) -> Program {
    let conf = folder.join("conf");
    let log = folder.join("log");
    let text = |path: &Path| path.to_str().expect("a path of ASCII").to_owned();
    Program::start(netns, &["nginx", "-c", &text(&conf), "-e", &text(&log)])
}

fn configuration(folder: &Path, servers: &str) -> String {
    let folder = folder.display();
    // The default, but longer where everything is slower.
    let patience = guest::slowed(Duration::from_secs(60)).as_secs();
    format!(
        "daemon off;
        worker_processes 1;
        worker_rlimit_nofile 10000;
        pid {folder}/pid;
        error_log {folder}/log;
        events {{ worker_connections 5000; }}
        http {{
            access_log off;
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            keepalive_requests 1000000;
            keepalive_timeout 1h;
            client_header_timeout {patience}s;
            client_body_timeout {patience}s;
            send_timeout {patience}s;
            {servers}
        }}
        "
    )
}

fn web(folder: &Path, addr: SocketAddr) -> String {
    format!(
        "server {{
            listen {addr} backlog=1024;
            root {}/html;
            location /form {{ proxy_pass http://{BEHIND}; }}
        }}
        server {{
            listen {BEHIND};
            location / {{ return 200 'thank you'; }}
        }}",
        folder.display()
    )
}

fn proxy(addr: SocketAddr, to: SocketAddr) -> String {
    format!(
        "upstream pool {{ server {to}; keepalive 100; }}
        server {{
            listen {addr} backlog=1024;
            location / {{
                proxy_pass http://pool;
                proxy_http_version 1.1;
                proxy_set_header Connection '';
            }}
        }}"
    )
}
