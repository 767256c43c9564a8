//! What a NACK can't bring about: sources asked in vain, work and repeats without end.

use core::time::Duration;

use super::super::{DropReason, Forwarder};
use super::helpers::{Endpoint, START, conference, dropped, hop_keys, receive};
use super::repeats::{VIDEO, ask, asked, at, forward, watched};
use crate::rtcp::NackItem;
use crate::rtp::ChangeableFields;

/// That a source isn't asked for these, and is for what it really could send.
fn only_what_lacks_is_asked_for(
    forwarder: &mut Forwarder,
    endpoints: &mut [Endpoint],
    in_vain: &[(u16, u16)],
    lacking: u16,
    now: Duration,
) {
    assert_eq!(ask(forwarder, &mut endpoints[1], in_vain, now), []);
    let sent = ask(forwarder, &mut endpoints[1], &[(lacking, 0)], now);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, endpoints[0].address);
    asked(&mut endpoints[0], &sent[0].1);
}

/// Sends packets of Endpoint 1's on, without some of which the numbers lie between.
fn forward_all(forwarder: &mut Forwarder, endpoints: &mut [Endpoint], numbers: &[u16]) {
    for number in numbers {
        forward(forwarder, endpoints, *number, START);
    }
}

#[test]
fn a_source_that_returns_is_not_asked_for_what_went_to_others() {
    let (mut forwarder, mut endpoints) = watched(conference(3));
    forward_all(&mut forwarder, &mut endpoints, &[1, 2]);
    forwarder.clear_slot(2, "v").expect("in use");
    forward_all(&mut forwarder, &mut endpoints, &[3, 4, 5]);
    (forwarder.assign_slot(2, "v", 1, VIDEO, at(2))).expect("free");
    let nothing_yet = ask(&mut forwarder, &mut endpoints[1], &[(3, 3)], at(3));
    assert_eq!(nothing_yet, []);
    forward_all(&mut forwarder, &mut endpoints, &[6, 8]);
    only_what_lacks_is_asked_for(&mut forwarder, &mut endpoints, &[(3, 3)], 7, at(4));
}

#[test]
fn a_source_is_not_asked_for_what_one_receiver_could_not_be_sent() {
    let (mut forwarder, mut endpoints) = watched(conference(2));
    endpoints[1].config.payload_types.remove(0);
    forwarder.add_participant(2, &endpoints[1].config);
    (forwarder.set_address(2, endpoints[1].address)).expect("free");
    (forwarder.set_keys(2, hop_keys(9), START)).expect("known");
    endpoints[1].set_keys(9);
    (forwarder.assign_slot(2, "v", 1, VIDEO, START)).expect("free");
    forward_all(&mut forwarder, &mut endpoints, &[1]);
    let sound = ChangeableFields {
        payload_type: 101,
        sequence_number: 2,
        marker: false,
    };
    let packet = endpoints[0].packet(VIDEO, sound, &[], b"inner\0", b"\0");
    let sent = receive(&mut forwarder, endpoints[0].address, &packet, START);
    assert_eq!(sent, [], "unknown there");
    forward_all(&mut forwarder, &mut endpoints, &[4]);
    only_what_lacks_is_asked_for(&mut forwarder, &mut endpoints, &[(2, 0)], 3, at(1));
}

#[test]
fn a_source_is_not_asked_for_what_went_under_other_keys_or_is_still_to_come() {
    let (mut forwarder, mut endpoints) = watched(conference(2));
    forward_all(&mut forwarder, &mut endpoints, &[1, 2, 3]);
    (forwarder.set_keys(2, hop_keys(9), START)).expect("known");
    endpoints[1].set_keys(9);
    forward_all(&mut forwarder, &mut endpoints, &[4, 6]);
    let in_vain = [(1, 3), (7, 0xffff), (0x7000, 0xffff), (0xf000, 0xffff)];
    only_what_lacks_is_asked_for(&mut forwarder, &mut endpoints, &in_vain, 5, at(1));
}

#[test]
fn a_source_is_not_asked_for_numbers_of_before_they_were_changed() {
    let (mut forwarder, mut endpoints) = watched(conference(2));
    forwarder.set_rewrite(2, "v", 10, None).expect("set");
    // 24 would stand for packet 4 now, which lacks; it stood for 14, which was still to come.
    forward_all(&mut forwarder, &mut endpoints, &[1, 2, 3, 5, 15]);
    forwarder.set_rewrite(2, "v", 20, None).expect("set");
    forward_all(&mut forwarder, &mut endpoints, &[16, 18]);
    only_what_lacks_is_asked_for(&mut forwarder, &mut endpoints, &[(24, 0)], 37, at(1));
}

