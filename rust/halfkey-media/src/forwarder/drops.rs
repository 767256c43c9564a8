//! Counters: what came, what went, and why anything was dropped.

use std::collections::BTreeMap;

use super::figures::Traffic;
use super::overload::Work;
use crate::error::{Rejection, SealError, StunRejection};

/// Why a packet went no further, altogether or to one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// It was refused as it was opened.
    Rejected(Rejection),
    /// It could not be sealed for a receiver.
    NotSealed(SealError),
    /// A STUN message that gets no answer.
    Stun(StunRejection),
    /// It came from an address that is no participant's.
    UnknownAddress,
    /// The participant that it came from has no keys.
    NoKeys,
    /// The SSRC is not the sender's, or what it refers to is not in any of its slots.
    UnknownSsrc,
    /// The sender did not declare the payload type, or the receiver doesn't know what it stands for.
    UnknownPayloadType,
    /// RTCP that is not passed on.
    UnsupportedRtcp,
    /// A receiver has no keys or no address (any more).
    ReceiverNotReady,
    /// It waited so long for its turn that nobody needs it any more. Of strangers it is not counted so.
    Late,
    /// A receiver asked for it again so soon that the repeat before may be under way.
    RepeatTooSoon,
    /// A receiver has been sent as much again as it may.
    RepeatLimit,
    /// A receiver asked again for what was never sent to it, and what its source can't send any more.
    RepeatVoid,
    /// An item of a NACK that isn't followed: the receiver had sent too many just before.
    NackLimit,
    /// A receiver asked for what its source was asked for just before.
    AskedTooSoon,
    /// An item of a NACK that isn't followed while more is to be sent than can be.
    NackOverload,
    /// A sender report or a goodbye of a source that came too soon after the one before.
    RtcpTooSoon,
    /// The socket had no room for it.
    ReceiveBufferFull,
    /// The queue of datagrams that are not media is full.
    QueueFull,
    /// The worker that has its SSRC was handed more than it could take, or it is too long for that.
    HandoverFull,
    /// The socket took no more, as a rule not a second time either.
    SocketFull,
    /// The system refused to send it: it is too long for the path, or there is no path.
    SocketRefused,
    /// Neither STUN nor DTLS nor RTP.
    UnknownProtocol,
}

impl DropReason {
    /// The stable name of its counter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.name(),
            Self::NotSealed(error) => error.name(),
            Self::Stun(rejection) => rejection.name(),
            Self::UnknownAddress => "unknown_address",
            Self::NoKeys => "no_keys",
            Self::UnknownSsrc => "unknown_ssrc",
            Self::UnknownPayloadType => "unknown_payload_type",
            Self::UnsupportedRtcp => "unsupported_rtcp",
            Self::ReceiverNotReady => "receiver_not_ready",
            Self::Late => "late",
            Self::RepeatTooSoon => "repeat_too_soon",
            Self::RepeatLimit => "repeat_limit",
            Self::RepeatVoid => "repeat_void",
            Self::NackLimit => "nack_limit",
            Self::AskedTooSoon => "asked_too_soon",
            Self::NackOverload => "nack_overload",
            Self::RtcpTooSoon => "rtcp_too_soon",
            Self::ReceiveBufferFull => "receive_buffer_full",
            Self::QueueFull => "queue_full",
            Self::HandoverFull => "handover_full",
            Self::SocketFull => "socket_full",
            Self::SocketRefused => "socket_refused",
            Self::UnknownProtocol => "unknown_protocol",
        }
    }

    /// The row of its counter: rejections, seal errors, [`OTHERS`], then STUN's.
    const fn row(self) -> usize {
        let other = match self {
            Self::Rejected(rejection) => return rejection as usize,
            Self::NotSealed(error) => return Rejection::ALL.len() + error as usize,
            Self::Stun(rejection) => OTHERS.len() + rejection as usize,
            Self::UnknownAddress => 0,
            Self::NoKeys => 1,
            Self::UnknownSsrc => 2,
            Self::UnknownPayloadType => 3,
            Self::UnsupportedRtcp => 4,
            Self::ReceiverNotReady => 5,
            Self::QueueFull => 6,
            Self::SocketFull => 7,
            Self::SocketRefused => 8,
            Self::UnknownProtocol => 9,
            Self::HandoverFull => 10,
            Self::Late => 11,
            Self::ReceiveBufferFull => 12,
            Self::RepeatTooSoon => 13,
            Self::RepeatLimit => 14,
            Self::RepeatVoid => 15,
            Self::NackLimit => 16,
            Self::NackOverload => 17,
            Self::AskedTooSoon => 18,
            Self::RtcpTooSoon => 19,
        };
        Rejection::ALL.len() + SealError::ALL.len() + other
    }

    /// Every reason, in the order of the rows.
    fn all() -> impl Iterator<Item = Self> {
        let rejections = Rejection::ALL.iter().copied().map(Self::Rejected);
        let errors = SealError::ALL.iter().copied().map(Self::NotSealed);
        let stun = StunRejection::ALL.iter().copied().map(Self::Stun);
        rejections.chain(errors).chain(OTHERS).chain(stun)
    }
}

