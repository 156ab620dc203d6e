//! Formats sizes for people.

/// Bytes as MiB with one decimal.
pub fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_rounded_down() {
        assert_eq!(mebibytes(0), "0.0 MiB");
        assert_eq!(mebibytes(36_805_017), "35.0 MiB");
        assert_eq!(mebibytes(u64::MAX), "1759218604441.5 MiB");
    }
}
