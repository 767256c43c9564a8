//! What is sent again, to whom, and how much of it.

use core::time::Duration;

use super::super::cache::{MAX_AGE, SIZE};
use super::super::{DropReason, Forwarder, StreamFigures, Traffic};
use super::helpers::{
    Endpoint, START, Sent, conference, conference_with, dropped, handle_timer, hop_keys, receive,
};
use crate::Rejection;
use crate::rtcp::{RtcpPacket, split_compound};
use crate::rtp::ChangeableFields;

pub(super) const VIDEO: u32 = 11;

pub(super) fn at(milliseconds: u64) -> Duration {
    START + Duration::from_millis(milliseconds)
}

/// Endpoint 1 sends; the others have its video in a slot. Its first report and picture are dealt
/// with.
pub(super) fn watched(
    (mut forwarder, endpoints): (Forwarder, Vec<Endpoint>),
) -> (Forwarder, Vec<Endpoint>) {
    for receiver in &endpoints[1..] {
        let assigned = forwarder.assign_slot(receiver.id, "v", 1, VIDEO, START);
        assigned.expect("free");
    }
    handle_timer(&mut forwarder, START);
    (forwarder, endpoints)
}

/// Sends a packet of Endpoint 1's on; gives it, and what became of it.
pub(super) fn forward(
    forwarder: &mut Forwarder,
    endpoints: &mut [Endpoint],
    number: u16,
    now: Duration,
) -> (Vec<u8>, Sent) {
    let fields = ChangeableFields {
        payload_type: 96,
        sequence_number: number,
        marker: number % 2 == 0,
    };
    let inner = [&[number as u8; 900][..], b"\0"].concat();
    let packet = endpoints[0].packet(VIDEO, fields, &[(1, b"level")], &inner, b"field\0\x08\x03");
    let sent = receive(forwarder, endpoints[0].address, &packet, now);
    (packet, sent)
}

/// The one datagram for a receiver.
fn to(sent: &Sent, receiver: &Endpoint) -> Sent {
    let mut own = sent.clone();
    own.retain(|one| one.0 == receiver.address);
    assert_eq!(own.len(), 1);
    own
}

/// What becomes of a NACK.
pub(super) fn ask(
    forwarder: &mut Forwarder,
    receiver: &mut Endpoint,
    items: &[(u16, u16)],
    now: Duration,
) -> Sent {
    let nack = receiver.nack(VIDEO, items);
    receive(forwarder, receiver.address, &nack, now)
}

/// What a source is asked for, as (PID, BLP).
pub(super) fn asked(source: &mut Endpoint, datagram: &[u8]) -> Vec<(u16, u16)> {
    let compound = source.open_rtcp(datagram);
    let views = split_compound(&compound).map(|view| view.expect("well-formed"));
    let nacks = views.filter(|view| matches!(view.read(), Ok(RtcpPacket::GenericNack(_))));
    nacks
        .flat_map(|view| view.nack_items())
        .map(|item| (item.packet_id, item.bitmask))
        .collect()
}

#[test]
fn what_was_lost_on_the_way_down_is_sent_again_bit_for_bit() {
    let (mut forwarder, mut endpoints) = watched(conference(3));
    forwarder.set_rewrite(2, "v", 100, Some(true)).expect("set");
    let sent = [1, 2, 3].map(|number| forward(&mut forwarder, &mut endpoints, number, START).1);
    let [first, lost, third] = sent.map(|sent| to(&sent, &endpoints[1]));
    for sent in [first, third] {
        endpoints[1].open(&sent[0].1).expect("authentic");
    }
    let again = ask(&mut forwarder, &mut endpoints[1], &[(102, 0)], at(50));
    assert_eq!(again, lost, "to the one who asked, the same bits");
    let opened = endpoints[1].open(&again[0].1).expect("new to who lost it");
    assert_eq!(opened.fields.sequence_number, 102);
    let twice = endpoints[1].open(&again[0].1);
    assert_eq!(twice, Err(Rejection::Replayed));

    let statistics = forwarder.statistics();
    let length = again[0].1.len() as u64;
    let repeated = Traffic {
        packets: 1,
        bytes: length,
    };
    assert_eq!(statistics.repeated, repeated);
    assert_eq!((statistics.cache_hits, statistics.cache_misses), (1, 0));
    assert_eq!(statistics.forwarded_packets, 6, "without the repeat");
    let figures = forwarder.figures(0..3).expect("three");
    let stream = |one: &&StreamFigures| one.ssrc == VIDEO;
    let stream = figures[0].streams.iter().find(stream).expect("declared");
    assert_eq!((stream.repeated, stream.sent.packets), (repeated, 6));
    assert_eq!(figures[1].sent.packets, 3);
}