/// The reasons that are neither a rejection nor a seal error.
const OTHERS: [DropReason; 20] = [
    DropReason::UnknownAddress,
    DropReason::NoKeys,
    DropReason::UnknownSsrc,
    DropReason::UnknownPayloadType,
    DropReason::UnsupportedRtcp,
    DropReason::ReceiverNotReady,
    DropReason::QueueFull,
    DropReason::SocketFull,
    DropReason::SocketRefused,
    DropReason::UnknownProtocol,
    DropReason::HandoverFull,
    DropReason::Late,
    DropReason::ReceiveBufferFull,
    DropReason::RepeatTooSoon,
    DropReason::RepeatLimit,
    DropReason::RepeatVoid,
    DropReason::NackLimit,
    DropReason::NackOverload,
    DropReason::AskedTooSoon,
    DropReason::RtcpTooSoon,
];

const ROWS: usize =
    Rejection::ALL.len() + SealError::ALL.len() + OTHERS.len() + StunRejection::ALL.len();

impl From<Rejection> for DropReason {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<StunRejection> for DropReason {
    fn from(rejection: StunRejection) -> Self {
        Self::Stun(rejection)
    }
}

impl From<SealError> for DropReason {
    fn from(error: SealError) -> Self {
        Self::NotSealed(error)
    }
}

/// What was counted since the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// SRTP and SRTCP datagrams that came, good or bad, but none that came too late to be looked at.
    pub received_packets: u64,
    /// Of these, those that came to another worker first.
    pub handed_over_packets: u64,
    /// SRTP packets that were sealed for a receiver, for the first time.
    pub forwarded_packets: u64,
    /// Those that were sent again to who had lost them.
    pub repeated: Traffic,
    /// Packets asked for again that were kept.
    pub cache_hits: u64,
    /// Packets asked for again that had gone to the receiver, and could not be made again.
    pub cache_misses: u64,
    /// Packets of video that were not kept, since there was no memory for their source.
    pub cache_refusals: u64,
    /// SRTCP packets that were sealed, own ones and relayed ones.
    pub sent_rtcp_packets: u64,
    /// Requests for a picture that went to a source.
    pub keyframe_requests: u64,
    /// STUN Binding requests that were answered.
    pub answered_checks: u64,
    /// What was dropped, by the reason's row: a drop under a flood costs an addition.
    dropped: [u64; ROWS],
}

impl Default for Statistics {
    fn default() -> Self {
        Self {
            received_packets: 0,
            handed_over_packets: 0,
            forwarded_packets: 0,
            repeated: Traffic::default(),
            cache_hits: 0,
            cache_misses: 0,
            cache_refusals: 0,
            sent_rtcp_packets: 0,
            keyframe_requests: 0,
            answered_checks: 0,
            dropped: [0; ROWS],
        }
    }
}

impl Statistics {
    pub(super) const fn count(&mut self, reason: DropReason, times: u64) {
        self.dropped[reason.row()] += times;
    }

    /// What was done, and what was left undone since there was more than could be.
    pub(super) const fn work(&self, taken: u64) -> Work {
        Work {
            taken,
            late: self.dropped[DropReason::Late.row()],
            made: self.forwarded_packets + self.repeated.packets,
            unsent: self.dropped[DropReason::SocketFull.row()],
        }
    }

    /// Adds what another worker counted.
    pub fn add(&mut self, other: &Self) {
        self.received_packets += other.received_packets;
        self.handed_over_packets += other.handed_over_packets;
        self.forwarded_packets += other.forwarded_packets;
        self.repeated.add(&other.repeated);
        self.cache_hits += other.cache_hits;
        self.cache_misses += other.cache_misses;
        self.cache_refusals += other.cache_refusals;
        self.sent_rtcp_packets += other.sent_rtcp_packets;
        self.keyframe_requests += other.keyframe_requests;
        self.answered_checks += other.answered_checks;
        for (sum, count) in self.dropped.iter_mut().zip(other.dropped) {
            *sum += count;
        }
    }

    /// What was dropped, by the reason's name.
    #[must_use]
    pub fn dropped(&self) -> BTreeMap<&'static str, u64> {
        let mut by_name = BTreeMap::new();
        for (reason, count) in DropReason::all().zip(self.dropped) {
            if count > 0 {
                *by_name.entry(reason.name()).or_default() += count;
            }
        }
        by_name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_row_of_its_own() {
        assert_eq!(DropReason::all().count(), ROWS);
        for (row, reason) in DropReason::all().enumerate() {
            assert_eq!(reason.row(), row, "{reason:?}");
        }
    }

    #[test]
    fn reasons_are_counted_by_name() {
        let mut statistics = Statistics::default();
        assert!(statistics.dropped().is_empty());
        statistics.count(DropReason::SocketFull, 2);
        statistics.count(Rejection::NoInnerKey.into(), 1);
        statistics.count(SealError::NoInnerKey.into(), 1);
        let expected = BTreeMap::from([("socket_full", 2), ("no_inner_key", 2)]);
        assert_eq!(statistics.dropped(), expected);
    }
}
