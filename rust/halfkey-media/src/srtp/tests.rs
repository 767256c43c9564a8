//! RFC 7714's vectors, and what a hop must refuse.

mod lending;

use super::*;
use crate::error::{KeyError, Rejection, SealError};
use crate::profile::HopProfile;
use crate::replay::WINDOW;
use crate::test_data::hex;

const RTP_PACKET: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
    69736120 696e2070 61727465 73207472 6573";
const RTCP_PACKET: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
    deadbeef deadbeef deadbeef deadbeef deadbeef";

/// Contexts with the session keys of RFC 7714 section 16.
fn vector_contexts(profile: HopProfile) -> (HopSendContext, HopReceiveContext) {
    let key: Vec<u8> = (0..profile.key_length() as u8).collect();
    let cipher =
        || SessionCipher::from_session(profile, &key, b"Quid pro quo").expect("lengths fit");
    (
        HopSendContext::from_ciphers(cipher(), cipher()),
        HopReceiveContext::from_ciphers(cipher(), cipher()),
    )
}

fn contexts() -> (HopSendContext, HopReceiveContext) {
    let profile = HopProfile::AeadAes128Gcm;
    let send = HopSendContext::new(profile, &[1; 16], &[2; 12]).expect("lengths fit");
    let receive = HopReceiveContext::new(profile, &[1; 16], &[2; 12]).expect("lengths fit");
    (send, receive)
}

fn rtp(ssrc: u32, sequence_number: u16) -> Vec<u8> {
    let mut packet = hex("8060 0000 00000001");
    packet[2..4].copy_from_slice(&sequence_number.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(b"payload");
    packet
}

fn seal(context: &mut HopSendContext, packet: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + TAG_LENGTH, 0xee);
    context.seal_rtp(&mut buffer, packet.len())?;
    Ok(buffer)
}

fn seal_rtcp(context: &mut HopSendContext, packet: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + SRTCP_OVERHEAD, 0xee);
    context.seal_rtcp(&mut buffer, packet.len())?;
    Ok(buffer)
}

fn check_rtp_vector(profile: HopProfile, sealed: &str) {
    let (mut send, mut receive) = vector_contexts(profile);
    let packet = hex(RTP_PACKET);
    let mut buffer = seal(&mut send, &packet).expect("fresh");
    assert_eq!(buffer, hex(sealed));
    let opened = receive.open_rtp(&mut buffer).expect("authentic");
    assert_eq!(buffer[..opened.length()], packet);
    assert_eq!(
        (opened.header_length, opened.payload_length, opened.ssrc),
        (12, 38, 0x5501_a0b2)
    );
    assert_eq!(
        (opened.rollover_counter(), opened.sequence_number()),
        (0, 0xf17b)
    );
}

#[test]
fn rfc_7714_section_16() {
    check_rtp_vector(
        HopProfile::AeadAes128Gcm,
        "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a
         51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
    );
    check_rtp_vector(
        HopProfile::AeadAes256Gcm,
        "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02
         76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
    );
}

#[test]
fn rfc_7714_section_17() {
    let (mut send, _) = vector_contexts(HopProfile::AeadAes128Gcm);
    send.set_rtcp_index(0x4d61_7273, 0x5d4);
    let encrypted = "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
        c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4";
    assert_eq!(seal_rtcp(&mut send, &hex(RTCP_PACKET)), Ok(hex(encrypted)));

    let tagged_128 = format!("{RTCP_PACKET} 841dd968 3dd78ec9 2ae58790 125f62b3 000005d4");
    let encrypted_256 = "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50
        a2eaa5c1 110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4";
    let tagged_256 = format!("{RTCP_PACKET} 91db4afb feee5a97 8fab4393 ed2615fe 000005d4");
    for (profile, packet) in [
        (HopProfile::AeadAes128Gcm, encrypted),
        (HopProfile::AeadAes128Gcm, &tagged_128),
        (HopProfile::AeadAes256Gcm, encrypted_256),
        (HopProfile::AeadAes256Gcm, &tagged_256),
    ] {
        let (_, mut receive) = vector_contexts(profile);
        let mut buffer = hex(packet);
        let length = receive.open_rtcp(&mut buffer).expect("authentic");
        assert_eq!(buffer[..length], hex(RTCP_PACKET));
        assert_eq!(
            receive.open_rtcp(&mut hex(packet)),
            Err(Rejection::Replayed)
        );
    }
}

#[test]
fn a_changed_bit_is_refused_and_changes_no_state() {
    let (mut send, mut receive) = contexts();
    let rtp = seal(&mut send, &rtp(7, 1)).expect("fresh");
    let rtcp = seal_rtcp(&mut send, &hex(RTCP_PACKET)).expect("fresh");
    for bit in 0..8 * rtp.len() {
        let mut changed = rtp.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(receive.open_rtp(&mut changed).is_err(), "bit {bit}");
    }
    for bit in 0..8 * rtcp.len() {
        let mut changed = rtcp.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(receive.open_rtcp(&mut changed).is_err(), "bit {bit}");
    }
    assert!(receive.open_rtp(&mut rtp.clone()).is_ok());
    assert!(receive.open_rtcp(&mut rtcp.clone()).is_ok());
}

