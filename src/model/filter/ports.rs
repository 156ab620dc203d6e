//! Ports in a filter.

use std::fmt;

use crate::fmt::escape::printable;
use crate::fmt::text::text;
use crate::model::filter::expression::{Side, alternatives};
use crate::model::ident::Ident;
use crate::model::key::{Parsed, number};

/// Ports that an endpoint must or must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRule {
    /// The first port.
    pub low: u16,
    /// The last port.
    pub high: u16,
    /// Which endpoint is checked.
    pub side: Side,
    /// True if the endpoint must not have one of them.
    pub negate: bool,
}

/// Parses a port expression of one side.
///
/// # Errors
/// The problem, as text.
pub fn parse_ports(text: &str, side: Side) -> Parsed<Vec<PortRule>> {
    alternatives(text, |part, negate| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let (low, high) = (parse_port(low)?, parse_port(high)?);
        if low > high {
            return Err(text!(
                "the range {low}-{high} is upside down",
                "范围 {low}-{high} 的起点大于终点"
            ));
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
        let text = printable(text);
        text!(
            "'{text}' is not a port (0 to 65535)",
            "'{text}' 不是端口（0 到 65535）"
        )
    })
}

impl PortRule {
    pub(super) fn matches(&self, who: &Ident) -> bool {
        let inside = |port| self.low <= port && port <= self.high;
        // A local port that is not yet chosen may still become one of them.
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

impl fmt::Display for PortRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negate { "!" } else { "" };
        match self.low == self.high {
            true => write!(f, "{sign}{}", self.low),
            false => write!(f, "{sign}{}-{}", self.low, self.high),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::filter::expression::of_side;

    #[test]
    fn ports_are_read_and_rendered() {
        let ports = |text| match parse_ports(text, Side::Local) {
            Ok(rules) => of_side(&rules, |_| true).unwrap(),
            Err(reason) => format!("error: {}", reason.en()),
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
}
