//! Two workers of a switch, with two participants: whatever comes from them or from others, what goes out opens under
//! the keys of the participant that it goes to, is none of that one's own media, and is bounded. STUN is answered only
//! where it was made with the password, once, to where it came from, and what is made of it moves nobody. What was
//! lost is sent again as it was: no index is sealed for two packets.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use halfkey_media::forwarder::{
    Checked, Credentials, Forwarder, HopKeys, Kind, Output, ParticipantConfig, ParticipantId,
    SourceConfig,
};
use halfkey_media::replay::ReplayWindow;
use halfkey_media::rtcp::{CompoundWriter, FirEntry, NackItem, is_rtcp};
use halfkey_media::rtp::RtpView;
use halfkey_media::stun::{Password, request};
use halfkey_media::{
    HopProfile, HopReceiveContext, HopSendContext, Rejection, Share, ekt_field_length,
};

use crate::bytes::{part, rtp, take};

const HOP: HopProfile = HopProfile::AeadAes128Gcm;
const SALT: [u8; 12] = [4; 12];
const LARGEST: usize = 2048;
const WORKERS: usize = 2;
const PASSWORD: &str = "a password of twenty-two";
const USERNAME: [&str; 2] = ["ours0:peer", "ours1:peer"];
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// Reports, requests and a packet for each receiver: more than this for one datagram is too much.
const MOST: usize = 32;
/// A NACK brings more: as many packets as there were, but no more bytes than this.
const MOST_BYTES: usize = 1 << 18;

/// What a participant sends: sound and pictures.
const SOURCES: [[u32; 2]; 2] = [[0x11, 0x12], [0x21, 0x22]];

fn address(participant: usize) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 1000 + participant as u16))
}

/// The key that the participant seals with, and the one that we do.
fn keys(participant: usize) -> [[u8; 16]; 2] {
    let base = 2 * participant as u8;
    [[base + 1; 16], [base + 2; 16]]
}

/// A participant's end of its hop.
struct Client {
    send: HopSendContext,
    receive: HopReceiveContext,
    /// By SSRC, the packets that came and their indices.
    came: HashMap<u32, (ReplayWindow, HashMap<u64, Vec<u8>>)>,
}

impl Client {
    fn new(participant: usize) -> Self {
        let [up, down] = keys(participant);
        Self {
            send: HopSendContext::new(HOP, &up, &SALT).expect("lengths fit"),
            receive: HopReceiveContext::new(HOP, &down, &SALT).expect("lengths fit"),
            came: HashMap::new(),
        }
    }

    /// Checks that a packet is new, or the same as the one with its index; true if it is that.
    fn came_before(&mut self, packet: &[u8]) -> bool {
        let view = RtpView::parse(packet).expect("a packet");
        let (window, packets) = self.came.entry(view.ssrc()).or_default();
        let index = window.estimate(view.sequence_number());
        window.mark(index);
        let before = packets.insert(index, packet.to_vec());
        let differs = before.as_ref().is_some_and(|before| before != packet);
        assert!(!differs, "an index was sealed for two packets");
        before.is_some()
    }

    /// Checks what arrives.
    fn take(&mut self, participant: usize, datagram: &[u8]) {
        let mut datagram = datagram.to_vec();
        if is_rtcp(&datagram) {
            self.receive
                .open_rtcp(&mut datagram)
                .expect("RTCP under this hop's key");
            return;
        }
        let field = ekt_field_length(&datagram).expect("an EKT Field");
        let length = datagram.len() - field;
        let is_repeat = self.came_before(&datagram[..length]);
        let opened = self.receive.open_rtp(&mut datagram[..length]);
        if is_repeat {
            assert_eq!(opened, Err(Rejection::Replayed));
            return;
        }
        let opened = opened.expect("media under this hop's key");
        let view = RtpView::parse(&datagram[..opened.length()]).expect("a packet");
        let [one, other] = SOURCES;
        let foreign = if participant == 0 { other } else { one };
        assert!(
            foreign.contains(&view.ssrc()),
            "somebody's own media came back"
        );
    }
}

#[derive(Default)]
struct Sent {
    room: Vec<u8>,
    datagrams: Vec<(SocketAddr, Vec<u8>)>,
    handed_over: Vec<(usize, ParticipantId, Vec<u8>)>,
}

impl Output for Sent {
    fn room(&mut self, length: usize) -> &mut [u8] {
        self.room.resize(length, 0);
        &mut self.room
    }

    fn send(&mut self, to: SocketAddr, length: usize) {
        self.datagrams.push((to, self.room[..length].to_vec()));
    }

    fn hand_over(&mut self, worker: usize, from: ParticipantId, compound: &[u8]) {
        self.handed_over.push((worker, from, compound.to_vec()));
    }
}

