//! Formats times and durations: converts the module's monotonic nanoseconds to text.

use std::cell::{Cell, RefCell};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::fmt::line::{self, Line, Put, last_digits};
use crate::model::clock::ClockChange;
use crate::model::span::Span;
use crate::model::stats::Stats;

const SECOND: u64 = 1_000_000_000;

/// Format of a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// RFC 3339 in UTC with nanoseconds.
    Rfc3339,
    /// Local date and time of day with milliseconds.
    Local,
    /// As `Local`, without the year: 18 columns.
    Short,
    /// Local time of day in seconds: 8 columns.
    Day,
}

/// Converts monotonic nanoseconds to wall-clock time.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Offsets that are added to monotonic time, and the time from which each applies; at least
    /// one, oldest first.
    offsets: RefCell<Vec<(u64, Moment)>>,
    /// The last offset that was used: it applies to most events.
    offset: Cell<Offset>,
    zone: TimeZone,
    /// The last seconds that were formatted: most records have the same second as the previous one.
    local: Cell<Second>,
    utc: Cell<Second>,
}

/// A point in time or a difference of two: seconds, and nanoseconds below one second.
#[derive(Debug, Clone, Copy)]
struct Moment {
    seconds: i64,
    nanos: u64,
}

/// The offset for monotonic times from `from` to `last`.
#[derive(Debug, Clone, Copy)]
struct Offset {
    from: u64,
    last: u64,
    add: Moment,
}

impl Moment {
    fn of(nanoseconds: i128) -> Self {
        let second = i128::from(SECOND);
        Self {
            seconds: nanoseconds.div_euclid(second) as i64,
            nanos: nanoseconds.rem_euclid(second) as u64,
        }
    }
}

/// A second of Unix time, formatted as `YYYY-MM-DD HH:MM:SS`.
#[derive(Debug, Clone, Copy)]
struct Second {
    at: i64,
    text: [u8; 19],
}

impl Second {
    fn new(at: i64, zone: &TimeZone) -> Self {
        // It is out of range only if the module's clocks are invalid.
        let time = Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH);
        let time = zone.to_datetime(time);
        let mut text = *b"0000-00-00 00:00:00";
        let year = time.year().unsigned_abs();
        let parts = [
            (0, u64::from(year / 100)),
            (2, u64::from(year)),
            (5, u64::from(time.month().unsigned_abs())),
            (8, u64::from(time.day().unsigned_abs())),
            (11, u64::from(time.hour().unsigned_abs())),
            (14, u64::from(time.minute().unsigned_abs())),
            (17, u64::from(time.second().unsigned_abs())),
        ];
        for (place, part) in parts {
            text[place..place + 2].copy_from_slice(&last_digits::<2>(part));
        }
        Self { at, text }
    }
}

impl Clock {
    /// Creates a clock from the two clocks that the module read together.
    pub fn new(stats: &Stats) -> Self {
        Self::with_zone(stats, TimeZone::system())
    }

    /// Creates a clock for another time zone.
    pub fn with_zone(stats: &Stats, zone: TimeZone) -> Self {
        let add = Moment::of(i128::from(stats.now_real_ns) - i128::from(stats.now_ns));
        Self {
            offsets: RefCell::new(vec![(0, add)]),
            offset: Cell::new(Offset {
                from: 0,
                last: u64::MAX,
                add,
            }),
            local: Cell::new(Second::new(0, &zone)),
            utc: Cell::new(Second::new(0, &TimeZone::UTC)),
            zone,
        }
    }

    /// Sets the changes of the wall clock. The time of an event is then the wall-clock time when it
    /// happened, even if the clock was set later.
    pub fn learn(&self, changes: &[ClockChange]) {
        if changes.is_empty() {
            return;
        }
        let of = |change: &ClockChange| (change.since_ns, Moment::of(change.offset_ns.into()));
        self.offsets.replace(changes.iter().map(of).collect());
        self.offset.set(self.find(0));
    }

    /// The offset at this time; the first one also applies to earlier times.
    fn find(&self, ns: u64) -> Offset {
        let offsets = self.offsets.borrow();
        let next = offsets.iter().skip(1).position(|(since, _)| *since > ns);
        let index = next.unwrap_or(offsets.len() - 1);
        let (since, add) = offsets[index];
        Offset {
            from: if index == 0 { 0 } else { since },
            last: offsets
                .get(index + 1)
                .map_or(u64::MAX, |(since, _)| since.saturating_sub(1)),
            add,
        }
    }

    fn offset(&self, ns: u64) -> Moment {
        let mut offset = self.offset.get();
        if ns < offset.from || ns > offset.last {
            offset = self.find(ns);
            self.offset.set(offset);
        }
        offset.add
    }

    fn real(&self, ns: u64) -> Moment {
        let offset = self.offset(ns);
        let nanos = ns % SECOND + offset.nanos;
        Moment {
            seconds: (ns / SECOND + nanos / SECOND) as i64 + offset.seconds,
            nanos: nanos % SECOND,
        }
    }

