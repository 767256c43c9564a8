//! How much of what is asked for again is sent again: bounded for each receiver, whatever it asks.

use core::time::Duration;

/// Within this time a packet is sent to a receiver once, and its source asked for it once: a second
/// request was most likely made before the first one's answer could be there.
pub(super) const INTERVAL: Duration = Duration::from_millis(20);

/// The most items of NACKs that are followed of one compound. They name more packets than a window has
/// places, and what the source is asked for by so many fits into one datagram.
const MAX_ITEMS: usize = 128;

/// What a receiver may be sent again at once, in bytes: half a second of 2 Mbit/s.
const BURST: u64 = 1 << 17;

/// A receiver earns a byte of repeats with this many bytes that it was sent: with its repeats it is
/// sent half as much again at the most.
const PRICE: u64 = 2;

/// The most packets of a stream that something is done about within the interval: those of which the
/// numbers are so far apart have one place.
const PLACES: usize = 128;

/// Which packets of a stream something was done about lately: for each place, when it is free again, in
/// microseconds. While it isn't, it is free for no packet: so nothing is done twice, whatever is asked.
#[derive(Debug)]
pub(super) struct Recent([u64; PLACES]);

impl Default for Recent {
    fn default() -> Self {
        Self([0; PLACES])
    }
}

impl Recent {
    pub(super) const fn has(&self, sequence_number: u16, now: Duration) -> bool {
        (now.as_micros() as u64) < self.0[sequence_number as usize % PLACES]
    }

    pub(super) const fn note(&mut self, sequence_number: u16, now: Duration) {
        let free = now.as_micros() + INTERVAL.as_micros();
        self.0[sequence_number as usize % PLACES] = free as u64;
    }

    /// Notes a packet; false if it was noted already.
    pub(super) fn is_first(&mut self, sequence_number: u16, now: Duration) -> bool {
        let is_first = !self.has(sequence_number, now);
        if is_first {
            self.note(sequence_number, now);
        }
        is_first
    }
}

/// How long overload has to be seen before anything is done about it: one stall is none.
const SPELL: Duration = Duration::from_millis(100);

/// How long after it was seen last it is taken to be there still.
const RECOVERY: Duration = Duration::from_secs(1);

/// Whether there is more to send than can be sent. Then nothing is sent again: that would be more still.
#[derive(Debug, Default)]
pub(super) struct Overload {
    /// The packets that were dropped for it by the last time.
    dropped: u64,
    /// When it was seen first and last, of the times that followed each other closely.
    seen: Option<(Duration, Duration)>,
}

impl Overload {
    /// Notes how many packets were dropped for it since the beginning.
    pub(super) fn note(&mut self, dropped: u64, now: Duration) {
        if dropped == self.dropped {
            return;
        }
        self.dropped = dropped;
        let before = self.seen.filter(|(_, last)| now < *last + RECOVERY);
        self.seen = Some((before.map_or(now, |(first, _)| first), now));
    }

    pub(super) fn is_there(&self, now: Duration) -> bool {
        self.seen
            .is_some_and(|(first, last)| last >= first + SPELL && now < last + RECOVERY)
    }
}

/// What one compound may still bring about by its NACKs.
#[derive(Debug)]
pub(super) struct NackBudget {
    /// The items that are followed.
    pub(super) items: usize,
    /// Whether what the receiver has earned is still to be reckoned.
    pub(super) is_untouched: bool,
}

impl Default for NackBudget {
    fn default() -> Self {
        Self {
            items: MAX_ITEMS,
            is_untouched: true,
        }
    }
}

/// What a receiver may still be sent again, of whichever source and by whichever route. What it earns
/// is reckoned when it asks, so that nothing is to be done for packets that it doesn't lose.
#[derive(Debug)]
pub(super) struct Allowance {
    /// In bytes that have to be sent for it.
    earned: u64,
    /// The bytes that it was sent by then.
    sent: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            earned: PRICE * BURST,
            sent: 0,
        }
    }
}

impl Allowance {
    /// Adds what is earned by the bytes that it was sent by now, for the first time.
    pub(super) fn earn(&mut self, sent: u64) {
        let since = sent.saturating_sub(self.sent);
        self.sent = sent;
        self.earned = self.earned.saturating_add(since).min(PRICE * BURST);
    }

    /// Spends what sending so many bytes again takes; false if there isn't enough.
    pub(super) const fn spend(&mut self, length: usize) -> bool {
        let price = PRICE * length as u64;
        let is_enough = price <= self.earned;
        if is_enough {
            self.earned -= price;
        }
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn repeats_are_a_burst_and_half_of_what_was_sent() {
        let (mut allowance, mut repeated, mut sent) = (Allowance::default(), 0, 5000);
        let mut ask_for_ever = |sent, repeated: &mut u64| {
            allowance.earn(sent);
            *repeated += 1000 * (0..1000).filter(|_| allowance.spend(1000)).count() as u64;
        };
        ask_for_ever(sent, &mut repeated);
        assert!((BURST - 1000..=BURST).contains(&repeated), "{repeated}");
        let burst = repeated;
        for _ in 0..50 {
            sent += 10_000;
            ask_for_ever(sent, &mut repeated);
        }
        let earned = repeated - burst;
        assert!((249_000..=251_000).contains(&earned), "{earned}");
        // Nobody saves more than a burst.
        ask_for_ever(sent + (1 << 40), &mut repeated);
        assert!(repeated <= burst + earned + BURST);
    }

    #[test]
    fn a_source_is_asked_once_in_an_interval() {
        let mut asked = Recent::default();
        assert!(asked.is_first(7, at(0)) && asked.is_first(8, at(0)));
        assert!(!asked.is_first(7, at(19)) && asked.is_first(7, at(20)));
        // Whatever others are asked for in between, and however often.
        let mut asked = Recent::default();
        let ask_for_all = |asked: &mut Recent, now| {
            let numbers = (0..50).flat_map(|_| 0..1000);
            let mut asked_for: Vec<u16> = numbers.filter(|n| asked.is_first(*n, now)).collect();
            asked_for.sort_unstable();
            asked_for
        };
        let all: Vec<u16> = (0..PLACES as u16).collect();
        assert_eq!(ask_for_all(&mut asked, at(100)), all);
        assert!(ask_for_all(&mut asked, at(119)).is_empty());
        assert_eq!(ask_for_all(&mut asked, at(120)), all);
    }
}
