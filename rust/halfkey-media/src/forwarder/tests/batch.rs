//! Datagrams that come together, and streams that go from route to route.

use super::super::batch::{MAX_WAITING, MAX_WORK};
use super::helpers::{Collected, START, conference, dropped, hop_keys, receive, receive_batch};

#[test]
fn each_receiver_gets_its_packets_in_a_row_and_in_order() {
    let (mut forwarder, mut endpoints) = conference(4);
    for receiver in [2, 3, 4] {
        (forwarder.assign_slot(receiver, "v", 1, 11, START)).expect("free");
    }
    (forwarder.assign_slot(1, "a", 2, 20, START)).expect("free");
    let (one, two) = (endpoints[0].address, endpoints[1].address);
    let mut datagrams: Vec<_> = (0..5)
        .map(|number| (one, endpoints[0].ordinary(11, number)))
        .collect();
    // In between: another's packet, a bogus one, one from nobody.
    datagrams.insert(2, (two, endpoints[1].ordinary(20, 7)));
    datagrams.insert(3, (one, vec![0x80, 96, 0]));
    datagrams.insert(4, ("192.0.2.99:9".parse().expect("valid"), vec![0x80; 40]));
    let sent = receive_batch(&mut forwarder, &datagrams, START);
    assert_eq!(sent.len(), 16);
    let mut turns = 0;
    for run in sent.chunk_by(|one, other| one.0 == other.0) {
        let receiver = endpoints.iter_mut().find(|one| one.address == run[0].0);
        let receiver = receiver.expect("a receiver");
        let numbers = run.iter().map(|(_, datagram)| {
            let received = receiver.open(datagram).expect("authentic");
            received.fields.sequence_number
        });
        let expected = if run[0].0 == one { 7..8 } else { 0..5 };
        assert!(numbers.eq(expected));
        turns += 1;
    }
    assert_eq!(turns, 4, "one for each receiver");
    assert_eq!(
        dropped(&forwarder),
        [("malformed", 1), ("unknown_address", 1)]
    );
}

#[test]
fn receivers_take_turns_at_being_the_first() {
    let (mut forwarder, mut endpoints) = conference(4);
    for receiver in [2, 3, 4] {
        (forwarder.assign_slot(receiver, "v", 1, 11, START)).expect("free");
    }
    let from = endpoints[0].address;
    let mut first: Vec<_> = (0..6)
        .map(|number| {
            let packet = endpoints[0].ordinary(11, number);
            receive(&mut forwarder, from, &packet, START)[0].0
        })
        .collect();
    first.sort_unstable();
    let each: Vec<_> = first
        .chunk_by(|one, other| one == other)
        .map(<[_]>::len)
        .collect();
    assert_eq!(each, [2, 2, 2]);
}

#[test]
fn more_than_waits_at_once_is_forwarded_all_the_same() {
    let (mut forwarder, mut endpoints) = conference(2);
    forwarder.assign_slot(2, "v", 1, 11, START).expect("free");
    let from = endpoints[0].address;
    let count = 2 * MAX_WAITING as u16 + 3;
    let datagrams: Vec<_> = (0..count)
        .map(|number| (from, endpoints[0].ordinary(11, number)))
        .collect();
    let sent = receive_batch(&mut forwarder, &datagrams, START);
    let numbers = sent.iter().map(|(_, datagram)| {
        let received = endpoints[1].open(datagram).expect("authentic");
        received.fields.sequence_number
    });
    assert!(numbers.eq(0..count));
}

#[test]
fn what_waits_is_forwarded_once_it_becomes_many_packets() {
    const RECEIVERS: usize = 100;
    let (mut forwarder, mut endpoints) = conference(1 + RECEIVERS as u64);
    for receiver in &endpoints[1..] {
        (forwarder.assign_slot(receiver.id, "v", 1, 11, START)).expect("free");
    }
    // Fewer than may wait, but for so many receivers.
    let count = MAX_WORK.div_ceil(RECEIVERS);
    assert!(count < MAX_WAITING);
    let packets: Vec<_> = (0..count)
        .map(|number| endpoints[0].ordinary(11, number as u16))
        .collect();
    let peer = forwarder.peer(&endpoints[0].address);
    let mut buffer = packets.concat();
    let length = packets[0].len();
    let mut output = Collected::default();
    let mut batch = forwarder.batch(&mut buffer, START);
    for number in 0..count {
        assert_eq!(output.sent.len(), 0);
        let start = number * length;
        batch.receive(peer, start..start + length, &mut output);
    }
    assert_eq!(output.sent.len(), count * RECEIVERS);
}

