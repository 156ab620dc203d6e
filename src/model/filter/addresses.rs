//! Networks in a filter: their syntax, and matching of addresses.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::fmt::escape::printable;
use crate::fmt::text::{Text, text, words};
use crate::model::filter::expression::{Side, alternatives};
use crate::model::ident::Ident;
use crate::model::key::{Parsed, number};

/// Number of bits before an IPv4 address in its mapped form.
const MAPPED_BITS: u8 = 96;

/// A network that an endpoint must or must not be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddrRule {
    /// Network without host bits; IPv4 in its mapped form, with a prefix that is 96 bits longer.
    pub network: Ipv6Net,
    /// Which endpoint is checked.
    pub side: Side,
    /// True if the endpoint must not be in the network.
    pub negate: bool,
    /// The device that the socket must also be bound to; 0: not checked.
    pub ifindex: u32,
}

/// Parses an address expression of one side. `device` returns the index of the device that follows
/// `%`.
///
/// # Errors
/// The problem, as text.
pub fn parse_addrs(
    text: &str,
    side: Side,
    device: impl Fn(&str) -> Parsed<u32>,
) -> Parsed<Vec<AddrRule>> {
    alternatives(text, |part, negate| {
        if let Some(advice) = with_port(part, side) {
            return Err(advice);
        }
        let (part, scope) = split_scope(part)?;
        Ok(AddrRule {
            network: parse_network(&part, scope)?,
            side,
            negate,
            ifindex: scope.map_or(Ok(0), &device)?,
        })
    })
}

/// The remedy for an address with a port or in brackets.
fn with_port(text: &str, side: Side) -> Option<Text> {
    let (address, port) = split_port(text)?;
    let side = side.letter();
    let (addr, lport) = (
        printable(&format!("{side}addr={address}")),
        format!("{side}port={port}"),
    );
    let written = printable(text);
    Some(match (address, port) {
        (_, "") => text!(
            "'{written}' has brackets: write {addr}",
            "'{written}' 带有方括号：请写 {addr}"
        ),
        ("" | "*", _) => text!(
            "'{written}' is a port: write {lport}",
            "'{written}' 是端口：请写 {lport}"
        ),
        _ => text!(
            "'{written}' has a port: write {addr} {lport}",
            "'{written}' 带有端口：请写 {addr} {lport}"
        ),
    })
}

/// Splits `10.0.0.1:80`, `*:80`, `:80`, `[::1]:80` and `[::1]`; `None` for any other text.
fn split_port(text: &str) -> Option<(&str, &str)> {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let bare = address.split('%').next()?;
        bare.parse::<Ipv6Addr>().ok()?;
        let port = rest.strip_prefix(':').filter(|port| is_port(port));
        return port
            .or(rest.is_empty().then_some(""))
            .map(|port| (address, port));
    }
    let (address, port) = text.rsplit_once(':')?;
    let known = matches!(address, "" | "*") || address.parse::<Ipv4Addr>().is_ok();
    (known && is_port(port)).then_some((address, port))
}

/// Removes the device from `fe80::%eth0/10`: it is part of the address.
fn split_scope(text: &str) -> Parsed<(Cow<'_, str>, Option<&str>)> {
    let Some((address, rest)) = text.split_once('%') else {
        return Ok((text.into(), None));
    };
    if address.contains('/') {
        return Err(words!(
            "a device stands before the prefix length: fe80::%eth0/10",
            "设备应写在前缀长度之前：`fe80::%eth0/10`"
        )
        .into());
    }
    Ok(match rest.split_once('/') {
        Some((device, prefix)) => (format!("{address}/{prefix}").into(), Some(device)),
        None => (address.into(), Some(rest)),
    })
}

/// Parses a network; `scope` is only used in errors.
fn parse_network(text: &str, scope: Option<&str>) -> Parsed<Ipv6Net> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| not_an_address(address))?;
    let written = match prefix {
        Some(text) => with_prefix(address, text)?,
        None => address.into(),
    };
    let network = mapped(written.trunc());
    if written.trunc() != written {
        let scope = scope.map(printable);
        let right = network_text(network, scope.as_deref());
        return Err(text!(
            "host bits are set, did you mean {right}?",
            "主机位不为零，是否想输入 {right}？"
        ));
    }
    Ok(network)
}

fn not_an_address(text: &str) -> Text {
    let text = printable(text);
    text!("'{text}' is not an address", "'{text}' 不是地址")
}

fn with_prefix(address: IpAddr, prefix: &str) -> Parsed<IpNet> {
    let prefix = number(prefix).ok().and_then(|n| u8::try_from(n).ok());
    prefix
        .and_then(|prefix| IpNet::new(address, prefix).ok())
        .ok_or_else(|| {
            let bits = IpNet::from(address).max_prefix_len();
            text!(
                "the prefix length is not 0 to {bits}",
                "前缀长度不在 0 到 {bits} 之间"
            )
        })
}

fn mapped(network: IpNet) -> Ipv6Net {
    match network {
        IpNet::V4(network) => v6_net(
            network.addr().to_ipv6_mapped(),
            MAPPED_BITS + network.prefix_len(),
        ),
        IpNet::V6(network) => network,
    }
}

/// The network as the user writes it: IPv4 is not mapped.
fn unmapped(network: Ipv6Net) -> IpNet {
    let v4 = || {
        let address = network.addr().to_ipv4_mapped()?;
        let prefix = network.prefix_len().checked_sub(MAPPED_BITS)?;
        Ipv4Net::new(address, prefix).ok()
    };
    v4().map_or(IpNet::V6(network), IpNet::V4)
}