fn worker(share: Share) -> Forwarder {
    let mut forwarder = Forwarder::new(share, 64, 1 << 20);
    for participant in 0..2 {
        let id = participant as u64;
        let [audio, video] = SOURCES[participant];
        let config = ParticipantConfig {
            own_ssrc: 0x99,
            cname: "switch".to_owned(),
            extensions: vec![(MID.to_owned(), 3), ("urn:other".to_owned(), 4)],
            payload_types: vec![("opus/48000".to_owned(), 111), ("VP8/90000".to_owned(), 96)],
            sources: vec![
                SourceConfig {
                    ssrc: audio,
                    kind: Kind::Audio,
                },
                SourceConfig {
                    ssrc: video,
                    kind: Kind::Video,
                },
            ],
        };
        forwarder.add_participant(id, &config);
        forwarder
            .set_address(id, address(participant))
            .expect("a free address");
        let credentials = Credentials::new(&format!("ours{participant}"), PASSWORD, "peer");
        (forwarder.set_credentials(id, &Arc::new(credentials))).expect("a free ufrag");
        let [up, down] = keys(participant);
        let keys = HopKeys::new(HOP, (&up, &SALT), (&down, &SALT)).expect("lengths fit");
        forwarder
            .set_keys(id, keys, Duration::ZERO)
            .expect("a participant");
    }
    for receiver in 0..2 {
        let owner = 1 - receiver;
        for (mid, ssrc) in ["a", "v"].iter().zip(SOURCES[owner]) {
            if !share.owns(ssrc) {
                continue;
            }
            let ids = (receiver as u64, owner as u64);
            let assigned = forwarder.assign_slot(ids.0, mid, ids.1, ssrc, Duration::ZERO);
            assigned.expect("a free slot");
        }
    }
    forwarder
}

/// Parts: a byte that says who sends it and how, then the datagram. Bit 0: which participant. Bit 1:
/// sealed as SRTP or SRTCP, if it can be; else as it is. Bit 2: from an address nobody has. Bit 3: as a
/// check of the participant's, which says with bit 1 that it nominates and is spoilt by the datagram, if
/// that has anything but zeros; what begins as STUN is one without it. The high half: how much later
/// than the one before.
pub fn run(mut data: &[u8]) -> bool {
    let mut workers: Vec<_> = Share::all(WORKERS).map(worker).collect();
    let mut clients = [Client::new(0), Client::new(1)];
    let mut now = Duration::ZERO;
    let mut forwarded = false;
    while let Some(datagram) = take(&mut data) {
        let Some((how, datagram)) = datagram.split_first() else {
            continue;
        };
        now += Duration::from_millis(u64::from(how >> 4) * 150);
        let from = usize::from(how & 1);
        let datagram = &datagram[..datagram.len().min(LARGEST)];
        let source = if how & 4 != 0 {
            address(9)
        } else {
            address(from)
        };
        if how & 8 != 0 || datagram.first().is_some_and(|first| *first <= 3) {
            let spoilt = spoil(&made(from, how & 2 != 0), datagram);
            let message = if how & 8 != 0 { &spoilt } else { datagram };
            forwarded |= check(&mut workers[from], message, source, now);
            continue;
        }
        let datagram = if how & 2 != 0 {
            seal(&mut clients[from], datagram)
        } else {
            datagram.to_vec()
        };
        let sent = receive(&mut workers, datagram, source, now);
        let bytes: usize = sent.iter().map(|one| one.1.len()).sum();
        assert!(
            sent.len() <= MOST || bytes <= MOST_BYTES,
            "one datagram makes too many"
        );
        for (to, datagram) in &sent {
            let participant = (0..2).find(|one| address(*one) == *to);
            let participant = participant.expect("a participant's address");
            clients[participant].take(participant, datagram);
            forwarded = true;
        }
    }
    forwarded
}

/// A check as the participant makes it.
fn made(participant: usize, nominates: bool) -> Vec<u8> {
    let password = Password::new(PASSWORD);
    request(&[7; 12], USERNAME[participant], nominates, &password)
}

/// Each byte of a message changed by the one of the datagram at its place.
fn spoil(message: &[u8], datagram: &[u8]) -> Vec<u8> {
    let changes = datagram.iter().copied().chain(core::iter::repeat(0));
    message
        .iter()
        .zip(changes)
        .map(|(byte, change)| byte ^ change)
        .collect()
}

