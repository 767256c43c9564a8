//! SRTP through the forwarder.

use core::net::SocketAddr;

use super::super::Forwarder;
use super::helpers::{Endpoint, Received, START, conference, dropped, receive};
use crate::Rejection;
use crate::ohb::OriginalHeaderBlock;
use crate::rtp::ChangeableFields;

const EKT_FIELD: &[u8] = b"anything at all\0\x12\x02";

#[test]
fn each_receiver_gets_the_packet_in_its_own_numbers() {
    let (mut forwarder, mut endpoints) = conference(3);
    for receiver in [2, 3] {
        let mid = format!("slot-{receiver}");
        let assigned = forwarder.assign_slot(receiver, &mid, 1, 10, START);
        assigned.expect("a free slot");
    }
    let fields = ChangeableFields {
        payload_type: 101,
        sequence_number: 0xffff,
        marker: true,
    };
    // Endpoint 1 calls the audio level 1 and the mid 5; 9 means nothing to anybody else.
    let extensions: [(u8, &[u8]); 3] = [(1, &[0x7f]), (5, b"0"), (9, b"secret?")];
    let sent_packet = endpoints[0].packet(10, fields, &extensions, b"inner\0", EKT_FIELD);
    let from = endpoints[0].address;
    let sent = receive(&mut forwarder, from, &sent_packet, START);
    assert_eq!(sent.len(), 2);
    for (to, datagram) in sent {
        let receiver = endpoints.iter_mut().find(|one| one.address == to);
        let receiver = receiver.expect("a receiver");
        let small = receiver.id as u8;
        let received = receiver.open(&datagram).expect("under this receiver's key");
        let expected = Received {
            fields: ChangeableFields {
                payload_type: 100 + small,
                ..fields
            },
            ssrc: 10,
            timestamp: 777,
            extensions: vec![
                (small + 4, format!("slot-{small}").into_bytes()),
                (small, vec![0x7f]),
            ],
            payload: b"inner".to_vec(),
            ohb: OriginalHeaderBlock {
                payload_type: Some(101),
                ..OriginalHeaderBlock::default()
            },
            ekt_field: EKT_FIELD.to_vec(),
        };
        assert_eq!(received, expected);
    }
    assert_eq!(dropped(&forwarder), []);
    assert_eq!(forwarder.statistics().forwarded_packets, 2);
}

#[test]
fn an_unchanged_header_leaves_the_block_empty() {
    let (mut forwarder, mut endpoints) = conference(2);
    forwarder.assign_slot(2, "v", 1, 11, START).expect("free");
    let packet = endpoints[0].ordinary(11, 5);
    let sent = receive(&mut forwarder, endpoints[0].address, &packet, START);
    let received = endpoints[1].open(&sent[0].1).expect("authentic");
    assert_eq!(received.ohb, OriginalHeaderBlock::default());
    assert_eq!(received.fields.payload_type, 96);
}

#[test]
fn renumbering_is_reflected_and_taken_back_where_it_meets_the_original() {
    let (mut forwarder, mut endpoints) = conference(2);
    forwarder.assign_slot(2, "v", 1, 11, START).expect("free");
    forwarder
        .set_rewrite(2, "v", 0xfffe, Some(true))
        .expect("in use");
    let packet = endpoints[0].ordinary(11, 1);
    let sent = receive(&mut forwarder, endpoints[0].address, &packet, START);
    let received = endpoints[1].open(&sent[0].1).expect("authentic");
    assert_eq!(
        (received.fields.sequence_number, received.fields.marker),
        (0xffff, true)
    );
    let expected = OriginalHeaderBlock {
        payload_type: None,
        sequence_number: Some(1),
        marker: Some(false),
    };
    assert_eq!(received.ohb, expected);

    // A distributor before this one had renumbered 3 to 5: here it becomes 3 again.
    let fields = ChangeableFields {
        payload_type: 96,
        sequence_number: 5,
        marker: true,
    };
    let payload = b"inner\x00\x03\x01";
    let packet = endpoints[0].packet(11, fields, &[], payload, b"\0");
    let sent = receive(&mut forwarder, endpoints[0].address, &packet, START);
    let received = endpoints[1].open(&sent[0].1).expect("authentic");
    assert_eq!(received.fields.sequence_number, 3);
    assert_eq!(received.ohb, OriginalHeaderBlock::default());
}

#[test]
fn a_packet_sent_again_is_new_only_if_it_was_lost() {
    let (mut forwarder, mut endpoints) = conference(2);
    forwarder.assign_slot(2, "v", 1, 11, START).expect("free");
    let from = endpoints[0].address;
    let packets: Vec<_> = (0..4)
        .map(|number| endpoints[0].ordinary(11, number))
        .collect();
    for packet in [&packets[0], &packets[2], &packets[3], &packets[1]] {
        let sent = receive(&mut forwarder, from, packet, START);
        assert!(endpoints[1].open(&sent[0].1).is_ok());
    }
    assert_eq!(receive(&mut forwarder, from, &packets[1], START), []);
    assert_eq!(dropped(&forwarder), [("replayed", 1)]);
}

