//! Times, counted by size.

use std::time::Duration;

/// Buckets for each doubling: what is read from them is off by a 32nd at most.
const STEPS: u64 = 32;

/// Enough for any number of nanoseconds.
const BUCKETS: usize = (64 - STEPS.trailing_zeros() as usize + 1) * STEPS as usize;

/// How often times of which size came, in bounded memory.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            longest: Duration::ZERO,
        }
    }
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, time: Duration) {
        self.counts[bucket(time.as_nanos() as u64)] += 1;
        self.total += 1;
        self.longest = self.longest.max(time);
    }

    /// How many were counted.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The longest one.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        self.longest
    }

    /// The time that this share of them (0 to 1) doesn't exceed; `None` before the first.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_nanos(greatest(found)).min(self.longest))
    }
}

/// Where a number belongs: below `STEPS` by itself, then by its leading six bits.
const fn bucket(nanoseconds: u64) -> usize {
    if nanoseconds < STEPS {
        return nanoseconds as usize;
    }
    let shift = nanoseconds.ilog2() - STEPS.ilog2();
    ((shift as u64 + 1) * STEPS + ((nanoseconds >> shift) - STEPS)) as usize
}

/// The greatest number of a bucket.
const fn greatest(bucket: usize) -> u64 {
    let (row, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    if row == 0 {
        return step;
    }
    let shift = row - 1;
    ((STEPS + step) << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_its_bucket() {
        for bits in 0..64 {
            for number in [
                1_u64 << bits,
                (1 << bits) + (1 << bits) / 3,
                u64::MAX >> bits,
            ] {
                let found = bucket(number);
                assert!(found < BUCKETS);
                assert!(greatest(found) >= number);
                assert!(found == 0 || greatest(found - 1) < number);
            }
        }
    }

    #[test]
    fn quantiles_are_near() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for number in 1..=1000 {
            histogram.record(Duration::from_micros(number));
        }
        for (share, exact) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0), (0.0, 1.0)] {
            let found = histogram.quantile(share).expect("some").as_secs_f64() * 1e6;
            assert!(found >= exact && found <= exact * 1.04, "{share}: {found}");
        }
        assert_eq!(histogram.longest(), Duration::from_millis(1));
    }
}
