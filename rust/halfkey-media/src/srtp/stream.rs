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

/// Names the packet that another one is made of, for [`SendStream::seal_rtp_of`]: its index on the
/// hop that it came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin(pub u64);

/// Indices of which it is known what they were sealed from: those from `first` on that were used.
/// The origin of each is `distance` behind it.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: u64,
    distance: u64,
}

/// One SSRC under one key, with the indices that were used.
///
/// At any time there is one for each (key, SSRC), made by the [`super::HopSendContext`] and handed from
/// owner to owner, never copied; who gets it after another one begins behind all that was used. So an
/// index is used once, whoever holds the stream. What was sealed under an index can be sealed again for
/// who has lost it, and nothing else can: see [`Repeat`].
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
    run: Option<Run>,
}

impl SendStream {
    pub(super) const fn new(key: SealingKey, ssrc: u32) -> Self {
        Self {
            key,
            ssrc,
            window: ReplayWindow::new(),
            run: None,
        }
    }

    /// As [`Self::new`], behind the highest index that another stream of this key and SSRC used, which
    /// is no more: whatever is not behind it counts as used.
    pub(super) const fn behind(key: SealingKey, ssrc: u32, highest: u64) -> Self {
        Self {
            key,
            ssrc,
            window: ReplayWindow::used_up_to(highest),
            run: None,
        }
    }

    /// The highest index that was used.
    pub(super) const fn highest_index(&self) -> Option<u64> {
        self.window.highest()
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

    /// Whether a packet with this SEQ was sealed already, or it can't be told any more.
    #[must_use]
    pub fn was_sealed(&self, sequence_number: u16) -> bool {
        self.window
            .check(self.window.estimate(sequence_number))
            .is_err()
    }

    /// Seals the RTP packet in `buffer[..length]` in place, and returns the SRTP packet's length:
    /// `length` and [`TAG_LENGTH`].
    ///
    /// # Errors
    /// Nothing was sealed: the bytes aren't an RTP packet of this SSRC, there is no room, or the
    /// index was used.
    pub fn seal_rtp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SealError> {
        self.seal_new(None, buffer, length)
    }

    /// As [`Self::seal_rtp`], and remembers that the packet was made of `origin`, so that it can be
    /// sealed again.
    ///
    /// The caller promises that what it makes of an origin is always the same, bit for bit, or else
    /// calls [`Self::end_run`] before it makes anything in another way.
    ///
    /// # Errors
    /// As [`Self::seal_rtp`].
    pub fn seal_rtp_of(
        &mut self,
        origin: Origin,
        buffer: &mut [u8],
        length: usize,
    ) -> Result<usize, SealError> {
        self.seal_new(Some(origin), buffer, length)
    }

    /// From now on packets are made in another way: nothing that was sealed so far is sealed again.
    pub const fn end_run(&mut self) {
        self.run = None;
    }

    /// What it takes to seal again the packet that was sealed with this SEQ; none if there was none,
    /// or it isn't known any more what it was made of.
    #[must_use]
    pub fn repeat(&self, sequence_number: u16) -> Option<Repeat<'_>> {
        let run = self.run?;
        let index = self.window.estimate(sequence_number);
        let was_used = self.window.check(index) == Err(Rejection::Replayed);
        (index >= run.first && was_used).then_some(Repeat {
            stream: self,
            index,
            origin: Origin(index.wrapping_sub(run.distance)),
        })
    }

    /// What the packet with this SEQ would be made of: none if one was sealed, or if no packet that it
    /// can be told of is made as packets are made now.
    #[must_use]
    pub fn unsealed(&self, sequence_number: u16) -> Option<Origin> {
        let run = self.run?;
        let index = self.window.estimate(sequence_number);
        let is_free = index >= run.first && self.window.check(index).is_ok();
        is_free.then(|| Origin(index.wrapping_sub(run.distance)))
    }

    fn seal_new(
        &mut self,
        origin: Option<Origin>,
        buffer: &mut [u8],
        length: usize,
    ) -> Result<usize, SealError> {
        let parts = self.parts(buffer, length)?;
        let index = self.next_index(parts.sequence_number)?;
        self.note_origin(index, origin);
        // Before sealing: an index is spent even if sealing should fail.
        self.window.mark(index);
        self.seal_parts(index, parts)
    }

