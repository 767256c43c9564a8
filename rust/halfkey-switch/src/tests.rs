//! A switch on loopback, with real sockets around it.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use halfkey_media::forwarder::SourceConfig;
use halfkey_media::forwarder::{Credentials, Forwarder, HopKeys, Kind, ParticipantConfig};
use halfkey_media::stun::{Password, request};
use halfkey_media::{HopProfile, HopReceiveContext, HopSendContext, TAG_LENGTH};
use halfkey_udp::{Message, Sender};

use crate::{Assignment, Datagram, Settings, Switch};

mod figures;
mod workers;

const PATIENCE: Duration = Duration::from_secs(10);
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const BINDING_REQUEST: [u8; 20] = [
    0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
];

fn switch() -> Switch {
    switch_of(1)
}

fn switch_of(workers: usize) -> Switch {
    Switch::new(&settings(workers)).expect("a free port")
}

fn settings(workers: usize) -> Settings {
    Settings {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        workers,
        queue_limit: 16,
        capture_bytes: 0,
        late_after: Settings::LATE_AFTER,
        retransmission_cache: 1 << 24,
    }
}

fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

fn drain(switch: &Switch, count: usize) -> Vec<Datagram> {
    let start = Instant::now();
    let mut drained = Vec::new();
    while drained.len() < count && start.elapsed() < PATIENCE {
        drained.extend(switch.drain(1).expect("running"));
        std::thread::yield_now();
    }
    drained
}

fn dropped(switch: &Switch, reason: &'static str) -> u64 {
    let count = move |forwarder: &mut Forwarder, _| {
        let dropped = forwarder.statistics().dropped();
        dropped.get(reason).copied().unwrap_or(0)
    };
    switch.each(|_| count).expect("running").into_iter().sum()
}

fn wait_for_drop(switch: &Switch, reason: &'static str) {
    let start = Instant::now();
    while dropped(switch, reason) == 0 {
        assert!(start.elapsed() < PATIENCE, "{reason} was never counted");
    }
}

/// A participant with one source, and keys made of its number.
fn add(switch: &Switch, id: u64, address: SocketAddr) -> (HopSendContext, HopReceiveContext) {
    let config = ParticipantConfig {
        own_ssrc: 100 + id as u32,
        cname: "md".into(),
        extensions: vec![(MID.into(), 1)],
        payload_types: vec![("opus/48000/2".into(), 111)],
        sources: vec![SourceConfig {
            ssrc: id as u32,
            kind: Kind::Audio,
        }],
    };
    let (client, server, salt) = ([id as u8; 16], [id as u8 | 0x80; 16], [7; 12]);
    let profile = HopProfile::AeadAes128Gcm;
    let keys = HopKeys::new(profile, (&client, &salt), (&server, &salt)).expect("lengths fit");
    switch.add_participant(id, &config).expect("running");
    assert_eq!(switch.set_address(id, address), Ok(Ok(())));
    assert_eq!(switch.set_keys(id, keys), Ok(Ok(())));
    (
        HopSendContext::new(profile, &client, &salt).expect("lengths fit"),
        HopReceiveContext::new(profile, &server, &salt).expect("lengths fit"),
    )
}

#[test]
fn media_crosses_from_one_participant_to_the_other() {
    let switch = switch();
    let ((sender, sender_address), (receiver, receiver_address)) = (socket(), socket());
    let (mut seal, _) = add(&switch, 1, sender_address);
    let (_, mut open) = add(&switch, 2, receiver_address);
    assert_eq!(
        switch.assign_slots([Assignment::new(2, "0", 1, 1)]),
        Ok(Ok(()))
    );

    let mut packet = vec![0; 12 + 5 + TAG_LENGTH];
    packet[..2].copy_from_slice(&[0x80, 111]);
    packet[11] = 1;
    packet[12..16].copy_from_slice(b"data");
    let length = seal.seal_rtp(&mut packet, 17).expect("fresh");
    packet.truncate(length);
    packet.push(0);
    sender
        .send_to(&packet, switch.local_address())
        .expect("sent");

    let mut buffer = [0; 2000];
    let (length, from) = receiver.recv_from(&mut buffer).expect("in time");
    assert_eq!((from, buffer[length - 1]), (switch.local_address(), 0));
    let opened = open.open_rtp(&mut buffer[..length - 1]).expect("authentic");
    assert_eq!(&buffer[opened.length() - 5..opened.length()], b"data\0");

    sender
        .send_to(&packet, switch.local_address())
        .expect("sent");
    wait_for_drop(&switch, "replayed");
}

const PASSWORD: &str = "a password of twenty-two";

/// A participant whose checks are known; gives one of them.
fn add_checked(switch: &Switch, id: u64, address: SocketAddr) -> impl Fn(bool) -> Vec<u8> {
    add(switch, id, address);
    let credentials = Credentials::new(&format!("ours{id}"), PASSWORD, "peer");
    assert_eq!(switch.set_credentials(id, credentials), Ok(Ok(())));
    move |nominates| {
        let username = format!("ours{id}:peer");
        request(&[3; 12], &username, nominates, &Password::new(PASSWORD))
    }
}

