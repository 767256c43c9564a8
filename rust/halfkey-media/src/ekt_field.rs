//! The EKT Field's length (RFC 8870 section 4.1): all that a Media Distributor knows of it.

use crate::error::Rejection;

/// EKTMsgTypeShort.
pub const MESSAGE_TYPE_SHORT: u8 = 0x00;
/// EKTMsgTypeFull.
pub const MESSAGE_TYPE_FULL: u8 = 0x02;

/// EKTMsgLength and the message type.
const TRAILER_LENGTH: usize = 3;
/// SPI, Epoch and the trailer.
const FULL_OVERHEAD: usize = 4 + TRAILER_LENGTH;

/// The length of the EKT Field at the end of `packet`, found from its last byte.
///
/// # Errors
/// `EktField` if there is none, or its EKTMsgLength can't be.
pub fn ekt_field_length(packet: &[u8]) -> Result<usize, Rejection> {
    let length = match packet {
        [.., MESSAGE_TYPE_SHORT] => return Ok(1),
        [.., high, low, _] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => return Err(Rejection::EktField),
    };
    // EKTCiphertext and ExtensionData hold at least a byte.
    let least = match packet.last() {
        Some(&MESSAGE_TYPE_FULL) => FULL_OVERHEAD + 1,
        _ => TRAILER_LENGTH + 1,
    };
    if length < least || length > packet.len() {
        return Err(Rejection::EktField);
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_found_from_the_end() {
        assert_eq!(ekt_field_length(b"packet\0"), Ok(1));
        assert_eq!(
            ekt_field_length(b"packet\x01\x02\x03\x04\x05\0\x08\x02"),
            Ok(8)
        );
        assert_eq!(ekt_field_length(b"packetX\0\x04\x03"), Ok(4));
        assert_eq!(ekt_field_length(b"packetX\0\x04\xff"), Ok(4));
    }

    #[test]
    fn can_not_be_shorter_than_its_parts_or_longer_than_the_packet() {
        for packet in [
            &b""[..],
            b"\x02",
            b"\x08\x02",
            b"\0\x08\x02",
            b"packet\0\x07\x02",
            b"packet\0\x03\x03",
            b"packet\x01\x00\x02",
            b"1234567\0\x0b\x03",
        ] {
            assert_eq!(
                ekt_field_length(packet),
                Err(Rejection::EktField),
                "{packet:?}"
            );
        }
    }
}
