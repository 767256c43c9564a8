//! What comes of one stream to one receiver: each packet once, in order, or not.

use halfkey_media::replay::ReplayWindow;

/// The counters of one receiver, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Different packets that came.
    pub received: u64,
    /// Packets that came again.
    pub duplicated: u64,
    /// Packets that came after a later one of their stream.
    pub reordered: u64,
    /// Packets that were opened through both layers.
    pub authenticated: u64,
    /// Packets that should have opened, and didn't.
    pub failed: u64,
}

impl Arrivals {
    /// Adds another's.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.authenticated += other.authenticated;
        self.failed += other.failed;
    }

    /// Counts a packet of a stream by its sequence number.
    pub(crate) fn count(&mut self, window: &mut ReplayWindow, sequence_number: u16) {
        let index = window.estimate(sequence_number);
        if window.check(index).is_err() {
            // One from before the window counts as a repetition: so many in between are no disorder.
            self.duplicated += 1;
            return;
        }
        self.reordered += u64::from(window.highest().is_some_and(|highest| index < highest));
        self.received += 1;
        window.mark(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_and_disorder_are_told_apart() {
        let (mut arrivals, mut window) = (Arrivals::default(), ReplayWindow::new());
        for sequence_number in [65_534, 65_535, 1, 0, 1, 2] {
            arrivals.count(&mut window, sequence_number);
        }
        let expected = Arrivals {
            received: 5,
            duplicated: 1,
            reordered: 1,
            ..Arrivals::default()
        };
        assert_eq!(arrivals, expected);
    }
}
