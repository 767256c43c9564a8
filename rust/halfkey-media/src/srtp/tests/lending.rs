//! Streams that are given back and lent anew: no index is used twice, and little stays of them.

use std::collections::HashMap;

use super::{contexts, origin, rtp, seal, seal_of};
use crate::error::SealError;
use crate::srtp::{HopSendContext, MAX_SENT_SSRCS, Origin, SendStream, TAG_LENGTH};

const HEADER: usize = 12;
const KEYSTREAM: usize = 16;

/// What was sealed under each nonce. The keystream tells which nonce it was, whatever those who sealed
/// think of it: plaintext XOR ciphertext is the same for the same nonce, and else is not.
#[derive(Default)]
struct Nonces {
    sealed: HashMap<[u8; KEYSTREAM], Vec<u8>>,
}

impl Nonces {
    /// Notes a packet; true if there was none under its nonce. Fails if there was another one.
    fn is_new(&mut self, plain: &[u8], sealed: &[u8]) -> bool {
        let at = |place| plain[HEADER + place] ^ sealed[HEADER + place];
        let before = self
            .sealed
            .insert(core::array::from_fn(at), sealed.to_vec());
        let is_same = before.as_deref().is_none_or(|before| before == sealed);
        assert!(is_same, "a nonce was used for two packets");
        before.is_none()
    }
}

/// The packet with this SEQ that is made of an origin, with room for the tag.
fn packet_of(ssrc: u32, sequence_number: u16, origin: Origin) -> Vec<u8> {
    let mut packet = rtp(ssrc, sequence_number);
    packet.truncate(HEADER);
    packet.extend(u128::from(origin.0).to_be_bytes());
    packet.resize(HEADER + KEYSTREAM + TAG_LENGTH, 0);
    packet
}

fn send(
    stream: &mut SendStream,
    nonces: &mut Nonces,
    number: u16,
    origin: Origin,
) -> Result<(), SealError> {
    let plain = packet_of(stream.ssrc(), number, origin);
    let mut sealed = plain.clone();
    stream.seal_rtp_of(origin, &mut sealed, HEADER + KEYSTREAM)?;
    assert!(nonces.is_new(&plain, &sealed), "an index was sealed twice");
    Ok(())
}

/// Seals a packet again, if the stream allows it.
fn repeat(stream: &SendStream, nonces: &mut Nonces, number: u16) -> bool {
    let Some(repeat) = stream.repeat(number) else {
        return false;
    };
    let plain = packet_of(stream.ssrc(), number, repeat.origin());
    let mut sealed = plain.clone();
    let length = repeat.seal(&mut sealed, HEADER + KEYSTREAM);
    length.expect("it was sealed");
    assert!(!nonces.is_new(&plain, &sealed), "no repeat is a first one");
    true
}

fn lent_anew(context: &mut HopSendContext, stream: SendStream) -> Box<SendStream> {
    let ssrc = stream.ssrc();
    context.give_back(stream);
    context.lend(ssrc).expect("given back")
}