#[test]
fn without_a_cache_what_was_lost_on_the_way_down_stays_lost() {
    let (mut forwarder, mut endpoints) = watched(conference_with(2, 0));
    let (packet, _) = forward(&mut forwarder, &mut endpoints, 1, START);
    let sent = ask(&mut forwarder, &mut endpoints[1], &[(1, 0)], at(50));
    assert_eq!(sent, []);
    assert_eq!(forwarder.statistics().cache_misses, 1);
    // Nor could the source help, if it was asked.
    let sent = receive(&mut forwarder, endpoints[0].address, &packet, at(60));
    assert_eq!(sent, []);
    assert_eq!(dropped(&forwarder), [("replayed", 1)]);
}

#[test]
fn what_was_lost_on_the_way_up_is_asked_for_once_and_goes_to_all() {
    let (mut forwarder, mut endpoints) = watched(conference(3));
    forwarder.set_rewrite(2, "v", 100, None).expect("set");
    forward(&mut forwarder, &mut endpoints, 7, START);
    let lost = endpoints[0].ordinary(VIDEO, 8);
    let nine = forward(&mut forwarder, &mut endpoints, 9, START).1;

    // Packets 7 and 9 are there, 8 isn't, and 10 is still to come.
    let sent = ask(&mut forwarder, &mut endpoints[1], &[(107, 7)], at(1));
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[1..2], to(&nine, &endpoints[1]));
    assert_eq!(sent[2].0, endpoints[0].address);
    assert_eq!(asked(&mut endpoints[0], &sent[2].1), [(8, 0)]);
    // The other receiver says the same in its own numbers.
    assert_eq!(ask(&mut forwarder, &mut endpoints[2], &[(8, 0)], at(2)), []);
    let sent = ask(&mut forwarder, &mut endpoints[2], &[(8, 0)], at(31));
    assert_eq!(asked(&mut endpoints[0], &sent[0].1), [(8, 0)]);

    let sent = receive(&mut forwarder, endpoints[0].address, &lost, at(40));
    for receiver in &mut endpoints[1..] {
        let received = receiver.open(&to(&sent, receiver)[0].1);
        received.expect("for the first time");
    }
    assert_eq!(
        dropped(&forwarder),
        [("asked_too_soon", 1), ("repeat_void", 1)]
    );
    // Late as it came, it can be sent again.
    let again = ask(&mut forwarder, &mut endpoints[2], &[(8, 0)], at(50));
    assert_eq!(again, to(&sent, &endpoints[2]));
}

#[test]
fn only_what_is_young_is_kept_and_a_silent_source_gives_its_memory_back() {
    let (mut forwarder, mut endpoints) = watched(conference(2));
    assert_eq!(forwarder.cache_bytes(), 0, "nothing came");
    let (_, sent) = forward(&mut forwarder, &mut endpoints, 1, at(500));
    assert_eq!(forwarder.cache_bytes(), SIZE);
    let late = at(500) + MAX_AGE;
    assert_eq!(
        ask(&mut forwarder, &mut endpoints[1], &[(1, 0)], late),
        sent
    );
    let later = late + Duration::from_millis(1);
    assert_eq!(ask(&mut forwarder, &mut endpoints[1], &[(1, 0)], later), []);
    assert_eq!(forwarder.statistics().cache_misses, 1);
    handle_timer(&mut forwarder, at(1400));
    assert_eq!(forwarder.cache_bytes(), SIZE);
    handle_timer(&mut forwarder, at(2400));
    assert_eq!(forwarder.cache_bytes(), 0);
    // It takes some again when it goes on, and who leaves gives it back.
    for leave in [Forwarder::remove_participant, Forwarder::remove_keys] {
        let (mut forwarder, mut endpoints) = watched(conference(2));
        forward(&mut forwarder, &mut endpoints, 1, START);
        assert_eq!(forwarder.cache_bytes(), SIZE);
        leave(&mut forwarder, 1).expect("there");
        assert_eq!(forwarder.cache_bytes(), 0);
    }
    forward(&mut forwarder, &mut endpoints, 2, at(2500));
    assert_eq!(forwarder.cache_bytes(), SIZE);
}

