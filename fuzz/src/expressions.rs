//! Expressions of addresses, ports, states and reasons.

use std::str::Split;

use diagnose_tools::abi::{self, RawConn};
use diagnose_tools::fmt::escape::printable;
use diagnose_tools::fmt::lang::Lang;
use diagnose_tools::fmt::text::Text;
use diagnose_tools::model::conn::Conn;
use diagnose_tools::model::filter::{
    AddrRule, Filter, PortRule, Show, Side, parse_addrs, parse_ports, parse_reasons, parse_states,
};
use diagnose_tools::model::reason::Reason;
use diagnose_tools::model::state::State;
use kernel_shim::{filter_match, filter_valid};
use testkit::untrusted::{bytes, plain};

use crate::assert_message;

type Parsed<T> = Result<T, Text>;

/// Reads eight lines as `addr`, `laddr`, `raddr`, `port`, `lport`, `rport`, `state` and `reason`,
/// and the rest as live connections, to which the valid expressions are applied.
pub fn filters(input: &[u8]) {
    let mut parts = input.splitn(9, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let texts: [_; 8] = std::array::from_fn(|_| String::from_utf8_lossy(next()));
    let rest = next();
    let [addr, laddr, raddr, port, lport, rport, state, reason] = &texts;

    let addrs = [addr, laddr, raddr].into_iter().zip(Side::ALL);
    let ports = [port, lport, rport].into_iter().zip(Side::ALL);
    let filter = Filter {
        addrs: addrs
            .flat_map(|(text, side)| addr_rules(text, side))
            .collect(),
        ports: ports
            .flat_map(|(text, side)| port_rules(text, side))
            .collect(),
        ..Filter::default()
    };
    let states = Expression::new(state, parse_states(state));
    let reasons = Expression::new(reason, parse_reasons(reason));
    let show = Show {
        states: states.rules.clone(),
        reasons: reasons.rules.clone(),
        ..Show::default()
    };
    for conn in rest.chunks(size_of::<RawConn>()) {
        let conn: RawConn = plain(conn);
        assert_filter(&filter, &conn);
        assert_show(&show, &states, &reasons, &conn);
    }
}

fn addr_rules(text: &str, side: Side) -> Vec<AddrRule> {
    // Only numbers are names of devices here.
    let device = |name: &str| match name.parse() {
        Ok(0) | Err(_) => Err(Text::same(format!("'{}' is not a device", printable(name)))),
        Ok(index) => Ok(index),
    };
    let parse = |text: &str| parse_addrs(text, side, device);
    round_trip(parse(text), parse)
}

fn port_rules(text: &str, side: Side) -> Vec<PortRule> {
    let ports = round_trip(parse_ports(text, side), |text| parse_ports(text, side));
    assert!(ports.iter().all(|rule| rule.low <= rule.high));
    ports
}

/// The rules; asserts that their text form is read as the same rules. None if the text is invalid.
fn round_trip<T: ToString + PartialEq + std::fmt::Debug>(
    parsed: Parsed<Vec<T>>,
    parse: impl Fn(&str) -> Parsed<Vec<T>>,
) -> Vec<T> {
    match parsed {
        Ok(rules) => {
            let texts: Vec<_> = rules.iter().map(T::to_string).collect();
            assert_eq!(parse(&texts.join("|")).as_ref(), Ok(&rules));
            rules
        }
        Err(reason) => {
            assert_message(reason.en());
            assert_message(reason.of(Lang::Zh));
            Vec::new()
        }
    }
}

/// Asserts that the module accepts the filter, unless it has too many rules, and that both give the
/// same result.
fn assert_filter(filter: &Filter, conn: &RawConn) {
    let raw = filter.to_abi();
    let most = abi::TCPSTATES_MAX_RULES as usize;
    if filter.addrs.len() > most || filter.ports.len() > most {
        return;
    }
    assert!(filter_valid(&raw), "{filter:?}");
    assert_eq!(Filter::from_abi(&raw), *filter);
    let who = decode(conn).who;
    let told = filter.matches(&who);
    assert_eq!(filter_match(&raw, &conn.who), told, "{filter:?} {who:?}");
}

/// The controller's form of the module's bytes.
fn decode(conn: &RawConn) -> Conn {
    Conn::decode(&bytes(conn))
}

/// The text of an expression of names, and the rules that were read from it.
struct Expression<'a, T> {
    text: Option<&'a str>,
    rules: T,
}

impl<'a, T: Default> Expression<'a, T> {
    fn new(text: &'a str, parsed: Parsed<T>) -> Self {
        match parsed {
            Ok(rules) => Self {
                text: Some(text),
                rules,
            },
            Err(reason) => {
                assert_message(reason.en());
                assert_message(reason.of(Lang::Zh));
                Self {
                    text: None,
                    rules: T::default(),
                }
            }
        }
    }

    /// Whether the expression holds according to its text, where `means` says whether a name
    /// matches.
    fn holds(&self, means: impl Fn(&str) -> bool) -> bool {
        let Some(text) = self.text else {
            return true;
        };
        let names = || -> Split<'_, char> { text.split('|') };
        let refused = names()
            .filter_map(|name| name.strip_prefix('!'))
            .any(&means);
        let mut wanted = names().filter(|name| !name.starts_with('!')).peekable();
        !refused && (wanted.peek().is_none() || wanted.any(means))
    }
}

fn assert_show<S: Default, R: Default>(
    show: &Show,
    states: &Expression<S>,
    reasons: &Expression<R>,
    conn: &RawConn,
) {
    let conn = decode(conn);
    let state = |name: &str| {
        let states = State::named(name);
        states.contains(&conn.state) || states.contains(&conn.state.known_as())
    };
    let reason = |name: &str| Reason::from_name(name) == Some(conn.reason);
    let expected = states.holds(state) && reasons.holds(reason);
    assert_eq!(show.connection(&conn, 0), expected, "{show:?} {conn:?}");
}
