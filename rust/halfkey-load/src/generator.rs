//! The loop: sends what is due, takes what is there, waits for the earlier of both.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use halfkey_media::histogram::Histogram;
use halfkey_udp::ReceiveBuffer;
use mio::{Events, Interest, Poll, Token};
use socket2::{SockRef, Type};

use crate::arrivals::Arrivals;
use crate::flood::{Flood, FloodKind, LastPacket};
use crate::handed_back::{HandedBack, is_media};
use crate::participant::{Association, EktParameters, Participant, Stream, prepare};

/// Messages that are taken from one socket before the schedule is looked at again.
const MESSAGES: usize = 8;

/// Bursts that are sent before receivers have a turn, if so many are due.
const BURSTS: usize = 4;

/// How often it is looked for news while there still is something to take.
const TURNS: u64 = 64;

/// Silence after which nothing more is on the way.
const SILENCE: Duration = Duration::from_millis(150);

/// How long what is on the way is waited for at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// What may be looked at, and said, while a run is under way.
#[derive(Debug, Default)]
pub struct Progress {
    /// Packets that the senders gave to the system.
    pub sent: AtomicU64,
    /// Packets that receivers took, each once.
    pub received: AtomicU64,
    /// Set to end the run.
    pub stop: AtomicBool,
    /// What came of the Media Distributor that isn't media.
    pub handed_back: HandedBack,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// How long was sent.
    pub sending: Duration,
    /// Packets that were sent, also those that the system had no room for.
    pub sent: u64,
    /// Packets that the system had no room for.
    pub unsent: u64,
    /// Packets that the schedule had until the end of the sending, those that were sent among them.
    pub due: u64,
    /// How late the oldest burst was, at the end of the sending, that was due and not sent.
    pub behind: Duration,
    /// Packets that should come to receivers.
    pub offered: u64,
    /// All receivers' counters.
    pub arrivals: Arrivals,
    /// The smallest and the greatest share that a receiver lost.
    pub loss: (f64, f64),
    /// From the sending of a packet to its receiver; of those that were opened.
    pub latency: Histogram,
    /// How late bursts were sent.
    pub lateness: Histogram,
    /// Datagrams of a flood that were sent besides.
    pub flooded: u64,
}

/// All Endpoints of a run.
pub struct Generator {
    to: SocketAddr,
    sample: u32,
    poll: Poll,
    participants: Vec<Participant>,
    buffer: ReceiveBuffer,
    out: halfkey_udp::Sender,
    epoch: Instant,
    progress: Arc<Progress>,
    ready: VecDeque<usize>,
    last_arrival: Duration,
    turns: u64,
    /// Where what a participant sends is noted, while it is replayed.
    noted: Option<(usize, Arc<LastPacket>)>,
}

