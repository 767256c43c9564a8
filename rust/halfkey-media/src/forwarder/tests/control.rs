//! Instructions: what they change, and which can't be followed.

use core::time::Duration;

use super::super::{ControlError, Forwarder, HopKeys};
use super::helpers::{Endpoint, START, conference, dropped, hop_keys, receive};
use crate::error::KeyError;
use crate::profile::HopProfile;
use crate::share::Share;
use crate::srtp::{MAX_SENT_SSRCS, TAG_LENGTH};

#[test]
fn without_keys_nothing_is_taken_and_nothing_sent() {
    let (mut forwarder, mut endpoints) = conference(3);
    for receiver in [2, 3] {
        forwarder
            .assign_slot(receiver, "a", 1, 10, START)
            .expect("free");
    }
    forwarder.remove_keys(2).expect("known");
    let packet = endpoints[0].ordinary(10, 1);
    let sent = receive(&mut forwarder, endpoints[0].address, &packet, START);
    assert_eq!(
        sent.iter().map(|one| one.0).collect::<Vec<_>>(),
        [endpoints[2].address]
    );
    let packet = endpoints[1].ordinary(20, 1);
    assert_eq!(
        receive(&mut forwarder, endpoints[1].address, &packet, START),
        []
    );
    assert_eq!(
        dropped(&forwarder),
        [("no_keys", 1), ("receiver_not_ready", 1)]
    );
}

#[test]
fn a_participant_that_is_removed_leaves_no_route() {
    let (mut forwarder, mut endpoints) = conference(3);
    forwarder.assign_slot(2, "a", 1, 10, START).expect("free");
    forwarder.assign_slot(3, "a", 1, 10, START).expect("free");
    forwarder.assign_slot(3, "b", 2, 20, START).expect("free");
    forwarder.remove_participant(2).expect("known");
    assert_eq!(
        forwarder.remove_participant(2),
        Err(ControlError::UnknownParticipant)
    );
    assert_eq!(forwarder.peer(&endpoints[1].address), None);
    assert_eq!(forwarder.clear_slot(3, "b"), Err(ControlError::EmptySlot));
    let packet = endpoints[0].ordinary(10, 1);
    assert_eq!(
        receive(&mut forwarder, endpoints[0].address, &packet, START).len(),
        1
    );

    // Its place is taken by another, which has none of its routes.
    let newcomer = Endpoint::new(4);
    forwarder.add_participant(4, &newcomer.config);
    forwarder.set_address(4, newcomer.address).expect("free");
    forwarder.set_keys(4, hop_keys(4), START).expect("known");
    let packet = endpoints[0].ordinary(10, 2);
    assert_eq!(
        receive(&mut forwarder, endpoints[0].address, &packet, START).len(),
        1
    );
    assert_eq!(forwarder.participants(), 3);
    assert_eq!(dropped(&forwarder), []);
}

#[test]
fn an_address_moves_with_its_participant_and_is_nobody_elses() {
    let (mut forwarder, mut endpoints) = conference(2);
    forwarder.assign_slot(2, "a", 1, 10, START).expect("free");
    let (old, other) = (endpoints[0].address, endpoints[1].address);
    assert_eq!(
        forwarder.set_address(1, other),
        Err(ControlError::AddressTaken)
    );
    let new = std::net::SocketAddr::from(([203, 0, 113, 9], 9));
    forwarder.set_address(1, new).expect("free");
    forwarder.set_address(1, new).expect("its own");
    let packet = endpoints[0].ordinary(10, 1);
    assert_eq!(receive(&mut forwarder, old, &packet, START), []);
    assert_eq!(receive(&mut forwarder, new, &packet, START).len(), 1);
    assert_eq!(dropped(&forwarder), [("unknown_address", 1)]);
}

#[test]
fn slots_are_replaced_and_cleared() {
    let (mut forwarder, mut endpoints) = conference(3);
    forwarder.assign_slot(3, "a", 1, 10, START).expect("free");
    forwarder
        .assign_slot(3, "a", 2, 20, START)
        .expect("replaces");
    let packet = endpoints[0].ordinary(10, 1);
    assert_eq!(
        receive(&mut forwarder, endpoints[0].address, &packet, START),
        []
    );
    let packet = endpoints[1].ordinary(20, 1);
    assert_eq!(
        receive(&mut forwarder, endpoints[1].address, &packet, START).len(),
        1
    );
    forwarder.clear_slot(3, "a").expect("in use");
    let packet = endpoints[1].ordinary(20, 2);
    assert_eq!(
        receive(&mut forwarder, endpoints[1].address, &packet, START),
        []
    );
    assert_eq!(dropped(&forwarder), []);
}

