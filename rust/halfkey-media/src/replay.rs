//! The packet index and the replay window (RFC 3711 section 3.3).

use crate::error::Rejection;

/// The number of indices behind the highest one that are still told apart.
pub const WINDOW: u64 = (WORDS as u64 - 1) * 64;

const WORDS: usize = 16;

/// The greatest index: a 32-bit rollover counter and a 16-bit sequence number.
pub const MAX_INDEX: u64 = (1 << 48) - 1;

/// The values of the rollover counter.
const ROUNDS: u64 = 1 << 32;

/// Which indices of one SSRC were used, and so what its rollover counter is.
///
/// The bitmap is a ring of words (RFC 6479): an index has a fixed place, words are cleared as the
/// highest index passes them, and nothing is shifted.
#[derive(Debug, Clone)]
pub struct ReplayWindow {
    highest: u64,
    started: bool,
    words: [u64; WORDS],
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

impl ReplayWindow {
    /// Nothing was used; the rollover counter is zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            highest: 0,
            started: false,
            words: [0; WORDS],
        }
    }

    /// Nothing was used; indices near `index` are expected. This is a guess for the first packet's
    /// rollover counter and no more: it makes no index too old.
    #[must_use]
    pub const fn starting_near(index: u64) -> Self {
        Self {
            highest: index,
            started: false,
            words: [0; WORDS],
        }
    }

    /// Every index up to `highest` was used; those behind it are free. So goes on who knows no more
    /// of what was used before.
    #[must_use]
    pub const fn used_up_to(highest: u64) -> Self {
        let mut words = [u64::MAX; WORDS];
        // What is behind the highest in its own word is not cleared as the highest passes it.
        words[word(highest)] = u64::MAX >> (63 - highest % 64);
        Self {
            highest,
            started: true,
            words,
        }
    }

    /// The highest index so far; `None` before the first.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        if self.started {
            Some(self.highest)
        } else {
            None
        }
    }

    /// The index that a packet with this sequence number most likely has: the nearest to the
    /// highest one so far (section 3.3.1). Only the greatest indices have no place for it.
    #[must_use]
    pub const fn estimate(&self, sequence_number: u16) -> u64 {
        let (round, last) = (self.highest >> 16, self.highest as u16);
        let round = if last < 0x8000 {
            if sequence_number.saturating_sub(last) > 0x8000 {
                // Before index 0 there was no round, so this is a jump ahead.
                round.saturating_sub(1)
            } else {
                round
            }
        } else if last - 0x8000 > sequence_number {
            (round + 1) % ROUNDS
        } else {
            round
        };
        round << 16 | sequence_number as u64
    }

    /// Whether an index is fresh.
    ///
    /// # Errors
    /// `Replayed` for an index that was used, `TooOld` for one before the window.
    pub fn check(&self, index: u64) -> Result<(), Rejection> {
        if !self.started || index > self.highest {
            return Ok(());
        }
        if self.highest - index >= WINDOW {
            return Err(Rejection::TooOld);
        }
        if self.words[word(index)] & bit(index) != 0 {
            return Err(Rejection::Replayed);
        }
        Ok(())
    }

    /// Notes that an index was used. To be called after authentication only.
    pub fn mark(&mut self, index: u64) {
        if !self.started {
            self.started = true;
            self.highest = index;
        } else if index > self.highest {
            let passed = (index / 64 - self.highest / 64).min(WORDS as u64);
            for step in 1..=passed {
                self.words[word(self.highest + 64 * step)] = 0;
            }
            self.highest = index;
        }
        self.words[word(index)] |= bit(index);
    }
}

const fn word(index: u64) -> usize {
    (index / 64) as usize % WORDS
}

