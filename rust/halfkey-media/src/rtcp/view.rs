//! Reading RTCP.

use super::{
    FMT_FULL_INTRA_REQUEST, FMT_GENERIC_NACK, FMT_PICTURE_LOSS_INDICATION, GOODBYE,
    PAYLOAD_FEEDBACK, RECEIVER_REPORT, SDES_CNAME, SENDER_REPORT, SOURCE_DESCRIPTION,
    TRANSPORT_FEEDBACK,
};
use crate::error::Rejection;

const HEADER_LENGTH: usize = 4;
const REPORT_BLOCK_LENGTH: usize = 24;

/// One RTCP packet of a compound, with its common header taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtcpView<'a> {
    /// The whole packet, with its header.
    pub bytes: &'a [u8],
    /// RC, SC or FMT: the low five bits of the first byte.
    pub count: u8,
    /// The packet type.
    pub packet_type: u8,
    /// What follows the header, without padding.
    pub body: &'a [u8],
}

/// The sender information of a sender report (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderInfo {
    /// The NTP timestamp, 32.32 bits.
    pub ntp_timestamp: u64,
    /// The RTP timestamp of the same instant.
    pub rtp_timestamp: u32,
    /// Packets sent since the beginning.
    pub packet_count: u32,
    /// Payload octets sent since the beginning.
    pub octet_count: u32,
}

/// A report block (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// Whose packets it reports on.
    pub ssrc: u32,
    /// Lost in the last interval, in 1/256.
    pub fraction_lost: u8,
    /// Lost in all, 24 bits, signed.
    pub cumulative_lost: i32,
    /// The highest sequence number with its count of cycles.
    pub highest_sequence_number: u32,
    /// Interarrival jitter, in timestamp units.
    pub jitter: u32,
    /// The middle 32 bits of the last sender report's NTP timestamp, 0 if there was none.
    pub last_sender_report: u32,
    /// Since then, in 1/65536 seconds.
    pub delay_since_last_sender_report: u32,
}

/// The SSRCs of a feedback message (RFC 4585 section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedbackHeader {
    /// Who sends the feedback.
    pub sender_ssrc: u32,
    /// Whose media it is about; unused (zero) in FIR.
    pub media_ssrc: u32,
}

/// A packet that was lost, and a bitmask of the 16 that follow it (RFC 4585 section 6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NackItem {
    /// PID.
    pub packet_id: u16,
    /// BLP: bit i stands for packet `packet_id + i + 1`.
    pub bitmask: u16,
}

/// An entry of a Full Intra Request (RFC 5104 section 4.3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirEntry {
    /// Who shall send a decoder refresh point.
    pub ssrc: u32,
    /// Tells a new command from a repetition.
    pub sequence_number: u8,
}

/// What an RTCP packet says. Lists are read by [`RtcpView`]'s methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RtcpPacket {
    /// A sender report; its blocks: [`RtcpView::report_blocks`].
    SenderReport {
        /// Who sends.
        ssrc: u32,
        /// What it has sent.
        info: SenderInfo,
    },
    /// A receiver report; its blocks: [`RtcpView::report_blocks`].
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
    },
    /// A source description; CNAME: [`RtcpView::cname`].
    SourceDescription,
    /// A goodbye; who leaves: [`RtcpView::goodbye_ssrcs`].
    Goodbye,
    /// A generic NACK; what was lost: [`RtcpView::nack_items`].
    GenericNack(FeedbackHeader),
    /// A Picture Loss Indication.
    PictureLossIndication(FeedbackHeader),
    /// A Full Intra Request; of whom: [`RtcpView::fir_entries`].
    FullIntraRequest(FeedbackHeader),
    /// Any other type or format.
    Other,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// The packets of a compound, or the one packet of a reduced-size one (RFC 5506). Ends with the
/// first that is malformed.
pub fn split_compound(compound: &[u8]) -> impl Iterator<Item = Result<RtcpView<'_>, Rejection>> {
    let mut rest = compound;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let first = RtcpView::parse_first(rest);
        rest = match &first {
            Ok(view) => &rest[view.bytes.len()..],
            Err(_) => &[],
        };
        Some(first)
    })
}

impl<'a> RtcpView<'a> {
    /// Reads the packet at the front of `compound`.
    fn parse_first(compound: &'a [u8]) -> Result<Self, Rejection> {
        let [first, packet_type, high, low, ..] = *compound else {
            return Err(Rejection::Malformed);
        };
        let length = HEADER_LENGTH + 4 * usize::from(u16::from_be_bytes([high, low]));
        if first >> 6 != 2 || compound.len() < length {
            return Err(Rejection::Malformed);
        }
        let bytes = &compound[..length];
        let mut body = &bytes[HEADER_LENGTH..];
        if first & 0x20 != 0 {
            let padding = usize::from(*body.last().ok_or(Rejection::Malformed)?);
            // Padding is for the last packet only (RFC 3550 section 6.4.1).
            if padding == 0 || padding > body.len() || compound.len() != length {
                return Err(Rejection::Malformed);
            }
            body = &body[..body.len() - padding];
        }
        Ok(Self {
            bytes,
            count: first & 0x1f,
            packet_type,
            body,
        })
    }

    /// What the packet says.
    ///
    /// # Errors
    /// `Malformed` if the body doesn't hold what its type and count promise.
    pub fn read(&self) -> Result<RtcpPacket, Rejection> {
        self.try_read().ok_or(Rejection::Malformed)
    }

