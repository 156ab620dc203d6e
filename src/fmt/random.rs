//! Bytes for tests.

use fastrand::Rng;

/// The same for the same seed, which is another one then.
pub(crate) fn random_bytes<const N: usize>(seed: &mut u64) -> [u8; N] {
    let mut random = Rng::with_seed(*seed);
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    *seed = random.get_seed();
    bytes
}
