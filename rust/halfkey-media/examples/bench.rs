//! Times the packet transforms beside the raw calls of the cryptographic library that they need.
//!
//! `cargo run --release -p halfkey-media --example bench` prints a JSON object a line: `operation`,
//! `profile`, `payload_bytes`, `us` (a packet), `raw_us` (the raw calls in it), `ratio`.
//!
//! Transforms and raw calls take turns, batch by batch, on packets that lie in memory alike; the
//! figures are medians, so that what else the machine does falls on both.

use std::hint::black_box;
use std::time::Instant;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use halfkey_media::double::{DoubleReceiver, DoubleSender};
use halfkey_media::ekt::full_ekt_field;
use halfkey_media::rtp::Element;
use halfkey_media::{
    DoubleProfile, HopProfile, HopReceiveContext, HopSendContext, OpenedPacket, TAG_LENGTH,
};

const BATCH: usize = 64;
const ROUNDS: usize = 10_000;
const SSRC: u32 = 0x0102_0304;
/// A fixed header and an extension with one element, as a packet with a mid has.
const HEADER_LENGTH: usize = 20;
/// What Double adds before the outer tag: the inner tag and an empty OHB.
const INNER_OVERHEAD: usize = TAG_LENGTH + 1;
const SALT: [u8; 12] = [3; 12];
const EKT_KEY: [u8; 16] = [4; 16];

/// A profile with its keys.
struct Suite {
    name: &'static str,
    profile: DoubleProfile,
    keys: [Vec<u8>; 3],
    raw: [LessSafeKey; 2],
}

impl Suite {
    fn new(name: &'static str, profile: DoubleProfile) -> Self {
        let algorithm = match profile.half() {
            HopProfile::AeadAes128Gcm => &AES_128_GCM,
            HopProfile::AeadAes256Gcm => &AES_256_GCM,
        };
        let length = profile.half().key_length();
        let raw = |byte| {
            let key = UnboundKey::new(algorithm, &vec![byte; length]).expect("the right length");
            LessSafeKey::new(key)
        };
        let keys = [1, 2, 3].map(|byte| vec![byte; length]);
        Self {
            name,
            profile,
            keys,
            raw: [raw(1), raw(2)],
        }
    }

    fn sender(&self) -> DoubleSender {
        let mut sender =
            DoubleSender::new(self.profile, &self.keys[0], &SALT).expect("lengths fit");
        sender
            .set_inner_key(SSRC, &self.keys[1], &SALT)
            .expect("lengths fit");
        sender
    }

    fn ekt_field(&self) -> Vec<u8> {
        full_ekt_field(&EKT_KEY, 1, 0, SSRC, 0, &self.keys[1]).expect("lengths fit")
    }
}

fn packet(payload_length: usize) -> Vec<u8> {
    let mut packet = vec![0x90, 96, 0, 0, 0, 0, 0, 1];
    packet.extend(SSRC.to_be_bytes());
    packet.extend([0xbe, 0xde, 0, 1, 0x31, b'v', b'0', 0]);
    packet.resize(HEADER_LENGTH + payload_length, 0xa5);
    packet
}

/// Sequence numbers without end.
#[derive(Default)]
struct Numbers(u16);

impl Numbers {
    fn put_next(&mut self, packet: &mut [u8]) {
        self.0 = self.0.wrapping_add(1);
        packet[2..4].copy_from_slice(&self.0.to_be_bytes());
    }
}

fn nonce(header: &[u8]) -> Nonce {
    let mut nonce = [0; 12];
    nonce[10..].copy_from_slice(&header[2..4]);
    Nonce::assume_unique_for_key(nonce)
}

/// Seals `data` but for its last 16 bytes, which the tag takes.
fn raw_seal(key: &LessSafeKey, header: &[u8], data: &mut [u8]) {
    let (data, tag) = data.split_at_mut(data.len() - TAG_LENGTH);
    key.seal_in_place_scatter(nonce(header), Aad::from(header), data, &[], tag)
        .expect("sealed");
}

fn raw_open(key: &LessSafeKey, header: &[u8], data: &mut [u8]) {
    let (data, tag) = data.split_at_mut(data.len() - TAG_LENGTH);
    key.open_in_place_separate_tag(nonce(header), Aad::from(header), tag, data)
        .expect("opened");
}

