//! What a forwarded packet costs the worker, beside what can't be saved: the same datagrams sent by
//! the same calls, and sealed by the cryptographic library, with nothing around it.
//!
//!     cargo run --release -p halfkey-switch --example floor [SECONDS [SCENARIO [WORKERS]]]
//!
//! Two threads are at work: the one that is measured (the switch's worker, or the bare sender), and
//! one that makes the traffic and takes everything out of the receivers' sockets again. CPU time is
//! the measured thread's, from getrusage. Receivers have a socket each, on loopback, with UDP_GRO,
//! since a kernel that segments for a receiver does so in the sender's time. The first receiver
//! opens all that it gets.

use std::fmt::Write as _;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use halfkey_media::forwarder::{Forwarder, HopKeys, Kind, ParticipantConfig, SourceConfig};
use halfkey_media::{HopProfile, HopReceiveContext, HopSendContext, TAG_LENGTH, ekt_field_length};
use halfkey_switch::{Settings, Switch};
use halfkey_udp::{Message, ReceiveBuffer, Sender, enable_gro};

const PROFILE: HopProfile = HopProfile::AeadAes128Gcm;
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const HEADER: usize = 12;
/// What the forwarder adds to a packet without extensions: the `mid` that names the slot.
const MID_EXTENSION: usize = 8;
/// As many bytes at once as the switch collects.
const ARENA: usize = 256 << 10;

struct Scenario {
    name: &'static str,
    senders: usize,
    receivers: usize,
    /// The datagrams of one frame of one sender, by turns.
    frames: &'static [usize],
    /// The lengths of the datagrams, by turns.
    lengths: &'static [usize],
    /// Whether a sender gives its frame to the kernel as one message.
    joined: bool,
    /// The frames of each sender that are on the way at once: enough that the worker always has
    /// something, fewer than the sockets hold. More than one packet of speech would be an unlikely
    /// backlog, of which the switch would make a run.
    depth: usize,
}

impl Scenario {
    /// The datagrams to receivers that are on the way at once.
    fn window(&self) -> u64 {
        let longest = self.frames.iter().max().unwrap_or(&1);
        (self.receivers * self.senders * longest * self.depth) as u64
    }
}

const PICTURES: &[usize] = &[8, 20, 11, 14, 17];
const SPEECH: &[usize] = &[112, 160, 128, 192, 144];

const SCENARIOS: &[Scenario] = &[
    livestream("livestream 1 to 10", 10, true),
    livestream("livestream 1 to 50", 50, true),
    livestream("livestream 1 to 500", 500, true),
    livestream("livestream 1 to 1000", 1000, true),
    livestream("livestream 1 to 50, sent one by one", 50, false),
    Scenario {
        name: "audio 10 to 500",
        senders: 10,
        receivers: 500,
        frames: &[1],
        lengths: SPEECH,
        joined: false,
        depth: 1,
    },
];

const fn livestream(name: &'static str, receivers: usize, joined: bool) -> Scenario {
    Scenario {
        name,
        senders: 1,
        receivers,
        frames: PICTURES,
        lengths: &[1200],
        joined,
        depth: 3,
    }
}

/// CPU time of the calling thread, user and system.
fn thread_cpu() -> (Duration, Duration) {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the pointer is to room for what the call writes.
    let result = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
    assert_eq!(result, 0);
    // SAFETY: the call has written it.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    (time(usage.ru_utime), time(usage.ru_stime))
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let sized = socket2::SockRef::from(&socket);
    let _ = sized.set_recv_buffer_size(4 << 20);
    let _ = sized.set_send_buffer_size(4 << 20);
    socket
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("bound")
}

fn keys(id: u64, server: bool) -> [u8; 16] {
    let mut key = [if server { 0x80 } else { 0 }; 16];
    key[8..].copy_from_slice(&id.to_be_bytes());
    key
}

const SALT: [u8; 12] = [7; 12];

/// The receivers' sockets.
struct Sink {
    sockets: Vec<UdpSocket>,
    buffer: ReceiveBuffer,
    open: Option<HopReceiveContext>,
    opened: u64,
    failed: u64,
}

