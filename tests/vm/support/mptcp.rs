//! MPTCP connections with two subflows each.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::netns::{Netns, has_sysctl};
use super::nstat::Counters;
use super::tool;

/// Address of the server, on the first link.
pub const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 81, 1, 1), 9000);

/// Whether `ip` can configure a second address; 5.10 has no such path manager.
pub fn can_join() -> bool {
    has_sysctl("net.mptcp.enabled") && !tool::release().starts_with("5.10")
}

/// Two links between a client's namespace and a server's: each connection gets a second subflow.
pub struct Links {
    pub server: Netns,
    pub client: Netns,
}

impl Links {
    pub fn new(server: &str, client: &str) -> Self {
        let (server, client) = (Netns::new(server), Netns::new(client));
        for n in 1..=2 {
            let (near, far) = (format!("s{n}"), format!("c{n}"));
            server.ip(&[
                "link",
                "add",
                &near,
                "type",
                "veth",
                "peer",
                "name",
                &far,
                "netns",
                &client.name,
            ]);
            server.ip(&["addr", "add", &format!("10.81.{n}.1/24"), "dev", &near]);
            client.ip(&["addr", "add", &format!("10.81.{n}.2/24"), "dev", &far]);
            server.ip(&["link", "set", &near, "up"]);
            client.ip(&["link", "set", &far, "up"]);
        }
        for netns in [&server, &client] {
            netns.ip(&[
                "mptcp",
                "limits",
                "set",
                "subflow",
                "4",
                "add_addr_accepted",
                "4",
            ]);
        }
        client.ip(&[
            "mptcp",
            "endpoint",
            "add",
            "10.81.2.2",
            "dev",
            "c2",
            "subflow",
        ]);
        Self { server, client }
    }

    /// Number of subflows that have joined a connection at the server.
    pub fn joined(&self) -> u64 {
        Counters::of(&self.server.name).get("MPTcpExtMPJoinAckRx")
    }
}
