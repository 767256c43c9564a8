//! Several workers: every packet reaches the one that has its SSRC, whichever the kernel gave it to.

use super::*;
use crate::Stopped;

use halfkey_media::rtcp::{CompoundWriter, NackItem};

const WORKERS: usize = 3;
const LENGTH: usize = 60;

/// An SRTP packet of this SSRC, with a Short EKT Field.
fn packet(seal: &mut HopSendContext, ssrc: u32, sequence_number: u16) -> Vec<u8> {
    let mut packet = vec![0; LENGTH + TAG_LENGTH];
    packet[..2].copy_from_slice(&[0x80, 111]);
    packet[2..4].copy_from_slice(&sequence_number.to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    seal.seal_rtp(&mut packet, LENGTH).expect("fresh");
    packet.push(0);
    packet
}

/// Like [`add`], with four sources: four times the number, and the three behind it.
fn add_four(switch: &Switch, id: u64, address: SocketAddr) -> (HopSendContext, HopReceiveContext) {
    let contexts = add(switch, id, address);
    let config = ParticipantConfig {
        own_ssrc: 1000 + id as u32,
        cname: "md".into(),
        extensions: vec![(MID.into(), 1)],
        payload_types: vec![("opus/48000/2".into(), 111)],
        sources: (4 * id as u32..4 * id as u32 + 4)
            .map(|ssrc| SourceConfig {
                ssrc,
                kind: Kind::Video,
            })
            .collect(),
    };
    let (client, server, salt) = ([id as u8; 16], [id as u8 | 0x80; 16], [7; 12]);
    let profile = HopProfile::AeadAes128Gcm;
    let keys = HopKeys::new(profile, (&client, &salt), (&server, &salt)).expect("lengths fit");
    switch.add_participant(id, &config).expect("running");
    assert_eq!(switch.set_address(id, address), Ok(Ok(())));
    assert_eq!(switch.set_keys(id, keys), Ok(Ok(())));
    contexts
}

/// What each worker received, and how much of it came to another one first.
fn counts(switch: &Switch) -> Vec<(u64, u64)> {
    let count = |forwarder: &mut Forwarder, _| {
        let statistics = forwarder.statistics();
        (statistics.received_packets, statistics.handed_over_packets)
    };
    switch.each(|_| count).expect("running")
}

/// Sender 1 with SSRCs 4 to 7 in slots of receiver 2.
struct Two {
    switch: Switch,
    sender: UdpSocket,
    seal: HopSendContext,
    open_feedback: HopReceiveContext,
    receiver: UdpSocket,
    seal_feedback: HopSendContext,
    open: HopReceiveContext,
}

fn two() -> Two {
    let switch = switch_of(WORKERS);
    let ((sender, from), (receiver, to)) = (socket(), socket());
    let (seal, open_feedback) = add_four(&switch, 1, from);
    let (seal_feedback, open) = add_four(&switch, 2, to);
    for ssrc in 4..8 {
        let assigned = switch.assign_slots([Assignment::new(2, ssrc.to_string(), 1, ssrc)]);
        assert_eq!(assigned, Ok(Ok(())));
    }
    Two {
        switch,
        sender,
        seal,
        open_feedback,
        receiver,
        seal_feedback,
        open,
    }
}

impl Two {
    /// The SSRC and SEQ of the next media packet that the receiver gets.
    fn receive(&mut self) -> (u32, u16) {
        let mut buffer = [0; 2000];
        loop {
            let length = self.receiver.recv(&mut buffer).expect("in time");
            if !halfkey_media::rtcp::is_rtcp(&buffer[..length]) {
                let opened = self.open.open_rtp(&mut buffer[..length - 1]);
                let opened = opened.expect("authentic, and for the first time");
                return (opened.ssrc, opened.sequence_number());
            }
        }
    }

    /// What the SSRCs of the sources are that a compound of the Media Distributor's asks the sender
    /// for a picture of, and the compound's own SSRC.
    fn asked(&mut self) -> (u32, u32) {
        let mut buffer = [0; 2000];
        loop {
            let length = self.sender.recv(&mut buffer).expect("in time");
            let length = self.open_feedback.open_rtcp(&mut buffer[..length]);
            let compound = &buffer[..length.expect("authentic, and for the first time")];
            let views = halfkey_media::rtcp::split_compound(compound).filter_map(Result::ok);
            for view in views {
                if let Ok(halfkey_media::rtcp::RtcpPacket::PictureLossIndication(header)) =
                    view.read()
                {
                    return (header.media_ssrc, header.sender_ssrc);
                }
            }
        }
    }
}

#[test]
fn joined_datagrams_of_many_ssrcs_each_reach_their_worker() {
    let mut two = two();
    // One message, which the kernel gives to one worker as a whole.
    let mut data = Vec::new();
    for number in 0..20_u16 {
        for ssrc in 4..8 {
            data.extend(packet(&mut two.seal, ssrc, number));
        }
    }
    let message = |data| Message {
        to: two.switch.local_address(),
        data,
        segment: Some((LENGTH + TAG_LENGTH + 1) as u16),
    };
    let half = data.len() / 2;
    for part in [&data[..half], &data[half..]] {
        let sent = Sender::new().send(&two.sender, [message(part)].into_iter());
        assert_eq!(sent.expect("sent"), 1);
    }
    let mut received: Vec<_> = (0..80).map(|_| two.receive()).collect();
    for ssrc in 4..8 {
        let numbers = received.iter().filter(|one| one.0 == ssrc).map(|one| one.1);
        assert!(numbers.eq(0..20), "all of {ssrc}, in order");
    }
    received.sort_unstable();
    received.dedup();
    assert_eq!(received.len(), 80);

    // Again one by one, which go to their workers directly: the windows are the same ones.
    for datagram in data.chunks(LENGTH + TAG_LENGTH + 1) {
        two.sender
            .send_to(datagram, two.switch.local_address())
            .expect("sent");
    }
    let start = Instant::now();
    while dropped(&two.switch, "replayed") < 80 {
        assert!(start.elapsed() < PATIENCE);
    }
    assert_eq!(dropped(&two.switch, "handover_full"), 0);
    // Of each message two thirds were not the worker's that got it, or nearly.
    let handed_over: u64 = counts(&two.switch).iter().map(|one| one.1).sum();
    assert!((40..=60).contains(&handed_over), "{handed_over}");
}

#[test]
fn the_kernel_gives_every_worker_what_is_its_own() {
    let mut two = two();
    for number in 0..30_u16 {
        let ssrc = 4 + u32::from(number % 3);
        let datagram = packet(&mut two.seal, ssrc, number);
        let to = two.switch.local_address();
        two.sender.send_to(&datagram, to).expect("sent");
        assert_eq!(two.receive(), (ssrc, number));
    }
    assert_eq!(counts(&two.switch), [(10, 0); WORKERS]);
}

#[test]
fn feedback_reaches_the_worker_of_the_source_and_no_two_share_an_ssrc() {
    let mut two = two();
    // The slots were filled: each video source is asked for a picture anyhow.
    let mut first: Vec<_> = (0..4).map(|_| two.asked()).collect();
    first.sort_unstable();
    assert!(first.iter().map(|one| one.0).eq(4..8));
    for (source, own) in &first {
        assert_eq!(source % WORKERS as u32, own % WORKERS as u32);
    }
    for ssrc in 4..8 {
        // From one SSRC, so through one worker.
        let mut buffer = [0; 200];
        let mut writer = CompoundWriter::new(&mut buffer);
        writer.receiver_report(8, &[]).expect("has room");
        writer.picture_loss_indication(8, ssrc).expect("has room");
        let length = writer.length();
        let sealed = two.seal_feedback.seal_rtcp(&mut buffer, length);
        let sealed = &buffer[..sealed.expect("has room")];
        two.receiver
            .send_to(sealed, two.switch.local_address())
            .expect("sent");
    }
    let mut again: Vec<_> = (0..4).map(|_| two.asked()).collect();
    again.sort_unstable();
    assert_eq!(again, first);
}

#[test]
fn what_a_receiver_lost_comes_again_from_the_worker_of_the_source() {
    let mut two = two();
    let sources = 4..8;
    for ssrc in sources.clone() {
        let datagram = packet(&mut two.seal, ssrc, 3);
        let to = two.switch.local_address();
        two.sender.send_to(&datagram, to).expect("sent");
    }
    let mut lost = Vec::new();
    while lost.len() < 4 {
        let mut buffer = [0; 2000];
        let length = two.receiver.recv(&mut buffer).expect("in time");
        if !halfkey_media::rtcp::is_rtcp(&buffer[..length]) {
            lost.push(buffer[..length].to_vec());
        }
    }
    // From one SSRC, so through one worker.
    let mut buffer = [0; 300];
    let mut writer = CompoundWriter::new(&mut buffer);
    for ssrc in sources.clone() {
        let item = NackItem {
            packet_id: 3,
            bitmask: 0,
        };
        let item = core::iter::once(item);
        writer.generic_nack(8, ssrc, item).expect("has room");
    }
    let length = writer.length();
    let sealed = two.seal_feedback.seal_rtcp(&mut buffer, length);
    let nack = &buffer[..sealed.expect("has room")];
    (two.receiver.send_to(nack, two.switch.local_address())).expect("sent");
    let mut again: Vec<_> = (0..4).map(|_| two.receive()).collect();
    again.sort_unstable();
    assert!(again.into_iter().eq(sources.map(|ssrc| (ssrc, 3))));
    let taken = |forwarder: &mut Forwarder, _| forwarder.cache_bytes() > 0;
    assert_eq!(two.switch.each(|_| taken), Ok(vec![true; WORKERS]));
}

#[test]
fn a_slot_that_changes_workers_shows_one_source() {
    let mut two = two();
    assert_eq!(
        two.switch.assign_slots([Assignment::new(2, "7", 1, 7)]),
        Ok(Ok(()))
    );
    assert_eq!(two.switch.clear_slot(2, "5"), Ok(Ok(())));
    let empty = halfkey_media::forwarder::ControlError::EmptySlot;
    assert_eq!(two.switch.clear_slot(2, "5"), Ok(Err(empty)));
    // 5 is another worker's than 4.
    assert_eq!(
        two.switch.assign_slots([Assignment::new(2, "4", 1, 5)]),
        Ok(Ok(()))
    );
    for (number, ssrc) in [4, 5].into_iter().enumerate() {
        let datagram = packet(&mut two.seal, ssrc, number as u16);
        let to = two.switch.local_address();
        two.sender.send_to(&datagram, to).expect("sent");
    }
    assert_eq!(two.receive(), (5, 1));
    let start = Instant::now();
    while counts(&two.switch).iter().map(|one| one.0).sum::<u64>() < 2 {
        assert!(start.elapsed() < PATIENCE);
    }
    // Whoever is back goes on where it was: its stream is where it always is.
    assert_eq!(
        two.switch.assign_slots([Assignment::new(2, "4", 1, 4)]),
        Ok(Ok(()))
    );
    let datagram = packet(&mut two.seal, 4, 9);
    let to = two.switch.local_address();
    two.sender.send_to(&datagram, to).expect("sent");
    assert_eq!(two.receive().0, 4);
}

#[test]
fn a_list_of_slots_is_filled_but_for_those_that_can_not_be() {
    const RECEIVERS: u64 = 100;
    let switch = switch_of(WORKERS);
    let (sender, from) = socket();
    let (mut seal, _) = add_four(&switch, 1, from);
    let receivers: Vec<_> = (2..2 + RECEIVERS)
        .map(|id| {
            let (receiver, to) = socket();
            (id, receiver, add_four(&switch, id, to).1)
        })
        .collect();
    // 7 and 6 are of different workers: who has had one gets the other in the same slot.
    for ssrc in [7, 6] {
        let strangers = [
            Assignment::new(0, "s", 1, 7),
            Assignment::new(2, "s", 1, 99),
        ];
        let all = receivers.iter();
        let all = all.map(|one| Assignment::new(one.0, "s", 1, ssrc));
        let unknown = halfkey_media::forwarder::ControlError::UnknownParticipant;
        let answer = switch.assign_slots(all.chain(strangers));
        assert_eq!(answer, Ok(Err(unknown)));
    }
    for ssrc in [7, 6] {
        let datagram = packet(&mut seal, ssrc, 1);
        let to = switch.local_address();
        sender.send_to(&datagram, to).expect("sent");
    }
    for (_, receiver, mut open) in receivers {
        let mut buffer = [0; 200];
        let (length, _) = receiver.recv_from(&mut buffer).expect("in time");
        let opened = open.open_rtp(&mut buffer[..length - 1]).expect("authentic");
        assert_eq!(opened.ssrc, 6);
    }
}

#[test]
fn there_is_at_least_one_worker_and_a_bound() {
    for workers in [0, crate::MAX_WORKERS + 1] {
        let settings = Settings {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            workers,
            queue_limit: 1,
            capture_bytes: 0,
            late_after: Settings::LATE_AFTER,
            retransmission_cache: 1 << 22,
        };
        let error = Switch::new(&settings)
            .map(|_| ())
            .expect_err("not possible");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}

#[test]
fn an_address_that_workers_share_is_taken_all_the_same() {
    let switch = switch_of(WORKERS);
    let settings = Settings {
        address: switch.local_address(),
        workers: WORKERS,
        queue_limit: 1,
        capture_bytes: 0,
        late_after: Settings::LATE_AFTER,
        retransmission_cache: 1 << 22,
    };
    let error = Switch::new(&settings).map(|_| ()).expect_err("in use");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    drop(switch);
    Switch::new(&settings).expect("free again");
}

#[test]
fn a_worker_that_ends_by_itself_is_told_to_whoever_waits() {
    let switch = Switch::new(&settings(2)).expect("a free port");
    assert_eq!(switch.drain(1), Ok(Vec::new()));
    // Dropping the answer's other end is no fault; this is.
    let answer = switch.at(1, |_, _| -> () { panic!("on purpose, for a test") });
    assert_eq!(answer, Err(Stopped));
    let start = Instant::now();
    while switch.drain(1).is_ok() && start.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    assert_eq!(switch.drain(1), Err(Stopped));
}
