//! Rule expressions over addresses, ports, states and reasons: their grammar, their
//! form in the ABI, and their evaluation, which is the module's
//! (`include/tcpstates.h`, beside `struct tcpstates_filter`).

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::abi::{self, RawAddrRule, RawFilter, RawPortRule};
use crate::model::alarm::Alarm;
use crate::model::conn::Conn;
use crate::model::ident::Ident;
use crate::model::listener::Listener;
use crate::model::reason::Reason;
use crate::model::state::State;
use crate::model::transition::Transition;

/// What is wrong with a value, in words.
type Parsed<T> = std::result::Result<T, String>;

/// Bits before an IPv4 address in its mapped form.
const MAPPED_BITS: u8 = 96;

/// Which end of a connection a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The local or the remote end.
    Either,
    /// The local end.
    Local,
    /// The remote end.
    Remote,
}

impl Side {
    /// All, in the order in which they are written.
    pub const ALL: [Self; 3] = [Self::Either, Self::Local, Self::Remote];

    fn number(self) -> u8 {
        let number = match self {
            Self::Either => abi::TCPSTATES_SIDE_EITHER,
            Self::Local => abi::TCPSTATES_SIDE_LOCAL,
            Self::Remote => abi::TCPSTATES_SIDE_REMOTE,
        };
        number as u8
    }

    fn from_number(number: u8) -> Self {
        Self::ALL
            .into_iter()
            .find(|s| s.number() == number)
            .unwrap_or(Self::Either)
    }

    /// What stands before `addr` and `port` in the key of this side.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Either => "",
            Self::Local => "l",
            Self::Remote => "r",
        }
    }
}

/// A network that an end must be in, or must not be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddrRule {
    /// IPv4 in its mapped form.
    pub network: Ipv6Addr,
    /// Bits, 96 more for IPv4.
    pub prefix: u8,
    /// Which end.
    pub side: Side,
    /// Must not.
    pub negate: bool,
    /// The device that the socket must be bound to as well; 0: any or none.
    pub ifindex: u32,
}

/// Ports that an end must have, or must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRule {
    /// The first.
    pub low: u16,
    /// The last.
    pub high: u16,
    /// Which end.
    pub side: Side,
    /// Must not.
    pub negate: bool,
}

/// Which connections are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Inode number of the namespace; 0: any.
    pub netns: u32,
    /// 4 or 6; 0: both.
    pub family: u8,
    /// The address expressions of all sides.
    pub addrs: Vec<AddrRule>,
    /// The port expressions of all sides.
    pub ports: Vec<PortRule>,
}

/// Values that are meant; empty: any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules<T> {
    wanted: Vec<T>,
    refused: Vec<T>,
}

impl<T> Default for Rules<T> {
    fn default() -> Self {
        Self {
            wanted: Vec::new(),
            refused: Vec::new(),
        }
    }
}

/// What a report shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Show {
    /// Of these connections.
    pub filter: Filter,
    /// In these states.
    pub states: Rules<State>,
    /// For these reasons.
    pub reasons: Rules<Reason>,
    /// Nanoseconds in the (old) state, at least; an unknown time is never too short,
    /// as in the module.
    pub min_ns: u64,
}

/// Splits `a|!b` into its alternatives and whether each is negated.
fn alternatives<T>(text: &str, parse: impl Fn(&str, bool) -> Parsed<T>) -> Parsed<Vec<T>> {
    let one = |part: &str| match part.strip_prefix('!') {
        _ if part.is_empty() || part == "!" => Err("an alternative is empty".to_owned()),
        Some(rest) => parse(rest, true),
        None => parse(part, false),
    };
    text.split('|').map(one).collect()
}

/// Reads an address expression of one side. `device` finds the index of a device by what the
/// user writes behind `%`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_addrs(
    text: &str,
    side: Side,
    device: impl Fn(&str) -> Parsed<u32>,
) -> Parsed<Vec<AddrRule>> {
    alternatives(text, |part, negate| {
        let (part, scope) = split_scope(part)?;
        let (network, prefix) = parse_network(&part, scope)?;
        Ok(AddrRule {
            network,
            prefix,
            side,
            negate,
            ifindex: scope.map_or(Ok(0), &device)?,
        })
    })
}

