//! Binding requests to an ICE-lite agent, and their answers (RFC 8489, RFC 8445 section 7.3).
//!
//! ```text
//! datagram --parse--> Check --USERNAME finds the session--> verify --> answer
//! ```
//!
//! Nothing of that is copied or allocated. What isn't proved gets no answer: that would only serve
//! whoever forged the source address. Requests are made for tests alone.

use core::net::{IpAddr, SocketAddr};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use crate::error::StunRejection;

const HEADER_LENGTH: usize = 20;
/// What fits without knowledge of the path (RFC 8489 section 6.1).
const LONGEST_REQUEST: usize = 548;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_INDICATION: u16 = 0x0011;
const BINDING_SUCCESS: u16 = 0x0101;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;

const ATTRIBUTE_HEADER_LENGTH: usize = 4;
const INTEGRITY_LENGTH: usize = 20;
const FINGERPRINT_LENGTH: usize = 4;
/// What the CRC is combined with, so that it isn't another protocol's (RFC 8489 section 14.7).
const FINGERPRINT_MASK: u32 = 0x5354_554e;

/// The longest answer: to an IPv6 address.
pub const ANSWER_LENGTH: usize = HEADER_LENGTH
    + ATTRIBUTE_HEADER_LENGTH
    + 20
    + ATTRIBUTE_HEADER_LENGTH
    + INTEGRITY_LENGTH
    + ATTRIBUTE_HEADER_LENGTH
    + FINGERPRINT_LENGTH;

/// The password of a short-term credential (RFC 8489 section 9.1), prepared for use.
#[derive(Debug)]
pub struct Password(hmac::Key);

impl Password {
    /// From its text; an ICE password needs no preparation as a string, being ASCII.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let algorithm = hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY;
        Self(hmac::Key::new(algorithm, text.as_bytes()))
    }

    /// MESSAGE-INTEGRITY of a message that has so much in front of it: the header then says that it
    /// ends with it (RFC 8489 section 14.5).
    fn integrity(&self, before: &[u8]) -> hmac::Tag {
        let end = before.len() + ATTRIBUTE_HEADER_LENGTH + INTEGRITY_LENGTH;
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&before[..2]);
        context.update(&((end - HEADER_LENGTH) as u16).to_be_bytes());
        context.update(&before[4..]);
        context.sign()
    }
}

/// A Binding request that was taken apart; nothing of it is proved before [`Self::verify`].
#[derive(Debug, Clone, Copy)]
pub struct Check<'a> {
    message: &'a [u8],
    username: &'a [u8],
    /// Where the attribute begins.
    integrity: Option<usize>,
    fingerprint: usize,
    nominates: bool,
    is_controlled: bool,
}

impl<'a> Check<'a> {
    /// Takes a message apart; `None` for an indication, which asks for nothing.
    ///
    /// # Errors
    /// It is no STUN message, without FINGERPRINT (RFC 8445 section 7.2.2), or of another kind.
    pub fn parse(message: &'a [u8]) -> Result<Option<Self>, StunRejection> {
        const MALFORMED: StunRejection = StunRejection::Malformed;
        let body = message.len().checked_sub(HEADER_LENGTH).ok_or(MALFORMED)?;
        if message.len() > LONGEST_REQUEST
            || usize::from(number(message, 2)) != body
            || body % 4 != 0
            || message[4..8] != MAGIC_COOKIE
        {
            return Err(MALFORMED);
        }
        match number(message, 0) {
            BINDING_REQUEST => Self::parse_request(message).ok_or(MALFORMED).map(Some),
            BINDING_INDICATION => Ok(None),
            _ => Err(StunRejection::Unsupported),
        }
    }

