//! Truth: `ss`, which asks the kernel's socket diagnosis.

use std::net::Ipv6Addr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::netns::Netns;

/// A socket: state, local and remote end.
pub type Row = (String, (Ipv6Addr, u16), (Ipv6Addr, u16));

/// `ss -tan` in a namespace (`None`: this one), in any order.
pub fn table(netns: Option<&str>) -> Vec<Row> {
    let mut ss = Command::new("ss");
    ss.args(["-H", "-t", "-a", "-n"]);
    if let Some(name) = netns {
        ss.args(["-N", name]);
    }
    let output = ss.output().expect("ss(8)");
    assert!(
        output.status.success(),
        "ss: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("ss prints ASCII");
    text.lines().map(parse).collect()
}

/// Ends every TCP socket of a namespace. Those that no process has any more must
/// end by themselves, when they send the next time: old kernels take from them
/// what they would send, and they stay for ever.
pub fn kill(netns: &Netns) {
    netns.sysctl("tcp_orphan_retries", "1");
    let output = Command::new("ss")
        .args(["-N", &netns.name, "-t", "-K", "state", "all"])
        .args(["exclude", "fin-wait-1", "exclude", "last-ack"])
        .output()
        .expect("ss(8)");
    assert!(
        output.status.success(),
        "ss: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let start = Instant::now();
    while table(Some(&netns.name))
        .iter()
        .any(|row| row.0 != "TIME_WAIT")
    {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "sockets that could not be ended"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

fn parse(line: &str) -> Row {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let state = match fields[0] {
        "ESTAB" => "ESTABLISHED".to_owned(),
        "FIN-WAIT-1" => "FIN_WAIT1".to_owned(),
        "FIN-WAIT-2" => "FIN_WAIT2".to_owned(),
        "UNCONN" => "CLOSE".to_owned(),
        other => other.replace('-', "_"),
    };
    (state, end(fields[3]), end(fields[4]))
}

/// `127.0.0.1:80`, `[::1]:80`, `*:80`, `0.0.0.0:*`, `127.0.0.1%lo:80`.
fn end(text: &str) -> (Ipv6Addr, u16) {
    let (host, port) = text.rsplit_once(':').expect("an end has a port");
    let host = host.trim_matches(['[', ']']);
    let host = host.split('%').next().expect("split gives one at least");
    let addr = match host {
        "*" => Ipv6Addr::UNSPECIFIED,
        v4 if !v4.contains(':') => v4
            .parse::<std::net::Ipv4Addr>()
            .expect("an address")
            .to_ipv6_mapped(),
        v6 => v6.parse().expect("an address"),
    };
    (addr, port.parse().unwrap_or(0))
}