/// Takes the device out of `fe80::%eth0/10`: it belongs to the address.
fn split_scope(text: &str) -> Parsed<(Cow<'_, str>, Option<&str>)> {
    let Some((address, rest)) = text.split_once('%') else {
        return Ok((text.into(), None));
    };
    if address.contains('/') {
        return Err("a device stands before the prefix length: fe80::%eth0/10".into());
    }
    Ok(match rest.split_once('/') {
        Some((device, prefix)) => (format!("{address}/{prefix}").into(), Some(device)),
        None => (address.into(), Some(rest)),
    })
}

/// `scope` is only for what an error says.
fn parse_network(text: &str, scope: Option<&str>) -> Parsed<(Ipv6Addr, u8)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| {
        format!(
            "'{}' is not an address",
            crate::fmt::escape::printable(address)
        )
    })?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(text) => parse_prefix(text, bits)?,
        None => bits,
    };
    let (mapped, prefix) = mapped(address, prefix);
    let network = masked(mapped, prefix);
    if network != mapped {
        let scope = scope.map(crate::fmt::escape::printable);
        let right = network_text(network, prefix, scope.as_deref());
        return Err(format!("host bits are set, did you mean {right}?"));
    }
    Ok((mapped, prefix))
}

fn parse_prefix(text: &str, bits: u8) -> Parsed<u8> {
    let prefix = number(text).ok().and_then(|n| u8::try_from(n).ok());
    prefix
        .filter(|p| *p <= bits)
        .ok_or_else(|| format!("the prefix length is not 0 to {bits}"))
}

fn mapped(address: IpAddr, prefix: u8) -> (Ipv6Addr, u8) {
    match address {
        IpAddr::V4(a) => (a.to_ipv6_mapped(), prefix + MAPPED_BITS),
        IpAddr::V6(a) => (a, prefix),
    }
}

fn masked(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let below = u32::from(128 - prefix.min(128));
    let mask = u128::MAX.checked_shl(below).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

/// A network as the user writes it.
fn network_text(network: Ipv6Addr, prefix: u8, scope: Option<&str>) -> String {
    let v4: Option<Ipv4Addr> = network.to_ipv4_mapped().filter(|_| prefix >= MAPPED_BITS);
    let (address, prefix, bits) = match v4 {
        Some(v4) => (IpAddr::V4(v4), prefix - MAPPED_BITS, 32),
        None => (IpAddr::V6(network), prefix, 128),
    };
    let scope = scope.map_or(String::new(), |scope| format!("%{scope}"));
    if prefix == bits {
        format!("{address}{scope}")
    } else {
        format!("{address}{scope}/{prefix}")
    }
}

/// Reads a port expression of one side.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_ports(text: &str, side: Side) -> Parsed<Vec<PortRule>> {
    alternatives(text, |part, negate| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let (low, high) = (parse_port(low)?, parse_port(high)?);
        if low > high {
            return Err(format!("the range {low}-{high} is upside down"));
        }
        Ok(PortRule {
            low,
            high,
            side,
            negate,
        })
    })
}

fn parse_port(text: &str) -> Parsed<u16> {
    let port = number(text).ok().and_then(|n| u16::try_from(n).ok());
    port.ok_or_else(|| {
        format!(
            "'{}' is not a port (0 to 65535)",
            crate::fmt::escape::printable(text)
        )
    })
}

/// Reads a state expression.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_states(text: &str) -> Parsed<Rules<State>> {
    parse_rules(text, |name| {
        State::from_name(name).ok_or_else(|| unknown_state(name))
    })
}

fn unknown_state(name: &str) -> String {
    match name.eq_ignore_ascii_case(&State::NEW.name()) {
        true => {
            "no connection is in NEW, a SYN's first transition comes from it: use SYN_RECV".into()
        }
        false => unknown_name(name, "state", State::all().map(State::name)),
    }
}

/// Reads an expression of reasons.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_reasons(text: &str) -> Parsed<Rules<Reason>> {
    let unknown = |name: &str| unknown_name(name, "reason", Reason::all().filter_map(Reason::name));
    parse_rules(text, |name| {
        Reason::from_name(name).ok_or_else(|| unknown(name))
    })
}