    fn parse_request(message: &'a [u8]) -> Option<Self> {
        let (mut username, mut integrity, mut fingerprint) = (None, None, None);
        let (mut nominates, mut is_controlled) = (false, false);
        let mut at = HEADER_LENGTH;
        while at < message.len() {
            if fingerprint.is_some() {
                return None; // it is the last one
            }
            let value_at = at + ATTRIBUTE_HEADER_LENGTH;
            message.get(at..value_at)?;
            let (kind, length) = (number(message, at), usize::from(number(message, at + 2)));
            let value = message.get(value_at..value_at + length)?;
            match (kind, length) {
                (FINGERPRINT, FINGERPRINT_LENGTH) => fingerprint = Some(at),
                (FINGERPRINT, _) => return None,
                // What follows is proved by nothing (RFC 8489 section 14.5).
                _ if integrity.is_some() => {}
                (MESSAGE_INTEGRITY, INTEGRITY_LENGTH) => integrity = Some(at),
                (MESSAGE_INTEGRITY, _) => return None,
                (USERNAME, _) => username = username.or(Some(value)),
                (USE_CANDIDATE, _) => nominates = true,
                (ICE_CONTROLLED, _) => is_controlled = true,
                _ => {}
            }
            at = value_at + length.next_multiple_of(4);
        }
        Some(Self {
            message,
            username: username.unwrap_or_default(),
            integrity,
            fingerprint: fingerprint?,
            nominates,
            is_controlled,
        })
    }

    /// The two sides of the USERNAME: ours, and the peer's (RFC 8445 section 7.2.2).
    #[must_use]
    pub fn username(&self) -> Option<(&'a [u8], &'a [u8])> {
        let colon = self.username.iter().position(|byte| *byte == b':')?;
        Some((&self.username[..colon], &self.username[colon + 1..]))
    }

    /// Whether it nominates the pair that it came over.
    #[must_use]
    pub const fn nominates(&self) -> bool {
        self.nominates
    }

    /// Whether the peer takes itself for the controlled one, which a lite agent is (RFC 8445
    /// section 7.3.1.1).
    #[must_use]
    pub const fn is_controlled(&self) -> bool {
        self.is_controlled
    }

    /// Proves that it comes from whoever has the password.
    ///
    /// # Errors
    /// It is damaged, or not proved.
    pub fn verify(&self, password: &Password) -> Result<(), StunRejection> {
        let value = self.fingerprint + ATTRIBUTE_HEADER_LENGTH;
        let expected = fingerprint(&self.message[..self.fingerprint]);
        if self.message[value..value + FINGERPRINT_LENGTH] != expected {
            return Err(StunRejection::Malformed);
        }
        let at = self.integrity.ok_or(StunRejection::Authentication)?;
        let tag = password.integrity(&self.message[..at]);
        let value = at + ATTRIBUTE_HEADER_LENGTH;
        let received = &self.message[value..value + INTEGRITY_LENGTH];
        verify_slices_are_equal(tag.as_ref(), received).map_err(|_| StunRejection::Authentication)
    }

    /// Writes the answer to a request that came from an address; gives its length.
    pub fn answer(
        &self,
        from: SocketAddr,
        password: &Password,
        buffer: &mut [u8; ANSWER_LENGTH],
    ) -> usize {
        let mut answer = Writer { buffer, length: 0 };
        answer.put(&BINDING_SUCCESS.to_be_bytes());
        answer.put(&[0; 2]);
        answer.put(&self.message[4..HEADER_LENGTH]);
        // A socket for both families has IPv4 peers at mapped addresses.
        let family = if from.ip().to_canonical().is_ipv4() {
            1
        } else {
            2
        };
        let mut value = [0; 20];
        value[1] = family;
        value[2..4].copy_from_slice(&from.port().to_be_bytes());
        let length = match from.ip().to_canonical() {
            IpAddr::V4(ip) => {
                value[4..8].copy_from_slice(&ip.octets());
                8
            }
            IpAddr::V6(ip) => {
                value[4..].copy_from_slice(&ip.octets());
                20
            }
        };
        // Section 14.2: the port with the cookie's beginning, the address with all of it and the
        // transaction's identifier.
        let (port, address) = value[2..length].split_at_mut(2);
        let mask = &self.message[4..HEADER_LENGTH];
        let masked = port
            .iter_mut()
            .zip(mask)
            .chain(address.iter_mut().zip(mask));
        masked.for_each(|(byte, mask)| *byte ^= mask);
        answer.attribute(XOR_MAPPED_ADDRESS, &value[..length]);
        let tag = password.integrity(answer.written());
        answer.attribute(MESSAGE_INTEGRITY, tag.as_ref());
        answer.end_with(ATTRIBUTE_HEADER_LENGTH + FINGERPRINT_LENGTH);
        let crc = fingerprint(answer.written());
        answer.attribute(FINGERPRINT, &crc);
        answer.length
    }
}