/// Microseconds a packet that `run` takes for a batch.
fn timed(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64() * 1e6 / BATCH as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// `round` does a batch both ways: (transform, raw calls).
fn report(
    operation: &str,
    suite: &Suite,
    payload_length: usize,
    mut round: impl FnMut() -> (f64, f64),
) {
    for _ in 0..ROUNDS / 10 {
        round();
    }
    let (ours, raw): (Vec<_>, Vec<_>) = (0..ROUNDS).map(|_| round()).unzip();
    let (ours, raw) = (median(ours), median(raw));
    println!(
        "{{\"operation\": \"{operation}\", \"profile\": \"{}\", \"payload_bytes\": \
         {payload_length}, \"us\": {ours:.3}, \"raw_us\": {raw:.3}, \"ratio\": {:.2}}}",
        suite.name,
        ours / raw,
    );
}

/// Double protect beside two raw seals.
fn protect(suite: &Suite, payload_length: usize) {
    let mut sender = suite.sender();
    let mut numbers = Numbers::default();
    let mut packets = vec![packet(payload_length); BATCH];
    let mut outputs = vec![Vec::new(); BATCH];
    let mut raw = vec![vec![0xa5; HEADER_LENGTH + payload_length + 33]; BATCH];
    report("protect", suite, payload_length, || {
        let ours = timed(|| {
            for (packet, output) in packets.iter_mut().zip(&mut outputs) {
                numbers.put_next(packet);
                sender
                    .protect(packet, b"\0", black_box(output))
                    .expect("fresh");
            }
        });
        let calls = timed(|| {
            for packet in &mut raw {
                numbers.put_next(packet);
                let (header, data) = packet.split_at_mut(HEADER_LENGTH);
                let inner = payload_length + TAG_LENGTH;
                raw_seal(&suite.raw[0], &header[..12], &mut data[..inner]);
                raw_seal(&suite.raw[1], header, black_box(data));
            }
        });
        (ours, calls)
    });
}

/// Double unprotect beside two raw opens.
fn unprotect(suite: &Suite, payload_length: usize) {
    let mut sender = suite.sender();
    let mut receiver =
        DoubleReceiver::new(suite.profile, &suite.keys[0], &SALT).expect("lengths fit");
    receiver
        .add_ekt_parameter_set(1, &EKT_KEY, &SALT)
        .expect("lengths fit");
    let mut numbers = Numbers::default();
    let mut packet = packet(payload_length);
    let mut sealed = vec![Vec::new(); BATCH];
    let mut output = Vec::new();
    let mut raw = vec![Vec::new(); BATCH];
    let field = suite.ekt_field();
    report("unprotect", suite, payload_length, || {
        for (at, sealed) in sealed.iter_mut().enumerate() {
            numbers.put_next(&mut packet);
            let field: &[u8] = if at == 0 { &field } else { b"\0" };
            sender.protect(&packet, field, sealed).expect("fresh");
        }
        let ours = timed(|| {
            for sealed in &sealed {
                receiver
                    .unprotect(sealed, black_box(&mut output))
                    .expect("authentic");
            }
        });
        for raw in &mut raw {
            raw.clone_from(&packet);
            raw.resize(packet.len() + 33, 0);
            let (header, data) = raw.split_at_mut(HEADER_LENGTH);
            raw_seal(
                &suite.raw[0],
                &header[..12],
                &mut data[..payload_length + TAG_LENGTH],
            );
            raw_seal(&suite.raw[1], header, data);
        }
        let calls = timed(|| {
            for packet in &mut raw {
                let (header, data) = packet.split_at_mut(HEADER_LENGTH);
                raw_open(&suite.raw[1], header, data);
                let inner = payload_length + TAG_LENGTH;
                raw_open(&suite.raw[0], &header[..12], black_box(&mut data[..inner]));
            }
        });
        (ours, calls)
    });
}

/// What a Media Distributor does to a packet for one receiver: open, change PT, SEQ and the mid,
/// reflect that in the OHB, seal.
fn relay(
    receive: &mut HopReceiveContext,
    send: &mut HopSendContext,
    packet: &mut [u8],
    output: &mut [u8],
) -> usize {
    let opened = receive.open_rtp(packet).expect("authentic");
    let packet = OpenedPacket::parse(&packet[..opened.length()]).expect("well-formed");
    let mut sent = packet.view.changeable_fields();
    sent.payload_type = 111;
    sent.sequence_number = sent.sequence_number.wrapping_sub(9);
    let mid: [Element<'_>; 1] = [(3, b"s1")];
    let length = packet.rewrite(sent, mid.into_iter(), output);
    send.seal_rtp(output, length.expect("has room"))
        .expect("fresh")
}

/// Hop re-seal beside one raw open and one raw seal.
fn reseal(suite: &Suite, payload_length: usize) {
    let profile = suite.profile.half();
    let mut sender = suite.sender();
    let mut receive = HopReceiveContext::new(profile, &suite.keys[0], &SALT).expect("lengths fit");
    let mut send = HopSendContext::new(profile, &suite.keys[2], &SALT).expect("lengths fit");
    let mut numbers = Numbers::default();
    let mut packet = packet(payload_length);
    let mut sealed = vec![Vec::new(); BATCH];
    let mut outputs = vec![vec![0; 2048]; BATCH];
    let mut raw = vec![Vec::new(); BATCH];
    report("reseal", suite, payload_length, || {
        for sealed in &mut sealed {
            numbers.put_next(&mut packet);
            sender.protect(&packet, b"\0", sealed).expect("fresh");
        }
        let ours = timed(|| {
            for (sealed, output) in sealed.iter_mut().zip(&mut outputs) {
                let end = sealed.len() - 1; // the Short EKT Field
                black_box(relay(&mut receive, &mut send, &mut sealed[..end], output));
            }
        });
        for raw in &mut raw {
            raw.clone_from(&packet);
            raw.resize(packet.len() + INNER_OVERHEAD + TAG_LENGTH, 0);
            let (header, data) = raw.split_at_mut(HEADER_LENGTH);
            raw_seal(&suite.raw[0], header, data);
        }
        let calls = timed(|| {
            for packet in &mut raw {
                let (header, data) = packet.split_at_mut(HEADER_LENGTH);
                raw_open(&suite.raw[0], header, data);
                raw_seal(&suite.raw[1], header, black_box(data));
            }
        });
        (ours, calls)
    });
}

fn main() {
    let suites = [
        Suite::new("double-128", DoubleProfile::DoubleAeadAes128Gcm),
        Suite::new("double-256", DoubleProfile::DoubleAeadAes256Gcm),
    ];
    for suite in &suites {
        for payload_length in [160, 1200] {
            protect(suite, payload_length);
            unprotect(suite, payload_length);
            reseal(suite, payload_length);
        }
    }
}
