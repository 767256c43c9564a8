//! A compound splits into packets that lie in it one after the other, and no packet says more than
//! it has room for.

use halfkey_media::rtcp::{
    CompoundWriter, FirEntry, NackItem, ReportBlock, RtcpPacket, RtcpView, SenderInfo,
    split_compound,
};

pub fn run(data: &[u8]) -> bool {
    let mut end = 0;
    let mut is_whole = true;
    let mut understood = 0;
    for packet in split_compound(data) {
        let Ok(view) = packet else {
            is_whole = false;
            continue;
        };
        assert_eq!(view.bytes, &data[end..end + view.bytes.len()]);
        end += view.bytes.len();
        assert!(view.bytes.len() >= 4 + view.body.len());
        understood += usize::from(read(&view));
    }
    assert_eq!(is_whole, end == data.len(), "bytes are missing");
    understood > 0
}

fn read(view: &RtcpView<'_>) -> bool {
    let room = view.body.len();
    let blocks = view.report_blocks().count();
    assert!(24 * blocks <= room && blocks <= usize::from(view.count));
    assert!(4 * view.goodbye_ssrcs().count() <= room);
    assert!(4 * view.nack_items().count() <= room);
    assert!(8 * view.fir_entries().count() <= room);
    assert!(view.cname().is_none_or(|name| name.len() < room));
    for block in view.report_blocks() {
        assert!((-0x80_0000..0x80_0000).contains(&block.cumulative_lost));
    }
    match view.read() {
        Ok(RtcpPacket::SenderReport { .. } | RtcpPacket::ReceiverReport { .. }) => {
            assert_eq!(
                blocks,
                usize::from(view.count),
                "a block is promised and missing"
            );
            true
        }
        Ok(RtcpPacket::GenericNack(_)) => view.nack_items().next().is_some(),
        Ok(RtcpPacket::FullIntraRequest(_)) => view.fir_entries().next().is_some(),
        Ok(other) => other != RtcpPacket::Other,
        Err(_) => false,
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let block = ReportBlock {
        ssrc: 9,
        fraction_lost: 1,
        cumulative_lost: -2,
        highest_sequence_number: 3,
        jitter: 4,
        last_sender_report: 5,
        delay_since_last_sender_report: 6,
    };
    let info = SenderInfo {
        ntp_timestamp: 1 << 40,
        rtp_timestamp: 2,
        packet_count: 3,
        octet_count: 4,
    };
    let lost = [NackItem {
        packet_id: 1,
        bitmask: 5,
    }];
    let asked = [FirEntry {
        ssrc: 2,
        sequence_number: 3,
    }];
    let mut seeds = Vec::new();
    for number in 0..7 {
        let mut buffer = [0; 512];
        let mut writer = CompoundWriter::new(&mut buffer);
        let written = match number {
            0 => writer.sender_report(1, &info, &[block, block]),
            1 => writer.receiver_report(1, &[block]),
            2 => writer.source_description(1, b"name"),
            3 => writer.goodbye(&[1, 2]),
            4 => writer.generic_nack(1, 2, lost.into_iter()),
            5 => writer.picture_loss_indication(1, 2),
            _ => writer.full_intra_request(1, asked.into_iter()),
        };
        written.expect("has room");
        let length = writer.length();
        seeds.push(buffer[..length].to_vec());
    }
    seeds.push(seeds.concat());
    seeds
}
