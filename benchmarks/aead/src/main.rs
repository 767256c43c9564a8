//! AES-GCM by two libraries, and by the calls that one of them offers, at the sizes of media
//! packets. Says which library and which call the packet path should use.
//!
//! `cargo run --release --manifest-path benchmarks/aead/Cargo.toml` prints Markdown: nanoseconds a
//! packet, medians of rounds in which all take turns.

use std::hint::black_box;
use std::time::Instant;

use aws_lc_rs::aead as aws;
use ring::aead as ring_aead;

const BATCH: usize = 64;
const ROUNDS: usize = 4000;
const HEADER_LENGTH: usize = 20;
const TAG_LENGTH: usize = 16;
const OHB: [u8; 4] = [96, 1, 2, 3];

/// Seals or opens one packet: its number, what is inside, and the buffer that it goes through.
type Call<'a> = Box<dyn FnMut(u64, &[u8], &mut [u8]) + 'a>;

fn nonce(number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    nonce
}

fn by_aws(number: u64) -> aws::Nonce {
    aws::Nonce::assume_unique_for_key(nonce(number))
}

fn by_ring(number: u64) -> ring_aead::Nonce {
    ring_aead::Nonce::assume_unique_for_key(nonce(number))
}

/// The header, `length` bytes behind it, and what follows.
fn parts(buffer: &mut [u8], length: usize) -> (&[u8], &mut [u8], &mut [u8]) {
    let (header, rest) = buffer.split_at_mut(HEADER_LENGTH);
    let (data, rest) = rest.split_at_mut(length);
    (header, data, rest)
}

/// Puts what is inside and the OHB behind the header, as a relay has to before it seals in place.
fn copy(inner: &[u8], buffer: &mut [u8]) {
    let (_, data, rest) = parts(buffer, inner.len());
    data.copy_from_slice(inner);
    rest[..OHB.len()].copy_from_slice(&OHB);
}

fn aws_seal(key: &aws::LessSafeKey, number: u64, length: usize, buffer: &mut [u8]) {
    let (header, data, rest) = parts(buffer, length);
    let (nonce, aad) = (by_aws(number), aws::Aad::from(header));
    key.seal_in_place_scatter(nonce, aad, data, &[], &mut rest[..TAG_LENGTH])
        .expect("sealed");
}

fn ring_seal(key: &ring_aead::LessSafeKey, number: u64, length: usize, buffer: &mut [u8]) {
    let (header, data, rest) = parts(buffer, length);
    let (nonce, aad) = (by_ring(number), ring_aead::Aad::from(header));
    let tag = key.seal_in_place_separate_tag(nonce, aad, data);
    rest[..TAG_LENGTH].copy_from_slice(tag.expect("sealed").as_ref());
}

/// All the calls. Those that open undo the seal of the one before, in the same buffer.
fn calls<'a>(
    aws_key: &'a aws::LessSafeKey,
    ring_key: &'a ring_aead::LessSafeKey,
) -> Vec<(&'static str, Call<'a>)> {
    let aws_open = |number: u64, inner: &[u8], buffer: &mut [u8]| {
        let (header, data, rest) = parts(buffer, inner.len());
        let (nonce, aad) = (by_aws(number), aws::Aad::from(header));
        aws_key
            .open_in_place_separate_tag(nonce, aad, &rest[..TAG_LENGTH], data)
            .expect("opened");
    };
    let ring_open = |number: u64, inner: &[u8], buffer: &mut [u8]| {
        let (header, data, _) = parts(buffer, inner.len() + TAG_LENGTH);
        let (nonce, aad) = (by_ring(number), ring_aead::Aad::from(header));
        ring_key.open_in_place(nonce, aad, data).expect("opened");
    };
    let aws_out_of_place = |number: u64, inner: &[u8], buffer: &mut [u8]| {
        let (header, data, rest) = parts(buffer, inner.len());
        let (nonce, aad) = (by_aws(number), aws::Aad::from(header));
        let end = &mut rest[..OHB.len() + TAG_LENGTH];
        aws_key
            .seal_out_of_place_scatter(nonce, aad, inner, data, &OHB, end)
            .expect("sealed");
    };
    vec![
        (
            "seal in place, aws-lc-rs",
            Box::new(|number, inner, buffer| aws_seal(aws_key, number, inner.len(), buffer)),
        ),
        ("open in place, aws-lc-rs", Box::new(aws_open)),
        (
            "seal in place, ring",
            Box::new(|number, inner, buffer| ring_seal(ring_key, number, inner.len(), buffer)),
        ),
        ("open in place, ring", Box::new(ring_open)),
        (
            "copy, then seal in place, aws-lc-rs",
            Box::new(|number, inner, buffer| {
                copy(inner, buffer);
                aws_seal(aws_key, number, inner.len() + OHB.len(), buffer);
            }),
        ),
        ("seal out of place, aws-lc-rs", Box::new(aws_out_of_place)),
        (
            "copy, then seal in place, ring",
            Box::new(|number, inner, buffer| {
                copy(inner, buffer);
                ring_seal(ring_key, number, inner.len() + OHB.len(), buffer);
            }),
        ),
    ]
}

fn measure(key_length: usize, length: usize) -> Vec<(&'static str, f64)> {
    let (aws_algorithm, ring_algorithm) = match key_length {
        16 => (&aws::AES_128_GCM, &ring_aead::AES_128_GCM),
        _ => (&aws::AES_256_GCM, &ring_aead::AES_256_GCM),
    };
    let key = vec![7; key_length];
    let aws_key = aws::UnboundKey::new(aws_algorithm, &key).expect("a key");
    let aws_key = aws::LessSafeKey::new(aws_key);
    let ring_key = ring_aead::UnboundKey::new(ring_algorithm, &key).expect("a key");
    let ring_key = ring_aead::LessSafeKey::new(ring_key);
    let mut calls = calls(&aws_key, &ring_key);
    let inner = vec![vec![0x5a; length]; BATCH];
    let mut buffers = vec![vec![0; HEADER_LENGTH + length + OHB.len() + TAG_LENGTH]; BATCH];
    let mut times = vec![Vec::new(); calls.len()];
    for round in 0..ROUNDS as u64 {
        for ((_, call), times) in calls.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for (at, (inner, buffer)) in inner.iter().zip(&mut buffers).enumerate() {
                call(round << 8 | at as u64, inner, black_box(buffer));
            }
            times.push(start.elapsed().as_nanos() as f64 / BATCH as f64);
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let names = calls.iter().map(|(name, _)| *name);
    names.zip(times.iter_mut().map(median)).collect()
}

fn main() {
    let cases = [(16, 160), (16, 1200), (32, 160), (32, 1200)];
    let results = cases.map(|(key_length, length)| measure(key_length, length));
    println!("| ns for a packet | 128, 160 bytes | 128, 1200 | 256, 160 | 256, 1200 |");
    println!("|---|---|---|---|---|");
    for (at, (name, _)) in results[0].iter().enumerate() {
        let times = results
            .iter()
            .map(|result| format!(" {:.0} |", result[at].1));
        println!("| {name} |{}", times.collect::<String>());
    }
}
