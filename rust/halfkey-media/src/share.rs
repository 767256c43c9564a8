//! Which of several workers an SSRC belongs to.
//!
//! What is known of an SSRC under a key (replay window, the indices that were sealed) must never be
//! there twice. So it is no table that says which worker has an SSRC, and nobody can change it: it
//! follows from the SSRC. A worker's contexts refuse every other one.

/// One worker's share of all SSRCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    worker: u32,
    workers: u32,
}

impl Share {
    /// All SSRCs, for one worker alone.
    pub const WHOLE: Self = Self {
        worker: 0,
        workers: 1,
    };

    /// The shares of so many workers (one, if it is none), in their order. Each SSRC is in one.
    pub fn all(workers: usize) -> impl Iterator<Item = Self> {
        let workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
        (0..workers).map(move |worker| Self { worker, workers })
    }

    /// The number of the worker to which an SSRC belongs. A kernel that steers computes the same.
    #[must_use]
    pub const fn owner(self, ssrc: u32) -> usize {
        (ssrc % self.workers) as usize
    }

    /// Whether an SSRC is in this share.
    #[must_use]
    pub const fn owns(self, ssrc: u32) -> bool {
        ssrc % self.workers == self.worker
    }

    /// The number of the worker whose share this is.
    #[must_use]
    pub const fn worker(self) -> usize {
        self.worker as usize
    }

    /// An SSRC of this share that isn't 0 and not `taken`: `wanted`, or one that is near it. Fewer
    /// may be taken than there are.
    pub(crate) fn choose(self, wanted: u32, taken: impl Fn(u32) -> bool) -> u32 {
        let mut ssrc = wanted - wanted % self.workers;
        loop {
            // At the end of the numbers it goes on at their beginning.
            let candidate = ssrc.checked_add(self.worker).unwrap_or(self.worker);
            if candidate != 0 && !taken(candidate) {
                return candidate;
            }
            ssrc = ssrc.checked_add(self.workers).unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ssrc_is_in_one_share() {
        for workers in [1, 2, 3, 8] {
            let shares: Vec<_> = Share::all(workers).collect();
            for ssrc in [0, 1, 2, 7, 0x8000_0000, u32::MAX - 1, u32::MAX] {
                let owners = shares.iter().filter(|share| share.owns(ssrc));
                let owners: Vec<_> = owners.map(|share| share.worker()).collect();
                assert_eq!(owners, [shares[0].owner(ssrc)]);
            }
        }
        assert_eq!(Share::all(0).collect::<Vec<_>>(), [Share::WHOLE]);
    }

    #[test]
    fn an_ssrc_of_ones_own_is_in_the_share_and_free() {
        for share in Share::all(3) {
            for wanted in [0, 1, 2, 1000, u32::MAX - 2, u32::MAX] {
                let taken = [wanted, wanted.wrapping_add(1), 3];
                let ssrc = share.choose(wanted, |ssrc| taken.contains(&ssrc));
                assert!(share.owns(ssrc) && ssrc != 0 && !taken.contains(&ssrc));
            }
        }
        assert_eq!(Share::WHOLE.choose(1000, |_| false), 1000);
    }
}