    /// Goes on with the run if this index is as far from its origin as the run's others are, else
    /// begins another one behind all indices that were used.
    fn note_origin(&mut self, index: u64, origin: Option<Origin>) {
        let distance = origin.map(|origin| index.wrapping_sub(origin.0));
        if self.run.map(|run| run.distance) != distance {
            let first = self.window.highest().map_or(0, |highest| highest + 1);
            self.run = distance.map(|distance| Run { first, distance });
        }
    }

    /// Finds the packet in `buffer[..length]`, and the room for its tag.
    fn parts<'a>(&self, buffer: &'a mut [u8], length: usize) -> Result<Parts<'a>, SealError> {
        let packet = length
            .checked_add(TAG_LENGTH)
            .and_then(|end| buffer.get_mut(..end))
            .ok_or(SealError::BufferTooSmall)?;
        let view = RtpView::parse(&packet[..length]).map_err(|_| SealError::NotAPacket)?;
        if view.ssrc() != self.ssrc {
            return Err(SealError::NotAPacket);
        }
        let (header_length, sequence_number) = (view.header_length(), view.sequence_number());
        let (data, tag) = packet.split_at_mut(length);
        let (header, data) = data.split_at_mut(header_length);
        Ok(Parts {
            header,
            data,
            tag,
            sequence_number,
        })
    }

    fn seal_parts(&self, index: u64, parts: Parts<'_>) -> Result<usize, SealError> {
        let Parts {
            header, data, tag, ..
        } = parts;
        let (cipher, nonce) = (&self.key.0, self.key.0.rtp_nonce(self.ssrc, index));
        if !cipher.seal(nonce, header, data, tag) {
            return Err(SealError::KeyExhausted);
        }
        Ok(header.len() + data.len() + TAG_LENGTH)
    }
}

/// An RTP packet that is to be sealed in place.
struct Parts<'a> {
    header: &'a [u8],
    data: &'a mut [u8],
    tag: &'a mut [u8],
    sequence_number: u16,
}

/// Leave to seal one packet once more, under the index that it had: a stream gives it for what it
/// has sealed, and nothing else makes one.
///
/// Two different packets under one index would be a disaster: in AES-GCM a nonce that is used twice
/// gives away the XOR of both plaintexts, and the key that authenticates. What is sealed here is the
/// same packet, so the result is the same bits, of which nobody learns anything new. It is the same
/// one because
///
/// 1. the index is in the stream's run, and was used: so it was sealed in the run, as whatever was
///    used before the run began is below its first index;
/// 2. all packets of a run are made of their origins in the same way: whoever changes the way ends
///    the run ([`SendStream::end_run`]), and a stream that is handed on has none, and begins one behind
///    all that others used;
/// 3. it was made of [`Self::origin`], and of no other packet with the same SEQ: each index of a run
///    is as far from its origin as all others, else another run has begun. So two origins never have
///    one index, however a sender jumps ahead;
/// 4. an origin is one packet: a replay window lets an index in once. When other keys come into use
///    on the hop that it came by, and indices begin anew there, the run is ended, too.
#[derive(Debug)]
pub struct Repeat<'a> {
    stream: &'a SendStream,
    index: u64,
    origin: Origin,
}

impl Repeat<'_> {
    /// What the packet was made of, and has to be made of again.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// Seals the packet in `buffer[..length]` in place, which was made of [`Self::origin`] as it was
    /// the first time; gives the SRTP packet's length.
    ///
    /// # Errors
    /// Nothing was sealed: the bytes aren't an RTP packet of this SSRC and with that SEQ, or there is
    /// no room.
    pub fn seal(self, buffer: &mut [u8], length: usize) -> Result<usize, SealError> {
        let parts = self.stream.parts(buffer, length)?;
        if parts.sequence_number != self.index as u16 {
            return Err(SealError::NotAPacket);
        }
        self.stream.seal_parts(self.index, parts)
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
