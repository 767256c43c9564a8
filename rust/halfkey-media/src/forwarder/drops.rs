//! Counters: what came, what went, and why anything was dropped.

use std::collections::BTreeMap;

use crate::error::{Rejection, SealError};

/// Why a packet went no further, altogether or to one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// It was refused as it was opened.
    Rejected(Rejection),
    /// It could not be sealed for a receiver.
    NotSealed(SealError),
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
    /// The queue of datagrams that are not media is full.
    QueueFull,
    /// The socket took no more.
    SocketFull,
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
            Self::UnknownAddress => "unknown_address",
            Self::NoKeys => "no_keys",
            Self::UnknownSsrc => "unknown_ssrc",
            Self::UnknownPayloadType => "unknown_payload_type",
            Self::UnsupportedRtcp => "unsupported_rtcp",
            Self::ReceiverNotReady => "receiver_not_ready",
            Self::QueueFull => "queue_full",
            Self::SocketFull => "socket_full",
            Self::UnknownProtocol => "unknown_protocol",
        }
    }
}

impl From<Rejection> for DropReason {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<SealError> for DropReason {
    fn from(error: SealError) -> Self {
        Self::NotSealed(error)
    }
}

/// What was counted since the beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// SRTP and SRTCP datagrams that came, good or bad.
    pub received_packets: u64,
    /// SRTP packets that were sealed for a receiver.
    pub forwarded_packets: u64,
    /// SRTCP packets that were sealed, own ones and relayed ones.
    pub sent_rtcp_packets: u64,
    /// Requests for a picture that went to a source.
    pub keyframe_requests: u64,
    /// What was dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
}

impl Statistics {
    pub(super) fn count(&mut self, reason: DropReason) {
        *self.dropped.entry(reason.name()).or_default() += 1;
    }
}