impl Sink {
    fn new(receivers: usize) -> Self {
        let sockets: Vec<_> = (0..receivers).map(|_| socket()).collect();
        for socket in &sockets {
            enable_gro(socket).expect("this kernel has UDP_GRO");
        }
        Self {
            sockets,
            buffer: ReceiveBuffer::new(8),
            open: None,
            opened: 0,
            failed: 0,
        }
    }

    /// Takes what is there; returns the number of datagrams.
    fn drain(&mut self) -> u64 {
        let mut total = 0;
        for (at, socket) in self.sockets.iter().enumerate() {
            while let Ok(count) = self.buffer.receive(socket) {
                for number in 0..count {
                    let message = self.buffer.message(number).expect("from an IP address");
                    total += message.datagrams().count() as u64;
                    let Some(open) = self.open.as_mut().filter(|_| at == 0) else {
                        continue;
                    };
                    for range in message.datagrams() {
                        let datagram = &mut self.buffer.data()[range];
                        if halfkey_media::rtcp::is_rtcp(datagram) {
                            continue;
                        }
                        let end = datagram.len() - ekt_field_length(datagram).unwrap_or(0);
                        match open.open_rtp(&mut datagram[..end]) {
                            Ok(_) => self.opened += 1,
                            Err(_) => self.failed += 1,
                        }
                    }
                }
                if count < 8 {
                    break;
                }
            }
        }
        total
    }
}

/// A sender with its packets.
struct Source {
    socket: UdpSocket,
    seal: HopSendContext,
    ssrc: u32,
    sequence_number: u16,
    frame: usize,
    packets: u64,
    out: Sender,
}

impl Source {
    /// Makes and sends a frame; returns the number of its datagrams.
    fn send_frame(&mut self, scenario: &Scenario, to: SocketAddr) -> usize {
        let count = scenario.frames[self.frame % scenario.frames.len()];
        let length = scenario.lengths[self.frame % scenario.lengths.len()];
        self.frame += 1;
        self.packets += count as u64;
        let mut data = vec![0_u8; count * length];
        for datagram in data.chunks_exact_mut(length) {
            datagram[..2].copy_from_slice(&[0x80, 96]);
            datagram[2..4].copy_from_slice(&self.sequence_number.to_be_bytes());
            datagram[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
            self.sequence_number = self.sequence_number.wrapping_add(1);
            let sealed = self.seal.seal_rtp(datagram, length - TAG_LENGTH - 1);
            assert_eq!(sealed, Ok(length - 1));
        }
        let messages: Vec<_> = data
            .chunks(if scenario.joined { data.len() } else { length })
            .map(|data| Message {
                to,
                data,
                segment: (data.len() > length).then_some(length as u16),
            })
            .collect();
        let sent = self.out.send(&self.socket, messages.iter().copied());
        assert_eq!(sent.expect("sent"), messages.len());
        count
    }
}

fn participant(switch: &Switch, id: u64, at: SocketAddr, sends: bool) -> HopSendContext {
    let sources = sends.then_some(SourceConfig {
        ssrc: id as u32,
        kind: Kind::Audio,
    });
    let config = ParticipantConfig {
        own_ssrc: 1 << 20 | id as u32,
        cname: "md".into(),
        extensions: vec![(MID.into(), 1)],
        payload_types: vec![("VP8/90000".into(), 96)],
        sources: sources.into_iter().collect(),
    };
    let (client, server) = (keys(id, false), keys(id, true));
    let hop = HopKeys::new(PROFILE, (&client, &SALT), (&server, &SALT)).expect("lengths fit");
    switch.add_participant(id, &config).expect("running");
    assert_eq!(switch.set_address(id, at), Ok(Ok(())));
    assert_eq!(switch.set_keys(id, hop), Ok(Ok(())));
    HopSendContext::new(PROFILE, &client, &SALT).expect("lengths fit")
}

/// What was measured.
struct Figures {
    packets: u64,
    user: Duration,
    system: Duration,
    wall: Duration,
    lost: u64,
}

impl Figures {
    fn microseconds(&self) -> f64 {
        (self.user + self.system).as_secs_f64() * 1e6 / self.packets as f64
    }

