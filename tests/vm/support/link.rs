//! Two namespaces with a link between them, which can be delayed or cut.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::process::Command;

use super::netns::Netns;
use super::traffic;

/// Name of the link at both ends.
const WIRE: &str = "wire";

pub const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));
pub const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));

/// Maximum number of packets that a delay holds back.
const IN_FLIGHT: &str = "100000";
/// Nothing listens on this port.
const CLOSED: u16 = 1;

/// Both namespaces; the near one has the address [`NEAR`], the far one [`FAR`].
pub struct Link {
    pub near: Netns,
    pub far: Netns,
}

impl Link {
    pub fn new(near: &str, far: &str) -> Self {
        let link = Self {
            near: Netns::new(near),
            far: Netns::new(far),
        };
        link.near.ip(&[
            "link", "add", WIRE, "type", "veth", "peer", "name", WIRE, "netns", far,
        ]);
        for (netns, addr) in [(&link.near, NEAR), (&link.far, FAR)] {
            netns.ip(&["addr", "add", &format!("{addr}/24"), "dev", WIRE]);
            netns.ip(&["link", "set", WIRE, "up"]);
        }
        link
    }

    /// Gives the near end all addresses of a prefix, and the far end a route to them.
    pub fn lend(&self, prefix: &str) {
        self.near
            .ip(&["route", "add", "local", prefix, "dev", "lo"]);
        self.far
            .ip(&["route", "add", prefix, "via", &NEAR.to_string()]);
    }

    /// Adds a default route from the far end to the near end, which drops the packets.
    pub fn lead_away(&self) {
        self.far
            .ip(&["route", "add", "default", "via", &NEAR.to_string()]);
    }

    /// Removes these addresses from the near end: packets to them are lost silently.
    pub fn vanish(&self, prefix: &str) {
        self.near
            .ip(&["route", "del", "local", prefix, "dev", "lo"]);
    }

    /// Waits until packets pass: on a link that has just come up, SYNs are lost, and when two CPUs
    /// process the retransmitted ones, the kernel resets the connection.
    pub fn wait(&self) {
        let refused = || {
            let called = TcpStream::connect((FAR, CLOSED));
            called.is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
        };
        self.near.run(|| traffic::until("the link is up", refused));
    }

    /// Delays packets from far to near from now on.
    pub fn delay(&self, delay: &str) {
        let output = Command::new("tc")
            .args(["-n", &self.far.name, "qdisc", "add", "dev", WIRE, "root"])
            .args(["netem", "delay", delay, "limit", IN_FLIGHT])
            .output()
            .expect("tc(8)");
        assert!(
            output.status.success(),
            "tc: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Cuts the link: all packets are lost.
    pub fn cut(&self) {
        self.far.ip(&["link", "set", WIRE, "down"]);
    }
}
