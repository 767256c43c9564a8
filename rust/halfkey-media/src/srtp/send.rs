//! The sending half of one hop.

use super::cipher::Fingerprint;
use super::{
    E_FLAG, ESRTCP_WORD_LENGTH, MAX_SSRCS, RTCP_CLEAR_LENGTH, SRTCP_OVERHEAD, SessionCipher,
    TAG_LENGTH,
};
use crate::error::{KeyError, Rejection, SealError};
use crate::profile::HopProfile;
use crate::replay::{MAX_INDEX, ReplayWindow};
use crate::rtp::RtpView;
use crate::ssrc_table::SsrcTable;

/// Seals the SRTP and SRTCP packets that go to the other end of a hop.
#[derive(Debug)]
pub struct HopSendContext {
    rtp: SessionCipher,
    rtcp: SessionCipher,
    rtp_windows: SsrcTable<ReplayWindow>,
    rtcp_indices: SsrcTable<u32>,
}

impl HopSendContext {
    /// From the master key and 12-byte master salt with which this end sends.
    ///
    /// # Errors
    /// A length doesn't fit the profile.
    pub fn new(
        profile: HopProfile,
        master_key: &[u8],
        master_salt: &[u8],
    ) -> Result<Self, KeyError> {
        let rtp = SessionCipher::srtp(profile, master_key, master_salt)?;
        let rtcp = SessionCipher::srtcp(profile, master_key, master_salt)?;
        Ok(Self::from_ciphers(rtp, rtcp))
    }

    pub(super) fn from_ciphers(rtp: SessionCipher, rtcp: SessionCipher) -> Self {
        Self {
            rtp,
            rtcp,
            rtp_windows: SsrcTable::new(MAX_SSRCS),
            rtcp_indices: SsrcTable::new(MAX_SSRCS),
        }
    }

    /// Skips to an SRTCP index, for tests.
    #[cfg(test)]
    pub(super) fn set_rtcp_index(&mut self, ssrc: u32, index: u32) {
        if let Some(next) = self.rtcp_indices.get_or_insert_with(ssrc, || 0) {
            *next = index;
        }
    }

    /// Seals the RTP packet in `buffer[..length]` in place, and returns the SRTP packet's length:
    /// `length` and [`TAG_LENGTH`].
    ///
    /// # Errors
    /// Nothing was sealed: the bytes aren't an RTP packet, there is no room, or the index was used.
    pub fn seal_rtp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SealError> {
        let packet = length
            .checked_add(TAG_LENGTH)
            .and_then(|end| buffer.get_mut(..end))
            .ok_or(SealError::BufferTooSmall)?;
        let view = RtpView::parse(&packet[..length]).map_err(|_| SealError::NotAPacket)?;
        let (header_length, ssrc) = (view.header_length(), view.ssrc());
        let sequence_number = view.sequence_number();
        let window = self
            .rtp_windows
            .get_or_insert_with(ssrc, ReplayWindow::new)
            .ok_or(SealError::TooManySsrcs)?;
        let index = next_index(window, sequence_number)?;
        // Before sealing: an index is spent even if sealing should fail.
        window.mark(index);
        let (data, tag) = packet.split_at_mut(length);
        let (header, data) = data.split_at_mut(header_length);
        if !self
            .rtp
            .seal(self.rtp.rtp_nonce(ssrc, index), header, data, tag)
        {
            return Err(SealError::KeyExhausted);
        }
        Ok(length + TAG_LENGTH)
    }

    /// What tells the keys for SRTP and SRTCP from others.
    pub(crate) fn fingerprints(&self) -> [Fingerprint; 2] {
        [self.rtp.fingerprint(), self.rtcp.fingerprint()]
    }

    /// The highest SEQ that was sealed for an SSRC.
    pub(crate) fn highest_sequence_number(&self, ssrc: u32) -> Option<u16> {
        let highest = self.rtp_windows.get(ssrc)?.highest()?;
        Some(highest as u16)
    }

    /// Whether a packet with this SSRC and SEQ could be sealed.
    ///
    /// # Errors
    /// What [`Self::seal_rtp`] would say of the index.
    pub fn check_rtp(&self, ssrc: u32, sequence_number: u16) -> Result<(), SealError> {
        match self.rtp_windows.get(ssrc) {
            Some(window) => next_index(window, sequence_number).map(|_| ()),
            None if self.rtp_windows.is_full() => Err(SealError::TooManySsrcs),
            None => Ok(()),
        }
    }

    /// Seals the (compound) RTCP packet in `buffer[..length]` in place, and returns the SRTCP
    /// packet's length: `length` and [`SRTCP_OVERHEAD`]. It always encrypts.
    ///
    /// # Errors
    /// Nothing was sealed: the bytes aren't RTCP, there is no room, or all indices are used.
    pub fn seal_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SealError> {
        let packet = length
            .checked_add(SRTCP_OVERHEAD)
            .and_then(|end| buffer.get_mut(..end))
            .ok_or(SealError::BufferTooSmall)?;
        if length < RTCP_CLEAR_LENGTH || packet[0] >> 6 != 2 {
            return Err(SealError::NotAPacket);
        }
        let ssrc = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        let next = self
            .rtcp_indices
            .get_or_insert_with(ssrc, || 0)
            .ok_or(SealError::TooManySsrcs)?;
        if *next >= E_FLAG {
            return Err(SealError::KeyExhausted);
        }
        let index = *next;
        *next += 1;
        let word = (E_FLAG | index).to_be_bytes();
        let mut aad = [0; RTCP_CLEAR_LENGTH + ESRTCP_WORD_LENGTH];
        aad[..RTCP_CLEAR_LENGTH].copy_from_slice(&packet[..RTCP_CLEAR_LENGTH]);
        aad[RTCP_CLEAR_LENGTH..].copy_from_slice(&word);
        let (data, trailer) = packet.split_at_mut(length);
        let (tag, trailing_word) = trailer.split_at_mut(TAG_LENGTH);
        let nonce = self.rtcp.rtcp_nonce(ssrc, index);
        if !self
            .rtcp
            .seal(nonce, &aad, &mut data[RTCP_CLEAR_LENGTH..], tag)
        {
            return Err(SealError::KeyExhausted);
        }
        trailing_word.copy_from_slice(&word);
        Ok(length + SRTCP_OVERHEAD)
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