fn parse_rules<T>(text: &str, value: impl Fn(&str) -> Parsed<T>) -> Parsed<Rules<T>> {
    let mut rules = Rules::default();
    for (value, negate) in alternatives(text, |part, negate| Ok((value(part)?, negate)))? {
        let list = if negate {
            &mut rules.refused
        } else {
            &mut rules.wanted
        };
        list.push(value);
    }
    Ok(rules)
}

/// That `name` is none of `names`, with the nearest of them.
pub(crate) fn unknown_name(
    name: &str,
    what: &str,
    names: impl Iterator<Item = Cow<'static, str>>,
) -> String {
    let lower = name.to_ascii_lowercase();
    let near = names
        .map(|n| {
            (
                strsim::damerau_levenshtein(&lower, &n.to_ascii_lowercase()),
                n,
            )
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 3);
    let hint = near.map_or(String::new(), |(_, n)| format!(", did you mean {n}?"));
    let name = crate::fmt::escape::printable(name);
    format!("'{name}' is not a {what}{hint}")
}

/// Reads a namespace: its inode number, or its name under `/run/netns`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_netns(text: &str) -> Parsed<u32> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let inode = number(text).ok().and_then(|n| u32::try_from(n).ok());
        return inode
            .filter(|n| *n != 0)
            .ok_or_else(|| "it is out of range".to_owned());
    }
    if text.contains('/') || text.starts_with('.') {
        return Err("it is not a name".into());
    }
    match Path::new("/run/netns").join(text).metadata() {
        Ok(data) => u32::try_from(data.ino()).map_err(|_| "its inode is out of range".into()),
        Err(error) => Err(format!(
            "/run/netns/{}: {error}",
            crate::fmt::escape::printable(text)
        )),
    }
}

/// Reads a decimal number: digits only.
///
/// # Errors
/// What is wrong with it, in words.
pub fn number(text: &str) -> Parsed<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("it is not a number".into());
    }
    text.parse().map_err(|_| "it is out of range".into())
}

impl AddrRule {
    fn inside(&self, address: &[u8; 16]) -> bool {
        masked(Ipv6Addr::from(*address), self.prefix) == self.network
    }

    fn matches(&self, who: &Ident) -> bool {
        (self.ifindex == 0 || self.ifindex == who.ifindex)
            && (self.side != Side::Remote && self.inside(&who.laddr)
                || self.side != Side::Local && self.inside(&who.raddr))
    }