/// A network with a prefix of at most 128 bits; the parser and the module produce no longer ones.
pub(super) fn v6_net(address: Ipv6Addr, prefix: u8) -> Ipv6Net {
    Ipv6Net::new(address, prefix).unwrap_or(address.into())
}

/// A network as the user writes it.
fn network_text(network: Ipv6Net, scope: Option<&str>) -> String {
    let network = unmapped(network);
    let (address, prefix) = (network.addr(), network.prefix_len());
    let scope = scope.map_or(String::new(), |scope| format!("%{scope}"));
    if prefix == network.max_prefix_len() {
        format!("{address}{scope}")
    } else {
        format!("{address}{scope}/{prefix}")
    }
}

impl AddrRule {
    /// The address, if the network is a single address.
    pub fn address(&self) -> Option<IpAddr> {
        let network = unmapped(self.network);
        (network.prefix_len() == network.max_prefix_len()).then(|| network.addr())
    }

    fn inside(&self, address: &[u8; 16]) -> bool {
        self.network.contains(&Ipv6Addr::from(*address))
    }

    pub(super) fn matches(&self, who: &Ident) -> bool {
        (self.ifindex == 0 || self.ifindex == who.ifindex)
            && (self.side != Side::Remote && self.inside(&who.laddr)
                || self.side != Side::Local && self.inside(&who.raddr))
    }

    /// A socket that listens on any address also listens on that of the rule, and on others. The
    /// same applies to one that is not bound to a device.
    pub(super) fn matches_listener(&self, who: &Ident) -> bool {
        let any_device = self.ifindex != 0 && who.ifindex == 0;
        if any_device && self.negate || !any_device && ![0, who.ifindex].contains(&self.ifindex) {
            return false;
        }
        match who.local().is_unspecified() {
            true => !self.negate,
            false => self.inside(&who.laddr),
        }
    }
}

impl fmt::Display for AddrRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negate { "!" } else { "" };
        let scope = (self.ifindex != 0).then(|| self.ifindex.to_string());
        let network = network_text(self.network, scope.as_deref());
        write!(f, "{sign}{network}")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::filter::expression::of_side;

    /// A lookup that knows three devices.
    pub(in crate::model::filter) fn device(name: &str) -> Parsed<u32> {
        let index = ["lo", "eth0", "eth1"].iter().position(|n| *n == name);
        let index = index.map(|index| index as u32 + 1);
        index
            .or_else(|| name.parse().ok())
            .ok_or_else(|| Text::same(format!("no device '{name}'")))
    }

    fn addrs(text: &str) -> String {
        match parse_addrs(text, Side::Either, device) {
            Ok(rules) => of_side(&rules, |_| true).unwrap(),
            Err(reason) => format!("error: {}", reason.en()),
        }
    }

    #[test]
    fn addresses_are_read_and_rendered() {
        let table = [
            ("10.0.0.0/8|!10.1.0.0/16", "10.0.0.0/8|!10.1.0.0/16"),
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4/32", "1.2.3.4"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("!::1", "!::1"),
            (
                "10.1.2.3/8",
                "error: host bits are set, did you mean 10.0.0.0/8?",
            ),
            (
                "2001:db8::1/64",
                "error: host bits are set, did you mean 2001:db8::/64?",
            ),
            ("1.2.3.4/33", "error: the prefix length is not 0 to 32"),
            ("::1/129", "error: the prefix length is not 0 to 128"),
            ("1.2.3.4/-1", "error: the prefix length is not 0 to 32"),
            ("1.2.3.4/", "error: the prefix length is not 0 to 32"),
            ("1.2.3.300", "error: '1.2.3.300' is not an address"),
            ("01.2.3.4", "error: '01.2.3.4' is not an address"),
            ("localhost", "error: 'localhost' is not an address"),
            ("[::1]", "error: '[::1]' has brackets: write addr=::1"),
            (
                "10.0.0.1:80",
                "error: '10.0.0.1:80' has a port: write addr=10.0.0.1 port=80",
            ),
            (
                "10.0.0.2|!10.0.0.1:80",
                "error: '10.0.0.1:80' has a port: write addr=10.0.0.1 port=80",
            ),
            (
                "[::1]:80",
                "error: '[::1]:80' has a port: write addr=::1 port=80",
            ),
            ("*:80", "error: '*:80' is a port: write port=80"),
            (":80", "error: ':80' is a port: write port=80"),
            ("*", "error: '*' is not an address"),
            ("::1:80", "::1:80"),
            (
                "[fe80::1%eth0]:80",
                "error: '[fe80::1%eth0]:80' has a port: write addr=fe80::1%eth0 port=80",
            ),
            ("[10.0.0.1]:80", "error: '[10.0.0.1]:80' is not an address"),
            (
                "10.0.0.1:99999",
                "error: '10.0.0.1:99999' is not an address",
            ),
            ("1.1.1.1||2.2.2.2", "error: an alternative is empty"),
            ("!", "error: an alternative is empty"),
            ("!!1.1.1.1", "error: '!1.1.1.1' is not an address"),
            ("fe80::2%eth0", "fe80::2%2"),
            ("!fe80::%eth1/10|fe80::1%7", "!fe80::%3/10|fe80::1%7"),
            ("10.0.0.1%eth0|10.0.0.0%lo/8", "10.0.0.1%2|10.0.0.0%1/8"),
            ("fe80::1%eth9", "error: no device 'eth9'"),
            ("fe80::1%", "error: no device ''"),
            ("%eth0", "error: '' is not an address"),
            (
                "fe80::1%eth0/10",
                "error: host bits are set, did you mean fe80::%eth0/10?",
            ),
            (
                "fe80::/10%eth0",
                "error: a device stands before the prefix length: fe80::%eth0/10",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(addrs(text), expected, "{text}");
        }
    }
}
