//! Numbers in few columns.

use crate::model::top::rates::Rate;

/// A number with separators: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number in at most six columns: `9999`, `12.3K`, `4.5M`, with powers of 1000.
pub fn short(number: u64) -> String {
    scaled(number, 1_000)
}

/// Bytes in at most six columns, with powers of 1024.
pub fn bytes(number: u64) -> String {
    scaled(number, 1_024)
}

fn scaled(number: u64, step: u64) -> String {
    if number < 10_000 {
        return number.to_string();
    }
    let (mut unit, mut units) = (step, "KMGTPE".chars());
    let mut name = units.next().unwrap_or_default();
    for next in units {
        if number / unit < step {
            break;
        }
        (unit, name) = (unit * step, next);
    }
    let tenths = u128::from(number) * 10 / u128::from(unit);
    match tenths {
        0..1_000 => format!("{}.{}{name}", tenths / 10, tenths % 10),
        _ => format!("{}{name}", tenths / 10),
    }
}

/// A number per second: one decimal if it is small; `-` if unknown.
pub fn rate(rate: Option<Rate>) -> String {
    match rate {
        None => "-".into(),
        Some(Rate(0)) => "0".into(),
        Some(Rate(thousandths @ 1..100)) => format!("0.{:02}", (thousandths / 10).max(1)),
        Some(Rate(thousandths @ 100..100_000)) => {
            format!("{}.{}", thousandths / 1_000, thousandths % 1_000 / 100)
        }
        Some(rate) => short(rate.whole()),
    }
}

/// Percent, rounded down; 0 of nothing.
pub fn percent(part: u64, whole: u64) -> u64 {
    let percent = (u128::from(part) * 100).checked_div(whole.into());
    u64::try_from(percent.unwrap_or(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234), "1,234");
        assert_eq!(count(123_456), "123,456");
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        for (number, text) in [
            (9_999, "9999"),
            (10_000, "9.7K"),
            (123_456, "120K"),
            (5 << 20, "5.0M"),
            (1 << 30, "1.0G"),
            (u64::MAX, "15.9E"),
        ] {
            assert_eq!(bytes(number), text);
        }
        assert_eq!(short(12_345), "12.3K");
        assert_eq!(short(1_000_000), "1.0M");
        assert_eq!(short(u64::MAX), "18.4E");
    }

    #[test]
    fn rates_keep_what_matters() {
        for (thousandths, text) in [
            (0, "0"),
            (5, "0.01"),
            (66, "0.06"),
            (500, "0.5"),
            (12_340, "12.3"),
            (99_999, "99.9"),
            (1_234_000, "1234"),
            (98_765_432, "98.7K"),
        ] {
            assert_eq!(rate(Some(Rate(thousandths))), text);
        }
        assert_eq!(rate(None), "-");
        assert_eq!((percent(1, 3), percent(5, 0), percent(7, 5)), (33, 0, 140));
    }
}
