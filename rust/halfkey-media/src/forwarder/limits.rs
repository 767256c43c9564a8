//! How much of what is asked for again is sent again: bounded for each receiver, whatever it asks.

use core::time::Duration;

/// Within this time a packet is sent to a receiver once, and its source asked for it once: a second
/// request was most likely made before the first one's answer could be there.
pub(super) const INTERVAL: Duration = Duration::from_millis(20);

/// The most items of NACKs of one receiver that are followed within a period: three windows' worth, as
/// it may lack packets of many sources at once.
const MAX_ITEMS: usize = 192;

/// What a receiver may be sent again at once, in bytes: half a second of 2 Mbit/s. Each worker has so
/// much for it: what all have would be too little for one stream, which one worker has.
const BURST: u64 = 1 << 17;

/// A receiver earns a byte of repeats with this many bytes that it was sent: with its repeats it is
/// sent half as much again at the most.
const PRICE: u64 = 2;

/// As many numbers as are told apart: more than a window has places, so that none takes another's.
const PLACES: usize = 1024;

/// A new period begins this often.
const PERIOD: Duration = Duration::from_millis(10);

/// Periods that are remembered: the one that is going on, and as many before it as make the interval.
const PERIODS: usize = 1 + (INTERVAL.as_millis() / PERIOD.as_millis()) as usize;

const PERIOD_MICROS: u64 = PERIOD.as_micros() as u64;

/// Which packets of a stream something was done about lately: for the interval at least, and no longer
/// than a period more. Its size is fixed, whatever is asked.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// A bit for each number, by period.
    noted: [[u64; PLACES / 64]; PERIODS],
    /// The number of the period that was looked at last.
    period: u64,
}

impl Recent {
    /// Notes a packet; false if it was noted already.
    pub(super) fn is_first(&mut self, sequence_number: u16, now: Duration) -> bool {
        let is_first = !self.has(sequence_number, now);
        if is_first {
            self.note(sequence_number, now);
        }
        is_first
    }

    pub(super) fn note(&mut self, sequence_number: u16, now: Duration) {
        self.forget(now);
        let (word, bit) = place(sequence_number);
        self.noted[self.period as usize % PERIODS][word] |= bit;
    }

    pub(super) fn has(&mut self, sequence_number: u16, now: Duration) -> bool {
        self.forget(now);
        let (word, bit) = place(sequence_number);
        self.noted.iter().any(|one| one[word] & bit != 0)
    }

    /// Empties the periods that begin anew by now.
    fn forget(&mut self, now: Duration) {
        let period = period(now);
        let begun = period.saturating_sub(self.period).min(PERIODS as u64);
        for one in 0..begun {
            self.noted[(period - one) as usize % PERIODS] = Default::default();
        }
        self.period = self.period.max(period);
    }
}

const fn place(sequence_number: u16) -> (usize, u64) {
    let at = sequence_number as usize % PLACES;
    (at / 64, 1 << (at % 64))
}

/// How many items of NACKs of a receiver are still followed in the period that is going on, however many
/// compounds they come in.
#[derive(Debug, Default)]
pub(super) struct NackBudget {
    items: usize,
    /// The number of the period, from 1 on.
    period: u64,
}

impl NackBudget {
    /// Begins with what has come now; true if it is the first of a period.
    pub(super) fn begin(&mut self, now: Duration) -> bool {
        let period = period(now) + 1;
        let is_first = period > self.period;
        if is_first {
            (self.period, self.items) = (period, MAX_ITEMS);
        }
        is_first
    }

    /// Takes one; false if there is none left.
    pub(super) const fn take(&mut self) -> bool {
        let is_there = self.items > 0;
        self.items -= is_there as usize;
        is_there
    }
}

const fn period(now: Duration) -> u64 {
    now.as_micros() as u64 / PERIOD_MICROS
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
    fn items_are_so_many_within_a_period() {
        let mut budget = NackBudget::default();
        for (now, is_first) in [(0, true), (9, false), (10, true), (29, true), (5, false)] {
            assert_eq!(budget.begin(at(now)), is_first, "{now}");
            let taken = (0..1000).filter(|_| budget.take()).count();
            assert_eq!(taken, if is_first { MAX_ITEMS } else { 0 }, "{now}");
        }
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
        for start in [0, 5, 9] {
            let mut asked = Recent::default();
            assert!(asked.is_first(7, at(start)) && asked.is_first(8, at(start)));
            assert!(!asked.is_first(7, at(start + 20)) && asked.is_first(7, at(start + 30)));
            assert!(asked.is_first(8, at(1000)));
        }
    }

    #[test]
    fn a_source_is_asked_for_whatever_lacks_of_a_window() {
        let mut asked = Recent::default();
        let mut ask_for_all = |now| {
            let numbers = (0..50).flat_map(|_| 65_000..65_960_u32);
            numbers.filter(|n| asked.is_first(*n as u16, now)).count()
        };
        for round in 0..10 {
            assert_eq!(ask_for_all(at(30 * round)), 960);
            assert_eq!(ask_for_all(at(30 * round + 20)), 0);
        }
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_forgets_nothing_too_soon() {
        let mut asked = Recent::default();
        assert!(asked.is_first(7, at(100)));
        assert!(!asked.is_first(7, at(50)) && !asked.is_first(7, at(100)));
        assert!(asked.is_first(7, at(130)));
    }
}
