//! The receiving half of one hop.

use std::sync::Arc;

use super::cipher::Fingerprint;
use super::{E_FLAG, ESRTCP_WORD_LENGTH, MAX_SSRCS, RTCP_CLEAR_LENGTH, SessionCipher, TAG_LENGTH};
use crate::error::{KeyError, Rejection};
use crate::profile::HopProfile;
use crate::replay::ReplayWindow;
use crate::rtp::RtpView;
use crate::share::Share;
use crate::ssrc_table::SsrcTable;

/// What was found out about an SRTP packet as it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The length of the header with CSRCs and extensions; the plain payload begins there.
    pub header_length: usize,
    /// The length of the plain payload.
    pub payload_length: usize,
    /// The SSRC.
    pub ssrc: u32,
    /// The packet index: the rollover counter in the upper 32 bits of 48, then SEQ.
    pub index: u64,
}

impl Opened {
    /// The length of the RTP packet that was opened.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.header_length + self.payload_length
    }

    /// The rollover counter.
    #[must_use]
    pub const fn rollover_counter(&self) -> u32 {
        (self.index >> 16) as u32
    }

    /// SEQ.
    #[must_use]
    pub const fn sequence_number(&self) -> u16 {
        self.index as u16
    }
}

/// Opens the SRTP and SRTCP packets that come from the other end of a hop.
#[derive(Debug)]
pub struct HopReceiveContext {
    rtp: Arc<SessionCipher>,
    rtcp: Arc<SessionCipher>,
    /// The SSRCs that it opens.
    share: Share,
    rtp_windows: SsrcTable<ReplayWindow>,
    rtcp_windows: SsrcTable<ReplayWindow>,
}

impl HopReceiveContext {
    /// From the master key and 12-byte master salt with which the peer sends.
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

    /// What tells the keys for SRTP and SRTCP from others.
    pub(crate) fn fingerprints(&self) -> [Fingerprint; 2] {
        [self.rtp.fingerprint(), self.rtcp.fingerprint()]
    }

    pub(super) fn from_ciphers(rtp: SessionCipher, rtcp: SessionCipher) -> Self {
        Self::with_share(Arc::new(rtp), Arc::new(rtcp), Share::WHOLE)
    }

    /// Parts the context among workers, before it was used: each opens other SSRCs.
    pub(crate) fn split(self, workers: usize) -> impl Iterator<Item = Self> {
        let rtcp_ssrcs = self.rtcp_windows.limit();
        let Self { rtp, rtcp, .. } = self;
        Share::all(workers).map(move |share| {
            let part = Self::with_share(Arc::clone(&rtp), Arc::clone(&rtcp), share);
            part.with_rtcp_ssrcs(rtcp_ssrcs)
        })
    }

    /// Before it is used: takes SRTCP of so many SSRCs at the most.
    pub(crate) fn with_rtcp_ssrcs(self, limit: usize) -> Self {
        Self {
            rtcp_windows: SsrcTable::new(limit),
            ..self
        }
    }

    fn with_share(rtp: Arc<SessionCipher>, rtcp: Arc<SessionCipher>, share: Share) -> Self {
        Self {
            rtp,
            rtcp,
            share,
            rtp_windows: SsrcTable::new(MAX_SSRCS),
            rtcp_windows: SsrcTable::new(MAX_SSRCS),
        }
    }

