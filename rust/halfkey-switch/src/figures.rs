//! How a worker goes through its work, and how long that takes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use halfkey_media::histogram::{Histogram, Sizes};

/// What was counted since the beginning.
#[derive(Debug, Default, Clone)]
pub struct Figures {
    /// Datagrams that were taken from the socket at once.
    pub batches: Sizes,
    /// Messages to send that the kernel took at once.
    pub calls: Sizes,
    /// Datagrams in each of these.
    pub segments: Sizes,
    /// From the kernel's note that a packet came until it has taken what became of it, for each
    /// packet that was forwarded.
    pub added_latency: Histogram,
}

impl Figures {
    /// Adds those of another worker.
    pub fn add(&mut self, other: &Self) {
        self.batches.add(&other.batches);
        self.calls.add(&other.calls);
        self.segments.add(&other.segments);
        self.added_latency.add(&other.added_latency);
    }
}

/// The time by the clock that the kernel notes arrivals by.
pub(crate) fn since_1970() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    // The kernel notes nothing that we could use, then.
    now.unwrap_or_default()
}