#[test]
fn what_can_not_be_followed_is_refused_and_changes_nothing() {
    let (mut forwarder, mut endpoints) = conference(2);
    forwarder.assign_slot(2, "a", 1, 10, START).expect("free");
    let refused = [
        (
            forwarder.assign_slot(2, "b", 1, 10, START),
            ControlError::AlreadyInASlot,
        ),
        (
            forwarder.assign_slot(2, "a", 1, 99, START),
            ControlError::UnknownSource,
        ),
        (
            forwarder.assign_slot(2, "a", 9, 10, START),
            ControlError::UnknownParticipant,
        ),
        (
            forwarder.set_rewrite(2, "b", 1, None),
            ControlError::EmptySlot,
        ),
    ];
    for (result, error) in refused {
        assert_eq!(result, Err(error));
    }
    endpoints[1].config.extensions.clear();
    let packet = endpoints[0].ordinary(10, 1);
    assert_eq!(
        receive(&mut forwarder, endpoints[0].address, &packet, START).len(),
        1
    );
    forwarder.add_participant(2, &endpoints[1].config);
    let result = forwarder.assign_slot(2, "a", 1, 10, START);
    assert_eq!(result, Err(ControlError::NoMidExtension));
}

#[test]
fn idleness_counts_from_the_last_authentic_packet() {
    let (mut forwarder, mut endpoints) = conference(1);
    let later = START + Duration::from_secs(5);
    assert_eq!(forwarder.idle(later), []);
    let packet = endpoints[0].ordinary(10, 1);
    receive(&mut forwarder, endpoints[0].address, &packet, START);
    let mut bogus = endpoints[0].ordinary(10, 2);
    bogus[20] ^= 1;
    receive(&mut forwarder, endpoints[0].address, &bogus, later);
    assert_eq!(forwarder.idle(later), [(1, Duration::from_secs(5))]);
}

#[test]
fn what_passes_is_kept_when_asked_for() {
    let mut forwarder = Forwarder::new(Share::WHOLE, 8, 0);
    let mut endpoint = Endpoint::new(1);
    forwarder.add_participant(1, &endpoint.config);
    forwarder.set_address(1, endpoint.address).expect("free");
    forwarder.set_keys(1, hop_keys(1), START).expect("known");
    for number in 0..3 {
        let packet = endpoint.ordinary(10, number);
        receive(&mut forwarder, endpoint.address, &packet, START);
    }
    forwarder.remove_participant(1).expect("known");
    assert_eq!(forwarder.captured(), [(10, b"nerinner".to_vec())]);
}

#[test]
fn the_same_keys_again_begin_nothing_anew() {
    let (mut forwarder, mut endpoints) = conference(2);
    forwarder.assign_slot(2, "a", 1, 10, START).expect("free");
    let from = endpoints[0].address;
    let packet = endpoints[0].ordinary(10, 1);
    for round in 0..2_u16 {
        for id in [1, 2] {
            forwarder.set_keys(id, hop_keys(id), START).expect("known");
        }
        // What was received isn't received again.
        let sent = receive(&mut forwarder, from, &packet, START);
        assert_eq!(sent.len(), usize::from(round == 0));
        // What we send goes on with fresh indices: the receiver takes none twice.
        let goodbye = endpoints[0].rtcp(|writer| writer.goodbye(&[10]));
        let now = START + Duration::from_secs(2 * u64::from(round));
        let sent = receive(&mut forwarder, from, &goodbye, now);
        assert!(!endpoints[1].open_rtcp(&sent[0].1).is_empty());
        let next = endpoints[0].ordinary(10, 10 + round);
        let sent = receive(&mut forwarder, from, &next, START);
        assert!(endpoints[1].open(&sent[0].1).is_ok());
    }
    assert_eq!(dropped(&forwarder), [("replayed", 1)]);
}

/// Has a receiver's keys seal a packet of each of these SSRCs, which then are gone.
fn show(forwarder: &mut Forwarder, receiver: u64, ssrcs: core::ops::Range<u32>) {
    let index = forwarder.index(receiver).expect("known");
    let keys = forwarder.downlinks[index].keys.as_mut().expect("set");
    for ssrc in ssrcs {
        let mut packet = [0; 12 + TAG_LENGTH];
        packet[0] = 0x80;
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        let mut stream = keys.lend(ssrc).expect("free");
        stream.seal_rtp(&mut packet, 12).expect("fresh");
        keys.give_back(*stream);
    }
}