    /// Opens an SRTP packet in place; an EKT Field must have been cut off.
    ///
    /// # Errors
    /// Why the packet is refused. No state has changed; the packet's bytes may have.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<Opened, Rejection> {
        let opened = self.authenticate_rtp(packet)?;
        self.accept_rtp(&opened)?;
        Ok(opened)
    }

    /// Opens an SRTP packet in place, without noting that it was received.
    pub(crate) fn authenticate_rtp(&self, packet: &mut [u8]) -> Result<Opened, Rejection> {
        let view = RtpView::parse(packet)?;
        let (header_length, ssrc) = (view.header_length(), view.ssrc());
        let sequence_number = view.sequence_number();
        let payload_length = view
            .payload()
            .len()
            .checked_sub(TAG_LENGTH)
            .ok_or(Rejection::Malformed)?;
        let index = match self.rtp_windows.get(ssrc) {
            Some(window) => {
                let index = window.estimate(sequence_number);
                window.check(index)?;
                index
            }
            None if self.rtp_windows.is_full() || !self.share.owns(ssrc) => {
                return Err(Rejection::SsrcLimit);
            }
            None => u64::from(sequence_number),
        };
        let (header, data) = packet.split_at_mut(header_length);
        if !self.rtp.open(self.rtp.rtp_nonce(ssrc, index), header, data) {
            return Err(Rejection::HopAuthentication);
        }
        Ok(Opened {
            header_length,
            payload_length,
            ssrc,
            index,
        })
    }

    /// Notes that an authentic packet was received.
    pub(crate) fn accept_rtp(&mut self, opened: &Opened) -> Result<(), Rejection> {
        let window = self
            .rtp_windows
            .get_or_insert_with(opened.ssrc, ReplayWindow::new);
        window.ok_or(Rejection::SsrcLimit)?.mark(opened.index);
        Ok(())
    }

    /// Whether the packet with this index did not come, though one behind it did, and would be taken
    /// if it came now.
    pub(crate) fn is_missing(&self, ssrc: u32, index: u64) -> bool {
        self.rtp_windows.get(ssrc).is_some_and(|window| {
            window.highest().is_some_and(|highest| index < highest) && window.check(index).is_ok()
        })
    }

    /// Opens an SRTCP packet in place (RFC 7714 section 9), also one that is authenticated only.
    ///
    /// Returns the length of the RTCP packet, which begins where the SRTCP packet did.
    ///
    /// # Errors
    /// Why the packet is refused. No state has changed; the packet's bytes may have.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Rejection> {
        let (ssrc, word) = parse_srtcp(packet)?;
        let index = word & !E_FLAG;
        match self.rtcp_windows.get(ssrc) {
            Some(window) => window.check(u64::from(index))?,
            None if self.rtcp_windows.is_full() || !self.share.owns(ssrc) => {
                return Err(Rejection::SsrcLimit);
            }
            None => {}
        }
        let end = packet.len() - ESRTCP_WORD_LENGTH;
        let length = end - TAG_LENGTH;
        let encrypted = word & E_FLAG != 0;
        if !self.open_srtcp(&mut packet[..end], ssrc, word, encrypted) {
            return Err(Rejection::HopAuthentication);
        }
        let window = self
            .rtcp_windows
            .get_or_insert_with(ssrc, ReplayWindow::new);
        window.ok_or(Rejection::SsrcLimit)?.mark(u64::from(index));
        Ok(length)
    }

    fn open_srtcp(&self, packet: &mut [u8], ssrc: u32, word: u32, encrypted: bool) -> bool {
        let nonce = self.rtcp.rtcp_nonce(ssrc, word & !E_FLAG);
        let word = word.to_be_bytes();
        if encrypted {
            let (clear, data) = packet.split_at_mut(RTCP_CLEAR_LENGTH);
            let mut aad = [0; RTCP_CLEAR_LENGTH + ESRTCP_WORD_LENGTH];
            aad[..RTCP_CLEAR_LENGTH].copy_from_slice(clear);
            aad[RTCP_CLEAR_LENGTH..].copy_from_slice(&word);
            return self.rtcp.open(nonce, &aad, data);
        }
        // The associated data is the whole packet, then the word: it takes the tag's place.
        let length = packet.len() - TAG_LENGTH;
        let mut tag = [0; TAG_LENGTH];
        tag.copy_from_slice(&packet[length..]);
        packet[length..length + ESRTCP_WORD_LENGTH].copy_from_slice(&word);
        let aad = &packet[..length + ESRTCP_WORD_LENGTH];
        self.rtcp.open(nonce, aad, &mut tag)
    }
}

/// The sender's SSRC, and the word with the E flag and the index.
fn parse_srtcp(packet: &[u8]) -> Result<(u32, u32), Rejection> {
    let least = RTCP_CLEAR_LENGTH + TAG_LENGTH + ESRTCP_WORD_LENGTH;
    if packet.len() < least || packet[0] >> 6 != 2 {
        return Err(Rejection::Malformed);
    }
    let ssrc = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
    let (_, word) = packet.split_last_chunk().ok_or(Rejection::Malformed)?;
    Ok((ssrc, u32::from_be_bytes(*word)))
}