#[test]
fn any_cut_is_refused() {
    let (mut send, mut receive) = contexts();
    let rtp = seal(&mut send, &rtp(7, 1)).expect("fresh");
    let rtcp = seal_rtcp(&mut send, &hex(RTCP_PACKET)).expect("fresh");
    for length in 0..rtp.len() {
        assert!(receive.open_rtp(&mut rtp[..length].to_vec()).is_err());
    }
    for length in 0..rtcp.len() {
        assert!(receive.open_rtcp(&mut rtcp[..length].to_vec()).is_err());
    }
}

#[test]
fn the_rollover_counter_follows_order_and_disorder() {
    let (mut send, mut receive) = contexts();
    let order = [0xfffd_u16, 0xffff, 1, 0xfffe, 0, 2];
    let sealed: Vec<_> = order
        .map(|n| seal(&mut send, &rtp(7, n)).expect("fresh"))
        .into();
    for (position, rollover_counter) in [(0, 0), (2, 1), (1, 0), (4, 1), (3, 0), (5, 1)] {
        let opened = receive
            .open_rtp(&mut sealed[position].clone())
            .expect("authentic");
        assert_eq!(opened.rollover_counter(), rollover_counter);
        assert_eq!(
            receive.open_rtp(&mut sealed[position].clone()),
            Err(Rejection::Replayed)
        );
    }
}

#[test]
fn what_lies_before_the_window_is_refused() {
    let (mut send, mut receive) = contexts();
    let mut first = seal(&mut send, &rtp(7, 1)).expect("fresh");
    let mut last = seal(&mut send, &rtp(7, 1 + WINDOW as u16)).expect("fresh");
    assert!(receive.open_rtp(&mut last).is_ok());
    assert_eq!(receive.open_rtp(&mut first), Err(Rejection::TooOld));
    assert_eq!(seal(&mut send, &rtp(7, 0)), Err(SealError::IndexTooOld));
}

#[test]
fn no_index_is_sealed_twice() {
    let (mut send, _) = contexts();
    for n in [5, 7, 6] {
        assert!(seal(&mut send, &rtp(7, n)).is_ok());
    }
    for n in [5, 6, 7] {
        assert_eq!(seal(&mut send, &rtp(7, n)), Err(SealError::AlreadySealed));
        assert_eq!(send.check_rtp(7, n), Err(SealError::AlreadySealed));
    }
    assert_eq!(send.check_rtp(7, 8), Ok(()));
    assert!(seal(&mut send, &rtp(8, 5)).is_ok());
}

#[test]
fn rtcp_indices_count_up_to_the_last_and_never_again() {
    let (mut send, mut receive) = contexts();
    let packet = hex(RTCP_PACKET);
    for index in 0..3_u8 {
        let mut sealed = seal_rtcp(&mut send, &packet).expect("fresh");
        assert_eq!(sealed[sealed.len() - 4..], [0x80, 0, 0, index]);
        assert!(receive.open_rtcp(&mut sealed).is_ok());
    }
    send.set_rtcp_index(0x4d61_7273, 0x7fff_ffff);
    assert!(
        receive
            .open_rtcp(&mut seal_rtcp(&mut send, &packet).expect("the last"))
            .is_ok()
    );
    assert_eq!(seal_rtcp(&mut send, &packet), Err(SealError::KeyExhausted));
}

#[test]
fn the_number_of_ssrcs_is_bounded() {
    let (mut send, mut receive) = contexts();
    for ssrc in 0..MAX_SSRCS as u32 {
        assert!(
            receive
                .open_rtp(&mut seal(&mut send, &rtp(ssrc, 1)).expect("fresh"))
                .is_ok()
        );
    }
    assert_eq!(
        seal(&mut send, &rtp(u32::MAX, 1)),
        Err(SealError::TooManySsrcs)
    );
    let (mut other, _) = contexts();
    let mut one_more = seal(&mut other, &rtp(u32::MAX, 1)).expect("fresh");
    assert_eq!(receive.open_rtp(&mut one_more), Err(Rejection::SsrcLimit));
    assert!(
        receive
            .open_rtp(&mut seal(&mut send, &rtp(5, 2)).expect("fresh"))
            .is_ok()
    );
}

#[test]
fn misuse_is_an_error() {
    let (mut send, _) = contexts();
    let packet = rtp(7, 1);
    let mut short = packet.clone();
    assert_eq!(
        send.seal_rtp(&mut short, packet.len()),
        Err(SealError::BufferTooSmall)
    );
    for length in [packet.len() + 1, usize::MAX] {
        assert_eq!(
            send.seal_rtp(&mut short, length),
            Err(SealError::BufferTooSmall)
        );
        assert_eq!(
            send.seal_rtcp(&mut short, length),
            Err(SealError::BufferTooSmall)
        );
    }
    assert_eq!(seal(&mut send, &packet[..11]), Err(SealError::NotAPacket));
    assert_eq!(
        seal_rtcp(&mut send, &packet[..7]),
        Err(SealError::NotAPacket)
    );
    let new = |key: &[u8], salt: &[u8]| HopSendContext::new(HopProfile::AeadAes256Gcm, key, salt);
    assert_eq!(new(&[0; 16], &[0; 12]).err(), Some(KeyError::KeyLength));
    assert_eq!(new(&[0; 32], &[0; 14]).err(), Some(KeyError::SaltLength));
}

