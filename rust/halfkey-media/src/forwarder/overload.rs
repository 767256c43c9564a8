//! Whether there is more to do than can be done.

use core::time::Duration;

/// How often it is looked at.
const WINDOW: Duration = Duration::from_millis(100);

/// Overload is that more than one packet in so many is dropped for it.
const SHARE: u64 = 100;

/// How long after it was seen last it is taken to be there still.
const RECOVERY: Duration = Duration::from_secs(1);

/// What was done since the beginning, and what was left undone.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Work {
    /// The datagrams that were taken of participants: strangers' would hide how many are late.
    pub(super) taken: u64,
    /// Those that had waited too long for that.
    pub(super) late: u64,
    /// The packets that were made for receivers.
    pub(super) made: u64,
    /// Those of them that the socket didn't take.
    pub(super) unsent: u64,
}

/// Whether there is more to send than can be sent. Then nothing is sent again: that would be more still.
///
/// What a full socket loses before anybody has seen it says nothing here. Strangers can fill it, and the
/// sources repair that loss, not the forwarder; where it is the forwarder that falls behind, what does
/// come through is late, if the socket holds as much as is asked for. If it holds much less, nothing
/// waits long enough in it, and repeats go on; then what a receiver may be sent again is the bound.
#[derive(Debug, Default)]
pub(super) struct Overload {
    /// When the window began.
    since: Duration,
    /// What had been done by then.
    before: Work,
    /// When it was seen first and last, of the times that followed each other closely.
    seen: Option<(Duration, Duration)>,
}

impl Overload {
    /// Notes what has been done by now.
    pub(super) fn note(&mut self, work: Work, now: Duration) {
        if now < self.since + WINDOW {
            return;
        }
        let before = core::mem::replace(&mut self.before, work);
        self.since = now;
        let (late, unsent) = (work.late - before.late, work.unsent - before.unsent);
        let (taken, made) = (work.taken - before.taken, work.made - before.made);
        if late * SHARE > taken + late || unsent * SHARE > made {
            let earlier = self.seen.filter(|(_, last)| now < *last + RECOVERY);
            self.seen = Some((earlier.map_or(now, |(first, _)| first), now));
        }
    }

    /// Whether it was seen a second time, and not long ago: one stall is none.
    pub(super) fn is_there(&self, now: Duration) -> bool {
        self.seen
            .is_some_and(|(first, last)| first < last && now < last + RECOVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of 1,000 packets for 10 receivers each; gives whether there is overload after each.
    fn after(windows: &[(u64, u64)]) -> Vec<bool> {
        let (mut overload, mut work) = (Overload::default(), Work::default());
        let mut one = |(at, (late, unsent)): (usize, &(u64, u64))| {
            let now = WINDOW * (at as u32 + 1);
            work.taken += 1000 - late;
            work.late += late;
            work.made += 10_000;
            work.unsent += unsent;
            overload.note(work, now);
            overload.is_there(now)
        };
        windows.iter().enumerate().map(&mut one).collect()
    }

    #[test]
    fn it_takes_more_than_one_in_a_hundred_and_more_than_one_window() {
        assert_eq!(after(&[(11, 0), (11, 0)]), [false, true]);
        assert_eq!(after(&[(0, 101), (0, 101)]), [false, true]);
        assert_eq!(after(&[(11, 0), (0, 0), (0, 101)]), [false, false, true]);
        assert_eq!(after(&[(10, 100); 50]), [false; 50]);
        assert_eq!(after(&[(1000, 10_000)]), [false]);
    }

    #[test]
    fn it_is_over_a_second_after_it_was_seen_last() {
        let windows = [&[(20, 0); 2][..], &[(0, 0); 10]].concat();
        let expected = [&[false][..], &[true; 10], &[false]].concat();
        assert_eq!(after(&windows), expected);
        // Stalls that are farther apart than that are none.
        let apart = [&[(20, 0)][..], &[(0, 0); 9], &[(20, 0)]].concat();
        assert_eq!(after(&apart), [false; 11]);
    }

    #[test]
    fn one_drop_among_few_packets_within_a_window_counts_when_it_ends() {
        let mut overload = Overload::default();
        let work = |late| Work {
            taken: 10,
            late,
            ..Work::default()
        };
        overload.note(work(1), WINDOW / 2);
        assert!(overload.seen.is_none());
        overload.note(work(1), WINDOW);
        assert_eq!(overload.seen, Some((WINDOW, WINDOW)));
    }
}
