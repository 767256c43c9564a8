//! An Endpoint to a Media Distributor to an Endpoint.

use super::*;
use crate::ekt::full_ekt_field;
use crate::error::{KeyError, Rejection, SealError};
use crate::profile::{DoubleProfile, HopProfile};
use crate::relay::OpenedPacket;
use crate::rtp::ChangeableFields;
use crate::srtp::{HopReceiveContext, HopSendContext};
use crate::test_data::hex;

const SSRC: u32 = 0xdead_beef;
const SALT: [u8; 12] = [9; 12];
const EKT_KEY: [u8; 16] = [8; 16];
const UPSTREAM: [u8; 16] = [1; 16];
const DOWNSTREAM: [u8; 16] = [2; 16];
const A: [u8; 16] = [0xa; 16];
const B: [u8; 16] = [0xb; 16];
const SHORT: &[u8] = b"\0";

fn sender(inner_key: &[u8; 16]) -> DoubleSender {
    let profile = DoubleProfile::DoubleAeadAes128Gcm;
    let mut sender = DoubleSender::new(profile, &UPSTREAM, &SALT).expect("lengths fit");
    sender
        .set_inner_key(SSRC, inner_key, &SALT)
        .expect("lengths fit");
    sender
}

fn receiver(hop_key: &[u8; 16]) -> DoubleReceiver {
    let profile = DoubleProfile::DoubleAeadAes128Gcm;
    let mut receiver = DoubleReceiver::new(profile, hop_key, &SALT).expect("lengths fit");
    receiver
        .add_ekt_parameter_set(1, &EKT_KEY, &SALT)
        .expect("lengths fit");
    receiver
}

fn field(key: &[u8; 16], spi: u16, epoch: u16, roc: u32) -> Vec<u8> {
    full_ekt_field(&EKT_KEY, spi, epoch, SSRC, roc, key).expect("lengths fit")
}

/// With CSRC, extension and padding.
fn packet(sequence_number: u16) -> Vec<u8> {
    let mut packet =
        hex("b1 e0 0000 01020304 deadbeef 00000001 bede0001 10ff0000 6d6564696100000004");
    packet[2..4].copy_from_slice(&sequence_number.to_be_bytes());
    packet
}

fn protect(sender: &mut DoubleSender, sequence_number: u16, field: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    sender
        .protect(&packet(sequence_number), field, &mut output)
        .expect("fresh");
    output
}

fn unprotect(
    receiver: &mut DoubleReceiver,
    packet: &[u8],
) -> Result<(Vec<u8>, Unprotected), Rejection> {
    let mut output = vec![0xee; 3];
    let found = receiver.unprotect(packet, &mut output)?;
    Ok((output, found))
}

fn reason(receiver: &mut DoubleReceiver, packet: &[u8]) -> Option<Rejection> {
    unprotect(receiver, packet).err()
}

/// Opens at the one hop, changes PT, SEQ, M and the extension, seals for the other.
fn relay(
    receive: &mut HopReceiveContext,
    send: &mut HopSendContext,
    packet: &[u8],
    sent: ChangeableFields,
) -> Vec<u8> {
    let (srtp, field) = packet.split_at(packet.len() - 1);
    let mut opened = srtp.to_vec();
    let length = receive.open_rtp(&mut opened).expect("authentic").length();
    let opened = OpenedPacket::parse(&opened[..length]).expect("well-formed");
    let mut output = vec![0; 256];
    let elements = [(2, &b"slot"[..])];
    let length = opened
        .rewrite(sent, elements.into_iter(), &mut output)
        .expect("has room");
    let length = send.seal_rtp(&mut output, length).expect("fresh");
    [&output[..length], field].concat()
}