#[test]
fn a_goodbye_does_not_overtake_the_last_packet() {
    let (mut forwarder, mut endpoints) = conference(2);
    forwarder.assign_slot(2, "v", 1, 11, START).expect("free");
    let from = endpoints[0].address;
    let packet = endpoints[0].ordinary(11, 1);
    let goodbye = endpoints[0].rtcp(|writer| writer.goodbye(&[11]));
    let sent = receive_batch(&mut forwarder, &[(from, packet), (from, goodbye)], START);
    assert_eq!(sent.len(), 2);
    assert!(endpoints[1].open(&sent[0].1).is_ok());
    assert!(!endpoints[1].open_rtcp(&sent[1].1).is_empty());
}

#[test]
fn a_source_that_comes_back_goes_on_with_fresh_indices() {
    let (mut forwarder, mut endpoints) = conference(3);
    let from = endpoints[0].address;
    for round in 0..4_u16 {
        for receiver in [2, 3] {
            (forwarder.assign_slot(receiver, "v", 1, 11, START)).expect("free");
        }
        match round {
            1 => forwarder.clear_slot(2, "v").expect("in use"),
            2 => {
                // The owner goes, and comes back with other keys and the same SSRC.
                forwarder.add_participant(1, &endpoints[0].config);
                forwarder.set_address(1, from).expect("free");
                forwarder.set_keys(1, hop_keys(1), START).expect("known");
                endpoints[0].send = super::helpers::Endpoint::new(1).send;
            }
            _ => {}
        }
        for receiver in [2, 3] {
            (forwarder.assign_slot(receiver, "v", 1, 11, START)).expect("free");
        }
        // The same number each time: the receiver must get another index.
        let packet = endpoints[0].ordinary(11, if round == 2 { 5 } else { 5 + round });
        let sent = receive(&mut forwarder, from, &packet, START);
        assert_eq!(sent.len(), 2, "{round}: {:?}", dropped(&forwarder));
        for (to, datagram) in sent {
            let receiver = endpoints.iter_mut().find(|one| one.address == to);
            let opened = receiver.expect("a receiver").open(&datagram);
            assert!(opened.is_ok(), "{round}: an index came twice");
        }
    }
    assert_eq!(dropped(&forwarder), []);
}

#[test]
fn keys_address_and_slot_may_come_in_any_order() {
    let steps = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for order in steps {
        let (mut forwarder, mut endpoints) = conference(2);
        let receiver = endpoints[1].address;
        forwarder.add_participant(2, &endpoints[1].config);
        let from = endpoints[0].address;
        for (at, step) in order.into_iter().enumerate() {
            match step {
                0 => forwarder.set_address(2, receiver).expect("free"),
                1 => forwarder.set_keys(2, hop_keys(2), START).expect("known"),
                _ => (forwarder.assign_slot(2, "v", 1, 11, START)).expect("free"),
            }
            let packet = endpoints[0].ordinary(11, at as u16);
            let sent = receive(&mut forwarder, from, &packet, START);
            assert_eq!(sent.len(), usize::from(at == 2), "{order:?}");
        }
        // Without its keys nothing goes there, whichever streams were out.
        forwarder.remove_keys(2).expect("known");
        let packet = endpoints[0].ordinary(11, 9);
        assert_eq!(receive(&mut forwarder, from, &packet, START), []);
    }
}

#[test]
fn routes_stay_true_as_others_go() {
    let (mut forwarder, mut endpoints) = conference(6);
    for receiver in 2..=6 {
        (forwarder.assign_slot(receiver, "v", 1, 11, START)).expect("free");
    }
    let from = endpoints[0].address;
    let mut left: Vec<u64> = (2..=6).collect();
    for (number, leaver) in [(1, 2), (2, 6), (3, 4), (4, 3)] {
        if leaver % 2 == 0 {
            forwarder.clear_slot(leaver, "v").expect("in use");
        } else {
            forwarder.remove_participant(leaver).expect("known");
        }
        left.retain(|id| *id != leaver);
        // Each of those who are left can be told apart by what is asked of its slot.
        for id in &left {
            forwarder
                .set_rewrite(*id, "v", *id as u16, None)
                .expect("in use");
        }
        let packet = endpoints[0].ordinary(11, 100 * number);
        let mut reached: Vec<u64> = receive(&mut forwarder, from, &packet, START)
            .iter()
            .map(|(to, datagram)| {
                let receiver = endpoints.iter_mut().find(|one| one.address == *to);
                let receiver = receiver.expect("a receiver");
                let fields = receiver.open(datagram).expect("authentic").fields;
                assert_eq!(fields.sequence_number, 100 * number + receiver.id as u16);
                receiver.id
            })
            .collect();
        reached.sort_unstable();
        assert_eq!(reached, left);
    }
}