impl Generator {
    /// For a Media Distributor's address; each receiver opens one packet of `sample`.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(to: SocketAddr, sample: u32) -> io::Result<Self> {
        Ok(Self {
            to,
            sample,
            poll: Poll::new()?,
            participants: Vec::new(),
            buffer: ReceiveBuffer::new(MESSAGES),
            out: halfkey_udp::Sender::new(),
            epoch: Instant::now(),
            progress: Arc::default(),
            ready: VecDeque::new(),
            last_arrival: Duration::ZERO,
            turns: 0,
            noted: None,
        })
    }

    /// What to look at from another thread.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Adds an Endpoint, and says what its address is. One that receives is expected to be sent all
    /// that others of its conference send.
    ///
    /// # Errors
    /// A key is wrong, or what the system says.
    pub fn add(
        &mut self,
        conference: usize,
        association: &Association<'_>,
        ekt: &EktParameters<'_>,
        stream: Option<Stream<'_>>,
        receives: bool,
    ) -> io::Result<SocketAddr> {
        let socket = UdpSocket::bind((self.to.ip(), 0))?;
        self.adopt(socket, conference, association, ekt, stream, receives)
    }

    /// As [`Self::add`], for one that has joined, with the socket that it joined by. Whoever made it
    /// join goes on answering and asking for consent by it, and takes what is handed back.
    ///
    /// # Errors
    /// Likewise, or it is no UDP socket.
    pub fn adopt(
        &mut self,
        socket: UdpSocket,
        conference: usize,
        association: &Association<'_>,
        ekt: &EktParameters<'_>,
        stream: Option<Stream<'_>>,
        receives: bool,
    ) -> io::Result<SocketAddr> {
        if SockRef::from(&socket).r#type()? != Type::DGRAM {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let socket = prepare(socket)?;
        let mut participant =
            Participant::new(socket, conference, association, ekt, stream, receives)?;
        let token = Token(self.participants.len());
        let registry = self.poll.registry();
        registry.register(&mut participant.socket, token, Interest::READABLE)?;
        let address = participant.address;
        self.participants.push(participant);
        Ok(address)
    }

    /// Sends for so long, and takes what comes of it; keys and indices go on from run to run.
    ///
    /// # Errors
    /// A key is used up, or what the system says.
    pub fn run(&mut self, time: Duration) -> io::Result<Report> {
        let (mut latency, mut lateness) = (Histogram::default(), Histogram::default());
        let mut events = Events::with_capacity(1024);
        let began = self.now();
        let mut schedule = self.begin(began);
        let end = began + time;
        while !self.progress.stop.load(Ordering::Relaxed) && self.now() < end {
            self.send_due(&mut schedule, &mut lateness, end)?;
            let due = schedule
                .peek()
                .map_or(end, |Reverse((due, _))| (*due).min(end));
            self.await_socket(&mut events, due)?;
            self.receive_one(&mut latency);
        }
        let ended = self.now();
        self.take_the_rest(&mut events, &mut latency)?;
        let behind = schedule.peek().map_or(Duration::ZERO, |Reverse((due, _))| {
            ended.min(end).saturating_sub(*due)
        });
        let report = self.report(ended - began, latency, lateness);
        let due = self.due_until(ended.min(end));
        Ok(Report {
            due,
            behind,
            ..report
        })
    }

    /// Takes what is still on the way, for as long as something comes.
    fn take_the_rest(&mut self, events: &mut Events, latency: &mut Histogram) -> io::Result<()> {
        self.last_arrival = self.now();
        let patience = self.last_arrival + PATIENCE;
        while !self.progress.stop.load(Ordering::Relaxed)
            && (self.now() < patience.min(self.last_arrival + SILENCE) || !self.ready.is_empty())
        {
            self.await_socket(events, self.last_arrival + SILENCE)?;
            self.receive_one(latency);
        }
        Ok(())
    }

    /// Packets that the schedule has until then; no fewer than were sent.
    fn due_until(&self, time: Duration) -> u64 {
        let senders = self
            .participants
            .iter()
            .filter_map(|one| one.sender.as_ref());
        senders.map(|one| one.due_until(time).max(one.sent)).sum()
    }

    /// As [`Self::run`], with a flood from another thread for as long.
    ///
    /// # Errors
    /// Likewise, or nobody sends what could be replayed.
    pub fn run_flooded(&mut self, time: Duration, kind: FloodKind) -> io::Result<Report> {
        let flood = self.flood(kind)?;
        let last_packet = self.noted.as_ref().map(|(_, packet)| Arc::clone(packet));
        let stop = AtomicBool::new(false);
        let report = thread::scope(|scope| {
            let flooding = scope.spawn(|| flood.run(&stop, last_packet.as_deref()));
            let report = self.run(time);
            stop.store(true, Ordering::Relaxed);
            let flooded = flooding.join().unwrap_or_default();
            report.map(|report| Report { flooded, ..report })
        });
        self.noted = None;
        report
    }

    fn flood(&mut self, kind: FloodKind) -> io::Result<Flood> {
        if kind != FloodKind::Replay {
            return Flood::of_a_stranger(kind, self.to);
        }
        let mut participants = self.participants.iter();
        let sends = participants.position(|one| one.sender.is_some());
        let sends = sends.ok_or(io::ErrorKind::NotFound)?;
        self.noted = Some((sends, Arc::default()));
        Flood::of_copies(&self.participants[sends].socket, self.to)
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Sets all counters to zero, and lists whose turn is when.
    fn begin(&mut self, now: Duration) -> BinaryHeap<Reverse<(Duration, usize)>> {
        let mut schedule = BinaryHeap::new();
        for (at, participant) in self.participants.iter_mut().enumerate() {
            participant.receiver.arrivals = Arrivals::default();
            if let Some(sender) = &mut participant.sender {
                sender.begin(now);
                schedule.push(Reverse((sender.due(), at)));
            }
        }
        schedule
    }

    /// Sends what is due, but no more than some bursts, and nothing once it is the end: a load that
    /// this machine can't make ends in time like any other.
    fn send_due(
        &mut self,
        schedule: &mut BinaryHeap<Reverse<(Duration, usize)>>,
        lateness: &mut Histogram,
        end: Duration,
    ) -> io::Result<()> {
        for _ in 0..BURSTS {
            let now = self.now();
            let Some(&Reverse((due, at))) = schedule.peek() else {
                break;
            };
            if due > now || now >= end {
                break;
            }
            schedule.pop();
            lateness.record(now - due);
            let participant = &mut self.participants[at];
            let Some(sender) = &mut participant.sender else {
                continue;
            };
            let count = sender.send(&mut self.out, &participant.socket, self.to, now)?;
            self.progress.sent.fetch_add(count, Ordering::Relaxed);
            match (&self.noted, sender.last_packet()) {
                (Some((noted, to)), Some(packet)) if *noted == at => to.set(packet),
                _ => {}
            }
            schedule.push(Reverse((sender.due(), at)));
        }
        Ok(())
    }

    /// Waits until there is something to take, or it is time.
    fn await_socket(&mut self, events: &mut Events, until: Duration) -> io::Result<()> {
        self.turns += 1;
        let wait = if self.ready.is_empty() {
            until.saturating_sub(self.now())
        } else if self.turns % TURNS == 0 {
            Duration::ZERO
        } else {
            return Ok(());
        };
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        self.ready
            .extend(events.iter().map(|event| event.token().0));
        Ok(())
    }

    /// Takes messages from the socket that has waited longest. It is told of once, so it stays in
    /// the queue until it is empty.
    fn receive_one(&mut self, latency: &mut Histogram) {
        let Some(at) = self.ready.pop_front() else {
            return;
        };
        let participant = &mut self.participants[at];
        let Ok(count) = self.buffer.receive(&participant.socket) else {
            return;
        };
        if count == MESSAGES {
            self.ready.push_back(at);
        }
        let now = self.epoch.elapsed();
        self.last_arrival = now;
        let before = participant.receiver.arrivals.received;
        for number in 0..count {
            let Some(message) = self.buffer.message(number) else {
                continue;
            };
            for range in message.datagrams() {
                let datagram = &self.buffer.data()[range];
                if !is_media(datagram) {
                    if message.from == self.to {
                        self.progress.handed_back.push(at, datagram);
                    }
                    continue;
                }
                participant
                    .receiver
                    .take(datagram, now, self.sample, latency);
            }
        }
        let came = participant.receiver.arrivals.received - before;
        self.progress.received.fetch_add(came, Ordering::Relaxed);
    }

    fn report(&self, sending: Duration, latency: Histogram, lateness: Histogram) -> Report {
        let conferences = self.participants.iter().map(|one| one.conference).max();
        let mut sent_in = vec![0; conferences.map_or(0, |last| last + 1)];
        let (mut sent, mut unsent) = (0, 0);
        for participant in &self.participants {
            if let Some(sender) = &participant.sender {
                sent_in[participant.conference] += sender.sent;
                sent += sender.sent;
                unsent += sender.unsent;
            }
        }
        let (mut arrivals, mut offered) = (Arrivals::default(), 0);
        let mut losses = Vec::new();
        for participant in self.participants.iter().filter(|one| one.receives) {
            let own = participant.sender.as_ref().map_or(0, |sender| sender.sent);
            let expected = sent_in[participant.conference] - own;
            let got = participant.receiver.arrivals.received;
            offered += expected;
            arrivals.add(&participant.receiver.arrivals);
            losses.push(1.0 - got as f64 / expected.max(1) as f64);
        }
        Report {
            sending,
            sent,
            unsent,
            due: sent,
            behind: Duration::ZERO,
            offered,
            arrivals,
            loss: (
                losses.iter().copied().fold(1.0, f64::min),
                losses.iter().copied().fold(0.0, f64::max),
            ),
            latency,
            lateness,
            flooded: 0,
        }
    }
}