#[test]
fn a_relayed_packet_is_believed_as_section_5_3_says() {
    let mut sender = sender(&A);
    let mut receiver = receiver(&DOWNSTREAM);
    let profile = HopProfile::AeadAes128Gcm;
    let mut receive = HopReceiveContext::new(profile, &UPSTREAM, &SALT).expect("lengths fit");
    let mut send = HopSendContext::new(profile, &DOWNSTREAM, &SALT).expect("lengths fit");
    // The key comes first, with a packet that the distributor doesn't change.
    let first = protect(&mut sender, 1, SHORT);
    let unchanged = ChangeableFields {
        payload_type: 96,
        sequence_number: 1,
        marker: true,
    };
    let mut first = relay(&mut receive, &mut send, &first, unchanged);
    first.pop();
    first.extend(field(&A, 1, 0, 0));
    assert!(unprotect(&mut receiver, &first).is_ok());

    let second = protect(&mut sender, 7, SHORT);
    let changed = ChangeableFields {
        payload_type: 111,
        sequence_number: 2,
        marker: false,
    };
    let second = relay(&mut receive, &mut send, &second, changed);
    let (believed, found) = unprotect(&mut receiver, &second).expect("authentic");
    // Outer PT, SEQ and extension; M and all else as the sender made it.
    let expected =
        hex("b1 ef 0002 01020304 deadbeef 00000001 bede0002 23736c6f74000000 6d6564696100000004");
    assert_eq!(believed, expected);
    assert_eq!(
        (found.inner_sequence_number, found.inner_payload_type),
        (7, 96)
    );
}

#[test]
fn any_bit_is_refused() {
    let mut sender = sender(&A);
    let sealed = protect(&mut sender, 1, &field(&A, 1, 0, 0));
    let epoch = sealed.len() - 5..sealed.len() - 3;
    for bit in 0..8 * sealed.len() {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let mut receiver = receiver(&UPSTREAM);
        let rejection = reason(&mut receiver, &changed);
        // Nothing protects the EKT Field's epoch and type. Another type makes it a tag that is
        // discarded, and the packet one whose key isn't there.
        if (epoch.start * 8..epoch.end * 8).contains(&bit) {
            assert_eq!(rejection, None);
        } else if rejection != Some(Rejection::NoInnerKey) {
            assert!(rejection.is_some(), "bit {bit}");
            assert!(unprotect(&mut receiver, &sealed).is_ok(), "bit {bit}");
        } else {
            assert_eq!(bit / 8, sealed.len() - 1, "bit {bit}");
        }
    }
}

#[test]
fn any_cut_is_refused() {
    let sealed = protect(&mut sender(&A), 1, SHORT);
    let mut receiver = receiver(&UPSTREAM);
    let with_field = [&sealed[..sealed.len() - 1], &field(&A, 1, 0, 0)].concat();
    for length in 0..sealed.len() - 1 {
        assert!(unprotect(&mut receiver, &[&sealed[..length], SHORT].concat()).is_err());
        assert!(unprotect(&mut receiver, &sealed[..length]).is_err());
    }
    assert!(unprotect(&mut receiver, &with_field).is_ok());
}

#[test]
fn both_keys_open_around_a_rekey() {
    let mut old = sender(&A);
    let mut receiver = receiver(&UPSTREAM);
    let announce = field(&B, 1, 1, 0);
    let mut open = |packet: &[u8]| unprotect(&mut receiver, packet).map(|(_, found)| found);
    let found = open(&protect(&mut old, 1, &field(&A, 1, 0, 0))).expect("authentic");
    assert!(found.new_key);
    let announced = protect(&mut old, 2, &announce);
    let late = protect(&mut old, 3, SHORT);
    old.set_inner_key(SSRC, &B, &SALT).expect("lengths fit");
    let first_new = protect(&mut old, 4, &announce);
    let found = open(&announced).expect("authentic");
    assert_eq!((found.new_key, found.ekt_epoch), (true, 0));
    let found = open(&first_new).expect("authentic");
    assert_eq!((found.new_key, found.ekt_epoch), (false, 1));
    assert_eq!(open(&late).map(|found| found.ekt_epoch), Ok(0));
    // Another key under an epoch that was seen, or an older one.
    for epoch in [0, 1] {
        let packet = protect(&mut old, 10 + epoch, &field(&[0xc; 16], 1, epoch, 0));
        assert_eq!(open(&packet), Err(Rejection::EktEpoch));
    }
    assert!(open(&protect(&mut old, 20, SHORT)).is_ok());
}

#[test]
fn a_key_stays_though_its_packet_is_not_under_it() {
    // A newcomer hears of the next key before it is used, and never had the one in use.
    let mut sender = sender(&A);
    let mut receiver = receiver(&UPSTREAM);
    let announced = protect(&mut sender, 1, &field(&B, 1, 1, 0));
    assert_eq!(
        reason(&mut receiver, &announced),
        Some(Rejection::InnerAuthentication)
    );
    sender.set_inner_key(SSRC, &B, &SALT).expect("lengths fit");
    assert!(unprotect(&mut receiver, &protect(&mut sender, 2, SHORT)).is_ok());
}

