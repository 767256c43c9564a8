//! What can't be saved: the same datagrams to as many sockets by the same calls, and the
//! cryptographic library's seal of as many bytes, with nothing around them.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use halfkey_media::{DoubleProfile, TAG_LENGTH};
use halfkey_udp::{MAX_SEGMENTED_LENGTH, MAX_SEGMENTS, Message, ReceiveBuffer, Sender};
use mio::net::UdpSocket;

use crate::participant::bind;
use crate::pattern::{Burst, HEADER, Pattern};

/// What a Media Distributor adds to a packet without extensions: the `mid` that names the slot.
const MID_EXTENSION: usize = 8;

/// As many bytes at once as the switch collects.
const ARENA: usize = 256 << 10;

/// Bursts that are on the way at once: enough that the sender needn't wait, fewer than the sockets
/// hold.
const DEPTH: usize = 3;

/// Datagrams that are on the way at once at most, if a burst has no more of them.
const MOST_UNDER_WAY: usize = 1 << 16;

/// Whom the bursts go to.
#[derive(Debug, Clone, Copy)]
pub struct Audience {
    /// Conferences; one after the other gets a burst.
    pub conferences: usize,
    /// Receivers of a burst in each.
    pub receivers: usize,
}

impl Audience {
    const fn sockets(self) -> usize {
        self.conferences * self.receivers
    }
}

/// CPU time in microseconds for a datagram.
#[derive(Debug, Clone, Copy)]
pub struct Floor {
    /// Of the system calls that send it.
    pub send: f64,
    /// Of its seal.
    pub seal: f64,
}

/// Measures both, for so long each.
///
/// # Errors
/// What the system says, or nobody is to get anything.
pub fn measure(
    host: IpAddr,
    profile: DoubleProfile,
    pattern: &Pattern,
    audience: Audience,
    time: Duration,
) -> io::Result<Floor> {
    if audience.sockets() == 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(Floor {
        send: sends(host, pattern, audience, time)?,
        seal: seals(profile, pattern, audience, time)?,
    })
}

/// CPU time of the calling thread, user and system.
fn thread_cpu() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
    nanoseconds
        .map(Duration::from_nanos)
        .ok_or_else(|| io::Error::other("the system doesn't say how long a thread has run"))
}

/// The receivers' sockets, emptied by a thread of its own.
struct Sink {
    sockets: Vec<UdpSocket>,
    buffer: ReceiveBuffer,
}

impl Sink {
    fn new(host: IpAddr, receivers: usize) -> io::Result<Self> {
        Ok(Self {
            sockets: (0..receivers)
                .map(|_| bind(host))
                .collect::<Result<_, _>>()?,
            buffer: ReceiveBuffer::new(8),
        })
    }

    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(UdpSocket::local_addr).collect()
    }

    /// Takes what is there; returns the number of datagrams.
    fn drain(&mut self) -> u64 {
        let mut total = 0;
        for socket in &self.sockets {
            while let Ok(count) = self.buffer.receive(socket) {
                let messages = (0..count).filter_map(|number| self.buffer.message(number));
                total += messages
                    .map(|one| one.datagrams().count() as u64)
                    .sum::<u64>();
                if count < 8 {
                    break;
                }
            }
        }
        total
    }
}

/// What the thread that sends and the one that receives tell each other.
#[derive(Default)]
struct Meter {
    arrived: AtomicU64,
    stop: AtomicBool,
}

fn sends(host: IpAddr, pattern: &Pattern, audience: Audience, time: Duration) -> io::Result<f64> {
    let mut sink = Sink::new(host, audience.sockets())?;
    let bare = BareSender {
        socket: bind(host)?,
        out: Sender::new(),
        to: sink.addresses()?,
        receivers: audience.receivers,
        arena: vec![7; ARENA],
    };
    let meter = Arc::new(Meter::default());
    let sender = {
        let (meter, pattern) = (Arc::clone(&meter), pattern.clone());
        thread::spawn(move || bare.run(&pattern, &meter, time / 5))
    };
    let start = Instant::now();
    while start.elapsed() < time + time / 5 && !sender.is_finished() {
        let count = sink.drain();
        meter.arrived.fetch_add(count, Ordering::Relaxed);
    }
    meter.stop.store(true, Ordering::Relaxed);
    let panicked = |_| io::Error::other("the sending thread has panicked");
    sender.join().map_err(panicked)?
}

/// Sends each burst to all of a conference, as the switch does, and does nothing else.
struct BareSender {
    socket: UdpSocket,
    out: Sender,
    to: Vec<SocketAddr>,
    /// How many of them are a conference.
    receivers: usize,
    arena: Vec<u8>,
}

impl BareSender {
    /// Until it is stopped; returns microseconds of CPU for a datagram, from `warm` on.
    fn run(mut self, pattern: &Pattern, meter: &Meter, warm: Duration) -> io::Result<f64> {
        let least = self.receivers * pattern.largest() * DEPTH;
        let window = (self.to.len() * pattern.largest() * DEPTH).min(MOST_UNDER_WAY.max(least));
        let window = window as u64;
        let (mut sent, mut burst) = (0_u64, 0);
        let mut start = None;
        let mut progress = (0, Instant::now());
        let began = Instant::now();
        while !meter.stop.load(Ordering::Relaxed) {
            let arrived = meter.arrived.load(Ordering::Relaxed);
            if progress.0 != arrived {
                progress = (arrived, Instant::now());
            }
            if sent > arrived + window {
                thread::sleep(Duration::from_micros(100));
                if progress.1.elapsed() > Duration::from_millis(200) {
                    // Lost on the way: what is missing isn't waited for.
                    meter.arrived.store(sent, Ordering::Relaxed);
                }
                continue;
            }
            if start.is_none() && began.elapsed() > warm {
                start = Some((thread_cpu()?, sent));
            }
            sent += self.send(&pattern.burst(burst), burst)?;
            burst += 1;
        }
        let (before, first) = start.ok_or_else(|| io::Error::other("stopped too early"))?;
        let spent = thread_cpu()? - before;
        Ok(spent.as_secs_f64() * 1e6 / (sent - first).max(1) as f64)
    }

