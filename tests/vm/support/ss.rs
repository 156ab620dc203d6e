//! Truth: `ss`, which asks the kernel's socket diagnosis.

use std::net::Ipv6Addr;
use std::process::Command;

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

/// Ends every TCP socket of a namespace.
pub fn kill(netns: &str) {
    let output = Command::new("ss")
        .args(["-N", netns, "-t", "-a", "-K"])
        .output()
        .expect("ss(8)");
    assert!(
        output.status.success(),
        "ss: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let left = table(Some(netns))
        .into_iter()
        .filter(|row| row.0 != "TIME_WAIT")
        .count();
    assert_eq!(left, 0, "sockets that could not be ended");
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