#[test]
fn a_source_is_asked_for_no_number_twice_at_once_however_many_lack() {
    let (mut forwarder, mut endpoints) = watched(conference(2));
    forward_all(&mut forwarder, &mut endpoints, &[1, 700]);
    let items: Vec<_> = (0..40).map(|at| (2 + 17 * at, 0xffff)).collect();
    let one_by_one: Vec<_> = (0..300).map(|at| (2 + 2 * at, 0)).collect();
    let mut numbers = Vec::new();
    for round in 0..50 {
        let items = if round == 0 { &one_by_one } else { &items };
        for (_, datagram) in ask(&mut forwarder, &mut endpoints[1], items, at(1)) {
            assert!(datagram.len() < 1200);
            for (packet_id, bitmask) in asked(&mut endpoints[0], &datagram) {
                let mask = 1 | u32::from(bitmask) << 1;
                let set = (0..17).filter(|bit| mask >> bit & 1 == 1);
                numbers.extend(set.map(|bit| packet_id + bit));
            }
        }
    }
    assert!(numbers.len() > 100, "{}", numbers.len());
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count);
    assert!(numbers.iter().all(|number| (2..700).contains(number)));
}

#[test]
fn within_a_period_so_many_items_are_followed_and_the_others_counted() {
    for (others, is_followed) in [(191, true), (192, false)] {
        let (mut forwarder, mut endpoints) = watched(conference(2));
        let (_, sent) = forward(&mut forwarder, &mut endpoints, 1, START);
        let void = |_| NackItem {
            packet_id: 1000,
            bitmask: 0,
        };
        let last = NackItem {
            packet_id: 1,
            bitmask: 0,
        };
        let nacks = endpoints[1].rtcp(|writer| {
            writer.generic_nack(20, VIDEO, (0..100).map(void))?;
            let rest = (100..others).map(void).chain([last, last]);
            writer.generic_nack(20, VIDEO, rest)
        });
        let again = receive(&mut forwarder, endpoints[1].address, &nacks, at(1));
        assert_eq!(again, if is_followed { sent } else { Vec::new() });
        let unread = if is_followed { 1 } else { 2 };
        assert_eq!(
            dropped(&forwarder),
            [("nack_limit", unread), ("repeat_void", others)]
        );
        // However many compounds they come in.
        let more = ask(&mut forwarder, &mut endpoints[1], &[(1, 0)], at(9));
        assert_eq!(more, []);
        assert_eq!(dropped(&forwarder)[0], ("nack_limit", unread + 1));
        // The next one is followed as ever.
        let again = ask(&mut forwarder, &mut endpoints[1], &[(1, 0)], at(31));
        assert_eq!(again.len(), 1);
    }
}

#[test]
fn what_a_receiver_may_be_sent_again_is_one_for_all_sources_and_outlives_its_slots() {
    let (mut forwarder, mut endpoints) = conference(5);
    let (mut sent, mut repeated) = (0, 0);
    for round in 0..10_u16 {
        let (first, now) = (1 + 20 * round, at(100 * u64::from(round)));
        for owner in 1..=4_u64 {
            let (mid, ssrc) = (owner.to_string(), 10 * owner as u32 + 1);
            (forwarder.assign_slot(5, &mid, owner, ssrc, now)).expect("there");
            let endpoint = &mut endpoints[owner as usize - 1];
            for sequence_number in first..first + 20 {
                let fields = ChangeableFields {
                    payload_type: 96,
                    sequence_number,
                    marker: false,
                };
                let packet = endpoint.packet(ssrc, fields, &[], &[0; 1000], b"\0");
                let datagrams = receive(&mut forwarder, endpoint.address, &packet, now);
                sent += datagrams[0].1.len();
            }
        }
        let receiver = &mut endpoints[4];
        let nacks = receiver.rtcp(|writer| {
            (1..=4).try_for_each(|owner| {
                let items = [(first, 0xffff), (first + 17, 3)];
                let items = items.map(|(packet_id, bitmask)| NackItem { packet_id, bitmask });
                writer.generic_nack(50, 10 * owner + 1, items.into_iter())
            })
        });
        let again = receive(&mut forwarder, receiver.address, &nacks, now);
        assert!(again.iter().all(|one| one.0 == receiver.address));
        repeated += again.iter().map(|one| one.1.len()).sum::<usize>();
    }
    assert!(repeated > sent / 3, "{repeated} of {sent}");
    assert!(repeated <= sent / 2 + (1 << 17), "{repeated} of {sent}");
}

