//! SRTCP through the forwarder, and its own.

use core::time::Duration;

use super::super::Forwarder;
use super::helpers::{Endpoint, START, Sent, conference, dropped, handle_timer, receive};
use crate::rtcp::{
    FeedbackHeader, FirEntry, NackItem, ReportBlock, RtcpPacket, RtcpView, SenderInfo,
    split_compound,
};

const INFO: SenderInfo = SenderInfo {
    ntp_timestamp: 0x0102_0304_0506_0708,
    rtp_timestamp: 9,
    packet_count: 10,
    octet_count: 11,
};

fn views(compound: &[u8]) -> Vec<RtcpView<'_>> {
    split_compound(compound)
        .collect::<Result<_, _>>()
        .expect("well-formed")
}

fn read(compound: &[u8]) -> Vec<RtcpPacket> {
    views(compound)
        .iter()
        .map(|view| view.read().expect("well-formed"))
        .collect()
}

/// Endpoint 1 sends; 2 and 3 have its video in a slot.
fn watching() -> (Forwarder, Vec<Endpoint>) {
    let (mut forwarder, endpoints) = conference(3);
    for receiver in [2, 3] {
        forwarder
            .assign_slot(receiver, "v", 1, 11, START)
            .expect("free");
    }
    // The first picture, for which the forwarder asks by itself.
    assert_eq!(handle_timer(&mut forwarder, START).len(), 1);
    (forwarder, endpoints)
}

fn at(milliseconds: u64) -> Duration {
    START + Duration::from_millis(milliseconds)
}

fn only(sent: Sent) -> Vec<u8> {
    assert_eq!(sent.len(), 1);
    sent.into_iter().next().expect("one").1
}

#[test]
fn sender_reports_go_to_the_receivers_without_their_blocks() {
    let (mut forwarder, mut endpoints) = watching();
    let block = ReportBlock {
        ssrc: 20,
        fraction_lost: 1,
        cumulative_lost: 2,
        highest_sequence_number: 3,
        jitter: 4,
        last_sender_report: 5,
        delay_since_last_sender_report: 6,
    };
    let report = endpoints[0].rtcp(|writer| {
        writer.sender_report(11, &INFO, &[block])?;
        writer.source_description(11, b"alice")
    });
    let sent = receive(&mut forwarder, endpoints[0].address, &report, START);
    assert_eq!(sent.len(), 2);
    for ((to, datagram), receiver) in sent.iter().zip(&mut endpoints[1..]) {
        assert_eq!(*to, receiver.address);
        let compound = receiver.open_rtcp(datagram);
        let expected = [
            RtcpPacket::SenderReport {
                ssrc: 11,
                info: INFO,
            },
            RtcpPacket::SourceDescription,
        ];
        assert_eq!(read(&compound), expected);
        assert_eq!(views(&compound)[0].report_blocks().count(), 0);
        assert_eq!(views(&compound)[1].cname(), Some(&b"alice"[..]));
    }
}

#[test]
fn our_own_reports_describe_how_packets_came() {
    let (mut forwarder, mut endpoints) = watching();
    let from = endpoints[0].address;
    for number in [1, 2, 3, 6] {
        let packet = endpoints[0].ordinary(11, number);
        receive(&mut forwarder, from, &packet, START);
    }
    let report = endpoints[0].rtcp(|writer| writer.sender_report(11, &INFO, &[]));
    receive(&mut forwarder, from, &report, at(500));
    let due = forwarder.next_timer().expect("keyed");
    assert_eq!(due, at(1000));
    assert_eq!(handle_timer(&mut forwarder, at(999)), []);

    let sent = handle_timer(&mut forwarder, due);
    assert_eq!(sent[0].0, from);
    let compound = endpoints[0].open_rtcp(&only(sent));
    let expected = [
        RtcpPacket::ReceiverReport { ssrc: 1001 },
        RtcpPacket::SourceDescription,
    ];
    assert_eq!(read(&compound), expected);
    assert_eq!(views(&compound)[1].cname(), Some(&b"md-1"[..]));
    let blocks: Vec<_> = views(&compound)[0].report_blocks().collect();
    let expected = ReportBlock {
        ssrc: 11,
        fraction_lost: 85,
        cumulative_lost: 2,
        highest_sequence_number: 6,
        jitter: blocks[0].jitter,
        last_sender_report: 0x0304_0506,
        delay_since_last_sender_report: 0x8000,
    };
    assert_eq!(blocks, [expected]);
    // A silent second brings no report.
    assert_eq!(handle_timer(&mut forwarder, at(2000)), []);
}