    /// Sends a burst to the conference whose turn it is; returns the number of datagrams.
    fn send(&mut self, burst: &Burst, turn: usize) -> io::Result<u64> {
        let length = burst.length + MID_EXTENSION;
        let most = (MAX_SEGMENTED_LENGTH / length).min(MAX_SEGMENTS);
        let mut messages = Vec::with_capacity(self.receivers);
        let first = turn % (self.to.len() / self.receivers) * self.receivers;
        let mut at = 0;
        for to in &self.to[first..first + self.receivers] {
            let mut left = burst.count;
            while left > 0 {
                let count = left.min(most);
                left -= count;
                if at + count * length > ARENA {
                    flush(&mut self.out, &self.socket, &messages)?;
                    messages.clear();
                    at = 0;
                }
                messages.push(Message {
                    to: *to,
                    data: &self.arena[at..at + count * length],
                    segment: (count > 1).then_some(length as u16),
                });
                at += count * length;
            }
        }
        flush(&mut self.out, &self.socket, &messages)?;
        Ok((burst.count * self.receivers) as u64)
    }
}

fn flush(out: &mut Sender, socket: &UdpSocket, mut messages: &[Message<'_>]) -> io::Result<()> {
    while !messages.is_empty() {
        match out.send(socket, messages.iter().copied()) {
            Ok(sent) => messages = &messages[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Seals in place, with a key for each receiver.
fn seals(
    profile: DoubleProfile,
    pattern: &Pattern,
    audience: Audience,
    time: Duration,
) -> io::Result<f64> {
    let refused = |_| io::Error::other("the cryptographic library refuses its own key");
    let algorithm = match profile {
        DoubleProfile::DoubleAeadAes128Gcm => &AES_128_GCM,
        DoubleProfile::DoubleAeadAes256Gcm => &AES_256_GCM,
    };
    let keys: Vec<_> = (0..audience.sockets())
        .map(|number| {
            let mut key = vec![0; algorithm.key_len()];
            key[..8].copy_from_slice(&(number as u64).to_be_bytes());
            UnboundKey::new(algorithm, &key).map(LessSafeKey::new)
        })
        .collect::<Result<_, _>>()
        .map_err(refused)?;
    let mut arena = vec![7_u8; ARENA];
    let (mut packets, mut burst, mut at) = (0_u64, 0, 0);
    let before = thread_cpu()?;
    let start = Instant::now();
    while start.elapsed() < time {
        let Burst { length, count, .. } = pattern.burst(burst);
        let first = burst % audience.conferences * audience.receivers;
        burst += 1;
        let length = length + MID_EXTENSION;
        for key in &keys[first..first + audience.receivers] {
            for _ in 0..count {
                if at + length > ARENA {
                    at = 0;
                }
                seal(key, &mut arena[at..at + length], packets).map_err(refused)?;
                at += length;
                packets += 1;
            }
        }
    }
    Ok((thread_cpu()? - before).as_secs_f64() * 1e6 / packets.max(1) as f64)
}

/// One seal of a packet that ends with its tag and a Short EKT Field.
fn seal(
    key: &LessSafeKey,
    datagram: &mut [u8],
    index: u64,
) -> Result<(), aws_lc_rs::error::Unspecified> {
    let (header, data) = datagram.split_at_mut(HEADER + MID_EXTENSION);
    let (data, tag) = data.split_at_mut(data.len() - TAG_LENGTH - 1);
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&index.to_be_bytes());
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = &mut tag[..TAG_LENGTH];
    key.seal_in_place_scatter(nonce, Aad::from(header), data, &[], tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socket_of_each_conference_gets_its_bursts() {
        let host = std::net::Ipv4Addr::LOCALHOST.into();
        let mut sink = Sink::new(host, 6).expect("room");
        let mut bare = BareSender {
            socket: bind(host).expect("a free port"),
            out: Sender::new(),
            to: sink.addresses().expect("bound"),
            receivers: 2,
            arena: vec![7; ARENA],
        };
        let burst = Burst {
            at: Duration::ZERO,
            length: 1200,
            count: 5,
        };
        for turn in 0..7 {
            assert_eq!(bare.send(&burst, turn).expect("sent"), 10);
        }
        // Seven turns among three conferences: the first has three of them, the others two.
        let sockets = core::mem::take(&mut sink.sockets);
        let counts = sockets.into_iter().map(|socket| {
            sink.sockets = vec![socket];
            sink.drain()
        });
        assert!(counts.eq([15, 15, 10, 10, 10, 10]));
    }

    #[test]
    fn there_is_no_floor_to_nobody() {
        let bursts = vec![Burst {
            at: Duration::ZERO,
            length: 100,
            count: 1,
        }];
        let pattern = Pattern::new(bursts, Duration::from_millis(20)).expect("good");
        let nobody = Audience {
            conferences: 1,
            receivers: 0,
        };
        let host = std::net::Ipv4Addr::LOCALHOST.into();
        let profile = DoubleProfile::DoubleAeadAes128Gcm;
        assert!(measure(host, profile, &pattern, nobody, Duration::from_millis(1)).is_err());
    }
}