#[test]
fn what_is_sent_again_is_reckoned_with_its_mid() {
    let (mut forwarder, mut endpoints) = conference(2);
    let mid = "v".repeat(255);
    (forwarder.assign_slot(2, &mid, 1, VIDEO, START)).expect("free");
    let mut sent = 0;
    for number in 0..900 {
        let packet = endpoints[0].ordinary(VIDEO, number);
        sent += receive(&mut forwarder, endpoints[0].address, &packet, START)[0]
            .1
            .len();
    }
    assert!(sent > 2 << 17);
    let mut repeated = 0;
    for round in 0..8_u16 {
        let items: Vec<_> = (0..8).map(|at| (128 * round + 16 * at, 0x7fff)).collect();
        let now = at(20 * u64::from(round));
        for (_, datagram) in ask(&mut forwarder, &mut endpoints[1], &items, now) {
            repeated += datagram.len();
        }
    }
    assert!(repeated > 1 << 16, "{repeated}");
    assert!(repeated <= 1 << 17, "{repeated}");
}

#[test]
fn in_overload_nothing_is_sent_again_and_nothing_asked_for() {
    for reason in [DropReason::Late, DropReason::SocketFull] {
        let (mut forwarder, mut endpoints) = watched(conference(2));
        // Packets 1, 3, 5 and so on come; the receiver says that it lost one, and the one before it.
        let mut turn = |number: u16, now, drops| {
            forwarder.count_drops(reason, drops);
            forward(&mut forwarder, &mut endpoints, number, at(now));
            let nack = [(number - 1, 1)];
            ask(&mut forwarder, &mut endpoints[1], &nack, at(now)).len()
        };
        assert_eq!(turn(1, 0, 1), 2);
        assert_eq!(turn(3, 1000, 1), 2, "one stall is none");
        for (number, now) in [(5, 1100), (7, 1150), (9, 2099)] {
            assert_eq!(turn(number, now, u64::from(now == 1100)), 0, "{now}");
        }
        assert_eq!(turn(11, 2100, 0), 2);
        let mut dropped = dropped(&forwarder);
        dropped.sort_unstable();
        let mut expected = [("nack_overload", 3), (reason.name(), 3)];
        expected.sort_unstable();
        assert_eq!(dropped, expected);
    }
}

#[test]
fn strangers_do_not_hide_that_there_is_too_much_to_do() {
    let (mut forwarder, mut endpoints) = watched(conference(2));
    let stranger = "192.0.2.99:9".parse().expect("an address");
    let mut answers = 0;
    for number in 0..40_u16 {
        let now = at(50 * u64::from(number));
        forwarder.count_drop(DropReason::Late);
        for _ in 0..500 {
            assert_eq!(receive(&mut forwarder, stranger, &[0x80; 40], now), []);
        }
        forward(&mut forwarder, &mut endpoints, number, now);
        answers += ask(&mut forwarder, &mut endpoints[1], &[(number, 0)], now).len();
    }
    assert!(answers < 5, "{answers}");
    let dropped = dropped(&forwarder);
    assert!(
        dropped.contains(&("unknown_address", 20_000)),
        "{dropped:?}"
    );
}

#[test]
fn what_strangers_can_fill_stops_no_repeats() {
    let (mut forwarder, mut endpoints) = watched(conference(2));
    for number in 0..40_u16 {
        let now = at(50 * u64::from(number));
        forwarder.count_drops(DropReason::ReceiveBufferFull, 1000);
        let (_, sent) = forward(&mut forwarder, &mut endpoints, number, now);
        let again = ask(&mut forwarder, &mut endpoints[1], &[(number, 0)], now);
        assert_eq!(again, sent);
    }
}

#[test]
fn who_has_been_sent_as_much_again_as_it_may_has_its_source_asked_all_the_same() {
    let (mut forwarder, mut endpoints) = watched(conference(2));
    for number in (1..=600).filter(|number| *number != 590) {
        forward(&mut forwarder, &mut endpoints, number, START);
    }
    let items: Vec<_> = (0..20).map(|at| (301 + 16 * at, 0x7fff)).collect();
    let sent = ask(&mut forwarder, &mut endpoints[1], &items, at(1));
    let (up, down): (Vec<_>, Vec<_>) =
        (sent.into_iter()).partition(|one| one.0 == endpoints[0].address);
    assert!(down.len() > 100, "{}", down.len());
    assert!(
        dropped(&forwarder)
            .iter()
            .any(|one| one.0 == "repeat_limit")
    );
    assert_eq!(asked(&mut endpoints[0], &up[0].1), [(590, 0)]);
}

#[test]
fn what_came_under_keys_that_were_wiped_is_sent_again_no_more() {
    let (mut forwarder, mut endpoints) = watched(conference(2));
    forward_all(&mut forwarder, &mut endpoints, &[1]);
    let is_known = |forwarder: &Forwarder| {
        let mut sources = forwarder.uplinks.iter().flat_map(|one| one.sources.iter());
        let (_, source) = sources.find(|one| one.0 == VIDEO).expect("declared");
        let stream = source.routes[0].stream.as_ref().expect("has keys");
        stream.repeat(1).is_some()
    };
    assert!(is_known(&forwarder));
    forwarder.remove_keys(1).expect("there");
    assert!(!is_known(&forwarder));
}