    /// The wall-clock time in nanoseconds since 1970.
    pub fn real_ns(&self, ns: u64) -> i128 {
        let Moment { seconds, nanos } = self.real(ns);
        i128::from(seconds) * i128::from(SECOND) + i128::from(nanos)
    }

    /// The time zone of local times.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// A point in time that can be appended to a line.
    pub fn moment(&self, ns: u64, form: Form) -> impl Put {
        move |line: &mut Line| self.put(line, ns, form)
    }

    fn put(&self, line: &mut Line, ns: u64, form: Form) {
        let Moment { seconds, nanos } = self.real(ns);
        let second = match form {
            Form::Rfc3339 => kept(&self.utc, seconds, &TimeZone::UTC),
            _ => kept(&self.local, seconds, &self.zone),
        };
        let text = &second.text;
        match form {
            Form::Rfc3339 => {
                line.extend_from_slice(&text[..10]);
                line.push(b'T');
                line.extend_from_slice(&text[11..]);
                put_milliseconds(line, nanos);
                line.extend_from_slice(&last_digits::<6>(nanos));
                line.push(b'Z');
            }
            Form::Local => {
                line.extend_from_slice(text);
                put_milliseconds(line, nanos);
            }
            Form::Short => {
                line.extend_from_slice(&text[5..]);
                put_milliseconds(line, nanos);
            }
            Form::Day => line.extend_from_slice(&text[11..]),
        }
    }

    /// The time in the format [`Form::Rfc3339`].
    pub fn rfc3339(&self, ns: u64) -> String {
        line::text(&self.moment(ns, Form::Rfc3339))
    }

    /// The time in the format [`Form::Local`].
    pub fn local(&self, ns: u64) -> String {
        line::text(&self.moment(ns, Form::Local))
    }
}

/// Formats the second `at`, using and updating the cache.
fn kept(last: &Cell<Second>, at: i64, zone: &TimeZone) -> Second {
    let mut second = last.get();
    if second.at != at {
        second = Second::new(at, zone);
        last.set(second);
    }
    second
}

fn put_milliseconds(line: &mut Line, nanos: u64) {
    line.push(b'.');
    line.extend_from_slice(&last_digits::<3>(nanos / 1_000_000));
}

/// Nanoseconds, printed with a unit in at most 8 columns, rounded down.
pub struct Duration(pub u64);

impl Put for Duration {
    fn put(&self, line: &mut Line) {
        let Self(ns) = *self;
        let seconds = ns / SECOND;
        match seconds {
            0 if ns < 1_000 => {
                ns.put(line);
                " ns".put(line);
            }
            0 if ns < 1_000_000 => put_tenths(line, ns / 100, " us"),
            0 => put_tenths(line, ns / 100_000, " ms"),
            1..60 => put_tenths(line, ns / (SECOND / 10), " s"),
            60..3_600 => put_pair(line, seconds, 60, 1, [b'm', b's']),
            3_600..86_400 => put_pair(line, seconds, 3_600, 60, [b'h', b'm']),
            _ => put_pair(line, seconds, 86_400, 3_600, [b'd', b'h']),
        }
    }
}

fn put_tenths(line: &mut Line, tenths: u64, unit: &str) {
    (tenths / 10).put(line);
    line.extend_from_slice(&[b'.', b'0' + (tenths % 10) as u8]);
    unit.put(line);
}

/// Appends two numbers: whole units, and the remainder in a smaller unit.
fn put_pair(line: &mut Line, seconds: u64, unit: u64, part: u64, names: [u8; 2]) {
    let (whole, rest) = (seconds / unit, seconds % unit / part);
    let [tens, ones] = last_digits(rest);
    whole.put(line);
    line.extend_from_slice(&[names[0], b' ', tens, ones, names[1]]);
}

/// Appends the duration as far as it is known: `>5.2 s` is a lower bound, `-` unknown.
impl Put for Span {
    fn put(&self, line: &mut Line) {
        match *self {
            Self::Unknown => line.push(b'-'),
            Self::AtLeast(ns) => {
                line.push(b'>');
                Duration(ns).put(line);
            }
            Self::Exact(ns) => Duration(ns).put(line),
        }
    }
}

