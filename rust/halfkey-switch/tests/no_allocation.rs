//! The workers allocate nothing per packet, from the socket to the sockets, nor for consent checks,
//! nor for feedback that goes from one to the other, nor for what is kept and sent again.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use halfkey_media::forwarder::SourceConfig;
use halfkey_media::forwarder::{Credentials, Forwarder, HopKeys, Kind, ParticipantConfig};
use halfkey_media::rtcp::{CompoundWriter, NackItem};
use halfkey_media::stun::{Password, request};
use halfkey_media::{HopProfile, HopSendContext, TAG_LENGTH};
use halfkey_switch::{Assignment, Settings, Switch};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WORKERS: usize = 2;
const PASSWORD: &str = "a password of twenty-two";
const RECEIVERS: u64 = 10;
const PACKETS: u16 = 2000;
/// One in so many is lost: at odd distances, since numbers that are 128 apart must not be asked for at once.
const LOST: u16 = 9;
/// For what isn't a packet: an instruction, a report each second.
const OTHERS: u64 = 100;

fn add(switch: &Switch, id: u64) -> (UdpSocket, HopSendContext) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let patience = Some(Duration::from_secs(10));
    socket.set_read_timeout(patience).expect("a timeout");
    let config = ParticipantConfig {
        own_ssrc: 100 + id as u32,
        cname: "md".into(),
        extensions: vec![("urn:ietf:params:rtp-hdrext:sdes:mid".into(), 1)],
        payload_types: vec![("VP8/90000".into(), 96)],
        sources: vec![SourceConfig {
            ssrc: id as u32,
            kind: Kind::Video,
        }],
    };
    let (client, server, salt) = ([id as u8; 16], [id as u8 | 0x80; 16], [7; 12]);
    let profile = HopProfile::AeadAes128Gcm;
    let keys = HopKeys::new(profile, (&client, &salt), (&server, &salt)).expect("lengths fit");
    let address: SocketAddr = socket.local_addr().expect("bound");
    switch.add_participant(id, &config).expect("running");
    assert_eq!(switch.set_address(id, address), Ok(Ok(())));
    assert_eq!(switch.set_keys(id, keys), Ok(Ok(())));
    let seal = HopSendContext::new(profile, &client, &salt).expect("lengths fit");
    (socket, seal)
}

/// The packets that were forwarded, and the allocations of each worker's thread.
fn look_at(switch: &Switch) -> (u64, Vec<u64>) {
    let look = |forwarder: &mut Forwarder, _| {
        (forwarder.statistics().forwarded_packets, ALLOCATIONS.get())
    };
    let seen = switch.each(|_| look).expect("running");
    (
        seen.iter().map(|one| one.0).sum(),
        seen.iter().map(|one| one.1).collect(),
    )
}

/// A generic NACK of receiver 2 about the source, from an SSRC of the other worker: of a packet that
/// never came, and of the one behind it, which did.
fn nack(seal: &mut HopSendContext, packet_id: u16) -> Vec<u8> {
    let mut buffer = vec![0; 200];
    let mut writer = CompoundWriter::new(&mut buffer);
    let lost = core::iter::once(NackItem {
        packet_id,
        bitmask: 1,
    });
    writer.receiver_report(2, &[]).expect("has room");
    writer.generic_nack(2, 1, lost).expect("has room");
    let length = writer.length();
    let sealed = seal.seal_rtcp(&mut buffer, length).expect("has room");
    buffer.truncate(sealed);
    buffer
}

#[test]
fn forwarding_allocates_nothing_per_packet() {
    let switch = Switch::new(&Settings {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        workers: WORKERS,
        queue_limit: 16,
        capture_bytes: 0,
        late_after: Settings::LATE_AFTER,
        retransmission_cache: 1 << 22,
    })
    .expect("a free port");
    let (sender, mut seal) = add(&switch, 1);
    let mut receivers: Vec<_> = (2..2 + RECEIVERS)
        .map(|id| (id, add(&switch, id)))
        .collect();
    for (id, _) in &receivers {
        let id = *id;
        assert_eq!(
            switch.assign_slots([Assignment::new(id, "0", 1, 1)]),
            Ok(Ok(()))
        );
    }
    let credentials = Credentials::new("ours", PASSWORD, "peer");
    assert_eq!(switch.set_credentials(1, credentials), Ok(Ok(())));
    let check = request(&[0; 12], "ours:peer", true, &Password::new(PASSWORD));
    let mut send = |count: u16| {
        // Every other one is lost on its way here.
        let sequence_number = 2 * count + 1;
        let mut packet = vec![0; 100 + TAG_LENGTH];
        packet[..2].copy_from_slice(&[0x80, 96]);
        packet[2..4].copy_from_slice(&sequence_number.to_be_bytes());
        packet[11] = 1;
        seal.seal_rtp(&mut packet, 100).expect("fresh");
        packet.push(0);
        sender
            .send_to(&packet, switch.local_address())
            .expect("sent");
        // At its own pace, so that none is lost: everybody has it before the next is sent.
        for (_, (receiver, _)) in &receivers {
            receiver.recv(&mut packet).expect("in time");
        }
        // A consent check is answered.
        sender
            .send_to(&check, switch.local_address())
            .expect("sent");
        sender.recv(&mut packet).expect("in time");
        if count % LOST != 0 {
            return;
        }
        // One of them gets again what it lost, and the source hears of what never came.
        let (_, (receiver, seal_feedback)) = &mut receivers[0];
        let lost = nack(seal_feedback, sequence_number - 1);
        receiver
            .send_to(&lost, switch.local_address())
            .expect("sent");
        receiver.recv(&mut packet).expect("in time");
        sender.recv(&mut packet).expect("in time");
    };
    send(0);
    let (forwarded, allocations) = look_at(&switch);
    for made in &allocations {
        assert!(*made > RECEIVERS, "the count works: joining takes memory");
    }
    (1..=PACKETS).for_each(&mut send);
    let (forwarded_after, allocations_after) = look_at(&switch);
    assert_eq!(forwarded_after - forwarded, u64::from(PACKETS) * RECEIVERS);
    let repeated = |forwarder: &mut Forwarder, _| forwarder.statistics().repeated.packets;
    let repeated = switch.each(|_| repeated).expect("running");
    assert_eq!(repeated.iter().sum::<u64>(), u64::from(PACKETS / LOST) + 1);
    for (before, after) in allocations.iter().zip(allocations_after) {
        let made = after - before;
        assert!(made < OTHERS, "{made} allocations");
    }
}