/// An answer on its way; the buffer has room for the longest.
struct Writer<'a> {
    buffer: &'a mut [u8; ANSWER_LENGTH],
    length: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.buffer[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.put(&kind.to_be_bytes());
        self.put(&(value.len() as u16).to_be_bytes());
        self.put(value);
    }

    /// Has the header say that so much is still to come.
    fn end_with(&mut self, rest: usize) {
        let body = (self.length + rest - HEADER_LENGTH) as u16;
        self.buffer[2..4].copy_from_slice(&body.to_be_bytes());
    }

    fn written(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

/// A check as a controlling peer makes it, which is what comes to a lite agent. `username`: the
/// agent's ufrag, a colon, the peer's.
#[must_use]
pub fn request(
    transaction: &[u8; 12],
    username: &str,
    nominates: bool,
    password: &Password,
) -> Vec<u8> {
    const PRIORITY: (u16, &[u8]) = (0x0024, &[0, 0, 0, 1]);
    const ICE_CONTROLLING: (u16, &[u8]) = (0x802a, &[0; 8]);
    let mut attributes = vec![(USERNAME, username.as_bytes()), PRIORITY, ICE_CONTROLLING];
    attributes.extend(nominates.then_some((USE_CANDIDATE, &[][..])));
    sealed(transaction, &attributes, &[], password)
}

/// A request of these attributes, with others behind the proof.
fn sealed(
    transaction: &[u8; 12],
    attributes: &[(u16, &[u8])],
    behind: &[(u16, &[u8])],
    password: &Password,
) -> Vec<u8> {
    let mut message = BINDING_REQUEST.to_be_bytes().to_vec();
    message.extend([0; 2]);
    message.extend(MAGIC_COOKIE);
    message.extend(transaction);
    let add = |message: &mut Vec<u8>, (kind, value): (u16, &[u8])| {
        message.extend(kind.to_be_bytes());
        message.extend((value.len() as u16).to_be_bytes());
        message.extend(value);
        message.resize(message.len().next_multiple_of(4), 0);
    };
    attributes.iter().for_each(|one| add(&mut message, *one));
    let tag = password.integrity(&message);
    add(&mut message, (MESSAGE_INTEGRITY, tag.as_ref()));
    behind.iter().for_each(|one| add(&mut message, *one));
    let rest = ATTRIBUTE_HEADER_LENGTH + FINGERPRINT_LENGTH;
    let body = (message.len() + rest - HEADER_LENGTH) as u16;
    message[2..4].copy_from_slice(&body.to_be_bytes());
    let crc = fingerprint(&message);
    add(&mut message, (FINGERPRINT, &crc));
    message
}

/// Two bytes that are there.
fn number(message: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([message[at], message[at + 1]])
}

fn fingerprint(before: &[u8]) -> [u8; 4] {
    (crc32(before) ^ FINGERPRINT_MASK).to_be_bytes()
}

/// The CRC-32 of ITU-T V.42, as RFC 8489 section 14.7 asks for.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| CRC_TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    !bytes.iter().fold(u32::MAX, step)
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut crc, mut bit) = (at as u32, 0);
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests;