#[test]
fn removing_a_parameter_set_removes_its_keys() {
    let mut sender = sender(&A);
    let mut receiver = receiver(&UPSTREAM);
    let full = field(&A, 1, 0, 0);
    assert!(unprotect(&mut receiver, &protect(&mut sender, 1, &full)).is_ok());
    receiver.remove_ekt_parameter_set(1);
    let after = protect(&mut sender, 2, SHORT);
    assert_eq!(reason(&mut receiver, &after), Some(Rejection::NoInnerKey));
    let with_field = protect(&mut sender, 3, &full);
    assert_eq!(
        reason(&mut receiver, &with_field),
        Some(Rejection::UnknownSpi)
    );
}

#[test]
fn a_bad_ekt_field_does_not_use_up_the_packet() {
    let sealed = protect(&mut sender(&A), 1, &field(&A, 1, 0, 0));
    let mut forged = sealed.clone();
    let at = forged.len() - 10;
    forged[at] ^= 1;
    let mut receiver = receiver(&UPSTREAM);
    assert_eq!(
        reason(&mut receiver, &forged),
        Some(Rejection::EktAuthentication)
    );
    assert!(unprotect(&mut receiver, &sealed).is_ok());
    assert_eq!(reason(&mut receiver, &sealed), Some(Rejection::Replayed));
}

#[test]
fn an_inner_packet_under_another_outer_number_is_a_replay() {
    let mut sender = sender(&A);
    let profile = HopProfile::AeadAes128Gcm;
    let mut receive = HopReceiveContext::new(profile, &UPSTREAM, &SALT).expect("lengths fit");
    let mut again = HopReceiveContext::new(profile, &UPSTREAM, &SALT).expect("lengths fit");
    let mut send = HopSendContext::new(profile, &DOWNSTREAM, &SALT).expect("lengths fit");
    let sealed = protect(&mut sender, 1, SHORT);
    let fields = |sequence_number| ChangeableFields {
        payload_type: 96,
        sequence_number,
        marker: true,
    };
    let mut once = relay(&mut receive, &mut send, &sealed, fields(1));
    let twice = relay(&mut again, &mut send, &sealed, fields(2));
    once.pop();
    once.extend(field(&A, 1, 0, 0));
    let mut receiver = receiver(&DOWNSTREAM);
    assert!(unprotect(&mut receiver, &once).is_ok());
    assert_eq!(
        reason(&mut receiver, &twice),
        Some(Rejection::InnerReplayed)
    );
}

#[test]
fn a_stream_that_was_away_comes_back_by_its_ekt_field() {
    let mut sender = sender(&A);
    let mut receiver = receiver(&DOWNSTREAM);
    let profile = HopProfile::AeadAes128Gcm;
    let mut receive = HopReceiveContext::new(profile, &UPSTREAM, &SALT).expect("lengths fit");
    let mut send = HopSendContext::new(profile, &DOWNSTREAM, &SALT).expect("lengths fit");
    let fields = |sequence_number| ChangeableFields {
        payload_type: 96,
        sequence_number,
        marker: true,
    };
    let first = protect(&mut sender, 1, SHORT);
    let first = relay(&mut receive, &mut send, &first, fields(1));
    let first = [&first[..first.len() - 1], &field(&A, 1, 0, 0)].concat();
    assert!(unprotect(&mut receiver, &first).is_ok());
    // The next 180,000 go to others. On this hop, SEQ goes on without a gap.
    for index in (20_000..=180_000_u32).step_by(20_000) {
        let mut packet = protect(&mut sender, index as u16, SHORT);
        packet.pop();
        assert!(receive.open_rtp(&mut packet).is_ok());
    }
    let sequence_number = 180_001_u32 as u16;
    let roc = sender.rollover_counter(SSRC, sequence_number);
    assert_eq!(roc, 2);
    let back = protect(&mut sender, sequence_number, SHORT);
    let short = relay(&mut receive, &mut send, &back, fields(2));
    assert_eq!(
        reason(&mut receiver, &short),
        Some(Rejection::InnerAuthentication)
    );
    let back = protect(&mut sender, sequence_number + 1, SHORT);
    let full = relay(&mut receive, &mut send, &back, fields(3));
    let full = [&full[..full.len() - 1], &field(&A, 1, 0, roc)].concat();
    let (_, found) = unprotect(&mut receiver, &full).expect("authentic");
    assert_eq!(
        (found.new_key, found.inner_sequence_number),
        (false, sequence_number + 1)
    );
}

