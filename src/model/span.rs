//! Durations that may be partly unknown.

use crate::abi;

/// A duration, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The duration is unknown.
    Unknown,
    /// Nanoseconds; the actual duration is longer.
    AtLeast(u64),
    /// The exact duration in nanoseconds.
    Exact(u64),
}

impl Span {
    pub(crate) fn new(ns: u64, flags: u16) -> Self {
        let flags = u32::from(flags);
        if flags & abi::TCPSTATES_SINCE_KNOWN == 0 {
            Self::Unknown
        } else if flags & abi::TCPSTATES_SINCE_EXACT == 0 {
            Self::AtLeast(ns)
        } else {
            Self::Exact(ns)
        }
    }

    /// Nanoseconds, whether exact or a lower bound.
    pub fn ns(self) -> Option<u64> {
        match self {
            Self::Unknown => None,
            Self::AtLeast(ns) | Self::Exact(ns) => Some(ns),
        }
    }

    /// For a start time, returns the duration until `now_ns`.
    pub fn age(self, now_ns: u64) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::AtLeast(since) => Self::AtLeast(now_ns.saturating_sub(since)),
            Self::Exact(since) => Self::Exact(now_ns.saturating_sub(since)),
        }
    }

    /// The sum of two durations, as far as it is known.
    pub fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, Self::Unknown) => Self::Unknown,
            (Self::Exact(one), Self::Exact(two)) => Self::Exact(one.saturating_add(two)),
            (one, two) => {
                let ns = |span: Self| span.ns().unwrap_or(0);
                Self::AtLeast(ns(one).saturating_add(ns(two)))
            }
        }
    }

    /// Whether the nanoseconds are exact; `None` if unknown.
    pub fn exact(self) -> Option<bool> {
        self.ns().map(|_| matches!(self, Self::Exact(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_exact_only_when_its_start_is() {
        assert_eq!(Span::new(5, 0), Span::Unknown);
        assert_eq!(Span::new(5, 1), Span::AtLeast(5));
        assert_eq!(Span::new(5, 3), Span::Exact(5));
        assert_eq!(Span::Unknown.exact(), None);
        assert_eq!(Span::AtLeast(1).exact(), Some(false));
        assert_eq!(Span::Exact(1).plus(Span::Exact(2)), Span::Exact(3));
        assert_eq!(Span::Exact(1).plus(Span::Unknown), Span::AtLeast(1));
        assert_eq!(Span::AtLeast(1).plus(Span::Exact(2)), Span::AtLeast(3));
        assert_eq!(Span::Unknown.plus(Span::Unknown), Span::Unknown);
    }
}
