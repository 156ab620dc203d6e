//! Bytes for tests.

/// xorshift64*: repeatable bytes without another dependency.
pub(crate) fn random_bytes<const N: usize>(seed: &mut u64) -> [u8; N] {
    let mut bytes = [0; N];
    for byte in &mut bytes {
        *seed ^= *seed >> 12;
        *seed ^= *seed << 25;
        *seed ^= *seed >> 27;
        *byte = (seed.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8;
    }
    bytes
}