const fn bit(index: u64) -> u64 {
    1 << (index % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(window: &mut ReplayWindow, sequence_number: u16) -> Result<u64, Rejection> {
        let index = window.estimate(sequence_number);
        window.check(index)?;
        window.mark(index);
        Ok(index)
    }

    #[test]
    fn rolls_over_in_order_and_out_of_order() {
        let mut window = ReplayWindow::new();
        assert_eq!(receive(&mut window, 0xfffe), Ok(0xfffe));
        assert_eq!(receive(&mut window, 1), Ok(0x1_0001));
        assert_eq!(receive(&mut window, 0xffff), Ok(0xffff));
        assert_eq!(receive(&mut window, 0), Ok(0x1_0000));
        assert_eq!(receive(&mut window, 0xffff), Err(Rejection::Replayed));
        assert_eq!(receive(&mut window, 0x8000), Ok(0x1_8000));
        assert_eq!(receive(&mut window, 0xffff), Ok(0x1_ffff));
        assert_eq!(receive(&mut window, 0x7000), Ok(0x2_7000));
    }

    #[test]
    fn before_the_first_round_there_is_none() {
        let mut window = ReplayWindow::new();
        assert_eq!(receive(&mut window, 5), Ok(5));
        assert_eq!(receive(&mut window, 0xffff), Ok(0xffff));
    }

    #[test]
    fn agrees_with_a_list_of_everything_seen() {
        let mut window = ReplayWindow::new();
        let mut seen = std::collections::HashSet::new();
        let mut highest = 0_u64;
        let mut random = 1_u64;
        for _ in 0..20_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let index = (highest + 50).saturating_sub((random >> 33) % 1100);
            let expected = if seen.is_empty() || index > highest {
                Ok(())
            } else if highest - index >= WINDOW {
                Err(Rejection::TooOld)
            } else if seen.contains(&index) {
                Err(Rejection::Replayed)
            } else {
                Ok(())
            };
            assert_eq!(window.check(index), expected);
            if expected.is_ok() {
                window.mark(index);
                seen.insert(index);
                highest = highest.max(index);
            }
        }
        assert!(seen.len() > 1000);
    }

    #[test]
    fn a_jump_forgets_nothing_inside_the_window() {
        let mut window = ReplayWindow::new();
        for index in [0, 10_000, 10_000 - WINDOW + 1, 1 << 40] {
            assert_eq!(window.check(index), Ok(()));
            window.mark(index);
            assert_eq!(window.check(index), Err(Rejection::Replayed));
        }
        assert_eq!(window.check(10_000), Err(Rejection::TooOld));
    }

    #[test]
    fn starting_near_marks_nothing_and_makes_nothing_too_old() {
        let mut window = ReplayWindow::starting_near(0x5_fff0);
        assert_eq!(window.highest(), None);
        assert_eq!(window.check(0x5_fff0), Ok(()));
        assert_eq!(window.estimate(3), 0x6_0003);
        assert_eq!(window.estimate(0xff00), 0x5_ff00);
        // The guess was wrong: what was authentic first is where it begins.
        assert_eq!(window.check(0x5_0001), Ok(()));
        window.mark(0x5_0001);
        assert_eq!(window.highest(), Some(0x5_0001));
        assert_eq!(window.check(0x5_0001), Err(Rejection::Replayed));
        assert_eq!(window.check(0x4_0001), Err(Rejection::TooOld));
        assert_eq!(window.check(0x5_fff0), Ok(()));
    }

    #[test]
    fn used_up_to_leaves_what_is_behind_the_highest_and_nothing_else() {
        for base in [0, 63, 64, 1000, 0xffff, 0x5_fff0, MAX_INDEX - 5000] {
            for highest in base..base + 130 {
                let mut window = ReplayWindow::used_up_to(highest);
                assert_eq!(window.highest(), Some(highest));
                let used = || highest.saturating_sub(WINDOW + 2)..=highest;
                assert!(used().all(|index| window.check(index).is_err()));
                for ahead in [130, 64, 129, 1, 65, 2000, 1999] {
                    let index = highest + ahead;
                    assert_eq!(window.check(index), Ok(()), "{highest} {ahead}");
                    window.mark(index);
                    assert_eq!(window.check(index), Err(Rejection::Replayed));
                    assert!(used().all(|index| window.check(index).is_err()));
                }
                let mut rest = highest + 2001 - WINDOW..highest + 1999;
                assert!(rest.all(|index| window.check(index).is_ok()));
            }
        }
    }

    #[test]
    fn used_up_to_goes_on_with_the_rollover_counter() {
        for sequence_number in [0_u16, 1, 0x7fff, 0x8000, 0xfffe, 0xffff] {
            let mut before = ReplayWindow::new();
            before.mark(0x1_0000 * 7 + u64::from(sequence_number));
            let after = ReplayWindow::used_up_to(before.highest().expect("marked"));
            for next in 0..=0xffff {
                assert_eq!(after.estimate(next), before.estimate(next));
            }
        }
    }

    /// The pseudocode of RFC 3711 section 3.3.1, with s_l and ROC signed and wide enough.
    fn rfc_3711_index(roc: i64, s_l: i64, seq: i64) -> i64 {
        let v = if s_l < 32_768 {
            if seq - s_l > 32_768 { roc - 1 } else { roc }
        } else if s_l - 32_768 > seq {
            roc + 1
        } else {
            roc
        };
        seq + v * 65_536
    }

    #[test]
    fn the_estimate_is_that_of_section_3_3_1_at_every_edge() {
        let edges = [
            0_u16, 1, 2, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0x8002, 0xfffe, 0xffff,
        ];
        for s_l in edges {
            for base in edges {
                let seq = s_l.wrapping_add(base);
                let window = ReplayWindow::starting_near(7 << 16 | u64::from(s_l));
                let expected = rfc_3711_index(7, s_l.into(), seq.into());
                assert_eq!(window.estimate(seq) as i64, expected, "{s_l} {seq}");
            }
        }
    }

    #[test]
    fn behind_the_last_round_there_is_none() {
        let mut window = ReplayWindow::starting_near(MAX_INDEX);
        assert_eq!(receive(&mut window, 0xffff), Ok(MAX_INDEX));
        assert_eq!(receive(&mut window, 0), Err(Rejection::TooOld));
        assert_eq!(receive(&mut window, 0xfffe), Ok(MAX_INDEX - 1));
    }
}