#[test]
fn nacks_go_to_the_owner_in_our_name_and_in_its_numbers() {
    let (mut forwarder, mut endpoints) = watching();
    forwarder.set_rewrite(2, "v", 100, None).expect("in use");
    for number in [49, 67] {
        let packet = endpoints[0].ordinary(11, number);
        receive(&mut forwarder, endpoints[0].address, &packet, START);
    }
    let lost = NackItem {
        packet_id: 150,
        bitmask: 0x8001,
    };
    let nack = endpoints[1].rtcp(|writer| {
        writer.receiver_report(20, &[])?;
        writer.generic_nack(20, 11, core::iter::once(lost))
    });
    let sent = receive(&mut forwarder, endpoints[1].address, &nack, START);
    assert_eq!(sent[0].0, endpoints[0].address);
    let compound = endpoints[0].open_rtcp(&only(sent));
    let header = FeedbackHeader {
        sender_ssrc: 1001,
        media_ssrc: 11,
    };
    assert_eq!(read(&compound)[2], RtcpPacket::GenericNack(header));
    let expected = NackItem {
        packet_id: 50,
        bitmask: 0x8001,
    };
    assert_eq!(
        views(&compound)[2].nack_items().collect::<Vec<_>>(),
        [expected]
    );
}

#[test]
fn many_requests_for_a_picture_reach_the_source_once() {
    let (mut forwarder, mut endpoints) = watching();
    let mut ask = |forwarder: &mut Forwarder, who: usize, now| {
        let address = endpoints[who].address;
        let own = endpoints[who].audio();
        let request = endpoints[who].rtcp(|writer| writer.picture_loss_indication(own, 11));
        receive(forwarder, address, &request, now)
    };
    // The forwarder asked at START itself.
    assert_eq!(ask(&mut forwarder, 1, at(100)), []);
    assert_eq!(ask(&mut forwarder, 2, at(200)), []);
    assert_eq!(forwarder.next_timer(), Some(at(300)));
    let waited = only(handle_timer(&mut forwarder, at(300)));
    let prompt = only(ask(&mut forwarder, 1, at(700)));
    assert_eq!(ask(&mut forwarder, 1, at(710)), []);
    for datagram in [waited, prompt] {
        let compound = endpoints[0].open_rtcp(&datagram);
        let header = FeedbackHeader {
            sender_ssrc: 1001,
            media_ssrc: 11,
        };
        assert_eq!(
            read(&compound)[2],
            RtcpPacket::PictureLossIndication(header)
        );
    }
    assert_eq!(forwarder.statistics().keyframe_requests, 3);
}

#[test]
fn full_intra_requests_get_command_numbers_of_our_own() {
    let (mut forwarder, mut endpoints) = watching();
    for (number, now) in [at(400), at(800)].into_iter().enumerate() {
        let entry = FirEntry {
            ssrc: 11,
            sequence_number: 77,
        };
        let request =
            endpoints[1].rtcp(|writer| writer.full_intra_request(20, core::iter::once(entry)));
        let sent = receive(&mut forwarder, endpoints[1].address, &request, now);
        let compound = endpoints[0].open_rtcp(&only(sent));
        let expected = FirEntry {
            ssrc: 11,
            sequence_number: number as u8 + 1,
        };
        assert_eq!(
            views(&compound)[2].fir_entries().collect::<Vec<_>>(),
            [expected]
        );
    }
}