#[test]
fn checks_are_answered_by_the_workers_and_those_that_change_something_are_queued() {
    for workers in [1, 3] {
        let switch = switch_of(workers);
        let mut buffer = [0; 100];
        let (peer, address) = socket();
        let check = add_checked(&switch, 1, address);
        for (count, nominates) in [(1, false), (2, true)] {
            peer.send_to(&check(nominates), switch.local_address())
                .expect("sent");
            let (length, from) = peer.recv_from(&mut buffer).expect("in time");
            assert_eq!((length, from), (64, switch.local_address()));
            assert_eq!(buffer[..2], [1, 1]);
            assert_eq!(switch.checks().expect("running")[&1].count, count);
        }
        // From another address a nomination is a change: nobody has answered it yet.
        let (other, address) = socket();
        other
            .send_to(&check(true), switch.local_address())
            .expect("sent");
        assert_eq!(drain(&switch, 1), [(address, check(true))]);
        assert_eq!(switch.send(address, b"answer".to_vec()), Ok(true));
        let (length, from) = other.recv_from(&mut buffer).expect("in time");
        let answer = (&b"answer"[..], switch.local_address());
        assert_eq!((&buffer[..length], from), answer);
    }
}

#[test]
fn what_proves_nothing_never_gets_out_of_the_worker() {
    let switch = switch();
    let (peer, address) = socket();
    let _check = add_checked(&switch, 1, address);
    let forged = request(&[3; 12], "ours1:peer", true, &Password::new("another"));
    let stranger = request(&[3; 12], "nobody:peer", true, &Password::new(PASSWORD));
    for message in [&BINDING_REQUEST[..], &forged, &stranger] {
        peer.send_to(message, switch.local_address()).expect("sent");
    }
    for reason in [
        "stun_malformed",
        "stun_authentication",
        "stun_unknown_username",
    ] {
        wait_for_drop(&switch, reason);
    }
    assert_eq!(switch.drain(8), Ok(Vec::new()));
    assert!(switch.checks().expect("running").is_empty());
}

#[test]
fn dtls_is_for_known_addresses() {
    let switch = switch();
    let (socket, address) = socket();
    socket
        .send_to(&[22; 13], switch.local_address())
        .expect("sent");
    wait_for_drop(&switch, "unknown_address");
    add(&switch, 1, address);
    socket
        .send_to(&[22; 13], switch.local_address())
        .expect("sent");
    assert_eq!(drain(&switch, 1), [(address, vec![22; 13])]);
}

#[test]
fn garbage_and_what_nobody_drains_is_dropped() {
    let switch = switch();
    let (socket, _) = socket();
    socket
        .send_to(b"GET / HTTP/1.0", switch.local_address())
        .expect("sent");
    wait_for_drop(&switch, "unknown_protocol");
    // What authentic strangers send gets half of the queue.
    let nowhere = SocketAddr::from(([127, 0, 0, 2], 9));
    let check = add_checked(&switch, 1, nowhere);
    for _ in 0..9 {
        socket
            .send_to(&check(true), switch.local_address())
            .expect("sent");
    }
    wait_for_drop(&switch, "queue_full");
    assert_eq!(drain(&switch, 8).len(), 8);
}

#[test]
fn a_port_in_use_is_an_error_and_free_again_afterwards() {
    let switch = switch();
    let settings = Settings {
        address: switch.local_address(),
        workers: 1,
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
fn a_picture_crosses_whole_and_in_order_whatever_comes_with_it() {
    const PACKETS: u16 = 20;
    let switch = switch();
    let (sender, sender_address) = socket();
    let (mut seal, _) = add(&switch, 1, sender_address);
    let mut receivers: Vec<_> = (2..5)
        .map(|id| {
            let (socket, address) = socket();
            let (_, open) = add(&switch, id, address);
            assert_eq!(
                switch.assign_slots([Assignment::new(id, "0", 1, 1)]),
                Ok(Ok(()))
            );
            (socket, open)
        })
        .collect();
    // One message of equal datagrams, the third of which is nonsense, and a shorter one at its end.
    let mut data = Vec::new();
    for number in 0..PACKETS {
        let length = if number + 1 == PACKETS { 40 } else { 100 };
        let mut packet = vec![0; length + TAG_LENGTH];
        packet[..2].copy_from_slice(&[0x80, 111]);
        packet[2..4].copy_from_slice(&number.to_be_bytes());
        packet[11] = 1;
        seal.seal_rtp(&mut packet, length).expect("fresh");
        packet[20] ^= u8::from(number == 2);
        packet.push(0);
        data.extend(packet);
    }
    let message = Message {
        to: switch.local_address(),
        data: &data,
        segment: Some(100 + TAG_LENGTH as u16 + 1),
    };
    let sent = Sender::new().send(&sender, [message].into_iter());
    assert_eq!(sent.expect("sent"), 1);
    for (socket, open) in &mut receivers {
        for number in (0..PACKETS).filter(|number| *number != 2) {
            let mut buffer = [0; 200];
            let (length, _) = socket.recv_from(&mut buffer).expect("in time");
            let opened = open.open_rtp(&mut buffer[..length - 1]).expect("authentic");
            assert_eq!(opened.sequence_number(), number);
        }
    }
    assert_eq!(dropped(&switch, "hop_authentication"), 1);
}