#[test]
fn sources_take_no_more_memory_than_there_may_be() {
    let (mut forwarder, mut endpoints) = conference_with(4, 2 * SIZE);
    for owner in 1..=3_u64 {
        for ssrc in [10 * owner as u32, 10 * owner as u32 + 1] {
            let mid = ssrc.to_string();
            (forwarder.assign_slot(4, &mid, owner, ssrc, START)).expect("free");
        }
    }
    for owner in &mut endpoints[..3] {
        for ssrc in [owner.audio(), owner.audio() + 1] {
            let packet = owner.ordinary(ssrc, 1);
            let sent = receive(&mut forwarder, owner.address, &packet, START);
            assert_eq!(sent.len(), 1);
        }
    }
    assert_eq!(forwarder.cache_bytes(), 2 * SIZE);
    assert_eq!(forwarder.statistics().cache_refusals, 1, "not of sound");
    let mut kept = |ssrc| {
        let nack = endpoints[3].nack(ssrc, &[(1, 0)]);
        receive(&mut forwarder, endpoints[3].address, &nack, at(30)).len()
    };
    // Pictures of the first two; nothing of the third, and no sound.
    assert_eq!([11, 21, 31, 10].map(&mut kept), [1, 1, 0, 0]);
}

#[test]
fn a_flood_of_nacks_brings_half_as_much_again_and_costs_the_source_nothing() {
    let (mut forwarder, mut endpoints) = watched(conference(2));
    let (mut sent, mut repeated) = (0, 0);
    for number in 0..2000_u16 {
        let now = at(u64::from(number) * 5);
        let (_, datagrams) = forward(&mut forwarder, &mut endpoints, number, now);
        sent += datagrams[0].1.len();
        // It says all the time that it has lost the last 170 packets, and that it did as many that are
        // still to come.
        let first = number.saturating_sub(170);
        let items: Vec<_> = (0..20).map(|at| (first + 17 * at, 0xffff)).collect();
        for (to, datagram) in ask(&mut forwarder, &mut endpoints[1], &items, now) {
            assert_eq!(to, endpoints[1].address);
            repeated += datagram.len();
        }
    }
    assert!(
        repeated > sent / 3,
        "{repeated} of {sent}: the rest is refused"
    );
    assert!(repeated <= sent / 2 + (1 << 17), "{repeated} of {sent}");
    let statistics = forwarder.statistics();
    assert_eq!(statistics.repeated.bytes, repeated as u64);
    let refused = dropped(&forwarder);
    let names: Vec<_> = refused.iter().map(|one| one.0).collect();
    assert_eq!(names, ["repeat_limit", "repeat_too_soon", "repeat_void"]);
    let counted = refused[0].1 + refused[1].1;
    assert_eq!(statistics.cache_hits, counted + statistics.repeated.packets);
}

#[test]
fn nobody_gets_what_is_another_s_or_what_it_asks_for_in_vain() {
    let (mut forwarder, mut endpoints) = watched(conference(3));
    forwarder.clear_slot(3, "v").expect("in use");
    forward(&mut forwarder, &mut endpoints, 1, START);
    assert_eq!(ask(&mut forwarder, &mut endpoints[2], &[(1, 0)], at(1)), []);
    assert_eq!(dropped(&forwarder), [(DropReason::UnknownSsrc.name(), 1)]);
    // Who comes into the slot later has no claim to what went before.
    (forwarder.assign_slot(3, "v", 1, VIDEO, at(2))).expect("free");
    forward(&mut forwarder, &mut endpoints, 2, at(2));
    assert_eq!(ask(&mut forwarder, &mut endpoints[2], &[(1, 0)], at(3)), []);
    assert_eq!(
        dropped(&forwarder),
        [("repeat_void", 1), ("unknown_ssrc", 1)]
    );
}

#[test]
fn keys_that_changed_on_either_side_end_what_can_be_sent_again() {
    for who in [1, 2] {
        let (mut forwarder, mut endpoints) = watched(conference(2));
        let (_, before) = forward(&mut forwarder, &mut endpoints, 5, START);
        endpoints[who as usize - 1].set_keys(9);
        forwarder.set_keys(who, hop_keys(9), at(1)).expect("known");
        assert_eq!(ask(&mut forwarder, &mut endpoints[1], &[(5, 0)], at(2)), []);
        // What comes under the new ones can be sent again as ever.
        let (_, after) = forward(&mut forwarder, &mut endpoints, 6, at(3));
        let again = ask(&mut forwarder, &mut endpoints[1], &[(6, 0)], at(4));
        assert_eq!(again, after);
        assert_ne!(again, before);
        endpoints[1].open(&again[0].1).expect("authentic");
    }
}