/// A [`Duration`] as a string.
pub fn duration(ns: u64) -> String {
    line::text(&Duration(ns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::line::text;
    use crate::fmt::random::random_bytes;

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
        assert_eq!(text(&Span::AtLeast(5_250_000_000)), ">5.2 s");
        assert_eq!(text(&Span::Unknown), "-");
    }

    #[test]
    fn an_event_keeps_the_time_at_which_it_happened() {
        let stats = Stats::default();
        let clock = Clock::with_zone(&stats, TimeZone::UTC);
        let change = |since: u64, offset: i64| ClockChange {
            since_ns: since * SECOND,
            offset_ns: offset * SECOND as i64,
        };
        clock.learn(&[]);
        assert_eq!(clock.local(0), "1970-01-01 00:00:00.000");
        clock.learn(&[change(10, 3600), change(20, -5), change(30, 7200)]);
        let told = [30, 9, 10, 19, 20, 29, 9, 30].map(|at| clock.local(at * SECOND));
        let expected = [
            "1970-01-01 02:00:30.000",
            "1970-01-01 01:00:09.000",
            "1970-01-01 01:00:10.000",
            "1970-01-01 01:00:19.000",
            "1970-01-01 00:00:15.000",
            "1970-01-01 00:00:24.000",
            "1970-01-01 01:00:09.000",
            "1970-01-01 02:00:30.000",
        ];
        assert_eq!(told, expected);
        assert_eq!(clock.local(20 * SECOND - 1), "1970-01-01 01:00:19.999");
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
        assert_eq!(text(&clock.moment(5, Form::Short)), "11-14 22:13:20.000");
        assert_eq!(text(&clock.moment(5, Form::Day)), "22:13:20");
        assert!(clock.rfc3339(u64::MAX).starts_with("2608"));
    }

    /// The same time, formatted by jiff.
    fn by_jiff(stats: &Stats, ns: u64, zone: &TimeZone, form: Form) -> String {
        let real = i128::from(ns) + i128::from(stats.now_real_ns) - i128::from(stats.now_ns);
        let time = Timestamp::from_nanosecond(real).unwrap();
        let format = match form {
            Form::Rfc3339 => return format!("{time:.9}"),
            Form::Local => "%Y-%m-%d %H:%M:%S%.3f",
            Form::Short => "%m-%d %H:%M:%S%.3f",
            Form::Day => "%H:%M:%S",
        };
        let zoned = time.to_zoned_datetime(zone.clone());
        zoned.strftime(format).to_string()
    }

    #[test]
    fn moments_are_those_of_jiff() {
        let zones = [
            "CET-1CEST,M3.5.0,M10.5.0/3",
            "LHST-10:30LHDT-11,M10.1.0,M4.1.0/2",
            "<-0330>3:30",
        ];
        let zones = zones.map(|zone| TimeZone::posix(zone).unwrap());
        let mut seed = 0x0bad_5eed;
        let mut random = || u64::from_ne_bytes(random_bytes(&mut seed));
        for zone in zones.into_iter().chain([TimeZone::UTC]) {
            for round in 0..400 {
                // The times are in the years 1385 to 3138, whatever the clocks are.
                let clocks = match round {
                    0 => [0, 0],
                    1 => [u64::MAX, 0],
                    2 => [0, u64::MAX],
                    _ => [
                        random() >> (round % 40),
                        1_700_000_000_000_000_000 + (random() >> 8),
                    ],
                };
                let [now_ns, now_real_ns] = clocks;
                let stats = Stats {
                    now_ns,
                    now_real_ns,
                    ..Stats::default()
                };
                let clock = Clock::with_zone(&stats, zone.clone());
                let mut ns = random() >> (round % 7);
                for step in [
                    0,
                    1,
                    999_999_999,
                    7,
                    1_000_000_000,
                    3_600_000_000_000,
                    u64::MAX,
                ] {
                    ns = ns.saturating_add(step);
                    for form in [Form::Rfc3339, Form::Local, Form::Short, Form::Day] {
                        let expected = by_jiff(&stats, ns, &zone, form);
                        assert_eq!(text(&clock.moment(ns, form)), expected, "{ns} {form:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_hour_that_comes_twice_is_told_as_jiff_tells_it() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // The end of summer time in 2023, and of winter time in 2024.
        for change in [1_698_541_200, 1_711_846_800u64] {
            let stats = Stats {
                now_real_ns: (change - 5) * SECOND,
                ..Stats::default()
            };
            let clock = Clock::with_zone(&stats, zone.clone());
            for tenth in 0..100 {
                let ns = tenth * (SECOND / 10) + 12_345_678;
                let expected = by_jiff(&stats, ns, &zone, Form::Local);
                assert_eq!(clock.local(ns), expected);
            }
        }
    }

    /// A simple implementation of the format of durations.
    fn plainly(ns: u64) -> String {
        let tenths = |unit: u64, name| format!("{}.{} {name}", ns / unit, ns % unit / (unit / 10));
        let s = ns / SECOND;
        match s {
            0 if ns < 1_000 => format!("{ns} ns"),
            0 if ns < 1_000_000 => tenths(1_000, "us"),
            0 => tenths(1_000_000, "ms"),
            1..60 => tenths(SECOND, "s"),
            60..3_600 => format!("{}m {:02}s", s / 60, s % 60),
            3_600..86_400 => format!("{}h {:02}m", s / 3_600, s % 3_600 / 60),
            _ => format!("{}d {:02}h", s / 86_400, s % 86_400 / 3_600),
        }
    }

    #[test]
    fn durations_of_all_lengths_follow_the_rule() {
        let mut seed = 0x5ca1_ab1e;
        for round in 0..100_000 {
            let ns = u64::from_ne_bytes(random_bytes(&mut seed)) >> (round % 64);
            assert_eq!(duration(ns), plainly(ns));
        }
    }
}
