//! Writing RTCP.

use super::view::{FirEntry, NackItem, ReportBlock, SenderInfo};
use super::{
    FMT_FULL_INTRA_REQUEST, FMT_GENERIC_NACK, FMT_PICTURE_LOSS_INDICATION, GOODBYE,
    PAYLOAD_FEEDBACK, RECEIVER_REPORT, SDES_CNAME, SENDER_REPORT, SOURCE_DESCRIPTION,
    TRANSPORT_FEEDBACK,
};
use crate::error::SealError;

/// The greatest RC, SC or FMT.
const MAX_COUNT: usize = 31;

/// Writes RTCP packets one behind the other into a buffer of the caller's.
#[derive(Debug)]
pub struct CompoundWriter<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl<'a> CompoundWriter<'a> {
    /// An empty compound in `buffer`.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, length: 0 }
    }

    /// How many bytes were written.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// Runs `write`, then fills in the header; a packet that doesn't fit leaves no trace.
    fn packet(
        &mut self,
        packet_type: u8,
        count: usize,
        write: impl FnOnce(&mut Self) -> Result<(), SealError>,
    ) -> Result<(), SealError> {
        let start = self.length;
        let finish = |writer: &mut Self| {
            if count > MAX_COUNT {
                return Err(SealError::NotAPacket);
            }
            writer.put(&[0x80 | count as u8, packet_type, 0, 0])?;
            write(writer)?;
            let words = (writer.length - start) / 4 - 1;
            let words = u16::try_from(words).map_err(|_| SealError::NotAPacket)?;
            writer.buffer[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
            Ok(())
        };
        finish(self).inspect_err(|_| self.length = start)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), SealError> {
        let end = self.length + bytes.len();
        let room = self
            .buffer
            .get_mut(self.length..end)
            .ok_or(SealError::BufferTooSmall)?;
        room.copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }

    fn put_u32(&mut self, values: &[u32]) -> Result<(), SealError> {
        values
            .iter()
            .try_for_each(|value| self.put(&value.to_be_bytes()))
    }

    fn put_blocks(&mut self, blocks: &[ReportBlock]) -> Result<(), SealError> {
        for block in blocks {
            let lost = block.cumulative_lost as u32 & 0x00ff_ffff;
            self.put_u32(&[
                block.ssrc,
                u32::from(block.fraction_lost) << 24 | lost,
                block.highest_sequence_number,
                block.jitter,
                block.last_sender_report,
                block.delay_since_last_sender_report,
            ])?;
        }
        Ok(())
    }

    /// A sender report with at most 31 blocks.
    ///
    /// # Errors
    /// `BufferTooSmall`, or `NotAPacket` for too many blocks.
    pub fn sender_report(
        &mut self,
        ssrc: u32,
        info: &SenderInfo,
        blocks: &[ReportBlock],
    ) -> Result<(), SealError> {
        self.packet(SENDER_REPORT, blocks.len(), |writer| {
            writer.put_u32(&[ssrc])?;
            writer.put(&info.ntp_timestamp.to_be_bytes())?;
            writer.put_u32(&[info.rtp_timestamp, info.packet_count, info.octet_count])?;
            writer.put_blocks(blocks)
        })
    }

    /// A receiver report with at most 31 blocks.
    ///
    /// # Errors
    /// `BufferTooSmall`, or `NotAPacket` for too many blocks.
    pub fn receiver_report(&mut self, ssrc: u32, blocks: &[ReportBlock]) -> Result<(), SealError> {
        self.packet(RECEIVER_REPORT, blocks.len(), |writer| {
            writer.put_u32(&[ssrc])?;
            writer.put_blocks(blocks)
        })
    }

    /// A source description with one CNAME of at most 255 bytes.
    ///
    /// # Errors
    /// `BufferTooSmall`, or `NotAPacket` for a longer CNAME.
    pub fn source_description(&mut self, ssrc: u32, cname: &[u8]) -> Result<(), SealError> {
        let length = u8::try_from(cname.len()).map_err(|_| SealError::NotAPacket)?;
        self.packet(SOURCE_DESCRIPTION, 1, |writer| {
            writer.put_u32(&[ssrc])?;
            writer.put(&[SDES_CNAME, length])?;
            writer.put(cname)?;
            // At least one zero ends the chunk, which ends on a word.
            let end = 4 - (2 + cname.len()) % 4;
            writer.put(&[0; 4][..end])
        })
    }

    /// A goodbye of at most 31 SSRCs.
    ///
    /// # Errors
    /// `BufferTooSmall`, or `NotAPacket` for too many SSRCs.
    pub fn goodbye(&mut self, ssrcs: &[u32]) -> Result<(), SealError> {
        self.packet(GOODBYE, ssrcs.len(), |writer| writer.put_u32(ssrcs))
    }

    /// A generic NACK.
    ///
    /// # Errors
    /// `BufferTooSmall`.
    pub fn generic_nack(
        &mut self,
        sender_ssrc: u32,
        media_ssrc: u32,
        items: impl Iterator<Item = NackItem>,
    ) -> Result<(), SealError> {
        self.packet(
            TRANSPORT_FEEDBACK,
            usize::from(FMT_GENERIC_NACK),
            |writer| {
                writer.put_u32(&[sender_ssrc, media_ssrc])?;
                for item in items {
                    writer.put(&item.packet_id.to_be_bytes())?;
                    writer.put(&item.bitmask.to_be_bytes())?;
                }
                Ok(())
            },
        )
    }

    /// A Picture Loss Indication.
    ///
    /// # Errors
    /// `BufferTooSmall`.
    pub fn picture_loss_indication(
        &mut self,
        sender_ssrc: u32,
        media_ssrc: u32,
    ) -> Result<(), SealError> {
        self.packet(
            PAYLOAD_FEEDBACK,
            usize::from(FMT_PICTURE_LOSS_INDICATION),
            |writer| writer.put_u32(&[sender_ssrc, media_ssrc]),
        )
    }

    /// A Full Intra Request.
    ///
    /// # Errors
    /// `BufferTooSmall`.
    pub fn full_intra_request(
        &mut self,
        sender_ssrc: u32,
        entries: impl Iterator<Item = FirEntry>,
    ) -> Result<(), SealError> {
        self.packet(
            PAYLOAD_FEEDBACK,
            usize::from(FMT_FULL_INTRA_REQUEST),
            |writer| {
                writer.put_u32(&[sender_ssrc, 0])?;
                for entry in entries {
                    writer.put_u32(&[entry.ssrc, u32::from(entry.sequence_number) << 24])?;
                }
                Ok(())
            },
        )
    }
}