#[test]
fn debug_shows_no_key() {
    let (send, receive) = contexts();
    for text in [format!("{send:?}"), format!("{receive:?}")] {
        assert!(text.contains("SessionCipher { .. }"), "{text}");
    }
}

/// A stream's packet with this SEQ, in a buffer with room for the tag.
fn unsealed(sequence_number: u16) -> (Vec<u8>, usize) {
    let mut packet = rtp(7, sequence_number);
    let length = packet.len();
    packet.resize(length + TAG_LENGTH, 0xee);
    (packet, length)
}

fn seal_of(stream: &mut SendStream, sequence_number: u16, origin: u64) -> Vec<u8> {
    let (mut packet, length) = unsealed(sequence_number);
    let sealed = stream.seal_rtp_of(Origin(origin), &mut packet, length);
    assert_eq!(sealed, Ok(packet.len()));
    packet
}

fn origin(stream: &SendStream, sequence_number: u16) -> Option<u64> {
    Some(stream.repeat(sequence_number)?.origin().0)
}

#[test]
fn what_was_sealed_can_be_sealed_again_to_the_same_bits_and_nothing_else() {
    let mut stream = contexts().0.lend(7).expect("free");
    let first = seal_of(&mut stream, 0xffff, 999);
    seal_of(&mut stream, 1, 1001);
    for _ in 0..2 {
        let repeat = stream.repeat(0xffff).expect("sealed");
        assert_eq!(repeat.origin(), Origin(999));
        let (mut packet, length) = unsealed(0xffff);
        assert_eq!(repeat.seal(&mut packet, length), Ok(packet.len()));
        assert_eq!(packet, first);
    }
    assert!(stream.was_sealed(0xffff) && stream.was_sealed(1));
    // Neither what was never sealed, nor under another index than its own.
    for other in [0, 2, 0x7000] {
        assert!(!stream.was_sealed(other));
        assert_eq!(origin(&stream, other), None);
    }
    let repeat = stream.repeat(1).expect("sealed");
    let (mut packet, length) = unsealed(2);
    assert_eq!(repeat.seal(&mut packet, length), Err(SealError::NotAPacket));
    let repeat = stream.repeat(1).expect("sealed");
    assert_eq!(
        repeat.seal(&mut packet, length + 1),
        Err(SealError::BufferTooSmall)
    );
    // Behind the window it can't be told any more.
    seal_of(&mut stream, 0x1000, 0x1000 + 1000);
    assert!(stream.was_sealed(1));
    assert_eq!(origin(&stream, 1), None);
}

#[test]
fn a_run_is_of_origins_at_one_distance() {
    let mut stream = contexts().0.lend(7).expect("free");
    seal_of(&mut stream, 5, 105);
    seal_of(&mut stream, 8, 108);
    assert_eq!(origin(&stream, 5), Some(105));
    // The sender went round, and the receiver saw nothing of it: 9 is no more of 109.
    seal_of(&mut stream, 9, 109 + 0x1_0000);
    assert_eq!(origin(&stream, 9), Some(109 + 0x1_0000));
    for earlier in [5, 8] {
        assert_eq!(origin(&stream, earlier), None);
    }
    // One from before, which is late: it isn't what the run says of its index.
    seal_of(&mut stream, 7, 107);
    for any in [5, 7, 8, 9] {
        assert_eq!(origin(&stream, any), None);
    }
    seal_of(&mut stream, 10, 110 + 0x1_0000);
    assert_eq!(origin(&stream, 10), Some(110 + 0x1_0000));
}

#[test]
fn a_run_ends_with_whoever_has_the_stream_and_with_what_has_no_origin() {
    let mut context = contexts().0;
    let mut stream = context.lend(7).expect("free");
    seal_of(&mut stream, 5, 5);
    stream.end_run();
    assert_eq!(origin(&stream, 5), None);
    seal_of(&mut stream, 4, 4);
    seal_of(&mut stream, 6, 6);
    let of = [4, 5, 6].map(|number| origin(&stream, number));
    assert_eq!(
        of,
        [None, None, Some(6)],
        "what is below the run's beginning"
    );

    let (mut packet, length) = unsealed(7);
    stream.seal_rtp(&mut packet, length).expect("fresh");
    let of = [6, 7].map(|number| origin(&stream, number));
    assert_eq!(of, [None; 2]);

    seal_of(&mut stream, 8, 8);
    context.give_back(*stream);
    let stream = context.lend(7).expect("given back");
    assert_eq!(origin(&stream, 8), None);
}