#[test]
fn a_goodbye_reaches_the_receivers() {
    let (mut forwarder, mut endpoints) = watching();
    let goodbye = endpoints[0].rtcp(|writer| {
        writer.receiver_report(11, &[])?;
        writer.goodbye(&[11, 4711])
    });
    let sent = receive(&mut forwarder, endpoints[0].address, &goodbye, START);
    assert_eq!(sent.len(), 2);
    let compound = endpoints[2].open_rtcp(&sent[1].1);
    assert_eq!(
        views(&compound)[2].goodbye_ssrcs().collect::<Vec<_>>(),
        [11]
    );
    assert_eq!(
        read(&compound)[0],
        RtcpPacket::ReceiverReport { ssrc: 1003 }
    );
}

#[test]
fn feedback_on_what_is_in_no_slot_and_unknown_feedback_end_here() {
    let (mut forwarder, mut endpoints) = watching();
    let stranger = endpoints[1].rtcp(|writer| {
        writer.picture_loss_indication(20, 31)?;
        writer.picture_loss_indication(20, 10)
    });
    let forged = endpoints[1].rtcp(|writer| writer.sender_report(11, &INFO, &[]));
    for datagram in [stranger, forged] {
        assert_eq!(
            receive(&mut forwarder, endpoints[1].address, &datagram, at(900)),
            []
        );
    }
    assert_eq!(dropped(&forwarder), [("unknown_ssrc", 3)]);

    let mut remb = [0_u8; 64];
    remb[..16].copy_from_slice(&[
        0x8f, 206, 0, 3, 0, 0, 0, 20, 0, 0, 0, 0, b'R', b'E', b'M', b'B',
    ]);
    let sealed = endpoints[1]
        .send
        .seal_rtcp(&mut remb, 16)
        .expect("has room");
    let sent = receive(
        &mut forwarder,
        endpoints[1].address,
        &remb[..sealed],
        at(900),
    );
    assert_eq!(sent, []);
    assert_eq!(dropped(&forwarder)[1], ("unsupported_rtcp", 1));
}

#[test]
fn a_compound_acts_as_a_whole_or_not_at_all() {
    let (mut forwarder, mut endpoints) = watching();
    let mut buffer = [0_u8; 128];
    let mut writer = crate::rtcp::CompoundWriter::new(&mut buffer);
    writer.picture_loss_indication(20, 11).expect("has room");
    let length = writer.length();
    buffer[length..length + 4].copy_from_slice(&[0x80, 206, 0, 9]);
    let sealed = endpoints[1]
        .send
        .seal_rtcp(&mut buffer, length + 4)
        .expect("has room");
    let sent = receive(
        &mut forwarder,
        endpoints[1].address,
        &buffer[..sealed],
        at(900),
    );
    assert_eq!(sent, []);
    assert_eq!(dropped(&forwarder), [("malformed", 1)]);
    assert_eq!(
        receive(
            &mut forwarder,
            endpoints[1].address,
            &buffer[..sealed],
            at(900)
        ),
        []
    );
    assert_eq!(
        dropped(&forwarder)[1].1,
        1,
        "replayed or forged, it is dropped again"
    );
}

