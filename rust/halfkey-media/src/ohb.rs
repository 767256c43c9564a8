//! The Original Header Block (RFC 8723 section 4).

use crate::error::Rejection;
use crate::rtp::ChangeableFields;

/// The longest Original Header Block, in bytes.
pub const MAX_LENGTH: usize = 4;

// The Config octet: |R R R R B M P Q|.
const RESERVED: u8 = 0xf0;
const MARKER_VALUE: u8 = 0x08;
const MARKER_PRESENT: u8 = 0x04;
const PAYLOAD_TYPE_PRESENT: u8 = 0x02;
const SEQUENCE_NUMBER_PRESENT: u8 = 0x01;

/// The original values of header fields that were changed on the way; `None`: not changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OriginalHeaderBlock {
    /// PT.
    pub payload_type: Option<u8>,
    /// SEQ.
    pub sequence_number: Option<u16>,
    /// M.
    pub marker: Option<bool>,
}

impl OriginalHeaderBlock {
    /// Reads the block at the end of an outer payload; also returns its length.
    ///
    /// # Errors
    /// `OriginalHeaderBlock` if there is none, or it has bits that must be zero.
    pub fn parse(payload: &[u8]) -> Result<(Self, usize), Rejection> {
        const FAULT: Rejection = Rejection::OriginalHeaderBlock;
        let (config, rest) = payload.split_last().ok_or(FAULT)?;
        // B without M: the RFC's "C & 0x0C MUST NOT have the value 0x80" means 0x08.
        if config & RESERVED != 0 || config & (MARKER_PRESENT | MARKER_VALUE) == MARKER_VALUE {
            return Err(FAULT);
        }
        let mut block = Self::default();
        let mut rest = rest;
        if config & SEQUENCE_NUMBER_PRESENT != 0 {
            let (before, bytes) = rest.split_last_chunk().ok_or(FAULT)?;
            block.sequence_number = Some(u16::from_be_bytes(*bytes));
            rest = before;
        }
        if config & PAYLOAD_TYPE_PRESENT != 0 {
            let (payload_type, before) = rest.split_last().ok_or(FAULT)?;
            if *payload_type > 0x7f {
                return Err(FAULT);
            }
            block.payload_type = Some(*payload_type);
            rest = before;
        }
        if config & MARKER_PRESENT != 0 {
            block.marker = Some(config & MARKER_VALUE != 0);
        }
        Ok((block, payload.len() - rest.len()))
    }

    /// Writes the block; returns its length.
    pub fn encode(&self, output: &mut [u8; MAX_LENGTH]) -> usize {
        let mut config = 0;
        let mut at = 0;
        if let Some(payload_type) = self.payload_type {
            output[at] = payload_type;
            at += 1;
            config |= PAYLOAD_TYPE_PRESENT;
        }
        if let Some(sequence_number) = self.sequence_number {
            output[at..at + 2].copy_from_slice(&sequence_number.to_be_bytes());
            at += 2;
            config |= SEQUENCE_NUMBER_PRESENT;
        }
        match self.marker {
            Some(true) => config |= MARKER_PRESENT | MARKER_VALUE,
            Some(false) => config |= MARKER_PRESENT,
            None => {}
        }
        output[at] = config;
        at + 1
    }

    /// The block for a packet that was received with this block and `received`, and goes on with
    /// `sent` (section 5.2, step 3).
    #[must_use]
    pub fn reflect(self, received: ChangeableFields, sent: ChangeableFields) -> Self {
        Self {
            payload_type: reflect(self.payload_type, received.payload_type, sent.payload_type),
            sequence_number: reflect(
                self.sequence_number,
                received.sequence_number,
                sent.sequence_number,
            ),
            marker: reflect(self.marker, received.marker, sent.marker),
        }
    }

    /// The fields as the sender made them (section 5.3, step 4).
    #[must_use]
    pub fn original(self, received: ChangeableFields) -> ChangeableFields {
        ChangeableFields {
            payload_type: self.payload_type.unwrap_or(received.payload_type),
            sequence_number: self.sequence_number.unwrap_or(received.sequence_number),
            marker: self.marker.unwrap_or(received.marker),
        }
    }
}

