//! What a Media Distributor writes of a packet can be read again: same inner part, same original
//! header, the new fields and elements in the outer one.

use halfkey_media::OpenedPacket;
use halfkey_media::rtp::ChangeableFields;

use crate::bytes::rtp;

const ROOM: usize = 1 << 14;
const CHANGES: usize = 4;

/// The first bytes say what is changed, the rest is the packet.
pub fn run(data: &[u8]) -> bool {
    let Some((changes, packet)) = data.split_first_chunk::<CHANGES>() else {
        return false;
    };
    let Ok(opened) = OpenedPacket::parse(packet) else {
        return false;
    };
    let received = opened.view.changeable_fields();
    let sent = ChangeableFields {
        payload_type: changes[0] & 0x7f,
        sequence_number: received.sequence_number.wrapping_add(u16::from(changes[1])),
        marker: changes[0] & 0x80 != 0,
    };
    let mid = &b"the-name-of-a-slot"[..usize::from(changes[2]) % 19];
    // Ids from 15 on and empty elements need the two-byte form.
    let elements = [(changes[3] | 1, mid)]
        .into_iter()
        .chain(opened.view.extensions());
    let mut buffer = [0; ROOM];
    let Ok(length) = opened.rewrite(sent, elements.clone(), &mut buffer) else {
        return false;
    };
    let again = OpenedPacket::parse(&buffer[..length]).expect("what we wrote can be read");
    assert_eq!(again.inner, opened.inner);
    assert_eq!(again.view.ssrc(), opened.view.ssrc());
    assert_eq!(again.view.timestamp(), opened.view.timestamp());
    assert!(again.view.csrcs().eq(opened.view.csrcs()));
    assert_eq!(again.view.changeable_fields(), sent);
    assert!(
        again
            .view
            .extensions()
            .eq(elements.filter(|(id, _)| *id != 0))
    );
    assert_eq!(again.ohb.original(sent), opened.ohb.original(received));
    true
}

pub fn seeds() -> Vec<Vec<u8>> {
    let blocks: [&[u8]; 5] = [
        b"\0",
        b"\x60\x02",
        b"\x12\x34\x01",
        b"\x60\x12\x34\x03",
        b"\x0c",
    ];
    let with = |block: &[u8]| rtp(9, 97, 5, &[b"inner and its tag", block].concat());
    let mut seeds: Vec<_> = blocks
        .map(|block| [b"\x60\x02\x04\x03", &with(block)[..]].concat())
        .into();
    seeds.push([b"\xe1\0\0\xff", &with(b"\0")[..]].concat());
    seeds
}
