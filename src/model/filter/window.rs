//! `since=` and `until=`: a range of time.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SpanRelativeTo, Timestamp, Unit};

use crate::fmt::text::{Text, words};
use crate::model::key::{Context, Parsed, Value};

/// A point in time as the user writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A point in time.
    At(Timestamp),
    /// A local time of day.
    OfDay(Time),
    /// This many nanoseconds ago.
    Ago(u64),
}

impl Moment {
    /// Parses RFC 3339, `HH:MM[:SS]`, or a duration with a minus.
    ///
    /// # Errors
    /// The text is none of them.
    pub fn parse(text: &str) -> Parsed<Self> {
        let moment = match text.as_bytes() {
            [b'-', ..] => ago(&text[1..]).map(Self::Ago),
            [_, b':', ..] | [_, _, b':', ..] => of_day(text).map(Self::OfDay),
            _ => text.parse().ok().map(Self::At),
        };
        moment.ok_or_else(|| words!("it is not a time", "不是时间").into())
    }

    /// The text that the user would write.
    fn text(self) -> String {
        match self {
            Self::At(time) => time.to_string(),
            Self::OfDay(time) => time.strftime("%H:%M:%S").to_string(),
            Self::Ago(ns) if ns % SECOND == 0 => format!("-{}s", ns / SECOND),
            Self::Ago(ns) => format!("-{}ns", ns),
        }
    }
}

const SECOND: u64 = 1_000_000_000;

/// A time of day; the hour may have one digit.
fn of_day(text: &str) -> Option<Time> {
    let format = match text.matches(':').count() {
        1 => "%H:%M",
        _ => "%H:%M:%S",
    };
    Time::strptime(format, text).ok()
}

/// A duration such as `10m`, `1h30m` or `2d`, in nanoseconds.
fn ago(text: &str) -> Option<u64> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let span: jiff::Span = text.parse().ok()?;
    let days = SpanRelativeTo::days_are_24_hours();
    let ns = span.total((Unit::Nanosecond, days)).ok()?;
    (ns >= 0.0 && ns < u64::MAX as f64).then_some(ns as u64)
}

/// A range of time as the user gives it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// The first point in time.
    pub since: Option<Moment>,
    /// The last point in time.
    pub until: Option<Moment>,
}

/// The clocks at one moment, and the time zone of local times.
#[derive(Debug, Clone)]
pub struct Now {
    /// Monotonic nanoseconds.
    pub mono_ns: u64,
    /// Wall-clock time in nanoseconds since 1970.
    pub real_ns: i128,
    /// The local time zone.
    pub zone: TimeZone,
}

/// A point in time on one of the clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Mono(u64),
    Real(i128),
}

/// A range of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Within {
    since: Option<Bound>,
    until: Option<Bound>,
}

impl Window {
    /// Determines the range at this moment. A time of day is the last one before now; after a
    /// `since`, `until` is the first one after that.
    ///
    /// # Errors
    /// The range ends before it begins.
    pub fn at(&self, now: &Now) -> Parsed<Within> {
        let since = self.since.map(|moment| bound(moment, now, None));
        let begin = since.map(|bound| real(bound, now));
        let until = self.until.map(|moment| bound(moment, now, begin));
        let end = until.map(|bound| real(bound, now));
        match begin.zip(end).is_some_and(|(begin, end)| end < begin) {
            true => Err(words!("until= is before since=", "until= 早于 since=").into()),
            false => Ok(Within { since, until }),
        }
    }
}

impl Within {
    /// Whether a time is in the range: monotonic nanoseconds, which `real` converts to wall-clock
    /// time.
    pub fn has(&self, ns: u64, real: impl Fn(u64) -> i128) -> bool {
        let since = match self.since {
            None => true,
            Some(Bound::Mono(bound)) => bound <= ns,
            Some(Bound::Real(bound)) => bound <= real(ns),
        };
        since
            && match self.until {
                None => true,
                Some(Bound::Mono(bound)) => ns <= bound,
                Some(Bound::Real(bound)) => real(ns) <= bound,
            }
    }
}

fn bound(moment: Moment, now: &Now, begin: Option<i128>) -> Bound {
    match moment {
        // Independent of changes of the wall clock since then.
        Moment::Ago(ns) => Bound::Mono(now.mono_ns.saturating_sub(ns)),
        Moment::At(time) => Bound::Real(time.as_nanosecond()),
        Moment::OfDay(time) => Bound::Real(of_days(time, now, begin)),
    }
}

/// The wall-clock time of a bound, for comparing two of them.
fn real(bound: Bound, now: &Now) -> i128 {
    match bound {
        Bound::Real(ns) => ns,
        Bound::Mono(ns) => now.real_ns - i128::from(now.mono_ns) + i128::from(ns),
    }
}

/// The time of day that is the first after `begin`, otherwise the last before now.
fn of_days(time: Time, now: &Now, begin: Option<i128>) -> i128 {
    let around = begin.unwrap_or(now.real_ns);
    let on = |days: i64| {
        let day = local(around, &now.zone).date();
        let day = day.checked_add(jiff::Span::new().days(days)).unwrap_or(day);
        let at = now
            .zone
            .to_ambiguous_zoned_datetime(DateTime::from_parts(day, time));
        at.compatible()
            .map_or(around, |zoned| zoned.timestamp().as_nanosecond())
    };
    let days = [-1, 0, 1].map(on);
    match begin {
        Some(begin) => days.into_iter().find(|at| *at >= begin),
        None => days.into_iter().rev().find(|at| *at <= now.real_ns),
    }
    .unwrap_or(around)
}

