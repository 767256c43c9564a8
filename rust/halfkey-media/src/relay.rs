//! What a Media Distributor does to a packet between two hops (RFC 8723 section 5.2).

use crate::error::{Rejection, SealError};
use crate::ohb::{MAX_LENGTH as MAX_OHB_LENGTH, OriginalHeaderBlock};
use crate::rtp::{ChangeableFields, Element, RtpView, write_header};

/// A packet without its outer layer: what is the same for all receivers.
#[derive(Debug, Clone, Copy)]
pub struct OpenedPacket<'a> {
    /// The packet as it came, with its Original Header Block.
    pub view: RtpView<'a>,
    /// The inner ciphertext and its tag.
    pub inner: &'a [u8],
    /// The Original Header Block that it came with.
    pub ohb: OriginalHeaderBlock,
}

impl<'a> OpenedPacket<'a> {
    /// Reads what [`crate::HopReceiveContext::open_rtp`] opened.
    ///
    /// # Errors
    /// It is no RTP packet, or has no Original Header Block that can be.
    pub fn parse(packet: &'a [u8]) -> Result<Self, Rejection> {
        let view = RtpView::parse(packet)?;
        let (ohb, ohb_length) = OriginalHeaderBlock::parse(view.payload())?;
        let inner = &view.payload()[..view.payload().len() - ohb_length];
        Ok(Self { view, inner, ohb })
    }

    /// Writes the packet into `buffer` with other changeable fields and header extension elements,
    /// the changes reflected in its Original Header Block (steps 2 and 3). Returns its length; what
    /// is left (step 4) is to seal it for the next hop.
    ///
    /// # Errors
    /// There is no room, or an element is too long.
    pub fn rewrite<'b>(
        &self,
        sent: ChangeableFields,
        elements: impl Iterator<Item = Element<'b>> + Clone,
        buffer: &mut [u8],
    ) -> Result<usize, SealError> {
        let header_length = write_header(buffer, &self.view, sent, elements)?;
        let mut ohb = [0; MAX_OHB_LENGTH];
        let received = self.view.changeable_fields();
        let ohb_length = self.ohb.reflect(received, sent).encode(&mut ohb);
        let mut length = header_length;
        for part in [self.inner, &ohb[..ohb_length]] {
            let room = buffer.get_mut(length..length + part.len());
            room.ok_or(SealError::BufferTooSmall)?.copy_from_slice(part);
            length += part.len();
        }
        Ok(length)
    }
}
