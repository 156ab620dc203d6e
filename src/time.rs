//! Times and durations: from the module's monotonic nanoseconds to what people
//! and scripts read.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::abi::Stats;
use crate::record::Span;

const SECOND: u64 = 1_000_000_000;

/// Turns monotonic nanoseconds into wall-clock time.
#[derive(Debug, Clone)]
pub struct Clock {
    offset: i128,
    zone: TimeZone,
}

impl Clock {
    /// From the pair of clocks that the module read together.
    pub fn new(stats: &Stats) -> Self {
        Self::with_zone(stats, TimeZone::system())
    }

    /// The same, for people in another time zone.
    pub fn with_zone(stats: &Stats, zone: TimeZone) -> Self {
        Self {
            offset: i128::from(stats.now_real_ns) - i128::from(stats.now_ns),
            zone,
        }
    }

    fn timestamp(&self, ns: u64) -> Timestamp {
        let real = i128::from(ns) + self.offset;
        // Out of range only when the module's clocks are nonsense.
        Timestamp::from_nanosecond(real).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// RFC 3339, UTC, nanoseconds.
    pub fn rfc3339(&self, ns: u64) -> String {
        format!("{:.9}", self.timestamp(ns))
    }

    /// Local date and time of day, milliseconds.
    pub fn local(&self, ns: u64) -> String {
        self.strftime(ns, "%Y-%m-%d %H:%M:%S%.3f")
    }

    /// Local month, day and time of day, milliseconds: 18 columns.
    pub fn local_short(&self, ns: u64) -> String {
        self.strftime(ns, "%m-%d %H:%M:%S%.3f")
    }

    /// Local time of day, seconds: 8 columns.
    pub fn local_day(&self, ns: u64) -> String {
        self.strftime(ns, "%H:%M:%S")
    }

    fn strftime(&self, ns: u64, format: &str) -> String {
        self.timestamp(ns)
            .to_zoned(self.zone.clone())
            .strftime(format)
            .to_string()
    }
}

/// A duration with its unit, in at most 8 columns, rounded down.
pub fn duration(ns: u64) -> String {
    let tenths = |unit: u64, name| format!("{}.{} {name}", ns / unit, ns % unit / (unit / 10));
    let seconds = ns / SECOND;
    let pair = |unit: u64, part: u64, names: [char; 2]| {
        let (whole, rest) = (seconds / unit, seconds % unit / part);
        format!("{whole}{} {rest:02}{}", names[0], names[1])
    };
    match seconds {
        0 if ns < 1_000 => format!("{ns} ns"),
        0 if ns < 1_000_000 => tenths(1_000, "us"),
        0 => tenths(1_000_000, "ms"),
        1..60 => tenths(SECOND, "s"),
        60..3_600 => pair(60, 1, ['m', 's']),
        3_600..86_400 => pair(3_600, 60, ['h', 'm']),
        _ => pair(86_400, 3_600, ['d', 'h']),
    }
}

/// A duration as far as it is known: `>5.2 s` is a lower bound, `-` unknown.
pub fn span(span: Span) -> String {
    match span {
        Span::Unknown => "-".into(),
        Span::AtLeast(ns) => format!(">{}", duration(ns)),
        Span::Exact(ns) => duration(ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_a_unit_and_round_down() {
        let table = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.0 us"),
            (999_999, "999.9 us"),
            (312_000_000, "312.0 ms"),
            (999_999_999, "999.9 ms"),
            (5_250_000_000, "5.2 s"),
            (59_999_999_999, "59.9 s"),
            (60 * SECOND, "1m 00s"),
            (185 * SECOND, "3m 05s"),
            (3_780 * SECOND, "1h 03m"),
            (86_399 * SECOND, "23h 59m"),
            (97_200 * SECOND, "1d 03h"),
            (u64::MAX, "213503d 23h"),
        ];
        for (ns, text) in table {
            assert_eq!(duration(ns), text);
        }
        assert_eq!(span(Span::AtLeast(5_250_000_000)), ">5.2 s");
        assert_eq!(span(Span::Unknown), "-");
    }

    #[test]
    fn wall_clock_comes_from_the_pair() {
        let stats = Stats {
            now_ns: 1_000,
            now_real_ns: 1_700_000_000_000_001_000,
            ..Stats::default()
        };
        let clock = Clock::with_zone(&stats, TimeZone::UTC);
        assert_eq!(clock.rfc3339(5), "2023-11-14T22:13:20.000000005Z");
        assert_eq!(clock.local(5), "2023-11-14 22:13:20.000");
        assert_eq!(clock.local_short(5), "11-14 22:13:20.000");
        assert_eq!(clock.local_day(5), "22:13:20");
        assert!(clock.rfc3339(u64::MAX).starts_with("2608"));
    }
}
