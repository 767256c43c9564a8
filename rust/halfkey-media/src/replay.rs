//! The packet index and the replay window (RFC 3711 section 3.3).

use crate::error::Rejection;

/// The number of indices behind the highest one that are still told apart.
pub const WINDOW: u64 = (WORDS as u64 - 1) * 64;

const WORDS: usize = 16;

/// The greatest index: a 32-bit rollover counter and a 16-bit sequence number.
pub const MAX_INDEX: u64 = (1 << 48) - 1;

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

    /// Nothing was used; indices near `index` are expected.
    #[must_use]
    pub const fn starting_near(index: u64) -> Self {
        Self {
            highest: index,
            started: true,
            words: [0; WORDS],
        }
    }

    /// The highest index so far; 0 before the first.
    #[must_use]
    pub const fn highest(&self) -> u64 {
        self.highest
    }

    /// The index that a packet with this sequence number most likely has: the nearest to the
    /// highest one so far (section 3.3.1). Only the greatest indices have no place for it.
    #[must_use]
    pub fn estimate(&self, sequence_number: u16) -> u64 {
        if !self.started {
            return u64::from(sequence_number);
        }
        let distance = sequence_number.wrapping_sub(self.highest as u16) as i16;
        let near = self.highest.wrapping_add_signed(i64::from(distance));
        if near <= MAX_INDEX {
            near
        } else {
            // Before index 0: there was no earlier round, so this is a jump ahead.
            u64::from(sequence_number)
        }
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
    fn starting_near_marks_nothing() {
        let window = ReplayWindow::starting_near(0x5_fff0);
        assert_eq!(window.check(0x5_fff0), Ok(()));
        assert_eq!(window.estimate(3), 0x6_0003);
        assert_eq!(window.estimate(0xff00), 0x5_ff00);
    }
}