#[test]
fn repair_data_is_under_the_hop_alone() {
    let mut sender = sender(&A);
    let mut receiver = receiver(&UPSTREAM);
    let mut sealed = Vec::new();
    sender
        .protect_repair(&packet(1), SHORT, &mut sealed)
        .expect("fresh");
    assert_eq!(sealed.len(), packet(1).len() + 16 + 1);
    let mut output = Vec::new();
    assert_eq!(receiver.unprotect_repair(&sealed, &mut output), Ok(()));
    assert_eq!(output, packet(1));
    assert_eq!(
        receiver.unprotect_repair(&sealed, &mut output),
        Err(Rejection::Replayed)
    );
}

#[test]
fn misuse_is_an_error() {
    let mut sender = sender(&A);
    let mut output = Vec::new();
    let mut protect = |packet: &[u8], field: &[u8]| sender.protect(packet, field, &mut output);
    assert_eq!(protect(&packet(1)[..11], SHORT), Err(SealError::NotAPacket));
    assert_eq!(protect(&packet(1), b""), Err(SealError::NotAnEktField));
    assert_eq!(protect(&packet(1), b"\0\0"), Err(SealError::NotAnEktField));
    assert_eq!(
        protect(&hex("9060 0001 00000000 deadbeef abcd0000"), SHORT),
        Err(SealError::ForeignExtension)
    );
    assert_eq!(
        protect(&hex("8060 0001 00000000 00000001"), SHORT),
        Err(SealError::NoInnerKey)
    );
    assert_eq!(protect(&packet(1), SHORT), Ok(()));
    assert_eq!(protect(&packet(1), SHORT), Err(SealError::AlreadySealed));

    let mut receiver = receiver(&UPSTREAM);
    assert_eq!(receiver.add_ekt_parameter_set(1, &EKT_KEY, &SALT), Ok(()));
    assert_eq!(
        receiver.add_ekt_parameter_set(1, &[0; 16], &SALT),
        Err(KeyError::SpiInUse)
    );
    for spi in 2..=MAX_PARAMETER_SETS as u16 {
        assert_eq!(receiver.add_ekt_parameter_set(spi, &EKT_KEY, &SALT), Ok(()));
    }
    let one_more = receiver.add_ekt_parameter_set(999, &EKT_KEY, &SALT);
    assert_eq!(one_more, Err(KeyError::TooManyParameterSets));
}

#[test]
fn what_fails_leaves_no_plain_bytes() {
    let mut sender = sender(&A);
    let mut receiver = receiver(&UPSTREAM);
    let mut output = Vec::new();
    for round in 0..2 {
        // The second time each number is used up.
        let sealed = sender.protect(&packet(1), SHORT, &mut output);
        assert_eq!((sealed.is_ok(), output.is_empty()), (round == 0, round > 0));
        let sealed = sender.protect_repair(&packet(2), SHORT, &mut output);
        assert_eq!((sealed.is_ok(), output.is_empty()), (round == 0, round > 0));
    }
    let mut report = hex("80c90001 00000007");
    assert_eq!(sender.protect_rtcp(&report, &mut output), Ok(()));
    let mut forged = output.clone();
    forged[9] ^= 1;
    let opened = receiver.unprotect_rtcp(&forged, &mut report);
    assert_eq!(opened, Err(Rejection::HopAuthentication));
    assert_eq!(report, []);
    assert_eq!(receiver.unprotect_rtcp(&output, &mut report), Ok(()));
    assert_eq!(report, hex("80c90001 00000007"));

    let unknown = protect(&mut sender, 3, SHORT);
    let mut believed = b"before".to_vec();
    let opened = receiver.unprotect(&unknown, &mut believed);
    assert_eq!(opened, Err(Rejection::NoInnerKey));
    assert_eq!(believed, []);
    let wrong = protect(&mut sender, 4, &field(&B, 1, 0, 0));
    let opened = receiver.unprotect(&wrong, &mut believed);
    assert_eq!(opened, Err(Rejection::InnerAuthentication));
    assert_eq!(believed, []);
    let opened = receiver.unprotect_repair(&wrong, &mut believed);
    assert_eq!(opened, Err(Rejection::Replayed), "its index is used up");
    assert_eq!(believed, []);
    assert_eq!(
        sender.protect_rtcp(&[0x80], &mut output),
        Err(SealError::NotAPacket)
    );
    assert_eq!(output, []);
}

