//! RTP packets (RFC 3550 section 5.1) and their header extensions (RFC 8285).

mod extensions;
mod header;

pub use extensions::{Element, Extensions};
pub use header::write_header;

use crate::error::Rejection;

/// The length of the fixed header, in bytes.
pub const FIXED_HEADER_LENGTH: usize = 12;

/// The longest header without extensions: the fixed one and 15 CSRCs.
pub const MAX_HEADER_LENGTH: usize = FIXED_HEADER_LENGTH + 4 * 15;

/// The header fields that a Media Distributor may change (RFC 8723 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeableFields {
    /// PT, 7 bits.
    pub payload_type: u8,
    /// SEQ.
    pub sequence_number: u16,
    /// M.
    pub marker: bool,
}

impl ChangeableFields {
    /// The header's second byte.
    #[must_use]
    pub const fn marker_and_payload_type(self) -> u8 {
        (self.marker as u8) << 7 | (self.payload_type & 0x7f)
    }

    /// Writes the fields into the first bytes of a header, which must be there.
    pub(crate) fn write(self, header: &mut [u8]) {
        if let Some(bytes) = header.get_mut(1..4) {
            let [high, low] = self.sequence_number.to_be_bytes();
            bytes.copy_from_slice(&[self.marker_and_payload_type(), high, low]);
        }
    }
}

/// A view of an RTP or SRTP packet. For SRTP the payload includes what the transform added.
#[derive(Debug, Clone, Copy)]
pub struct RtpView<'a> {
    packet: &'a [u8],
    fixed_length: usize,
    header_length: usize,
}

impl<'a> RtpView<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// `Malformed` if the version isn't 2 or the header doesn't fit into the packet.
    pub fn parse(packet: &'a [u8]) -> Result<Self, Rejection> {
        let first = *packet.first().ok_or(Rejection::Malformed)?;
        let fixed_length = FIXED_HEADER_LENGTH + 4 * usize::from(first & 0x0f);
        if first >> 6 != 2 || packet.len() < fixed_length {
            return Err(Rejection::Malformed);
        }
        let mut header_length = fixed_length;
        if first & 0x10 != 0 {
            let head = packet
                .get(fixed_length..fixed_length + 4)
                .ok_or(Rejection::Malformed)?;
            header_length += 4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
            if packet.len() < header_length {
                return Err(Rejection::Malformed);
            }
        }
        Ok(Self {
            packet,
            fixed_length,
            header_length,
        })
    }

    fn u16_at(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.packet[at], self.packet[at + 1]])
    }

    fn u32_at(&self, at: usize) -> u32 {
        u32::from_be_bytes([
            self.packet[at],
            self.packet[at + 1],
            self.packet[at + 2],
            self.packet[at + 3],
        ])
    }

    /// The whole packet.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.packet
    }

    /// The length of the header with its CSRCs, without extensions: 12 + 4 * CC.
    #[must_use]
    pub const fn fixed_length(&self) -> usize {
        self.fixed_length
    }

    /// The length of the header with CSRCs and extensions.
    #[must_use]
    pub const fn header_length(&self) -> usize {
        self.header_length
    }

    /// The header with CSRCs and extensions.
    #[must_use]
    pub fn header(&self) -> &'a [u8] {
        &self.packet[..self.header_length]
    }

    /// P: whether the payload (once it is decrypted) ends in padding.
    #[must_use]
    pub fn has_padding(&self) -> bool {
        self.packet[0] & 0x20 != 0
    }

    /// X: whether there is a header extension.
    #[must_use]
    pub fn has_extension(&self) -> bool {
        self.packet[0] & 0x10 != 0
    }

    /// PT, SEQ and M.
    #[must_use]
    pub fn changeable_fields(&self) -> ChangeableFields {
        ChangeableFields {
            payload_type: self.packet[1] & 0x7f,
            sequence_number: self.sequence_number(),
            marker: self.packet[1] & 0x80 != 0,
        }
    }

    /// M.
    #[must_use]
    pub fn marker(&self) -> bool {
        self.packet[1] & 0x80 != 0
    }

    /// PT.
    #[must_use]
    pub fn payload_type(&self) -> u8 {
        self.packet[1] & 0x7f
    }

    /// SEQ.
    #[must_use]
    pub fn sequence_number(&self) -> u16 {
        self.u16_at(2)
    }

    /// The timestamp, in units of the payload's clock rate.
    #[must_use]
    pub fn timestamp(&self) -> u32 {
        self.u32_at(4)
    }

    /// The SSRC.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.u32_at(8)
    }

    /// The CSRCs.
    pub fn csrcs(&self) -> impl Iterator<Item = u32> + 'a {
        let bytes = &self.packet[FIXED_HEADER_LENGTH..self.fixed_length];
        bytes
            .chunks_exact(4)
            .map(|csrc| u32::from_be_bytes([csrc[0], csrc[1], csrc[2], csrc[3]]))
    }

    /// The elements of a header extension in one of RFC 8285's forms; none for any other.
    #[must_use]
    pub fn extensions(&self) -> Extensions<'a> {
        if self.has_extension() {
            Extensions::new(&self.packet[self.fixed_length..self.header_length])
        } else {
            Extensions::default()
        }
    }

    /// Whether there is no header extension, or one in a form of RFC 8285.
    #[must_use]
    pub fn extension_is_known(&self) -> bool {
        !self.has_extension()
            || extensions::is_known_form(&self.packet[self.fixed_length..self.header_length])
    }

    /// What follows the header, with any padding.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.packet[self.header_length..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::hex;

    #[test]
    fn reads_every_field() {
        let packet = hex("b2 e0 1234 01020304 deadbeef 00000001 00000002 bede0001 10ff0000 aabb");
        let view = RtpView::parse(&packet).expect("well-formed");
        let fields = ChangeableFields {
            payload_type: 96,
            sequence_number: 0x1234,
            marker: true,
        };
        assert_eq!(view.changeable_fields(), fields);
        assert_eq!((view.marker(), view.payload_type()), (true, 96));
        assert_eq!((view.timestamp(), view.ssrc()), (0x0102_0304, 0xdead_beef));
        assert_eq!(view.csrcs().collect::<Vec<_>>(), [1, 2]);
        assert!(view.has_padding() && view.has_extension());
        assert_eq!((view.fixed_length(), view.header_length()), (20, 28));
        assert_eq!(view.payload(), [0xaa, 0xbb]);
        assert_eq!(view.extensions().collect::<Vec<_>>(), [(1, &[0xff][..])]);
    }

    #[test]
    fn any_cut_in_the_header_is_refused() {
        let packet = hex("92 60 1234 01020304 deadbeef 00000001 00000002 bede0001 10ff0000");
        for length in 0..packet.len() {
            assert_eq!(
                RtpView::parse(&packet[..length]).err(),
                Some(Rejection::Malformed)
            );
        }
        assert!(RtpView::parse(&packet).is_ok());
    }

    #[test]
    fn other_versions_are_refused() {
        for first in [0x00, 0x40, 0xc0] {
            let mut packet = [0; 20];
            packet[0] = first;
            assert_eq!(RtpView::parse(&packet).err(), Some(Rejection::Malformed));
        }
    }
}
