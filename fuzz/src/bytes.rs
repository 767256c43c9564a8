//! Inputs in parts, and small packets for seeds.

/// Takes a part: two bytes of length, then that many bytes or as many as there are.
pub fn take<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = data.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    let (part, rest) = rest.split_at(length);
    *data = rest;
    Some(part)
}

/// The counterpart of [`take`].
pub fn part(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("seeds are short");
    [&length.to_be_bytes(), bytes].concat()
}

/// An RTP packet without extensions.
pub fn rtp(ssrc: u32, payload_type: u8, sequence_number: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(sequence_number.to_be_bytes());
    packet.extend(1_u32.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}
