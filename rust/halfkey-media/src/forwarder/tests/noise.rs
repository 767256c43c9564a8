//! Whatever comes, nothing panics, and nothing that isn't authentic goes on.

use super::super::Forwarder;
use super::helpers::{Endpoint, START, conference, handle_timer, receive};
use crate::rtcp::SenderInfo;

const INFO: SenderInfo = SenderInfo {
    ntp_timestamp: 1,
    rtp_timestamp: 2,
    packet_count: 3,
    octet_count: 4,
};

/// Endpoint 1 sends its video to 2.
fn watching() -> (Forwarder, Vec<Endpoint>) {
    let (mut forwarder, endpoints) = conference(2);
    forwarder.assign_slot(2, "v", 1, 11, START).expect("free");
    handle_timer(&mut forwarder, START);
    (forwarder, endpoints)
}

/// What Endpoint 1 may send; the packet's EKT Field is one byte, which no key protects.
fn datagrams(endpoint: &mut Endpoint) -> [(Vec<u8>, usize); 2] {
    let report = endpoint.rtcp(|writer| {
        writer.sender_report(11, &INFO, &[])?;
        writer.source_description(11, b"name")
    });
    let packet = endpoint.ordinary(11, 1);
    let protected = packet.len() - 1;
    [(packet, protected), (report.clone(), report.len())]
}

#[test]
fn any_flipped_bit_and_any_cut_is_refused() {
    let (mut forwarder, mut endpoints) = watching();
    let from = endpoints[0].address;
    for (datagram, protected) in datagrams(&mut endpoints[0]) {
        for bit in 0..8 * protected {
            let mut flipped = datagram.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(receive(&mut forwarder, from, &flipped, START), [], "{bit}");
        }
        for length in 0..datagram.len() {
            assert_eq!(
                receive(&mut forwarder, from, &datagram[..length], START),
                []
            );
        }
        // None of it has spent the index.
        assert_eq!(receive(&mut forwarder, from, &datagram, START).len(), 1);
    }
}

#[test]
fn authentic_nonsense_changes_nothing_and_does_not_panic() {
    let (mut forwarder, mut endpoints) = watching();
    let from = endpoints[0].address;
    let mut random = 1_u64;
    let mut next = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) as usize
    };
    for round in 0..5000 {
        let mut packet = vec![0; 200];
        for byte in &mut packet {
            *byte = next() as u8;
        }
        let rtcp = round % 2 == 0;
        let length = if rtcp {
            8 + 4 * (next() % 30)
        } else {
            12 + next() % 100
        };
        packet[0] = 0x80 | (packet[0] & 0x3f);
        packet[1] = if rtcp { 200 + (next() % 8) as u8 } else { 96 };
        packet[3] %= 20;
        packet[8..12].copy_from_slice(&11_u32.to_be_bytes());
        let endpoint = &mut endpoints[0].send;
        let sealed = if rtcp {
            endpoint.seal_rtcp(&mut packet, length)
        } else {
            endpoint.seal_rtp(&mut packet, length)
        };
        let Ok(sealed) = sealed else { continue };
        packet.truncate(sealed);
        if !rtcp {
            packet.push(0);
        }
        for (_, datagram) in receive(&mut forwarder, from, &packet, START) {
            assert!(datagram.len() < packet.len() + 100);
        }
    }
    let statistics = forwarder.statistics();
    assert!(statistics.dropped()["malformed"] > 100, "{statistics:?}");
    // The forwarder is as fit as before.
    let packet = endpoints[1].ordinary(21, 1);
    forwarder.assign_slot(1, "v", 2, 21, START).expect("free");
    let to = endpoints[1].address;
    assert_eq!(receive(&mut forwarder, to, &packet, START).len(), 1);
}
