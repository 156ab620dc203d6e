//! Bytes for tests.

use fastrand::Rng;

/// Returns the same bytes for the same seed, and updates the seed.
pub(crate) fn random_bytes<const N: usize>(seed: &mut u64) -> [u8; N] {
    let mut random = Rng::with_seed(*seed);
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    *seed = random.get_seed();
    bytes
}
