//! When a stream sends how much.

use std::time::Duration;

use halfkey_media::TAG_LENGTH;

/// What Double adds to an RTP packet: two tags, an empty OHB, a Short EKT Field.
const DOUBLE_OVERHEAD: usize = 2 * TAG_LENGTH + 2;

/// The fixed RTP header.
pub(crate) const HEADER: usize = 12;

/// The time stamp in each payload: nanoseconds.
pub(crate) const STAMP: usize = 8;

/// The shortest datagram that a pattern can have.
pub(crate) const SHORTEST: usize = HEADER + STAMP + DOUBLE_OVERHEAD;

/// The longest one: what a Full EKT Field and the Media Distributor's `mid` still leave room for
/// below the usual MTU.
pub(crate) const LONGEST: usize = 1400;

/// Datagrams of one length that are sent at once, as a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// When, from the pattern's beginning.
    pub at: Duration,
    /// The length of each datagram, as it leaves the Endpoint.
    pub length: usize,
    /// How many.
    pub count: usize,
}

/// Bursts that are sent again and again.
#[derive(Debug, Clone)]
pub struct Pattern {
    bursts: Vec<Burst>,
    period: Duration,
}

impl Pattern {
    /// From bursts in the order of their times, and the time after which they begin anew; `None`
    /// if there is none, one is empty, too short or too long, or they don't fit in the period.
    #[must_use]
    pub fn new(bursts: Vec<Burst>, period: Duration) -> Option<Self> {
        let fits = |burst: &Burst| {
            (SHORTEST..=LONGEST).contains(&burst.length) && burst.count > 0 && burst.at < period
        };
        let good = !bursts.is_empty()
            && bursts.iter().all(fits)
            && bursts.is_sorted_by_key(|burst| burst.at);
        good.then_some(Self { bursts, period })
    }

    /// Burst number `index`, with its time from the first beginning.
    pub(crate) fn burst(&self, index: usize) -> Burst {
        let burst = self.bursts[index % self.bursts.len()];
        let rounds = (index / self.bursts.len()) as u32;
        Burst {
            at: self.period * rounds + burst.at,
            ..burst
        }
    }

    /// Datagrams of all bursts until a time from the first beginning, those of that moment included.
    pub(crate) fn packets_until(&self, time: Duration) -> u64 {
        let packets = |bursts: &[Burst]| bursts.iter().map(|one| one.count as u64).sum::<u64>();
        let rounds = time.as_nanos() / self.period.as_nanos();
        let rest = time.as_nanos() % self.period.as_nanos();
        let begun = self
            .bursts
            .partition_point(|burst| burst.at.as_nanos() <= rest);
        rounds as u64 * packets(&self.bursts) + packets(&self.bursts[..begun])
    }

    /// The most datagrams of one burst.
    pub(crate) fn largest(&self) -> usize {
        self.bursts
            .iter()
            .map(|burst| burst.count)
            .max()
            .unwrap_or(0)
    }
}

/// The payload's length of a datagram of this length.
pub(crate) const fn payload_length(datagram: usize) -> usize {
    datagram - HEADER - DOUBLE_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(at: u64, length: usize, count: usize) -> Burst {
        Burst {
            at: Duration::from_millis(at),
            length,
            count,
        }
    }

    #[test]
    fn bursts_come_again_with_each_period() {
        let bursts = vec![burst(0, 100, 1), burst(5, 200, 2)];
        let pattern = Pattern::new(bursts, Duration::from_millis(20)).expect("good");
        assert_eq!(pattern.burst(1), burst(5, 200, 2));
        assert_eq!(pattern.burst(4), burst(40, 100, 1));
        assert_eq!(pattern.largest(), 2);
    }

    #[test]
    fn what_is_due_is_counted_over_all_periods() {
        let bursts = vec![burst(0, 100, 1), burst(5, 200, 2)];
        let pattern = Pattern::new(bursts, Duration::from_millis(20)).expect("good");
        for (time, packets) in [
            (0, 1),
            (4, 1),
            (5, 3),
            (19, 3),
            (20, 4),
            (25, 6),
            (2000, 301),
        ] {
            assert_eq!(pattern.packets_until(Duration::from_millis(time)), packets);
        }
    }

    #[test]
    fn what_cannot_be_sent_is_no_pattern() {
        let period = Duration::from_millis(20);
        assert!(Pattern::new(vec![burst(0, SHORTEST, 1)], period).is_some());
        for bursts in [
            vec![],
            vec![burst(0, SHORTEST - 1, 1)],
            vec![burst(0, LONGEST + 1, 1)],
            vec![burst(0, 100, 0)],
            vec![burst(20, 100, 1)],
            vec![burst(9, 100, 1), burst(8, 100, 1)],
        ] {
            assert!(Pattern::new(bursts, period).is_none());
        }
    }
}