#[test]
fn one_key_does_not_serve_both_layers() {
    let mut sender = sender(&A);
    let refused = sender.set_inner_key(SSRC, &UPSTREAM, &SALT);
    assert_eq!(refused, Err(KeyError::KeyReused));
    // The one before goes on, and the same key with another salt is another one.
    let mut receiver = receiver(&UPSTREAM);
    let full = field(&A, 1, 0, 0);
    assert!(unprotect(&mut receiver, &protect(&mut sender, 1, &full)).is_ok());
    assert_eq!(sender.set_inner_key(SSRC, &UPSTREAM, &[1; 12]), Ok(()));
}

#[test]
fn what_a_distributor_says_of_the_number_decides_nothing_before_the_inner_tag() {
    let mut sender = sender(&A);
    let profile = HopProfile::AeadAes128Gcm;
    let mut receive = HopReceiveContext::new(profile, &UPSTREAM, &SALT).expect("lengths fit");
    let mut send = HopSendContext::new(profile, &DOWNSTREAM, &SALT).expect("lengths fit");
    let mut receiver = receiver(&DOWNSTREAM);
    let full = field(&A, 1, 0, 0);
    // The first packet with the key comes with another "original" SEQ in its block.
    let mut forged = protect(&mut sender, 1, SHORT);
    forged.pop();
    let length = receive.open_rtp(&mut forged).expect("authentic").length();
    forged.truncate(length - 1);
    forged.extend([0xf0, 0x00, 0x01]);
    let end = forged.len();
    forged.resize(end + 16, 0);
    send.seal_rtp(&mut forged, end).expect("fresh");
    let forged = [&forged[..], &full].concat();
    assert_eq!(
        reason(&mut receiver, &forged),
        Some(Rejection::InnerAuthentication)
    );
    let fields = ChangeableFields {
        payload_type: 96,
        sequence_number: 2,
        marker: true,
    };
    let next = protect(&mut sender, 2, SHORT);
    let mut next = relay(&mut receive, &mut send, &next, fields);
    next.pop();
    next.extend(&full);
    assert!(unprotect(&mut receiver, &next).is_ok());
}

#[test]
fn a_forged_epoch_keeps_no_later_key_out() {
    let mut sender = sender(&A);
    let mut receiver = receiver(&UPSTREAM);
    let mut open = |packet: &[u8]| unprotect(&mut receiver, packet).map(|(_, found)| found);
    // On the way somebody writes another epoch into the field: nothing authenticates it.
    for (number, epoch) in [(1, 0xffff), (2, 0), (3, 0xfffe), (4, 0)] {
        let found = open(&protect(&mut sender, number, &field(&A, 1, epoch, 0)));
        let found = found.expect("authentic");
        assert_eq!(found.new_key, number == 1);
        assert_eq!(found.ekt_epoch, if number == 1 { 0xffff } else { 0 });
    }
    sender.set_inner_key(SSRC, &B, &SALT).expect("lengths fit");
    let found = open(&protect(&mut sender, 5, &field(&B, 1, 1, 0))).expect("authentic");
    assert_eq!((found.new_key, found.ekt_epoch), (true, 1));
    // Another key under that epoch is still refused.
    let other = protect(&mut sender, 6, &field(&[0xc; 16], 1, 1, 0));
    assert_eq!(open(&other), Err(Rejection::EktEpoch));
}

#[test]
fn a_key_that_made_room_does_not_come_back() {
    let mut sender = sender(&A);
    let mut receiver = receiver(&UPSTREAM);
    let mut open = |packet: &[u8]| unprotect(&mut receiver, packet).map(|(_, found)| found);
    let first = field(&A, 1, 0, 0);
    assert!(open(&protect(&mut sender, 1, &first)).is_ok());
    for epoch in 1..=MAX_KEYS_PER_SSRC as u16 {
        let key = [0x10 + epoch as u8; 16];
        sender
            .set_inner_key(SSRC, &key, &SALT)
            .expect("lengths fit");
        let packet = protect(&mut sender, 1 + epoch, &field(&key, 1, epoch, 0));
        assert!(open(&packet).is_ok());
    }
    // With a higher epoch, which a distributor may forge, it would open its packets once more.
    let again = protect(&mut sender, 100, &field(&A, 1, 1000, 0));
    assert_eq!(open(&again), Err(Rejection::EktEpoch));
    let found = open(&protect(&mut sender, 101, &field(&B, 1, 1000, 0)));
    assert_eq!(found.map(|found| found.new_key), Ok(true));
    sender.set_inner_key(SSRC, &B, &SALT).expect("lengths fit");
    assert!(open(&protect(&mut sender, 102, SHORT)).is_ok());
}

