//! What seals the packets of one SSRC: a key that many share, and indices that one alone has.

use std::sync::Arc;

use super::{SessionCipher, TAG_LENGTH};
use crate::error::{Rejection, SealError};
use crate::replay::{MAX_INDEX, ReplayWindow};
use crate::rtp::RtpView;

/// The SRTP key of a hop's sending direction: immutable, made once, shared by its streams.
///
/// By itself it seals nothing: that takes an index, and indices are a [`SendStream`]'s.
#[derive(Debug, Clone)]
pub(super) struct SealingKey(pub(super) Arc<SessionCipher>);

/// One SSRC under one key, with the indices that were used.
///
/// There is one for each (key, SSRC), made by the [`super::HopSendContext`] and handed from owner
/// to owner, never copied. So an index is sealed once, whoever holds the stream.
///
/// ```compile_fail,E0599
/// fn copy(stream: &halfkey_media::SendStream) -> halfkey_media::SendStream {
///     stream.clone()
/// }
/// ```
#[derive(Debug)]
pub struct SendStream {
    key: SealingKey,
    ssrc: u32,
    window: ReplayWindow,
}

impl SendStream {
    pub(super) const fn new(key: SealingKey, ssrc: u32) -> Self {
        Self {
            key,
            ssrc,
            window: ReplayWindow::new(),
        }
    }

    /// The SSRC whose packets it seals.
    #[must_use]
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Whether it seals under this key.
    pub(super) fn is_under(&self, key: &SealingKey) -> bool {
        Arc::ptr_eq(&self.key.0, &key.0)
    }

    /// The highest SEQ that was sealed.
    #[must_use]
    pub const fn highest_sequence_number(&self) -> Option<u16> {
        match self.window.highest() {
            Some(highest) => Some(highest as u16),
            None => None,
        }
    }

    /// The index that the next packet with this SEQ takes, if it is free.
    pub(super) fn next_index(&self, sequence_number: u16) -> Result<u64, SealError> {
        next_index(&self.window, sequence_number)
    }

    /// Seals the RTP packet in `buffer[..length]` in place, and returns the SRTP packet's length:
    /// `length` and [`TAG_LENGTH`].
    ///
    /// # Errors
    /// Nothing was sealed: the bytes aren't an RTP packet of this SSRC, there is no room, or the
    /// index was used.
    pub fn seal_rtp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SealError> {
        let packet = length
            .checked_add(TAG_LENGTH)
            .and_then(|end| buffer.get_mut(..end))
            .ok_or(SealError::BufferTooSmall)?;
        let view = RtpView::parse(&packet[..length]).map_err(|_| SealError::NotAPacket)?;
        if view.ssrc() != self.ssrc {
            return Err(SealError::NotAPacket);
        }
        let (header_length, sequence_number) = (view.header_length(), view.sequence_number());
        let index = self.next_index(sequence_number)?;
        // Before sealing: an index is spent even if sealing should fail.
        self.window.mark(index);
        let (data, tag) = packet.split_at_mut(length);
        let (header, data) = data.split_at_mut(header_length);
        let cipher = &self.key.0;
        if !cipher.seal(cipher.rtp_nonce(self.ssrc, index), header, data, tag) {
            return Err(SealError::KeyExhausted);
        }
        Ok(length + TAG_LENGTH)
    }
}

/// The index that the next packet with this SEQ takes, if it is free.
pub(crate) fn next_index(window: &ReplayWindow, sequence_number: u16) -> Result<u64, SealError> {
    let index = window.estimate(sequence_number);
    match window.check(index) {
        Ok(()) => Ok(index),
        Err(_) if window.highest() > Some(MAX_INDEX - 0x8000) => Err(SealError::KeyExhausted),
        Err(Rejection::Replayed) => Err(SealError::AlreadySealed),
        Err(_) => Err(SealError::IndexTooOld),
    }
}