    /// A socket that listens on any address does so on the rule's, and on others; likewise one
    /// that is bound to no device.
    fn matches_listener(&self, who: &Ident) -> bool {
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

impl PortRule {
    fn matches(&self, who: &Ident) -> bool {
        let inside = |port| self.low <= port && port <= self.high;
        // A local port that is not chosen yet may become one of them.
        let local = || {
            if who.lport == 0 {
                !self.negate
            } else {
                inside(who.lport)
            }
        };
        self.side != Side::Remote && local() || self.side != Side::Local && inside(who.rport)
    }
}

/// Whether the expression that `rules` (side, negate, matches) of each side form holds.
fn expressions_hold(rules: impl Iterator<Item = (Side, bool, bool)>) -> bool {
    let (mut wanted, mut met) = ([false; 3], [false; 3]);
    for (side, negate, matches) in rules {
        if negate && matches {
            return false;
        }
        let side = usize::from(side.number());
        wanted[side] |= !negate;
        met[side] |= !negate && matches;
    }
    wanted == met
}

impl Filter {
    /// Whether a connection is meant.
    #[inline]
    pub fn matches(&self, who: &Ident) -> bool {
        let port = |r: &PortRule| (r.side, r.negate, r.matches(who));
        self.matches_pair(who) && expressions_hold(self.ports.iter().map(port))
    }

    /// Whether the connections between two addresses are meant: they have many ports.
    #[inline]
    pub fn matches_pair(&self, who: &Ident) -> bool {
        let addr = |r: &AddrRule| (r.side, r.negate, r.matches(who));
        self.matches_place(who) && expressions_hold(self.addrs.iter().map(addr))
    }

    /// Whether a listener is meant: it has no remote end, which the rules could look at.
    pub fn matches_listener(&self, who: &Ident) -> bool {
        let addrs = self.addrs.iter().filter(|r| r.side != Side::Remote);
        let ports = self.ports.iter().filter(|r| r.side != Side::Remote);
        let inside = |r: &PortRule| r.low <= who.lport && who.lport <= r.high;
        self.matches_place(who)
            && expressions_hold(addrs.map(|r| (r.side, r.negate, r.matches_listener(who))))
            && expressions_hold(ports.map(|r| (r.side, r.negate, inside(r))))
    }

    fn matches_place(&self, who: &Ident) -> bool {
        (self.family == 0 || self.family == who.family)
            && (self.netns == 0 || self.netns == who.netns)
    }

    /// The form in the ABI. Rules beyond its room were refused by the parser.
    pub fn to_abi(&self) -> RawFilter {
        let mut raw = RawFilter {
            netns: self.netns,
            family: self.family,
            ..RawFilter::default()
        };
        for (slot, rule) in raw.addrs.iter_mut().zip(&self.addrs) {
            slot.addr = rule.network.octets();
            (slot.prefix, slot.side, slot.negate) =
                (rule.prefix, rule.side.number(), u8::from(rule.negate));
            slot.ifindex = rule.ifindex;
            raw.nr_addrs += 1;
        }
        for (slot, rule) in raw.ports.iter_mut().zip(&self.ports) {
            (slot.low, slot.high) = (rule.low, rule.high);
            (slot.side, slot.negate) = (rule.side.number(), u8::from(rule.negate));
            raw.nr_ports += 1;
        }
        raw
    }

    /// From the form in the ABI.
    pub fn from_abi(raw: &RawFilter) -> Self {
        let addr = |rule: &RawAddrRule| AddrRule {
            network: Ipv6Addr::from(rule.addr),
            prefix: rule.prefix,
            side: Side::from_number(rule.side),
            negate: rule.negate != 0,
            ifindex: rule.ifindex,
        };
        let port = |rule: &RawPortRule| PortRule {
            low: rule.low,
            high: rule.high,
            side: Side::from_number(rule.side),
            negate: rule.negate != 0,
        };
        Self {
            netns: raw.netns,
            family: raw.family,
            addrs: raw
                .addrs
                .iter()
                .take(usize::from(raw.nr_addrs))
                .map(addr)
                .collect(),
            ports: raw
                .ports
                .iter()
                .take(usize::from(raw.nr_ports))
                .map(port)
                .collect(),
        }
    }

    /// The keys and values that would make this filter, in the order of the keys.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for side in Side::ALL {
            push(
                &mut pairs,
                format!("{}addr", side.letter()),
                of_side(&self.addrs, |r| r.side == side),
            );
        }
        for side in Side::ALL {
            push(
                &mut pairs,
                format!("{}port", side.letter()),
                of_side(&self.ports, |r| r.side == side),
            );
        }
        let number = |n: u32| if n == 0 { String::new() } else { n.to_string() };
        push(&mut pairs, "family".into(), number(self.family.into()));
        push(&mut pairs, "netns".into(), number(self.netns));
        pairs
    }
}

fn push(pairs: &mut Vec<(String, String)>, key: String, value: String) {
    if !value.is_empty() {
        pairs.push((key, value));
    }
}

fn of_side<T: fmt::Display>(rules: &[T], side: impl Fn(&T) -> bool) -> String {
    let texts: Vec<_> = rules.iter().filter(|r| side(r)).map(T::to_string).collect();
    texts.join("|")
}

impl fmt::Display for AddrRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negate { "!" } else { "" };
        let scope = (self.ifindex != 0).then(|| self.ifindex.to_string());
        let network = network_text(self.network, self.prefix, scope.as_deref());
        write!(f, "{sign}{network}")
    }
}

impl fmt::Display for PortRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negate { "!" } else { "" };
        match self.low == self.high {
            true => write!(f, "{sign}{}", self.low),
            false => write!(f, "{sign}{}-{}", self.low, self.high),
        }
    }
}

impl<T> Rules<T> {
    /// Whether one of those that are wanted is met and none that is refused.
    fn hold(&self, met: impl Fn(&T) -> bool) -> bool {
        (self.wanted.is_empty() || self.wanted.iter().any(&met)) && !self.refused.iter().any(met)
    }
}

