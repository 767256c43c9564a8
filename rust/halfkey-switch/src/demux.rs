//! Telling apart what shares one socket, by the first bytes (RFC 7983 section 7).

use halfkey_media::Rejection;
use halfkey_media::forwarder::DropReason;
use halfkey_media::rtcp::is_rtcp;

/// What a datagram is; never a statement that it is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Stun,
    Dtls,
    Media,
}

/// The SSRC of an SRTP packet, or of an SRTCP compound's first packet.
pub(crate) fn media_ssrc(datagram: &[u8]) -> Option<u32> {
    let at = if is_rtcp(datagram) { 4 } else { 8 };
    let bytes = datagram.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

const STUN_HEADER_LENGTH: usize = 20;
/// A STUN message fits into any path's MTU (RFC 8489 section 6.1). Longer ones would let strangers
/// fill the queue with more memory than its limit stands for.
const STUN_MAX_LENGTH: usize = 1500;
const STUN_MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const DTLS_RECORD_HEADER_LENGTH: usize = 13;

/// Classifies a datagram; `Err` for what can be none of them.
pub(crate) fn classify(datagram: &[u8]) -> Result<Protocol, DropReason> {
    const MALFORMED: DropReason = DropReason::Rejected(Rejection::Malformed);
    match datagram.first() {
        Some(0..=3) => is_stun(datagram).then_some(Protocol::Stun).ok_or(MALFORMED),
        Some(20..=63) => (datagram.len() >= DTLS_RECORD_HEADER_LENGTH)
            .then_some(Protocol::Dtls)
            .ok_or(MALFORMED),
        Some(128..=191) => Ok(Protocol::Media),
        _ => Err(DropReason::UnknownProtocol),
    }
}

/// Cheap checks of the header (RFC 8489 section 5).
fn is_stun(datagram: &[u8]) -> bool {
    let Some(body_length) = datagram.len().checked_sub(STUN_HEADER_LENGTH) else {
        return false;
    };
    datagram.len() <= STUN_MAX_LENGTH
        && datagram[2..4] == (body_length as u16).to_be_bytes()
        && body_length % 4 == 0
        && datagram[4..8] == STUN_MAGIC_COOKIE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_decides() {
        for first in 0..=255_u8 {
            let mut datagram = [0; 20];
            datagram[0] = first;
            datagram[4..8].copy_from_slice(&STUN_MAGIC_COOKIE);
            let expected = match first {
                0..=3 => Ok(Protocol::Stun),
                20..=63 => Ok(Protocol::Dtls),
                128..=191 => Ok(Protocol::Media),
                _ => Err(DropReason::UnknownProtocol),
            };
            assert_eq!(classify(&datagram), expected, "{first}");
        }
        assert_eq!(classify(&[]), Err(DropReason::UnknownProtocol));
    }

    #[test]
    fn what_can_be_no_stun_or_dtls_is_malformed() {
        let mut stun = [0_u8; 24];
        stun[3] = 4;
        stun[4..8].copy_from_slice(&STUN_MAGIC_COOKIE);
        assert_eq!(classify(&stun), Ok(Protocol::Stun));
        let malformed = Err(DropReason::Rejected(Rejection::Malformed));
        assert_eq!(classify(&stun[..23]), malformed);
        assert_eq!(classify(&stun[..20]), malformed);
        let mut long = vec![0; STUN_MAX_LENGTH + 4];
        long[..20].copy_from_slice(&stun[..20]);
        for (length, expected) in [(1500, Ok(Protocol::Stun)), (1504, malformed)] {
            long[2..4].copy_from_slice(&(length as u16 - 20).to_be_bytes());
            assert_eq!(classify(&long[..length]), expected);
        }
        stun[4] = 0;
        assert_eq!(classify(&stun), malformed);
        assert_eq!(classify(&[22; 12]), malformed);
    }
}