fn reflect<T: PartialEq>(recorded: Option<T>, received: T, sent: T) -> Option<T> {
    if sent == received {
        return recorded; // not changed here: "MUST NOT modify the OHB"
    }
    match recorded {
        None => Some(received), // the first to change it records the original
        Some(original) if original == sent => None, // reset to the original
        recorded => recorded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: ChangeableFields = ChangeableFields {
        payload_type: 96,
        sequence_number: 0x0102,
        marker: true,
    };

    #[test]
    fn every_block_round_trips() {
        for payload_type in [None, Some(0), Some(0x7f)] {
            for sequence_number in [None, Some(0), Some(0xff00)] {
                for marker in [None, Some(false), Some(true)] {
                    let block = OriginalHeaderBlock {
                        payload_type,
                        sequence_number,
                        marker,
                    };
                    let mut output = [0xee; MAX_LENGTH];
                    let length = block.encode(&mut output);
                    let payload = [b"payload", &output[..length]].concat();
                    assert_eq!(OriginalHeaderBlock::parse(&payload), Ok((block, length)));
                }
            }
        }
    }

    #[test]
    fn known_octets() {
        let parse = |payload: &[u8]| OriginalHeaderBlock::parse(payload).map(|(block, _)| block);
        let none = OriginalHeaderBlock::default();
        assert_eq!(parse(&[0x00]), Ok(none));
        let all = OriginalHeaderBlock {
            payload_type: Some(96),
            sequence_number: Some(0x0102),
            marker: Some(true),
        };
        assert_eq!(parse(&[96, 1, 2, 0x0f]), Ok(all));
        assert_eq!(
            parse(&[96, 2, 0x02]).map(|block| block.payload_type),
            Ok(Some(2))
        );
    }

    #[test]
    fn bits_that_must_be_zero_and_cuts_are_refused() {
        let refused = Err(Rejection::OriginalHeaderBlock);
        for config in [0x10, 0x20, 0x40, 0x80, 0x08, 0x0b] {
            assert_eq!(OriginalHeaderBlock::parse(&[96, 0, 1, config]), refused);
        }
        for payload in [
            &[][..],
            &[0x01],
            &[0, 0x01],
            &[0x02],
            &[0, 1, 0x03],
            &[0x80, 0x02],
        ] {
            assert_eq!(OriginalHeaderBlock::parse(payload), refused, "{payload:?}");
        }
    }

    #[test]
    fn the_first_change_is_recorded_and_taken_back_when_it_is_undone() {
        let unchanged = OriginalHeaderBlock::default();
        assert_eq!(unchanged.reflect(FIELDS, FIELDS), unchanged);
        let renumbered = ChangeableFields {
            sequence_number: 9,
            ..FIELDS
        };
        let once = unchanged.reflect(FIELDS, renumbered);
        assert_eq!(once.sequence_number, Some(0x0102));
        assert_eq!((once.payload_type, once.marker), (None, None));
        assert_eq!(once.original(renumbered), FIELDS);
        // A second distributor changes it further: the original stays.
        let further = ChangeableFields {
            sequence_number: 10,
            ..FIELDS
        };
        assert_eq!(once.reflect(renumbered, further), once);
        assert_eq!(once.reflect(renumbered, renumbered), once);
        assert_eq!(once.reflect(renumbered, FIELDS), unchanged);
    }

    #[test]
    fn marker_and_payload_type_too() {
        let sent = ChangeableFields {
            payload_type: 111,
            marker: false,
            ..FIELDS
        };
        let block = OriginalHeaderBlock::default().reflect(FIELDS, sent);
        let expected = (Some(96), None, Some(true));
        assert_eq!(
            (block.payload_type, block.sequence_number, block.marker),
            expected
        );
        assert_eq!(block.original(sent), FIELDS);
        assert_eq!(block.reflect(sent, FIELDS), OriginalHeaderBlock::default());
    }
}
