//! RTCP packets: views of received compounds and a writer of own ones.
//!
//! RFC 3550 section 6 (SR, RR, SDES, BYE), RFC 4585 section 6 (generic NACK, PLI), RFC 5104 section
//! 4.3.1 (FIR).

#[cfg(test)]
mod tests;
mod view;
mod writer;

pub use view::{
    FeedbackHeader, FirEntry, NackItem, ReportBlock, RtcpPacket, RtcpView, SenderInfo,
    split_compound,
};
pub use writer::CompoundWriter;

/// Packet type of a sender report.
pub const SENDER_REPORT: u8 = 200;
/// Packet type of a receiver report.
pub const RECEIVER_REPORT: u8 = 201;
/// Packet type of a source description.
pub const SOURCE_DESCRIPTION: u8 = 202;
/// Packet type of a goodbye.
pub const GOODBYE: u8 = 203;
/// Packet type of transport-layer feedback.
pub const TRANSPORT_FEEDBACK: u8 = 205;
/// Packet type of payload-specific feedback.
pub const PAYLOAD_FEEDBACK: u8 = 206;

const FMT_GENERIC_NACK: u8 = 1;
const FMT_PICTURE_LOSS_INDICATION: u8 = 1;
const FMT_FULL_INTRA_REQUEST: u8 = 4;
const SDES_CNAME: u8 = 1;

/// Whether a datagram that is SRTP or SRTCP is SRTCP (RFC 5761 section 4).
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [_, second, ..] if (192..=223).contains(second))
}