#[test]
fn other_hop_keys_leave_what_is_end_to_end_as_it_is() {
    let (mut sender, mut receiver) = (sender(&A), receiver(&UPSTREAM));
    let first = protect(&mut sender, 65_535, &field(&A, 1, 0, 0));
    assert!(unprotect(&mut receiver, &first).is_ok());
    let late = protect(&mut sender, 0, SHORT);
    sender.replace_hop_keys(&DOWNSTREAM, &SALT).expect("new");
    receiver.replace_hop_keys(&DOWNSTREAM, &SALT).expect("new");

    // The inner index goes on: no SEQ is sealed twice, and the rollover counter doesn't fall back.
    let mut output = Vec::new();
    let again = sender.protect(&packet(0), SHORT, &mut output);
    assert_eq!(again, Err(SealError::AlreadySealed));
    assert_eq!(sender.rollover_counter(SSRC, 1), 1);
    // The key that came under the old hop keys opens, and what it opened stays shut.
    let next = protect(&mut sender, 1, SHORT);
    assert!(unprotect(&mut receiver, &next).is_ok());
    assert_eq!(reason(&mut receiver, &next), Some(Rejection::Replayed));
    // Under the old keys nothing is taken any more.
    assert_eq!(
        reason(&mut receiver, &late),
        Some(Rejection::HopAuthentication)
    );
    assert!(unprotect(&mut receiver, &protect(&mut sender, 2, SHORT)).is_ok());
}

#[test]
fn an_inner_packet_that_was_opened_stays_shut_under_other_hop_keys() {
    let (mut sender, mut receiver) = (sender(&A), receiver(&DOWNSTREAM));
    let profile = HopProfile::AeadAes128Gcm;
    let same = ChangeableFields {
        payload_type: 96,
        sequence_number: 1,
        marker: true,
    };
    let sealed = protect(&mut sender, 1, SHORT);
    let relayed = |key: &[u8; 16]| {
        let mut receive = HopReceiveContext::new(profile, &UPSTREAM, &SALT).expect("lengths fit");
        let mut send = HopSendContext::new(profile, key, &SALT).expect("lengths fit");
        let mut packet = relay(&mut receive, &mut send, &sealed, same);
        packet.pop();
        packet.extend(field(&A, 1, 0, 0));
        packet
    };
    assert!(unprotect(&mut receiver, &relayed(&DOWNSTREAM)).is_ok());
    receiver.replace_hop_keys(&B, &SALT).expect("new");
    let replayed = relayed(&B);
    assert_eq!(
        reason(&mut receiver, &replayed),
        Some(Rejection::InnerReplayed)
    );
}

#[test]
fn hop_keys_that_served_before_are_refused_and_leave_those_in_use() {
    let (mut sender, mut receiver) = (sender(&A), receiver(&UPSTREAM));
    for key in [&UPSTREAM, &A] {
        let refused = sender.replace_hop_keys(key, &SALT);
        assert_eq!(refused, Err(KeyError::KeyReused));
    }
    let refused = receiver.replace_hop_keys(&UPSTREAM, &SALT);
    assert_eq!(refused, Err(KeyError::KeyReused));
    let short = sender.replace_hop_keys(&DOWNSTREAM[1..], &SALT);
    assert_eq!(short, Err(KeyError::KeyLength));
    let first = protect(&mut sender, 1, &field(&A, 1, 0, 0));
    assert!(unprotect(&mut receiver, &first).is_ok());

    sender.replace_hop_keys(&DOWNSTREAM, &SALT).expect("new");
    receiver.replace_hop_keys(&DOWNSTREAM, &SALT).expect("new");
    for key in [&UPSTREAM, &DOWNSTREAM] {
        let sending = sender.replace_hop_keys(key, &SALT);
        let receiving = receiver.replace_hop_keys(key, &SALT);
        assert_eq!(
            (sending, receiving),
            (Err(KeyError::KeyReused), Err(KeyError::KeyReused))
        );
    }
    // And an inner key can't be the hop's of now.
    let inner = sender.set_inner_key(SSRC, &DOWNSTREAM, &SALT);
    assert_eq!(inner, Err(KeyError::KeyReused));
}
