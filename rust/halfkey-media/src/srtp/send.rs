//! The sending half of one hop.

use std::sync::Arc;

use super::cipher::Fingerprint;
use super::sent::SentIndices;
use super::stream::{SealingKey, SendStream, next_index};
use super::{
    E_FLAG, ESRTCP_WORD_LENGTH, MAX_SENT_SSRCS, MAX_SSRCS, RTCP_CLEAR_LENGTH, SRTCP_OVERHEAD,
    SessionCipher, TAG_LENGTH,
};
use crate::error::{KeyError, SealError};
use crate::profile::HopProfile;
use crate::replay::ReplayWindow;
use crate::rtp::RtpView;
use crate::share::Share;
use crate::ssrc_table::SsrcTable;

/// Seals the SRTP and SRTCP packets that go to the other end of a hop.
///
/// It is where the streams of the hop come from, and it keeps those that nobody borrowed.
#[derive(Debug)]
pub struct HopSendContext {
    rtp: SealingKey,
    rtcp: Arc<SessionCipher>,
    /// The SSRCs whose packets it seals.
    share: Share,
    /// One for each SSRC whose packets are sealed now; `None` while it is lent.
    streams: SsrcTable<Option<Box<SendStream>>>,
    /// What was used of each SSRC that ever was.
    sent: SentIndices,
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
        Self::with_share(SealingKey(Arc::new(rtp)), Arc::new(rtcp), Share::WHOLE)
    }

    /// Parts the context among workers, before it was used: each seals for other SSRCs, so that no
    /// two can seal one index.
    pub(crate) fn split(self, workers: usize) -> impl Iterator<Item = Self> {
        let Self { rtp, rtcp, .. } = self;
        Share::all(workers)
            .map(move |share| Self::with_share(rtp.clone(), Arc::clone(&rtcp), share))
    }

    fn with_share(rtp: SealingKey, rtcp: Arc<SessionCipher>, share: Share) -> Self {
        Self {
            rtp,
            rtcp,
            share,
            streams: SsrcTable::new(MAX_SSRCS),
            sent: SentIndices::new(),
            rtcp_indices: SsrcTable::new(MAX_SENT_SSRCS),
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
        let packet = buffer.get(..length).ok_or(SealError::BufferTooSmall)?;
        let ssrc = RtpView::parse(packet)
            .map_err(|_| SealError::NotAPacket)?
            .ssrc();
        let stream = self.stream(ssrc)?.as_mut().ok_or(SealError::StreamLent)?;
        stream.seal_rtp(buffer, length)
    }

    /// Hands an SSRC's stream to whoever seals its packets from now on; until it is given back,
    /// this context seals none. What others sealed is never sealed again by whoever has it now, nor is
    /// anything that isn't behind it.
    ///
    /// # Errors
    /// There are too many SSRCs, or somebody has it.
    pub fn lend(&mut self, ssrc: u32) -> Result<Box<SendStream>, SealError> {
        let mut stream = self.stream(ssrc)?.take().ok_or(SealError::StreamLent)?;
        stream.end_run();
        Ok(stream)
    }

    /// Takes a stream back, of which nothing stays but its highest index. One that was made under other
    /// keys is dropped: its indices mean nothing here.
    pub fn give_back(&mut self, stream: SendStream) {
        if !stream.is_under(&self.rtp) {
            return;
        }
        self.sent.note(stream.ssrc(), stream.highest_index());
        self.streams.remove(stream.ssrc());
    }

    fn stream(&mut self, ssrc: u32) -> Result<&mut Option<Box<SendStream>>, SealError> {
        if !self.share.owns(ssrc) {
            return Err(SealError::TooManySsrcs);
        }
        if self.streams.position(ssrc).is_none() {
            self.begin(ssrc)?;
        }
        self.streams.get_mut(ssrc).ok_or(SealError::TooManySsrcs)
    }

    /// Makes the stream of an SSRC that has none now.
    fn begin(&mut self, ssrc: u32) -> Result<(), SealError> {
        if self.streams.is_full() {
            return Err(SealError::TooManySsrcs);
        }
        let key = self.rtp.clone();
        let stream = match self.sent.reserve(ssrc)? {
            Some(highest) => SendStream::behind(key, ssrc, highest),
            None => SendStream::new(key, ssrc),
        };
        let place = || Some(Box::new(stream));
        let place = self.streams.get_or_insert_with(ssrc, place);
        place.map(|_| ()).ok_or(SealError::TooManySsrcs)
    }

    /// What tells the keys for SRTP and SRTCP from others.
    pub(crate) fn fingerprints(&self) -> [Fingerprint; 2] {
        [self.rtp.0.fingerprint(), self.rtcp.fingerprint()]
    }

    /// Whether a packet with this SSRC and SEQ could be sealed.
    ///
    /// # Errors
    /// What [`Self::seal_rtp`] would say of the index.
    pub fn check_rtp(&self, ssrc: u32, sequence_number: u16) -> Result<(), SealError> {
        match self.streams.get(ssrc) {
            Some(Some(stream)) => stream.next_index(sequence_number).map(|_| ()),
            Some(None) => Err(SealError::StreamLent),
            None if self.streams.is_full()
                || !self.share.owns(ssrc)
                || !self.sent.has_place(ssrc) =>
            {
                Err(SealError::TooManySsrcs)
            }
            None => self.sent.highest(ssrc).map_or(Ok(()), |highest| {
                let window = ReplayWindow::used_up_to(highest);
                next_index(&window, sequence_number).map(|_| ())
            }),
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
        if !self.share.owns(ssrc) {
            return Err(SealError::TooManySsrcs);
        }
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