impl Rules<State> {
    /// `SYN_RECV` means half-open requests too, `NEW_SYN_RECV` only them.
    fn matches(&self, states: &[State]) -> bool {
        self.hold(|rule| states.iter().any(|s| s == rule || s.known_as() == *rule))
    }
}

impl Rules<Reason> {
    fn matches(&self, reason: Reason) -> bool {
        self.hold(|rule| *rule == reason)
    }
}

impl Show {
    /// Whether a transition is shown.
    pub fn transition(&self, event: &Transition) -> bool {
        event.in_old.ns().is_none_or(|ns| ns >= self.min_ns)
            && self.states.matches(&[event.old, event.new])
            && self.reasons.matches(event.reason)
            && self.filter.matches(&event.who)
    }

    /// Whether a live connection is shown, at `now_ns` (monotonic).
    pub fn connection(&self, conn: &Conn, now_ns: u64) -> bool {
        conn.age(now_ns).ns().is_none_or(|ns| ns >= self.min_ns)
            && self.states.matches(&[conn.state])
            && self.reasons.matches(conn.reason)
            && self.filter.matches(&conn.who)
    }

    /// Whether an alarm is shown: states, reasons and times are not an alarm's.
    pub fn alarm(&self, alarm: &Alarm) -> bool {
        match alarm.is_pair() {
            true => self.filter.matches_pair(&alarm.who),
            false => self.filter.matches_listener(&alarm.who),
        }
    }

