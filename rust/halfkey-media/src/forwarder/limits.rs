//! How much of what is asked for again is sent again: bounded for each receiver, whatever it asks.

use core::time::Duration;

use super::DropReason;

/// Within this time a packet is sent to a receiver once, and its source asked for it once: a second
/// request was most likely made before the first one's answer could be there.
pub(super) const INTERVAL: Duration = Duration::from_millis(20);

/// What a receiver may be sent again of a source at once, in bytes: half a second of 2 Mbit/s.
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
    const fn has(&self, sequence_number: u16, now: Duration) -> bool {
        (now.as_micros() as u64) < self.0[sequence_number as usize % PLACES]
    }

    const fn note(&mut self, sequence_number: u16, now: Duration) {
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

/// What a receiver may still be sent again of one source. What it earns is reckoned when it asks, so
/// that nothing is to be done for packets that it doesn't lose.
#[derive(Debug)]
pub(super) struct Allowance {
    recent: Recent,
    /// In bytes that have to be sent for it.
    earned: u64,
    /// The bytes that it was sent by then.
    sent: u64,
}

impl Allowance {
    /// For who was sent so many bytes.
    pub(super) fn new(sent: u64) -> Self {
        Self {
            recent: Recent::default(),
            earned: PRICE * BURST,
            sent,
        }
    }

    /// Spends what sending a packet again takes; `sent`: the bytes that it was sent for the first time.
    pub(super) fn spend(
        &mut self,
        sequence_number: u16,
        length: usize,
        sent: u64,
        now: Duration,
    ) -> Result<(), DropReason> {
        let since = sent - self.sent;
        self.sent = sent;
        self.earned = (self.earned + since).min(PRICE * BURST);
        if self.recent.has(sequence_number, now) {
            return Err(DropReason::RepeatTooSoon);
        }
        let price = PRICE * length as u64;
        self.earned = (self.earned.checked_sub(price)).ok_or(DropReason::RepeatLimit)?;
        self.recent.note(sequence_number, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_packet_is_sent_again_once_in_an_interval() {
        let mut allowance = Allowance::new(0);
        let mut spend = |number, now| allowance.spend(number, 1200, 0, at(now));
        assert_eq!(spend(7, 0), Ok(()));
        assert_eq!(spend(7, 19), Err(DropReason::RepeatTooSoon));
        assert_eq!(spend(8, 19), Ok(()));
        assert_eq!(spend(7, 20), Ok(()));
    }

    #[test]
    fn repeats_are_a_burst_and_half_of_what_was_sent() {
        let (mut allowance, mut repeated, mut sent) = (Allowance::new(5000), 0, 5000);
        let mut clock = 0;
        let mut ask_for_ever = |sent, repeated: &mut u64| {
            for number in 0..1000 {
                // Each time so late that only the bytes count.
                clock += 20;
                if allowance.spend(number, 1000, sent, at(clock)) == Ok(()) {
                    *repeated += 1000;
                }
            }
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