#[test]
fn no_index_is_used_twice_however_often_a_stream_is_lent_anew() {
    let mut context = contexts().0;
    let mut streams = [7, 8].map(|ssrc| context.lend(ssrc).expect("free"));
    let mut nonces = [Nonces::default(), Nonces::default()];
    let (mut random, mut distance) = (1_u64, 0);
    let (mut sent, mut refused, mut repeated, mut lent) = (0, 0, 0, 0);
    for _ in 0..60_000 {
        random = (random.wrapping_mul(6_364_136_223_846_793_005)).wrapping_add(1);
        let (choice, value) = (random >> 40 & 0xff, (random >> 48) as u16);
        let which = usize::from(choice % 2 == 0);
        let (stream, nonces) = (&mut streams[which], &mut nonces[which]);
        let highest = stream.highest_sequence_number().unwrap_or(0);
        let number = match choice {
            0..=5 => {
                let old = context.lend(stream.ssrc());
                assert_eq!(old.err(), Some(SealError::StreamLent));
                let fresh = context.lend(9).expect("free");
                let borrowed = core::mem::replace(stream, fresh);
                let again = lent_anew(&mut context, *borrowed);
                context.give_back(*core::mem::replace(stream, again));
                lent += 1;
                continue;
            }
            6 => value,
            7 => highest.wrapping_add(0x7f00),
            8..=20 => highest.wrapping_sub(value % 1100),
            21..=120 => highest.wrapping_add(1 + value % 3),
            121 => {
                distance += u64::from(value);
                continue;
            }
            _ => {
                let ahead = (value % 4).wrapping_sub(value % 64);
                let number = highest.wrapping_add(ahead);
                repeated += usize::from(repeat(stream, nonces, number));
                continue;
            }
        };
        let index = stream.next_index(number).unwrap_or_default();
        match send(stream, nonces, number, Origin(index + distance)) {
            Ok(()) => sent += 1,
            Err(SealError::AlreadySealed | SealError::IndexTooOld) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    let enough = [sent, refused, repeated, lent].map(|count| count > 1000);
    assert_eq!(enough, [true; 4], "{sent} {refused} {repeated} {lent}");
}

#[test]
fn whoever_has_a_stream_next_begins_behind_all_that_was_used() {
    let mut context = contexts().0;
    let mut stream = context.lend(7).expect("free");
    let mut nonces = Nonces::default();
    // Of many rounds, with gaps; the last in the order of sending is not the highest.
    let numbers = (0..40_u16).map(|n| n.wrapping_mul(0x5000));
    for number in numbers.chain([0x3080, 0x3100, 0x3050]) {
        send(&mut stream, &mut nonces, number, Origin(5)).expect("fresh");
    }
    let highest = stream.highest_index().expect("used");
    assert!(highest > 0xc_0000, "{highest:x}");
    let mut stream = lent_anew(&mut context, *stream);
    assert_eq!(stream.highest_index(), Some(highest));
    for behind in 0..0x8000 {
        let number = 0x3100_u16.wrapping_sub(behind);
        let error = send(&mut stream, &mut nonces, number, Origin(6)).expect_err("was used");
        let errors = [SealError::AlreadySealed, SealError::IndexTooOld];
        assert!(errors.contains(&error) && stream.was_sealed(number));
        assert_eq!(
            (origin(&stream, number), stream.unsealed(number)),
            (None, None)
        );
    }
    for ahead in [3, 1, 2, 64, 63, 960, 961, 30_000] {
        assert!(!stream.was_sealed(0x3100 + ahead), "{ahead}");
        assert_eq!(origin(&stream, 0x3100 + ahead), None);
        send(&mut stream, &mut nonces, 0x3100 + ahead, Origin(7)).expect("fresh");
        assert_eq!(
            stream.highest_index().map(|index| index >> 16),
            Some(highest >> 16)
        );
    }
}

#[test]
fn a_stream_that_sealed_nothing_goes_back_no_further() {
    let mut context = contexts().0;
    let mut stream = context.lend(7).expect("free");
    seal_of(&mut stream, 100, 100);
    for _ in 0..3 {
        stream = lent_anew(&mut context, *stream);
    }
    context.give_back(*stream);
    let (used, free) = (rtp(7, 100), rtp(7, 101));
    assert_eq!(context.check_rtp(7, 99), Err(SealError::AlreadySealed));
    assert_eq!(seal(&mut context, &used), Err(SealError::AlreadySealed));
    assert_eq!(context.check_rtp(7, 101), Ok(()));
    assert!(seal(&mut context, &free).is_ok());
}

/// Seals one packet of an SSRC, for somebody who borrows its stream for no longer than that.
fn show(context: &mut HopSendContext, ssrc: u32) -> Result<(), SealError> {
    let mut stream = context.lend(ssrc)?;
    let mut packet = packet_of(ssrc, 1, Origin(1));
    stream.seal_rtp(&mut packet, HEADER + KEYSTREAM)?;
    context.give_back(*stream);
    Ok(())
}

#[test]
fn what_is_gone_leaves_room_for_others_up_to_a_bound() {
    let mut context = contexts().0;
    let all = MAX_SENT_SSRCS as u32;
    for ssrc in 0..all {
        // One that is never used leaves nothing.
        let unused = context.lend(all + ssrc).expect("bounded at a time alone");
        context.give_back(*unused);
        assert_eq!(show(&mut context, ssrc), Ok(()));
    }
    assert_eq!(show(&mut context, all), Err(SealError::TooManySsrcs));
    assert_eq!(context.check_rtp(all, 1), Err(SealError::TooManySsrcs));
    // Those that were there are known for ever, and go on.
    for ssrc in [0, 1, all / 2, all - 1] {
        assert_eq!(show(&mut context, ssrc), Err(SealError::AlreadySealed));
    }
    let mut stream = context.lend(2).expect("known");
    seal_rtp(&mut stream, 2).expect("fresh");
}

fn seal_rtp(stream: &mut SendStream, number: u16) -> Result<usize, SealError> {
    let mut packet = packet_of(stream.ssrc(), number, Origin(1));
    stream.seal_rtp(&mut packet, HEADER + KEYSTREAM)
}
