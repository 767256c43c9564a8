//! What workers count, and media that waited for too long.

use std::net::UdpSocket;
use std::time::Duration;

use halfkey_media::TAG_LENGTH;
use halfkey_udp::{Message, Sender};

use super::{PATIENCE, add, drain, dropped, settings, socket, wait_for_drop};
use crate::{Assignment, Settings, Switch};

const PACKETS: usize = 20;
const LENGTH: usize = 100 + TAG_LENGTH + 1;

/// Two receivers, and a picture of the sender's under way to the switch as one message.
fn send_picture(switch: &Switch) -> (UdpSocket, [UdpSocket; 2]) {
    let (sender, address) = socket();
    let (mut seal, _) = add(switch, 1, address);
    let receivers = [2, 3].map(|id| {
        let (socket, address) = socket();
        add(switch, id, address);
        assert_eq!(
            switch.assign_slots([Assignment::new(id, "0", 1, 1)]),
            Ok(Ok(()))
        );
        socket
    });
    let mut data = Vec::new();
    for number in 0..PACKETS {
        let mut packet = vec![0; 100 + TAG_LENGTH];
        packet[..2].copy_from_slice(&[0x80, 111]);
        packet[3] = number as u8;
        packet[11] = 1;
        seal.seal_rtp(&mut packet, 100).expect("fresh");
        packet.push(0);
        data.extend(packet);
    }
    let message = Message {
        to: switch.local_address(),
        data: &data,
        segment: Some(LENGTH as u16),
    };
    let sent = Sender::new().send(&sender, [message].into_iter());
    assert_eq!(sent.expect("sent"), 1);
    (sender, receivers)
}

#[test]
fn batches_segments_and_the_time_in_between_are_counted() {
    for workers in [1, 2] {
        let switch = Switch::new(&settings(workers)).expect("a free port");
        let (_sender, receivers) = send_picture(&switch);
        for receiver in &receivers {
            (0..PACKETS).for_each(|_| {
                receiver.recv(&mut [0; 200]).expect("in time");
            });
        }
        let figures = switch.figures().expect("running");
        assert_eq!(figures.batches.sum(), PACKETS as u64);
        assert_eq!(figures.segments.sum(), 2 * PACKETS as u64);
        // As one message to each: 20 are counted with those up to 32.
        let segments: Vec<_> = figures.segments.counts().filter(|one| one.1 > 0).collect();
        assert_eq!(segments, [(32, 2)]);
        assert_eq!(figures.calls.sum(), 2);
        let latency = figures.added_latency;
        assert_eq!(latency.total(), 2 * PACKETS as u64);
        assert!(latency.longest() > Duration::ZERO && latency.longest() < PATIENCE);

        let participants = switch.participants().expect("running");
        let ids: Vec<_> = participants.iter().map(|one| one.id).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert_eq!(participants[0].received.packets, PACKETS as u64);
        assert_eq!(participants[0].streams.len(), 1, "with its worker alone");
        assert_eq!(participants[1].sent.packets, PACKETS as u64);
    }
}

#[test]
fn media_that_waited_for_too_long_goes_no_further_and_everything_else_does() {
    let late = Settings {
        late_after: Duration::ZERO,
        ..settings(1)
    };
    let switch = Switch::new(&late).expect("a free port");
    let (sender, _receivers) = send_picture(&switch);
    wait_for_drop(&switch, "late");
    assert_eq!(dropped(&switch, "late"), PACKETS as u64);
    assert_eq!(switch.figures().expect("running").added_latency.total(), 0);
    assert_eq!(switch.participants().expect("running")[1].sent.packets, 0);
    // A stranger's is refused as such: it says nothing of what there is to do.
    let (stranger, _) = socket();
    let media = [&[0x80][..], &[0; 40]].concat();
    (stranger.send_to(&media, switch.local_address())).expect("sent");
    wait_for_drop(&switch, "unknown_address");
    assert_eq!(dropped(&switch, "late"), PACKETS as u64);
    sender
        .send_to(&[22; 13], switch.local_address())
        .expect("sent");
    assert_eq!(
        drain(&switch, 1).len(),
        1,
        "DTLS, of which any is handed on"
    );
}

#[test]
fn what_the_socket_has_no_room_for_is_counted() {
    let switch = Switch::new(&settings(1)).expect("a free port");
    let (sender, _) = socket();
    // While the worker is busy, more comes than the socket holds.
    let address = switch.local_address();
    let flood = move |_: &mut halfkey_media::forwarder::Forwarder, _| {
        for _ in 0..20_000 {
            let _ = sender.send_to(&[0x80; 1200], address);
        }
    };
    switch.at(0, flood).expect("running");
    let (socket, _) = socket();
    while dropped(&switch, "receive_buffer_full") == 0 {
        // The count comes with what arrives afterwards.
        socket.send_to(b"x", address).expect("sent");
    }
}