/// Has a worker take a check; true if it is answered.
fn check(worker: &mut Forwarder, message: &[u8], source: SocketAddr, now: Duration) -> bool {
    let mut sent = Sent::default();
    let mut buffer = message.to_vec();
    let whole = 0..buffer.len();
    let mut batch = worker.batch(&mut buffer, now);
    let found = batch.receive_check(source, whole, &mut sent);
    batch.finish(&mut sent);
    let all = [(0, false), (0, true), (1, false), (1, true)];
    let proved = |message: &[u8]| all.iter().any(|(one, how)| made(*one, *how) == message);
    match found {
        Ok(Checked::Changes) => assert!(sent.datagrams.is_empty() && proved(message)),
        Ok(Checked::Done) => {
            let is_indication = message[1] != 1;
            assert_eq!(sent.datagrams.len(), usize::from(!is_indication));
            assert!(is_indication || proved(message), "answered without proof");
        }
        Err(_) => assert!(sent.datagrams.is_empty()),
    }
    assert!(
        sent.datagrams
            .iter()
            .all(|(to, answer)| *to == source && answer.len() <= 76)
    );
    assert!(
        (0..2).all(|one| worker.peer(&address(one)).is_some()),
        "moved"
    );
    assert!(worker.peer(&address(9)).is_none(), "moved");
    !sent.datagrams.is_empty()
}

/// Has the worker that owns its SSRC take a datagram, and each do what is due; what they send.
fn receive(
    workers: &mut [Forwarder],
    mut datagram: Vec<u8>,
    source: SocketAddr,
    now: Duration,
) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut sent = Sent::default();
    let at = if is_rtcp(&datagram) { 4 } else { 8 };
    let ssrc = datagram.get(at..at + 4).map_or(0, |ssrc| {
        u32::from_be_bytes(ssrc.try_into().expect("four bytes"))
    });
    let owner = &mut workers[Share::all(WORKERS).next().expect("one").owner(ssrc)];
    let (peer, range) = (owner.peer(&source), 0..datagram.len());
    let mut batch = owner.batch(&mut datagram, now);
    batch.receive(peer, range, &mut sent);
    batch.finish(&mut sent);
    for (worker, from, compound) in core::mem::take(&mut sent.handed_over) {
        workers[worker].receive_compound(from, &compound, now, &mut sent);
    }
    for worker in workers {
        worker.handle_timer(now, &mut sent);
        let next = worker.next_timer();
        assert!(next.is_none_or(|due| due > now), "a timer stands still");
    }
    assert!(sent.handed_over.is_empty(), "handed over twice");
    sent.datagrams
}

/// As a client does that has the keys, and anything to say.
fn seal(client: &mut Client, datagram: &[u8]) -> Vec<u8> {
    let length = datagram.len();
    let mut sealed = datagram.to_vec();
    sealed.resize(length + 32, 0);
    let done = if is_rtcp(datagram) {
        client.send.seal_rtcp(&mut sealed, length)
    } else {
        client.send.seal_rtp(&mut sealed, length)
    };
    match done {
        Ok(length) => {
            sealed.truncate(length);
            if !is_rtcp(datagram) {
                sealed.push(0); // a Short EKT Field
            }
            sealed
        }
        Err(_) => datagram.to_vec(),
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let say = |how: u8, datagram: &[u8]| part(&[&[how], datagram].concat());
    let media = |ssrc, payload_type, number| rtp(ssrc, payload_type, number, b"inner, its tag\0");
    let mut buffer = [0; 256];
    let mut writer = CompoundWriter::new(&mut buffer);
    writer.receiver_report(0x21, &[]).expect("has room");
    writer
        .picture_loss_indication(0x21, 0x12)
        .expect("has room");
    let entry = FirEntry {
        ssrc: 0x12,
        sequence_number: 1,
    };
    writer
        .full_intra_request(0x21, [entry].into_iter())
        .expect("has room");
    writer.goodbye(&[0x21]).expect("has room");
    let length = writer.length();
    let compound = &buffer[..length];
    let mut buffer = [0; 256];
    let mut writer = CompoundWriter::new(&mut buffer);
    let lost = [(0xffff, 7), (5, 0)].map(|(packet_id, bitmask)| NackItem { packet_id, bitmask });
    writer
        .generic_nack(0x21, 0x12, lost.into_iter())
        .expect("has room");
    let length = writer.length();
    let nack = &buffer[..length];
    vec![
        [say(2, &media(0x11, 111, 1)), say(0x32, &media(0x12, 96, 1))].concat(),
        [say(3, &media(0x21, 111, 1)), say(0xf3, compound)].concat(),
        [
            say(6, &media(0x11, 111, 1)),
            say(1, compound),
            say(0, b"\x80"),
        ]
        .concat(),
        [
            say(2, &media(0x12, 96, 0xffff)),
            say(2, &media(0x12, 96, 1)),
            say(3, nack),
            say(0x13, nack),
        ]
        .concat(),
        [
            say(8, b""),
            say(0xf, b""),
            say(9, &[0, 0, 0, 0, 0, 0, 0, 0, 1]),
            say(0, &made(0, true)),
        ]
        .concat(),
    ]
}