    fn rate(&self) -> f64 {
        self.packets as f64 / self.wall.as_secs_f64()
    }
}

/// How many datagrams are on the way.
#[derive(Default)]
struct Meter {
    expected: u64,
    arrived: u64,
    progress: Option<Instant>,
}

impl Meter {
    /// Notes what arrived; false once nothing more is on the way.
    fn take(&mut self, count: u64) -> bool {
        self.arrived += count;
        if count > 0 {
            self.progress = Some(Instant::now());
        }
        let last = *self.progress.get_or_insert_with(Instant::now);
        if last.elapsed() > Duration::from_millis(200) {
            // Lost on the way: what is missing isn't waited for.
            self.arrived = self.expected;
            self.progress = None;
        }
        self.arrived < self.expected
    }
}

/// Forwarded packets, what was dropped, and the workers' CPU time.
fn look_at(switch: &Switch) -> (u64, u64, (Duration, Duration)) {
    let look = |forwarder: &mut Forwarder, _| {
        let statistics = forwarder.statistics();
        let dropped: u64 = statistics.dropped().values().sum();
        (statistics.forwarded_packets, dropped, thread_cpu())
    };
    let seen = switch.each(|_| look).expect("running");
    let mut sum = (0, 0, (Duration::ZERO, Duration::ZERO));
    for (forwarded, dropped, (user, system)) in seen {
        sum.0 += forwarded;
        sum.1 += dropped;
        sum.2 = (sum.2.0 + user, sum.2.1 + system);
    }
    sum
}

/// The switch itself.
fn measure_switch(scenario: &Scenario, workers: usize, time: Duration) -> Figures {
    let switch = Switch::new(&Settings {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        workers,
        queue_limit: 16,
        capture_bytes: 0,
        late_after: Settings::LATE_AFTER,
    })
    .expect("a free port");
    let mut sink = Sink::new(scenario.receivers);
    let mut sources: Vec<_> = (1..=scenario.senders as u64)
        .map(|id| {
            let socket = socket();
            Source {
                seal: participant(&switch, id, address(&socket), true),
                socket,
                ssrc: id as u32,
                sequence_number: 0,
                frame: id as usize,
                packets: 0,
                out: Sender::new(),
            }
        })
        .collect();
    for (at, socket) in sink.sockets.iter().enumerate() {
        let id = 10_000 + at as u64;
        participant(&switch, id, address(socket), false);
        for sender in 1..=scenario.senders as u64 {
            let mid = format!("{}", sender % 10);
            let assigned = switch.assign_slot(id, &mid, sender, sender as u32);
            assert_eq!(assigned, Ok(Ok(())));
        }
    }
    let open = HopReceiveContext::new(PROFILE, &keys(10_000, true), &SALT);
    sink.open = Some(open.expect("lengths fit"));

    let to = switch.local_address();
    let window = scenario.window();
    let mut meter = Meter::default();
    let mut turn = 0;
    let mut run = |sink: &mut Sink, time: Duration| {
        let end = Instant::now() + time;
        loop {
            let running = Instant::now() < end;
            while running && meter.expected < meter.arrived + window {
                let at = turn % sources.len();
                turn += 1;
                let count = sources[at].send_frame(scenario, to) * scenario.receivers;
                meter.expected += count as u64;
            }
            let done = !meter.take(sink.drain());
            if done && !running {
                return;
            }
        }
    };
    run(&mut sink, time / 5);
    let (before, _, (user, system)) = look_at(&switch);
    let start = Instant::now();
    run(&mut sink, time);
    let wall = start.elapsed();
    let (after, dropped, (user_after, system_after)) = look_at(&switch);
    let made = sources.iter().map(|one| one.packets).sum::<u64>() * scenario.receivers as u64;
    let patience = Instant::now() + Duration::from_secs(2);
    let mut handled = after + dropped;
    while handled < made && Instant::now() < patience {
        sink.drain();
        let (forwarded, dropped, _) = look_at(&switch);
        handled = forwarded + dropped;
    }
    assert_eq!(sink.failed, 0, "every packet is authentic");
    assert!(sink.opened > 0);
    Figures {
        packets: after - before,
        user: user_after - user,
        system: system_after - system,
        wall,
        lost: made.saturating_sub(handled) + dropped,
    }
}

/// The same datagrams by the same calls, with nothing around them.
fn measure_sends(scenario: &Scenario, time: Duration) -> Figures {
    let mut sink = Sink::new(scenario.receivers);
    let to: Vec<_> = sink.sockets.iter().map(address).collect();
    let window = scenario.window();
    let arrived = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let (frames, lengths) = (scenario.frames, scenario.lengths);
    let sender = thread::spawn({
        let (arrived, stop) = (Arc::clone(&arrived), Arc::clone(&stop));
        move || {
            let (socket, mut out) = (socket(), Sender::new());
            let arena = vec![7; ARENA];
            let (mut sent, mut frame, mut packets) = (0_u64, 0, 0_u64);
            let mut start = None;
            let warm = Instant::now() + time / 5;
            while !stop.load(Ordering::Relaxed) {
                if sent > arrived.load(Ordering::Relaxed) + window {
                    thread::sleep(Duration::from_micros(100));
                    continue;
                }
                if start.is_none() && Instant::now() > warm {
                    start = Some((thread_cpu(), Instant::now()));
                    packets = 0;
                }
                let count = frames[frame % frames.len()];
                let length = lengths[frame % lengths.len()] + MID_EXTENSION;
                frame += 1;
                let mut at = 0;
                let mut messages = Vec::with_capacity(to.len());
                for to in &to {
                    if at + count * length > ARENA {
                        send(&mut out, &socket, &messages);
                        messages.clear();
                        at = 0;
                    }
                    let data = &arena[at..at + count * length];
                    at += data.len();
                    let segment = (count > 1).then_some(length as u16);
                    messages.push(Message {
                        to: *to,
                        data,
                        segment,
                    });
                }
                send(&mut out, &socket, &messages);
                sent += (count * to.len()) as u64;
                packets += (count * to.len()) as u64;
            }
            let ((user, system), began) = start.expect("longer than that");
            let (user_after, system_after) = thread_cpu();
            Figures {
                packets,
                user: user_after - user,
                system: system_after - system,
                wall: began.elapsed(),
                lost: 0,
            }
        }
    });
    let start = Instant::now();
    while start.elapsed() < time + time / 5 {
        let count = sink.drain();
        arrived.fetch_add(count, Ordering::Relaxed);
    }
    stop.store(true, Ordering::Relaxed);
    sender.join().expect("no panic")
}

fn send(out: &mut Sender, socket: &UdpSocket, mut messages: &[Message<'_>]) {
    while !messages.is_empty() {
        let sent = out.send(socket, messages.iter().copied()).expect("sent");
        messages = &messages[sent..];
    }
}

/// The library's seals alone, of the same lengths, with a key for each receiver.
fn measure_seals(scenario: &Scenario, time: Duration) -> f64 {
    let keys: Vec<_> = (0..scenario.receivers as u64)
        .map(|id| {
            let key = UnboundKey::new(&AES_128_GCM, &keys(id, true)).expect("a key");
            LessSafeKey::new(key)
        })
        .collect();
    let mut arena = vec![7_u8; ARENA];
    let (mut packets, mut index, mut frame) = (0_u64, 0_u64, 0);
    let (user, system) = thread_cpu();
    let start = Instant::now();
    while start.elapsed() < time {
        let count = scenario.frames[frame % scenario.frames.len()];
        let length = scenario.lengths[frame % scenario.lengths.len()] + MID_EXTENSION;
        frame += 1;
        let mut at = 0;
        for key in &keys {
            for _ in 0..count {
                if at + length > ARENA {
                    at = 0;
                }
                let datagram = &mut arena[at..at + length];
                at += length;
                let (header, data) = datagram.split_at_mut(HEADER + MID_EXTENSION);
                let (data, tag) = data.split_at_mut(data.len() - TAG_LENGTH - 1);
                let mut nonce = SALT;
                nonce[4..].copy_from_slice(&index.to_be_bytes());
                index += 1;
                let nonce = Nonce::assume_unique_for_key(nonce);
                let tag = &mut tag[..TAG_LENGTH];
                let sealed = key.seal_in_place_scatter(nonce, Aad::from(header), data, &[], tag);
                sealed.expect("sealed");
                packets += 1;
            }
        }
    }
    let (user_after, system_after) = thread_cpu();
    (user_after - user + system_after - system).as_secs_f64() * 1e6 / packets as f64
}

/// What a datagram costs the worker that goes no further, in microseconds: nonsense from a stranger,
/// a packet that was received before, one that is not authentic.
fn measure_refusals(count: u64) -> [(&'static str, f64); 3] {
    let switch = Switch::new(&Settings {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        workers: 1,
        queue_limit: 16,
        capture_bytes: 0,
        late_after: Settings::LATE_AFTER,
    })
    .expect("a free port");
    let (stranger, known) = (socket(), socket());
    let mut seal = participant(&switch, 1, address(&known), true);
    let mut packet = vec![0_u8; 1200];
    packet[..2].copy_from_slice(&[0x80, 96]);
    packet[11] = 1;
    seal.seal_rtp(&mut packet, 1200 - TAG_LENGTH - 1)
        .expect("fresh");
    known
        .send_to(&packet, switch.local_address())
        .expect("sent");
    let mut forged = packet.clone();
    forged[3] = 1;
    [
        ("unknown_address", &stranger, &packet),
        ("replayed", &known, &packet),
        ("hop_authentication", &known, &forged),
    ]
    .map(|(reason, socket, datagram)| {
        let refused = || {
            let look = |forwarder: &mut Forwarder, _| {
                let dropped = forwarder.statistics().dropped();
                (dropped.get(reason).copied().unwrap_or(0), thread_cpu())
            };
            switch.at(0, look).expect("running")
        };
        let (_, (user, system)) = refused();
        let mut out = Sender::new();
        let message = Message {
            to: switch.local_address(),
            data: datagram,
            segment: None,
        };
        let mut sent = 0;
        while sent < count {
            sent += out.send(socket, [message; 256].into_iter()).expect("sent") as u64;
            // To be asked costs the worker, too.
            while refused().0 < sent {
                thread::sleep(Duration::from_millis(1));
            }
        }
        let (_, (user_after, system_after)) = refused();
        let cost = (user_after - user + system_after - system).as_secs_f64() * 1e6;
        (reason, cost / sent as f64)
    })
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok());
    let time = Duration::from_secs_f64(seconds.unwrap_or(5.0));
    let wanted = arguments.next().unwrap_or_default();
    let workers = arguments.next().and_then(|text| text.parse().ok());
    let workers = workers.unwrap_or(1);
    let mut table = String::from(
        "| scenario | forwarded/s | CPU us/packet | user | system | send us | seal us | floor us | ratio | lost |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for scenario in SCENARIOS.iter().filter(|one| one.name.contains(&wanted)) {
        let switch = measure_switch(scenario, workers, time);
        let sends = measure_sends(scenario, time);
        let seals = measure_seals(scenario, time / 4);
        let (cost, send) = (switch.microseconds(), sends.microseconds());
        let share = |part: Duration| part.as_secs_f64() * 1e6 / switch.packets as f64;
        let _ = writeln!(
            table,
            "| {} | {:.0} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.2} | {} |",
            scenario.name,
            switch.rate(),
            cost,
            share(switch.user),
            share(switch.system),
            send,
            seals,
            send + seals,
            cost / (send + seals),
            switch.lost,
        );
        eprintln!("{}: {:.0}/s", scenario.name, switch.rate());
    }
    print!("{table}");
    if wanted.is_empty() || wanted == "refusals" {
        println!("\n| refused | CPU us/packet |\n|---|---|");
        for (reason, cost) in measure_refusals(100_000) {
            println!("| {reason} | {cost:.3} |");
        }
    }
}
