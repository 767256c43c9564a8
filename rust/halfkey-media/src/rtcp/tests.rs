//! What is written can be read; what is cut or forged can't.

use super::*;
use crate::error::{Rejection, SealError};
use crate::test_data::hex;

const INFO: SenderInfo = SenderInfo {
    ntp_timestamp: 0x0102_0304_0506_0708,
    rtp_timestamp: 9,
    packet_count: 10,
    octet_count: 11,
};

const BLOCK: ReportBlock = ReportBlock {
    ssrc: 0xdead_beef,
    fraction_lost: 128,
    cumulative_lost: -2,
    highest_sequence_number: 0x1_0001,
    jitter: 7,
    last_sender_report: 8,
    delay_since_last_sender_report: 9,
};

fn views(compound: &[u8]) -> Vec<RtcpView<'_>> {
    split_compound(compound)
        .collect::<Result<_, _>>()
        .expect("well-formed")
}

fn write(buffer: &mut [u8]) -> Result<usize, SealError> {
    let mut writer = CompoundWriter::new(buffer);
    writer.sender_report(1, &INFO, &[BLOCK])?;
    writer.receiver_report(2, &[BLOCK, BLOCK])?;
    writer.source_description(1, b"name")?;
    let lost = NackItem {
        packet_id: 5,
        bitmask: 0x8001,
    };
    writer.generic_nack(2, 1, [lost, lost].into_iter())?;
    writer.picture_loss_indication(2, 1)?;
    writer.full_intra_request(
        2,
        [FirEntry {
            ssrc: 1,
            sequence_number: 3,
        }]
        .into_iter(),
    )?;
    writer.goodbye(&[1, 2])?;
    Ok(writer.length())
}

#[test]
fn everything_written_is_read_back() {
    let mut buffer = [0xee; 512];
    let length = write(&mut buffer).expect("has room");
    let views = views(&buffer[..length]);
    let packets: Vec<_> = views
        .iter()
        .map(|view| view.read().expect("well-formed"))
        .collect();
    let feedback = FeedbackHeader {
        sender_ssrc: 2,
        media_ssrc: 1,
    };
    let expected = [
        RtcpPacket::SenderReport {
            ssrc: 1,
            info: INFO,
        },
        RtcpPacket::ReceiverReport { ssrc: 2 },
        RtcpPacket::SourceDescription,
        RtcpPacket::GenericNack(feedback),
        RtcpPacket::PictureLossIndication(feedback),
        RtcpPacket::FullIntraRequest(FeedbackHeader {
            media_ssrc: 0,
            ..feedback
        }),
        RtcpPacket::Goodbye,
    ];
    assert_eq!(packets, expected);
    assert_eq!(views[0].report_blocks().collect::<Vec<_>>(), [BLOCK]);
    assert_eq!(views[1].report_blocks().collect::<Vec<_>>(), [BLOCK, BLOCK]);
    assert_eq!(views[2].cname(), Some(&b"name"[..]));
    assert_eq!(
        views[3]
            .nack_items()
            .map(|item| item.bitmask)
            .collect::<Vec<_>>(),
        [0x8001; 2]
    );
    let entry = FirEntry {
        ssrc: 1,
        sequence_number: 3,
    };
    assert_eq!(views[5].fir_entries().collect::<Vec<_>>(), [entry]);
    assert_eq!(views[6].goodbye_ssrcs().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(
        views[4].nack_items().count() + views[0].goodbye_ssrcs().count(),
        0
    );
}

#[test]
fn a_compound_that_does_not_fit_is_an_error() {
    let mut buffer = [0; 512];
    let length = write(&mut buffer).expect("has room");
    for short in 0..length {
        assert_eq!(write(&mut buffer[..short]), Err(SealError::BufferTooSmall));
    }
    let mut writer = CompoundWriter::new(&mut buffer);
    assert_eq!(writer.goodbye(&[0; 32]), Err(SealError::NotAPacket));
    assert_eq!(
        writer.source_description(1, &[b'x'; 256]),
        Err(SealError::NotAPacket)
    );
    assert_eq!(writer.length(), 0);
}

#[test]
fn cnames_of_every_alignment_end_with_a_zero_on_a_word() {
    for length in 0..8 {
        let mut buffer = [0xee; 64];
        let mut writer = CompoundWriter::new(&mut buffer);
        writer
            .source_description(1, &b"abcdefgh"[..length])
            .expect("has room");
        let written = writer.length();
        assert_eq!((written % 4, buffer[written - 1]), (0, 0));
        assert_eq!(
            views(&buffer[..written])[0].cname(),
            Some(&b"abcdefgh"[..length])
        );
    }
}

#[test]
fn any_cut_that_is_not_between_packets_is_refused() {
    let mut buffer = [0; 512];
    let length = write(&mut buffer).expect("has room");
    let mut ends = vec![0];
    for view in views(&buffer[..length]) {
        ends.push(ends[ends.len() - 1] + view.bytes.len());
    }
    for cut in 0..length {
        let whole = split_compound(&buffer[..cut]).all(|view| view.is_ok());
        assert_eq!(whole, ends.contains(&cut), "{cut}");
    }
}

#[test]
fn counts_beyond_the_body_are_refused() {
    for packet in [
        "82c9 0001 00000001",
        "80c8 0001 00000001",
        "82cb 0001 00000001",
        "81cd 0001 00000001",
        "81ce 0000",
    ] {
        let bytes = hex(packet);
        assert_eq!(
            views(&bytes)[0].read(),
            Err(Rejection::Malformed),
            "{packet}"
        );
    }
    let bytes = hex("8fce 0003 00000001 00000002 52454d42");
    assert_eq!(views(&bytes)[0].read(), Ok(RtcpPacket::Other));
}

#[test]
fn padding_is_taken_off_the_last_packet_and_refused_elsewhere() {
    let padded = hex("a1cb 0002 00000007 00000004");
    assert_eq!(views(&padded)[0].body, hex("00000007"));
    let goodbye = hex("80cb 0000");
    let fault = Err(Rejection::Malformed);
    assert_eq!(
        split_compound(&[&padded[..], &goodbye].concat()).next(),
        Some(fault)
    );
    for bad in [
        "a1cb 0002 00000007 00000000",
        "a1cb 0002 00000007 00000009",
        "a0cb 0000",
    ] {
        assert_eq!(split_compound(&hex(bad)).next(), Some(fault), "{bad}");
    }
}

#[test]
fn rtcp_is_told_from_rtp_by_its_second_byte() {
    assert!(is_rtcp(&[0x80, 200]) && is_rtcp(&[0x80, 206]));
    assert!(!is_rtcp(&[0x80, 96]) && !is_rtcp(&[0x80, 0x80 | 111]) && !is_rtcp(&[0x80]));
}