    /// Whether a listener is shown, at `now_ns` (monotonic).
    pub fn listener(&self, listener: &Listener, now_ns: u64) -> bool {
        listener.age(now_ns).ns().is_none_or(|ns| ns >= self.min_ns)
            && self.states.matches(&[State::LISTEN])
            && self.reasons.matches(Reason::NONE)
            && self.filter.matches_listener(&listener.who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ident::tests::ident;

    /// Of three devices.
    fn device(name: &str) -> Parsed<u32> {
        let index = ["lo", "eth0", "eth1"].iter().position(|n| *n == name);
        let index = index.map(|index| index as u32 + 1);
        index
            .or_else(|| name.parse().ok())
            .ok_or_else(|| format!("no device '{name}'"))
    }

    fn addrs(text: &str) -> String {
        match parse_addrs(text, Side::Either, device) {
            Ok(rules) => of_side(&rules, |_| true),
            Err(reason) => format!("error: {reason}"),
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
            ("[::1]", "error: '[::1]' is not an address"),
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

    #[test]
    fn ports_are_read_and_rendered() {
        let ports = |text| match parse_ports(text, Side::Local) {
            Ok(rules) => of_side(&rules, |_| true),
            Err(reason) => format!("error: {reason}"),
        };
        let table = [
            ("80", "80"),
            ("8000-8099|!8080", "8000-8099|!8080"),
            ("0-65535", "0-65535"),
            ("65536", "error: '65536' is not a port (0 to 65535)"),
            ("http", "error: 'http' is not a port (0 to 65535)"),
            ("+80", "error: '+80' is not a port (0 to 65535)"),
            ("90-80", "error: the range 90-80 is upside down"),
            ("80-", "error: '' is not a port (0 to 65535)"),
            ("1-2-3", "error: '2-3' is not a port (0 to 65535)"),
            ("80|", "error: an alternative is empty"),
        ];
        for (text, expected) in table {
            assert_eq!(ports(text), expected, "{text}");
        }
    }

    #[test]
    fn states_are_read() {
        let rules = parse_states("established|!time_wait").unwrap();
        assert_eq!(
            rules,
            Rules {
                wanted: vec![State(1)],
                refused: vec![State(6)]
            }
        );
        let error = |text| parse_states(text).unwrap_err();
        assert_eq!(
            error("ESTABLISHD"),
            "'ESTABLISHD' is not a state, did you mean ESTABLISHED?"
        );
        assert_eq!(error("FOO"), "'FOO' is not a state");
        let new = "no connection is in NEW, a SYN's first transition comes from it: use SYN_RECV";
        assert_eq!((error("new"), error("!NEW")), (new.into(), new.into()));
        assert_eq!(error("LISTEN|"), "an alternative is empty");
    }

    #[test]
    fn reasons_are_read_and_hold() {
        let shows = |text, reason| parse_reasons(text).unwrap().matches(Reason(reason));
        assert!(shows("refused|Closed_Peer", 10) && shows("refused|closed_peer", 2));
        assert!(!shows("refused", 2) && !shows("refused", 0));
        assert!(shows("!refused", 0) && !shows("!refused", 10));
        assert!(Rules::<Reason>::default().matches(Reason::NONE));
        assert_eq!(
            parse_reasons("refuse").unwrap_err(),
            "'refuse' is not a reason, did you mean refused?"
        );
        assert_eq!(parse_reasons("none").unwrap_err(), "'none' is not a reason");
    }

    #[test]
    fn namespaces_are_read() {
        assert_eq!(parse_netns("4026531840"), Ok(4_026_531_840));
        assert_eq!(parse_netns("0"), Err("it is out of range".into()));
        assert_eq!(parse_netns("4294967296"), Err("it is out of range".into()));
        assert_eq!(parse_netns("../x"), Err("it is not a name".into()));
        assert!(
            parse_netns("no-such-netns")
                .unwrap_err()
                .starts_with("/run/netns/no-such-netns: ")
        );
    }

    fn filter(keys: &[(&str, &str)]) -> Filter {
        let mut filter = Filter::default();
        for (key, value) in keys {
            let side = Side::ALL[["", "l", "r"]
                .iter()
                .position(|l| *l == &key[..key.len() - 4])
                .unwrap()];
            match key.ends_with("addr") {
                true => filter
                    .addrs
                    .extend(parse_addrs(value, side, device).unwrap()),
                false => filter.ports.extend(parse_ports(value, side).unwrap()),
            }
        }
        filter
    }

    #[test]
    fn expressions_hold_as_the_header_says() {
        let who = ident("10.0.0.1:80", "192.168.1.9:40000");
        let table: &[(&[(&str, &str)], bool)] = &[
            (&[], true),
            (&[("addr", "10.0.0.0/8")], true),
            (&[("addr", "192.168.0.0/16")], true),
            (&[("laddr", "192.168.0.0/16")], false),
            (&[("raddr", "192.168.0.0/16")], true),
            (&[("addr", "10.0.0.0/8|!192.168.1.9")], false),
            (&[("addr", "!10.0.0.1")], false),
            (&[("raddr", "!10.0.0.1")], true),
            (&[("addr", "172.16.0.0/12")], false),
            (&[("addr", "172.16.0.0/12|10.0.0.1")], true),
            (&[("laddr", "10.0.0.0/8"), ("raddr", "10.0.0.0/8")], false),
            (
                &[("laddr", "10.0.0.0/8"), ("raddr", "192.168.1.8/31")],
                true,
            ),
            (&[("addr", "::/0")], true),
            (&[("addr", "2000::/3")], false),
            (&[("port", "80")], true),
            (&[("lport", "40000")], false),
            (&[("rport", "40000-40001")], true),
            (&[("port", "!443")], true),
            (&[("port", "!80")], false),
            (&[("lport", "80|!80")], false),
            (&[("lport", "80"), ("rport", "!40000")], false),
        ];
        for (keys, expected) in table {
            assert_eq!(filter(keys).matches(&who), *expected, "{keys:?}");
        }
    }

    #[test]
    fn a_device_is_part_of_the_address() {
        let on = |ifindex| {
            let mut pair = ident("[fe80::1]:80", "[fe80::2]:40000");
            let mut listener = ident("[fe80::1]:80", "[::]:0");
            let mut any = ident("[::]:80", "[::]:0");
            for who in [&mut pair, &mut listener, &mut any] {
                who.ifindex = ifindex;
            }
            (pair, listener, any)
        };
        for (value, ifindex, expected) in [
            ("fe80::/10%", 2, [true; 3]),
            ("fe80::2%eth0", 2, [true, false, true]),
            ("fe80::1%eth0", 2, [true; 3]),
            ("fe80::1%eth0", 3, [false; 3]),
            // Of what came in by any device.
            ("fe80::1%eth0", 0, [false, true, true]),
            ("!fe80::1%eth0", 2, [false, false, true]),
            ("!fe80::1%eth0", 3, [true; 3]),
            ("!fe80::1%eth0", 0, [true; 3]),
            ("fe80::1%eth1|fe80::1%eth0", 2, [true; 3]),
        ] {
            let filter = filter(&[("addr", value.trim_end_matches('%'))]);
            let (pair, listener, any) = on(ifindex);
            let matches = [
                filter.matches(&pair),
                filter.matches_listener(&listener),
                filter.matches_listener(&any),
            ];
            assert_eq!(matches, expected, "{value} {ifindex}");
        }
    }

    #[test]
    fn a_local_port_that_is_not_chosen_meets_every_rule() {
        let who = ident("10.0.0.1:0", "192.168.1.9:443");
        for (key, value, expected) in [
            ("lport", "80", true),
            ("lport", "!80", true),
            ("lport", "!0-65535", true),
            ("port", "80", true),
            ("port", "!443", false),
            ("rport", "80", false),
        ] {
            assert_eq!(
                filter(&[(key, value)]).matches(&who),
                expected,
                "{key}={value}"
            );
        }
    }

    #[test]
    fn family_and_namespace_narrow() {
        let who = ident("10.0.0.1:80", "10.0.0.2:81");
        let with = |family, netns| {
            Filter {
                family,
                netns,
                ..Filter::default()
            }
            .matches(&who)
        };
        assert!(with(4, 0) && !with(6, 0));
        assert!(with(0, who.netns) && !with(0, who.netns + 1));
    }

    #[test]
    fn a_pair_has_no_ports_and_a_listener_no_remote_end() {
        let pair = ident("10.0.0.1:80", "192.168.1.9:40000");
        let listener = ident("10.0.0.1:80", "0.0.0.0:0");
        let any = ident("0.0.0.0:80", "0.0.0.0:0");
        for (key, value, expected) in [
            ("port", "443", [true, false, false]),
            ("lport", "!80", [true, false, false]),
            ("rport", "443", [true, true, true]),
            ("raddr", "192.168.1.9", [true, true, true]),
            ("raddr", "192.168.1.8", [false, true, true]),
            ("addr", "192.168.1.9", [true, false, true]),
            ("laddr", "10.0.0.0/8", [true, true, true]),
            ("laddr", "10.0.0.2", [false, false, true]),
            ("laddr", "!10.0.0.1", [false, false, true]),
        ] {
            let filter = filter(&[(key, value)]);
            let matches = [
                filter.matches_pair(&pair),
                filter.matches_listener(&listener),
                filter.matches_listener(&any),
            ];
            assert_eq!(matches, expected, "{key}={value}");
        }
        let elsewhere = Filter {
            netns: 1,
            ..Filter::default()
        };
        assert!(!elsewhere.matches_pair(&pair) && !elsewhere.matches_listener(&any));
    }

    #[test]
    fn the_abi_carries_a_filter_whole() {
        let mut original = filter(&[
            ("addr", "10.0.0.0/8|!10.1.0.0/16"),
            ("rport", "1-9"),
            ("raddr", "::1%eth0"),
        ]);
        (original.family, original.netns) = (6, 77);
        let raw = original.to_abi();
        assert_eq!((raw.nr_addrs, raw.nr_ports), (3, 1));
        assert_eq!((raw.addrs[0].prefix, raw.addrs[1].negate), (104, 1));
        assert_eq!(Filter::from_abi(&raw), original);
        let pairs: Vec<_> = original
            .pairs()
            .into_iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        assert_eq!(
            pairs.join(" "),
            "addr=10.0.0.0/8|!10.1.0.0/16 raddr=::1%2 rport=1-9 family=6 netns=77"
        );
    }

    #[test]
    fn syn_recv_covers_requests() {
        let shows = |text, state| parse_states(text).unwrap().matches(&[state]);
        assert!(shows("SYN_RECV", State::NEW_SYN_RECV) && shows("SYN_RECV", State::SYN_RECV));
        assert!(shows("NEW_SYN_RECV", State::NEW_SYN_RECV));
        assert!(!shows("NEW_SYN_RECV", State::SYN_RECV));
        assert!(!shows("!SYN_RECV", State::NEW_SYN_RECV) && shows("!SYN_RECV", State::LISTEN));
        assert!(!shows("!NEW_SYN_RECV", State::NEW_SYN_RECV));
        assert!(shows("!NEW_SYN_RECV", State::SYN_RECV));
    }
}
