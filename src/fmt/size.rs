//! Formats sizes for people.

/// Bytes as MiB with one decimal, or as whole KiB if it is less than one MiB; rounded down.
pub fn size(bytes: u64) -> String {
    if bytes < 1 << 20 {
        return format!("{} KiB", bytes >> 10);
    }
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_rounded_down() {
        assert_eq!(size(0), "0 KiB");
        assert_eq!(size((1 << 20) - 1), "1023 KiB");
        assert_eq!(size(36_805_017), "35.0 MiB");
        assert_eq!(size(u64::MAX), "1759218604441.5 MiB");
    }
}