#[test]
fn a_receiver_whose_keys_take_no_more_ssrcs_is_counted_and_the_others_get_it() {
    let (mut forwarder, mut endpoints) = conference(3);
    let from = endpoints[0].address;
    let assign = |forwarder: &mut Forwarder, ssrc| {
        for receiver in [2, 3] {
            let assigned = forwarder.assign_slot(receiver, "a", 1, ssrc, START);
            assigned.expect("free");
        }
    };
    // More than are sealed at a time, and then as many as ever are.
    show(&mut forwarder, 2, 1000..9000);
    assign(&mut forwarder, 10);
    let sound = endpoints[0].ordinary(10, 1);
    assert_eq!(receive(&mut forwarder, from, &sound, START).len(), 2);
    show(&mut forwarder, 2, 9000..1000 + MAX_SENT_SSRCS as u32 - 1);
    assign(&mut forwarder, 11);
    let picture = endpoints[0].ordinary(11, 1);
    let sent = receive(&mut forwarder, from, &picture, START);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, endpoints[2].address);
    assert_eq!(dropped(&forwarder), [("too_many_ssrcs", 1)]);

    // What it had before it still can have, and with other keys everything.
    assign(&mut forwarder, 10);
    let sound = endpoints[0].ordinary(10, 2);
    assert_eq!(receive(&mut forwarder, from, &sound, START).len(), 2);
    assign(&mut forwarder, 11);
    forwarder.set_keys(2, hop_keys(9), START).expect("known");
    let picture = endpoints[0].ordinary(11, 2);
    assert_eq!(receive(&mut forwarder, from, &picture, START).len(), 2);
}

#[test]
fn rtcp_is_taken_from_a_bounded_number_of_ssrcs() {
    let (mut forwarder, mut endpoints) = conference(1);
    let from = endpoints[0].address;
    for ssrc in 1000..1600 {
        let report = endpoints[0].rtcp(|writer| writer.receiver_report(ssrc, &[]));
        receive(&mut forwarder, from, &report, START);
    }
    assert_eq!(dropped(&forwarder), [("ssrc_limit", 600 - 512)]);
    let report = endpoints[0].rtcp(|writer| writer.receiver_report(1000, &[]));
    receive(&mut forwarder, from, &report, START);
    assert_eq!(dropped(&forwarder)[0].1, 600 - 512, "it goes on");
}

#[test]
fn other_keys_begin_indices_and_figures_anew() {
    let (mut forwarder, mut endpoints) = conference(1);
    let from = endpoints[0].address;
    for number in [0xffff, 0, 1] {
        let packet = endpoints[0].ordinary(10, number);
        receive(&mut forwarder, from, &packet, START);
    }
    let received = |forwarder: &Forwarder| forwarder.reception()[0].1;
    assert_eq!(received(&forwarder).received, 3);
    endpoints[0].send = Endpoint::new(9).send;
    forwarder.set_keys(1, hop_keys(9), START).expect("known");
    let packet = endpoints[0].ordinary(10, 5);
    receive(&mut forwarder, from, &packet, START);
    let figures = received(&forwarder);
    assert_eq!((figures.received, figures.lost), (1, 0));
    assert_eq!(dropped(&forwarder), []);
}

#[test]
fn a_hop_has_a_key_for_each_direction() {
    let profile = HopProfile::AeadAes128Gcm;
    let new = |server: &[u8], salt: &[u8]| {
        HopKeys::new(profile, (&[1; 16], &[2; 12]), (server, salt)).err()
    };
    assert_eq!(new(&[1; 16], &[2; 12]), Some(KeyError::KeyReused));
    assert_eq!(new(&[1; 16], &[3; 12]), None);
    assert_eq!(new(&[4; 16], &[2; 12]), None);
}

#[test]
fn an_ssrc_is_in_one_slot_of_a_receiver_whosever_it_is() {
    let (mut forwarder, mut endpoints) = conference(2);
    let mut thief = Endpoint::new(3);
    thief.config.sources[0].ssrc = 10;
    forwarder.add_participant(3, &thief.config);
    forwarder.set_address(3, thief.address).expect("free");
    forwarder.set_keys(3, hop_keys(3), START).expect("known");
    forwarder.assign_slot(2, "a", 1, 10, START).expect("free");
    assert_eq!(
        forwarder.assign_slot(2, "b", 3, 10, START),
        Err(ControlError::AlreadyInASlot)
    );
    // The thief's packets move no index of the real source's.
    let stolen = thief.ordinary(10, 0x7fff);
    assert_eq!(receive(&mut forwarder, thief.address, &stolen, START), []);
    let packet = endpoints[0].ordinary(10, 1);
    let sent = receive(&mut forwarder, endpoints[0].address, &packet, START);
    assert!(endpoints[1].open(&sent[0].1).is_ok());
    // In the same slot it may come after the other.
    forwarder
        .assign_slot(2, "a", 3, 10, START)
        .expect("takes its place");
}