fn check_drop(reason: &str, datagram: impl FnOnce(&mut Vec<Endpoint>) -> (SocketAddr, Vec<u8>)) {
    let (mut forwarder, mut endpoints) = conference(2);
    forwarder.assign_slot(2, "v", 1, 11, START).expect("free");
    let (from, datagram) = datagram(&mut endpoints);
    assert_eq!(
        receive(&mut forwarder, from, &datagram, START),
        [],
        "{reason}"
    );
    let counted = dropped(&forwarder);
    assert!(
        matches!(counted[..], [(name, 1)] if name == reason),
        "{reason}: {counted:?}"
    );
    // It has changed nothing: what follows is forwarded.
    let packet = endpoints[0].ordinary(11, 500);
    let sent = receive(&mut forwarder, endpoints[0].address, &packet, START);
    assert!(endpoints[1].open(&sent[0].1).is_ok(), "{reason}");
}

#[test]
fn every_bogus_datagram_is_dropped_for_its_reason() {
    check_drop("unknown_address", |endpoints| {
        (
            SocketAddr::from(([198, 51, 100, 1], 1)),
            endpoints[0].ordinary(11, 1),
        )
    });
    check_drop("hop_authentication", |endpoints| {
        let mut packet = endpoints[0].ordinary(11, 1);
        packet[20] ^= 1;
        (endpoints[0].address, packet)
    });
    check_drop("unknown_ssrc", |endpoints| {
        (endpoints[1].address, endpoints[0].ordinary(11, 1))
    });
    check_drop("unknown_payload_type", |endpoints| {
        let fields = ChangeableFields {
            payload_type: 35,
            sequence_number: 1,
            marker: false,
        };
        (
            endpoints[0].address,
            endpoints[0].packet(11, fields, &[], b"\0", b"\0"),
        )
    });
    check_drop("original_header_block", |endpoints| {
        let fields = ChangeableFields {
            payload_type: 96,
            sequence_number: 1,
            marker: false,
        };
        (
            endpoints[0].address,
            endpoints[0].packet(11, fields, &[], b"\xf0", b"\0"),
        )
    });
    check_drop("ekt_field", |endpoints| {
        (endpoints[0].address, vec![0x80, 96, 2])
    });
    check_drop("malformed", |endpoints| {
        (endpoints[0].address, vec![0x80, 96, 0])
    });
}

#[test]
fn no_receiver_can_open_what_is_for_another() {
    let (mut forwarder, mut endpoints) = conference(3);
    forwarder.assign_slot(2, "a", 1, 10, START).expect("free");
    let packet = endpoints[0].ordinary(10, 1);
    let sent = receive(&mut forwarder, endpoints[0].address, &packet, START);
    assert_eq!(
        endpoints[2].open(&sent[0].1).err(),
        Some(Rejection::HopAuthentication)
    );
    assert_eq!(
        endpoints[0].open(&sent[0].1).err(),
        Some(Rejection::HopAuthentication)
    );
    assert!(endpoints[1].open(&sent[0].1).is_ok());
}

#[test]
fn a_receiver_without_the_codec_is_left_out_alone() {
    let (mut forwarder, mut endpoints) = conference(3);
    endpoints[1].config.payload_types.truncate(1);
    forwarder.add_participant(2, &endpoints[1].config);
    for receiver in [2, 3] {
        forwarder
            .assign_slot(receiver, "v", 1, 11, START)
            .expect("free");
    }
    forwarder
        .set_address(2, endpoints[1].address)
        .expect("free");
    forwarder
        .set_keys(2, super::helpers::hop_keys(2), START)
        .expect("known");
    let packet = endpoints[0].ordinary(11, 1);
    let sent = receive(&mut forwarder, endpoints[0].address, &packet, START);
    assert_eq!(
        sent.iter().map(|one| one.0).collect::<Vec<_>>(),
        [endpoints[2].address]
    );
    assert_eq!(dropped(&forwarder), [("unknown_payload_type", 1)]);
}

#[test]
fn a_source_that_was_elsewhere_comes_back_with_numbers_that_go_on() {
    let (mut forwarder, mut endpoints) = conference(2);
    let from = endpoints[0].address;
    let mut forward = |forwarder: &mut Forwarder, number| {
        let packet = endpoints[0].ordinary(11, number);
        let sent = receive(forwarder, from, &packet, START);
        let opened = sent.first().map(|one| endpoints[1].open(&one.1));
        opened.map(|packet| packet.expect("authentic"))
    };
    forwarder.assign_slot(2, "v", 1, 11, START).expect("free");
    for number in [0xfff0, 0x10] {
        let received = forward(&mut forwarder, number).expect("forwarded");
        assert_eq!(received.fields.sequence_number, number);
    }
    forwarder.clear_slot(2, "v").expect("in use");
    for number in [0x7010, 0xe010] {
        assert_eq!(forward(&mut forwarder, number), None);
    }
    // To both ends of the hop, which saw 0x10 last, 0xe011 would be of the round before.
    forwarder.assign_slot(2, "v", 1, 11, START).expect("free");
    for step in 1..=3 {
        let received = forward(&mut forwarder, 0xe010 + step).expect("forwarded");
        assert_eq!(received.fields.sequence_number, 0x10 + step);
        assert_eq!(received.ohb.sequence_number, Some(0xe010 + step));
    }
    // Where its numbers are ahead anyhow, they stay.
    forwarder.assign_slot(2, "v", 1, 11, START).expect("in use");
    let received = forward(&mut forwarder, 0x2000).expect("forwarded");
    assert_eq!(received.fields.sequence_number, 0x2000);
    assert_eq!(received.ohb.sequence_number, None);
    assert_eq!(dropped(&forwarder), []);
}