    fn try_read(&self) -> Option<RtcpPacket> {
        let count = usize::from(self.count);
        match (self.packet_type, self.count) {
            (SENDER_REPORT, _) => {
                self.body.get(24..24 + REPORT_BLOCK_LENGTH * count)?;
                let ssrc = u32_at(self.body, 0)?;
                Some(RtcpPacket::SenderReport {
                    ssrc,
                    info: self.sender_info()?,
                })
            }
            (RECEIVER_REPORT, _) => {
                self.body.get(4..4 + REPORT_BLOCK_LENGTH * count)?;
                Some(RtcpPacket::ReceiverReport {
                    ssrc: u32_at(self.body, 0)?,
                })
            }
            (SOURCE_DESCRIPTION, _) => Some(RtcpPacket::SourceDescription),
            (GOODBYE, _) => self.body.get(..4 * count).map(|_| RtcpPacket::Goodbye),
            // With one item at the least (RFC 4585 section 6.2.1).
            (TRANSPORT_FEEDBACK, FMT_GENERIC_NACK) => {
                self.body.get(8..12)?;
                self.feedback_header().map(RtcpPacket::GenericNack)
            }
            (PAYLOAD_FEEDBACK, FMT_PICTURE_LOSS_INDICATION) => self
                .feedback_header()
                .map(RtcpPacket::PictureLossIndication),
            // With one entry at the least (RFC 5104 section 4.3.1.1).
            (PAYLOAD_FEEDBACK, FMT_FULL_INTRA_REQUEST) => {
                self.body.get(8..16)?;
                self.feedback_header().map(RtcpPacket::FullIntraRequest)
            }
            _ => Some(RtcpPacket::Other),
        }
    }

    fn feedback_header(&self) -> Option<FeedbackHeader> {
        let sender_ssrc = u32_at(self.body, 0)?;
        Some(FeedbackHeader {
            sender_ssrc,
            media_ssrc: u32_at(self.body, 4)?,
        })
    }

    fn sender_info(&self) -> Option<SenderInfo> {
        let seconds = u64::from(u32_at(self.body, 4)?);
        let fraction = u64::from(u32_at(self.body, 8)?);
        Some(SenderInfo {
            ntp_timestamp: seconds << 32 | fraction,
            rtp_timestamp: u32_at(self.body, 12)?,
            packet_count: u32_at(self.body, 16)?,
            octet_count: u32_at(self.body, 20)?,
        })
    }

    /// The report blocks of a sender or receiver report.
    pub fn report_blocks(&self) -> impl Iterator<Item = ReportBlock> + 'a {
        let start = match self.packet_type {
            SENDER_REPORT => 24,
            RECEIVER_REPORT => 4,
            _ => self.body.len(),
        };
        let blocks = self.body.get(start..).unwrap_or_default();
        let blocks = blocks
            .chunks_exact(REPORT_BLOCK_LENGTH)
            .take(usize::from(self.count));
        blocks.filter_map(read_report_block)
    }

    /// The CNAME of the first chunk of a source description.
    #[must_use]
    pub fn cname(&self) -> Option<&'a [u8]> {
        let mut items = match self.packet_type {
            SOURCE_DESCRIPTION if self.count > 0 => self.body.get(4..)?,
            _ => return None,
        };
        // A zero in place of a type ends the chunk.
        while let [kind @ 1..=255, length, rest @ ..] = items {
            let (text, rest) = rest.split_at_checked(usize::from(*length))?;
            if *kind == SDES_CNAME {
                return Some(text);
            }
            items = rest;
        }
        None
    }

    /// The SSRCs that leave by a goodbye.
    pub fn goodbye_ssrcs(&self) -> impl Iterator<Item = u32> + use<'a> {
        let ssrcs = if self.packet_type == GOODBYE {
            self.body
        } else {
            &[]
        };
        let ssrcs = ssrcs.chunks_exact(4).take(usize::from(self.count));
        ssrcs.filter_map(|ssrc| u32_at(ssrc, 0))
    }

    /// The items of a generic NACK.
    pub fn nack_items(&self) -> impl Iterator<Item = NackItem> + use<'a> {
        let items = self.feedback_control(TRANSPORT_FEEDBACK, FMT_GENERIC_NACK);
        items.chunks_exact(4).map(|item| NackItem {
            packet_id: u16::from_be_bytes([item[0], item[1]]),
            bitmask: u16::from_be_bytes([item[2], item[3]]),
        })
    }

    /// The entries of a Full Intra Request.
    pub fn fir_entries(&self) -> impl Iterator<Item = FirEntry> + 'a {
        let entries = self.feedback_control(PAYLOAD_FEEDBACK, FMT_FULL_INTRA_REQUEST);
        entries.chunks_exact(8).map(|entry| FirEntry {
            ssrc: u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]]),
            sequence_number: entry[4],
        })
    }

    /// The Feedback Control Information, nothing for packets of another type or format.
    fn feedback_control(&self, packet_type: u8, format: u8) -> &'a [u8] {
        if (self.packet_type, self.count) == (packet_type, format) {
            self.body.get(8..).unwrap_or_default()
        } else {
            &[]
        }
    }
}

fn read_report_block(block: &[u8]) -> Option<ReportBlock> {
    let loss = u32_at(block, 4)?;
    Some(ReportBlock {
        ssrc: u32_at(block, 0)?,
        fraction_lost: (loss >> 24) as u8,
        cumulative_lost: (loss << 8) as i32 >> 8,
        highest_sequence_number: u32_at(block, 8)?,
        jitter: u32_at(block, 12)?,
        last_sender_report: u32_at(block, 16)?,
        delay_since_last_sender_report: u32_at(block, 20)?,
    })
}
