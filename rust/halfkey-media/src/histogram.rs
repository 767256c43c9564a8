//! Times and sizes, counted by how great they are.

use core::time::Duration;

/// Buckets for each doubling: what is read from them is off by a 32nd at most.
const STEPS: u64 = 32;

/// Enough for any number of nanoseconds.
const BUCKETS: usize = (64 - STEPS.trailing_zeros() as usize + 1) * STEPS as usize;

/// How often times of which size came, in bounded memory.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: Duration,
    longest: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            sum: Duration::ZERO,
            longest: Duration::ZERO,
        }
    }
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, time: Duration) {
        self.record_many(time, 1);
    }

    /// Counts one that so many had.
    pub fn record_many(&mut self, time: Duration, times: u32) {
        self.counts[bucket(time.as_nanos() as u64)] += u64::from(times);
        self.total += u64::from(times);
        self.sum = self.sum.saturating_add(time.saturating_mul(times));
        self.longest = self.longest.max(time);
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
        self.total += other.total;
        self.sum = self.sum.saturating_add(other.sum);
        self.longest = self.longest.max(other.longest);
    }

    /// How often times came, by the longest that is counted together with them; what never came is
    /// left out.
    pub fn counts(&self) -> impl Iterator<Item = (Duration, u64)> {
        let counted = self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        counted.map(|(bucket, count)| (Duration::from_nanos(greatest(bucket)), *count))
    }

    /// How many were counted.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// All of them together.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        self.sum
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

/// How often something had which size, by powers of two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    counts: [u64; Self::POWERS],
    sum: u64,
}

impl Sizes {
    /// 1, 2, 4, ... 2,048; what is greater is counted with the last.
    const POWERS: usize = 12;

    /// Counts one.
    pub const fn record(&mut self, size: usize) {
        let power = size.next_power_of_two().ilog2() as usize;
        let last = Self::POWERS - 1;
        self.counts[if power < last { power } else { last }] += 1;
        self.sum += size as u64;
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
        self.sum += other.sum;
    }

    /// How often sizes came, by the greatest that is counted together with them.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.counts.into_iter().enumerate();
        counts.map(|(power, count)| (1 << power, count))
    }

    /// All sizes together.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.sum
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
    #[test]
    fn what_several_counted_is_added_up() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        one.record_many(Duration::from_nanos(3), 5);
        other.record(Duration::from_nanos(3));
        other.record(Duration::from_micros(1));
        one.add(&other);
        let counts: Vec<_> = one.counts().collect();
        assert_eq!(counts[0], (Duration::from_nanos(3), 6));
        assert!(counts[1].0 >= Duration::from_micros(1) && counts[1].1 == 1);
        assert_eq!((counts.len(), one.total()), (2, 7));
        assert_eq!(one.sum(), Duration::from_nanos(1018));
        assert_eq!(one.longest(), Duration::from_micros(1));
    }

    #[test]
    fn sizes_are_counted_with_the_power_above_them() {
        let mut sizes = Sizes::default();
        for size in [0, 1, 2, 3, 4, 5, 2048, 5000] {
            sizes.record(size);
        }
        sizes.add(&sizes.clone());
        let counts: Vec<_> = sizes.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [(1, 4), (2, 2), (4, 4), (8, 2), (2048, 4)]);
        assert_eq!(sizes.sum(), 2 * 7063);
    }
}
