//! What comes to an Endpoint's socket and isn't media: STUN and DTLS, for whoever made it join.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many datagrams wait; what comes then is lost, as on the network. STUN and DTLS come again.
const LIMIT: usize = 4096;

/// Datagrams that wait to be taken, each with the place of its participant in the order of adding.
#[derive(Debug, Default)]
pub struct HandedBack(Mutex<VecDeque<(usize, Vec<u8>)>>);

impl HandedBack {
    /// Takes all that wait, oldest first.
    pub fn take(&self) -> VecDeque<(usize, Vec<u8>)> {
        core::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn push(&self, participant: usize, datagram: &[u8]) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < LIMIT {
            waiting.push_back((participant, datagram.to_vec()));
        }
    }
}

/// Whether it is RTP or RTCP by its first byte (RFC 7983 section 7).
pub(crate) fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(128..=191))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_taken_once_in_order_and_within_a_bound() {
        let waiting = HandedBack::default();
        for number in 0..LIMIT + 1 {
            waiting.push(number, &[1]);
        }
        let taken = waiting.take();
        assert!(taken.iter().map(|one| one.0).eq(0..LIMIT));
        assert!(waiting.take().is_empty());
    }

    #[test]
    fn media_is_told_by_its_first_byte() {
        let is = |first: u8| is_media(&[first, 0]);
        assert!(is(128) && is(191));
        assert!(!is(127) && !is(192) && !is(0) && !is(22) && !is_media(&[]));
    }
}