#[test]
fn one_datagram_makes_no_flood_of_others() {
    let (mut forwarder, mut endpoints) = watching();
    let from = endpoints[0].address;
    let goodbyes = endpoints[0].rtcp(|writer| {
        writer.goodbye(&[11; 31])?;
        writer.goodbye(&[11; 31])
    });
    let sent = receive(&mut forwarder, from, &goodbyes, START);
    assert_eq!(sent.len(), 2, "one for each receiver");
    let again = endpoints[0].rtcp(|writer| writer.goodbye(&[11]));
    assert_eq!(receive(&mut forwarder, from, &again, at(999)), []);
    assert_eq!(dropped(&forwarder), [("rtcp_too_soon", 1)]);

    let mut reports = |count| {
        let report = endpoints[0]
            .rtcp(|writer| (0..count).try_for_each(|_| writer.sender_report(11, &INFO, &[])));
        receive(&mut forwarder, from, &report, START).len()
    };
    assert_eq!(reports(32), 2, "one for each receiver");
    assert_eq!(reports(33), 0);
    assert_eq!(
        dropped(&forwarder),
        [("malformed", 1), ("rtcp_too_soon", 32)]
    );
}

#[test]
fn a_second_of_reports_and_goodbyes_makes_a_bounded_number_of_datagrams() {
    let (mut forwarder, mut endpoints) = watching();
    let from = endpoints[0].address;
    let (mut reports, mut goodbyes) = (0, 0);
    for millisecond in 0..1000 {
        let datagram = endpoints[0].rtcp(|writer| {
            (0..31).try_for_each(|_| writer.sender_report(11, &INFO, &[]))?;
            writer.goodbye(&[11; 31])
        });
        let sent = receive(&mut forwarder, from, &datagram, at(millisecond));
        let receiver = endpoints[1].address;
        for (_, datagram) in sent.iter().filter(|one| one.0 == receiver) {
            let compound = endpoints[1].open_rtcp(datagram);
            match read(&compound)[0] {
                RtcpPacket::SenderReport { .. } => reports += 1,
                _ => goodbyes += 1,
            }
        }
    }
    assert_eq!((reports, goodbyes), (10, 1));
    assert_eq!(forwarder.statistics().sent_rtcp_packets, 1 + 2 * (10 + 1));
    let refused = 31 * 1000 - 10 + 1000 - 1;
    assert_eq!(dropped(&forwarder), [("rtcp_too_soon", refused)]);
    // A source that goes on at an ordinary pace is heard as before, and so is its next goodbye.
    let datagram = endpoints[0].rtcp(|writer| {
        writer.sender_report(11, &INFO, &[])?;
        writer.goodbye(&[11])
    });
    let sent = receive(&mut forwarder, from, &datagram, at(1000));
    assert_eq!(sent.len(), 4);
}

#[test]
fn the_first_report_since_a_route_began_reaches_its_receiver() {
    let (mut forwarder, mut endpoints) = watching();
    let from = endpoints[0].address;
    let mut report = |forwarder: &mut Forwarder, now| {
        let report = endpoints[0].rtcp(|writer| writer.sender_report(11, &INFO, &[]));
        let sent = receive(forwarder, from, &report, now);
        sent.into_iter().map(|one| one.0).collect::<Vec<_>>()
    };
    let third = Endpoint::new(3).address;
    assert_eq!(report(&mut forwarder, START).len(), 2);
    assert_eq!(report(&mut forwarder, at(10)), []);
    forwarder.clear_slot(3, "v").expect("in use");
    let assigned = forwarder.assign_slot(3, "v", 1, 11, at(20));
    assigned.expect("free");
    assert_eq!(report(&mut forwarder, at(30)), [third]);
    assert_eq!(report(&mut forwarder, at(40)), []);
    assert_eq!(report(&mut forwarder, at(100)).len(), 2);
}

#[test]
fn feedback_that_asks_for_nothing_is_malformed() {
    let (mut forwarder, mut endpoints) = watching();
    let from = endpoints[1].address;
    let nack = endpoints[1].rtcp(|writer| writer.generic_nack(20, 11, core::iter::empty()));
    let request = endpoints[1].rtcp(|writer| writer.full_intra_request(20, core::iter::empty()));
    for datagram in [nack, request] {
        assert_eq!(receive(&mut forwarder, from, &datagram, at(900)), []);
    }
    assert_eq!(dropped(&forwarder), [("malformed", 2)]);
}
