//! Percentiles of the module's log-linear histograms of time.

use crate::abi;

/// Number of buckets of a histogram.
pub const BUCKETS: usize = abi::TCPSTATES_HIST_BUCKETS as usize;

const MIN_SHIFT: u32 = abi::TCPSTATES_HIST_MIN_SHIFT;
const SUB_BITS: u32 = abi::TCPSTATES_HIST_SUB_BITS;

/// The first nanosecond above bucket `index`. The last bucket has no upper bound; the result for it
/// is where its regular width would end.
pub fn upper_bound(index: usize) -> u64 {
    let Some(cell) = (index as u32).checked_sub(1) else {
        return 1 << MIN_SHIFT;
    };
    let (octave, sub) = (cell >> SUB_BITS, cell & ((1 << SUB_BITS) - 1));
    let start = 1u64.checked_shl(MIN_SHIFT + octave).unwrap_or(u64::MAX);
    start.saturating_add((start >> SUB_BITS).saturating_mul(u64::from(sub) + 1))
}

/// The bucket of a time, as the header describes it.
pub fn bucket(ns: u64) -> usize {
    if ns < 1 << MIN_SHIFT {
        return 0;
    }
    let octave = ns.ilog2() - MIN_SHIFT;
    let sub = (ns >> (ns.ilog2() - SUB_BITS)) & ((1 << SUB_BITS) - 1);
    let index = 1 + (octave << SUB_BITS) as usize + sub as usize;
    index.min(BUCKETS - 1)
}

/// The percentile `percent` of `hist` in nanoseconds: the upper bound of its bucket, at most a
/// quarter too large and never above the longest time `max_ns`. `None` if the histogram is empty.
pub fn percentile(hist: &[u64], max_ns: u64, percent: u64) -> Option<u64> {
    // Rounded up, so that 99 % of one value is that value. The sum is used and not `timed`, because
    // the module's counters may change between two reads.
    let total: u64 = hist.iter().fold(0, |sum, n| sum.saturating_add(*n));
    let rank = (u128::from(total) * u128::from(percent)).div_ceil(100);
    if total == 0 {
        return None;
    }
    let mut below = 0u128;
    for (index, count) in hist.iter().enumerate() {
        below += u128::from(*count);
        if below >= rank {
            let last = index + 1 == hist.len();
            return Some(if last {
                max_ns
            } else {
                upper_bound(index).min(max_ns)
            });
        }
    }
    Some(max_ns)
}

/// The number of times in a range: from one power of two to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Octave {
    /// The shortest of these times in nanoseconds.
    pub from_ns: u64,
    /// The first nanosecond above them.
    pub to_ns: u64,
    /// Number of times.
    pub count: u64,
}

/// The octaves of `hist` from the first to the last with a time. The first one of all starts at 0,
/// and the last one has no upper bound.
pub fn octaves(hist: &[u64; BUCKETS]) -> Vec<Octave> {
    let (lowest, others) = hist.split_at(1);
    let cells = [lowest].into_iter().chain(others.chunks(1 << SUB_BITS));
    let mut all: Vec<_> = (0..)
        .zip(cells)
        .map(|(octave, counts)| Octave {
            from_ns: if octave == 0 { 0 } else { power(octave - 1) },
            to_ns: power(octave),
            count: counts.iter().copied().fold(0, u64::saturating_add),
        })
        .collect();
    let last = all.iter().rposition(|octave| octave.count > 0);
    all.truncate(last.map_or(0, |last| last + 1));
    let first = all.iter().position(|octave| octave.count > 0);
    all.drain(..first.unwrap_or(0));
    all
}

fn power(octave: u32) -> u64 {
    1u64.checked_shl(MIN_SHIFT + octave).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::TransitionCount;

    fn percentile(transition: &TransitionCount, percent: u64) -> Option<u64> {
        super::percentile(&transition.hist, transition.max_ns, percent)
    }

    fn transition(times: &[u64]) -> TransitionCount {
        let mut transition = TransitionCount {
            timed: times.len() as u64,
            ..TransitionCount::default()
        };
        for ns in times {
            transition.hist[bucket(*ns)] += 1;
            transition.max_ns = transition.max_ns.max(*ns);
        }
        transition
    }

    #[test]
    fn bounds_enclose_their_bucket() {
        for index in 0..abi::TCPSTATES_HIST_BUCKETS as usize - 1 {
            let bound = upper_bound(index);
            assert_eq!(bucket(bound - 1), index);
            assert_eq!(bucket(bound), index + 1);
        }
    }

    #[test]
    fn a_percentile_is_at_most_a_quarter_too_long() {
        let times: Vec<u64> = (1..=1000).map(|n| n * 300_000).collect();
        let transition = transition(&times);
        for (percent, exact) in [(50, 150_000_000), (99, 297_000_000), (1, 3_000_000)] {
            let p = percentile(&transition, percent).unwrap();
            assert!(p >= exact && p <= exact + exact / 4, "{percent} %: {p}");
        }
        assert_eq!(percentile(&transition, 100), Some(300_000_000));
    }

    #[test]
    fn few_and_extreme_times() {
        assert_eq!(percentile(&transition(&[]), 50), None);
        assert_eq!(percentile(&transition(&[312]), 50), Some(312));
        assert_eq!(percentile(&transition(&[0]), 99), Some(0));
        assert_eq!(percentile(&transition(&[u64::MAX]), 50), Some(u64::MAX));
        assert_eq!(
            percentile(&transition(&[5, 1_000_000_000]), 99),
            Some(1_000_000_000)
        );
        assert_eq!(percentile(&transition(&[5, 1_000_000_000]), 50), Some(1024));
    }

    #[test]
    fn an_octave_has_the_times_between_two_powers_of_two() {
        let told = |times: &[u64]| {
            let octaves = octaves(&transition(times).hist);
            let told = octaves.iter().map(|o| (o.from_ns, o.to_ns, o.count));
            told.collect::<Vec<_>>()
        };
        assert_eq!(told(&[]), []);
        assert_eq!(told(&[0, 1_023]), [(0, 1_024, 2)]);
        let expected = [(1_024, 2_048, 2), (2_048, 4_096, 0), (4_096, 8_192, 1)];
        assert_eq!(told(&[1_024, 2_047, 4_096]), expected);
        let last = told(&[1, u64::MAX]);
        assert_eq!((last[0], last.len()), ((0, 1_024, 1), 41));
        assert_eq!(last[40], (1 << 49, 1 << 50, 1));
        assert_eq!(octaves(&[u64::MAX; BUCKETS]).len(), 41);
    }

    #[test]
    fn absurd_counters_do_not_overflow() {
        let transition = TransitionCount {
            hist: [u64::MAX; 160],
            max_ns: 7,
            ..TransitionCount::default()
        };
        assert_eq!(percentile(&transition, 50), Some(7));
    }
}