fn local(ns: i128, zone: &TimeZone) -> DateTime {
    let time = Timestamp::from_nanosecond(ns).unwrap_or(Timestamp::UNIX_EPOCH);
    zone.to_datetime(time)
}

/// The value of `since=` and `until=`.
pub struct MomentOf<O: 'static>(pub fn(&mut O) -> &mut Option<Moment>);

impl<O> Value<O> for MomentOf<O> {
    fn allowed(&self) -> Text {
        words!(
            "RFC 3339 (2026-01-31T08:00:00Z), local HH:MM[:SS], or a time ago such as -10m",
            "RFC 3339（2026-01-31T08:00:00Z）、本地时间 HH:MM[:SS]，或多久以前，如 -10m"
        )
        .into()
    }

    fn set(&self, options: &mut O, text: &str, _: &Context) -> Parsed<()> {
        *(self.0)(options) = Some(Moment::parse(text)?);
        Ok(())
    }

    fn get(&self, options: &mut O) -> Option<String> {
        (self.0)(options).map(Moment::text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(8))
    }

    /// 2026-11-27 01:30 local time, an hour after the boot.
    fn now() -> Now {
        let real: Timestamp = "2026-11-26T17:30:00Z".parse().unwrap();
        Now {
            mono_ns: 3_600 * SECOND,
            real_ns: real.as_nanosecond(),
            zone: zone(),
        }
    }

    fn range(since: &str, until: &str) -> Parsed<[Option<String>; 2]> {
        let moment = |text: &str| (!text.is_empty()).then(|| Moment::parse(text).unwrap());
        let window = Window {
            since: moment(since),
            until: moment(until),
        };
        let within = window.at(&now())?;
        Ok([within.since, within.until].map(|bound| {
            let ns = real(bound?, &now());
            Some(local(ns, &zone()).to_string())
        }))
    }

    #[test]
    fn times_are_written_in_three_ways() {
        let one = |since: &str| range(since, "").unwrap()[0].clone().unwrap();
        assert_eq!(one("2026-11-26T17:00:00Z"), "2026-11-27T01:00:00");
        assert_eq!(one("2026-11-27T01:00:00+08:00"), "2026-11-27T01:00:00");
        assert_eq!(one("01:00"), "2026-11-27T01:00:00");
        assert_eq!(one("1:00:30"), "2026-11-27T01:00:30");
        // It is half past one: the last 23:00 was yesterday.
        assert_eq!(one("23:00"), "2026-11-26T23:00:00");
        assert_eq!(one("-10m"), "2026-11-27T01:20:00");
        assert_eq!(one("-1h30m"), "2026-11-27T00:30:00");
        assert_eq!(one("-1d"), "2026-11-27T00:30:00");
        for wrong in [
            "",
            "10m",
            "-",
            "--10m",
            "-10",
            "-ten",
            "24:00",
            "1",
            "noon",
            "-5y",
            "2026-11-27",
            ":",
            "-1h-5m",
            "12:0:0:0",
            "é:0",
        ] {
            assert!(Moment::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_end_comes_after_its_beginning() {
        let both = |since, until| range(since, until).map(|both| both.map(Option::unwrap));
        let expected = ["2026-11-26T23:00:00", "2026-11-27T00:30:00"].map(String::from);
        assert_eq!(both("23:00", "00:30"), Ok(expected));
        let expected = ["2026-11-26T23:00:00", "2026-11-26T23:30:00"].map(String::from);
        assert_eq!(both("23:00", "23:30"), Ok(expected));
        assert!(both("-10m", "-5m").is_ok());
        let refused = Err(words!("until= is before since=", "until= 早于 since=").into());
        assert_eq!(both("-5m", "-10m"), refused);
        assert_eq!(
            both("2026-11-27T00:00:00Z", "2026-11-26T00:00:00Z"),
            refused
        );
        assert_eq!(range("", "01:00").unwrap()[0], None);
    }

    #[test]
    fn both_ends_belong_to_the_range() {
        let window = |since, until| {
            let [since, until] = [since, until].map(Moment::parse).map(Parsed::ok);
            Window { since, until }.at(&now()).unwrap()
        };
        let real = |ns| now().real_ns - i128::from(now().mono_ns) + i128::from(ns);
        let at = |minute: u64, ns: u64| minute * 60 * SECOND + ns;
        for within in [
            window("-20m", "-10m"),
            window("01:10", "01:20"),
            window("2026-11-26T17:10:00Z", "2026-11-26T17:20:00Z"),
        ] {
            assert!(within.has(at(40, 0), real) && within.has(at(50, 0), real));
            assert!(!within.has(at(40, 0) - 1, real) && !within.has(at(50, 1), real));
        }
        assert!(Within::default().has(0, real));
    }

    #[test]
    fn a_time_is_written_as_it_can_be_read() {
        for text in ["-600s", "-1500000000ns", "08:05:00", "2026-11-26T17:00:00Z"] {
            let moment = Moment::parse(text).unwrap();
            assert_eq!(moment.text(), text);
        }
        assert_eq!(Moment::parse("-10m").unwrap().text(), "-600s");
    }
}
