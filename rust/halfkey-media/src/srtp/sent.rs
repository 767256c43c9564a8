//! What stays of the streams of a key when they are given back.

use super::MAX_SENT_SSRCS;
use crate::error::SealError;
use crate::replay::MAX_INDEX;
use crate::ssrc_table::SsrcTable;

/// The highest index of each SSRC that was ever sealed under a key, twelve bytes for each.
///
/// Whoever is to seal an SSRC's packets has a place first ([`Self::reserve`]), so that there is one when
/// it ends ([`Self::note`]): no index that was used is ever forgotten, and where there is no place
/// nothing is sealed.
#[derive(Debug)]
pub(super) struct SentIndices(SsrcTable<Option<Index>>);

/// 48 bits in six bytes.
#[derive(Debug, Clone, Copy)]
struct Index([u16; 3]);

impl Index {
    const fn new(index: u64) -> Self {
        // There is no greater one. If there were, it must not become a lower one as it is cut off.
        let index = if index > MAX_INDEX { MAX_INDEX } else { index };
        Self([(index >> 32) as u16, (index >> 16) as u16, index as u16])
    }

    const fn get(self) -> u64 {
        (self.0[0] as u64) << 32 | (self.0[1] as u64) << 16 | self.0[2] as u64
    }
}

impl SentIndices {
    pub(super) const fn new() -> Self {
        Self(SsrcTable::new(MAX_SENT_SSRCS))
    }

    /// The highest index that was used of an SSRC, which has a place from now on.
    ///
    /// # Errors
    /// There are too many SSRCs.
    pub(super) fn reserve(&mut self, ssrc: u32) -> Result<Option<u64>, SealError> {
        let place = self.0.get_or_insert_with(ssrc, || None);
        let place = place.ok_or(SealError::TooManySsrcs)?;
        Ok(place.map(Index::get))
    }

    /// Notes what was used by the end of a stream that has a place: nothing goes back. One of which
    /// nothing was ever used gives its place back.
    pub(super) fn note(&mut self, ssrc: u32, highest: Option<u64>) {
        let Some(place) = self.0.get_mut(ssrc) else {
            return;
        };
        let highest = place.map(Index::get).max(highest);
        *place = highest.map(Index::new);
        if highest.is_none() {
            self.0.remove(ssrc);
        }
    }

    /// The highest index that was used of an SSRC, if any was.
    pub(super) fn highest(&self, ssrc: u32) -> Option<u64> {
        self.0.get(ssrc).copied().flatten().map(Index::get)
    }

    /// Whether there is a place for an SSRC.
    pub(super) fn has_place(&self, ssrc: u32) -> bool {
        !self.0.is_full() || self.0.get(ssrc).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_small_and_holds_any_index() {
        assert_eq!(size_of::<(u32, Option<Index>)>(), 12);
        for index in [0, 1, 0xffff, 0x1_0000, 0x1234_5678_9abc, MAX_INDEX] {
            assert_eq!(Index::new(index).get(), index);
        }
    }

    #[test]
    fn nothing_goes_back_and_only_what_was_never_used_is_forgotten() {
        let mut sent = SentIndices::new();
        assert_eq!(sent.reserve(7), Ok(None));
        sent.note(7, Some(100));
        for lower in [None, Some(0), Some(99)] {
            sent.note(7, lower);
            assert_eq!(
                (sent.highest(7), sent.reserve(7)),
                (Some(100), Ok(Some(100)))
            );
        }
        assert_eq!(sent.reserve(8), Ok(None));
        sent.note(8, None);
        assert_eq!(sent.0.len(), 1);
        sent.note(9, Some(5));
        assert_eq!(sent.highest(9), None, "what has no place was never lent");
    }

    #[test]
    fn without_a_place_nothing_begins() {
        let mut sent = SentIndices::new();
        let last = MAX_SENT_SSRCS as u32 - 1;
        (0..=last).for_each(|ssrc| {
            assert_eq!(sent.reserve(ssrc), Ok(None));
            sent.note(ssrc, Some(1));
        });
        assert_eq!(sent.reserve(last + 1), Err(SealError::TooManySsrcs));
        assert!(sent.has_place(last) && !sent.has_place(last + 1));
        assert_eq!(sent.reserve(3), Ok(Some(1)), "whoever has a place keeps it");
    }
}
