//! What is to be sent: side by side in one arena, so that a run of datagrams to one address is one
//! message, and many messages are one system call.
//!
//! ```text
//! runs of equal length --> UDP_SEGMENT, sendmmsg --refused by the route--> sendmmsg --refused--> sendto
//!                              | no room: once more when the others are gone, then counted
//! ```
//!
//! A run is cut where the length changes (the last datagram may be shorter) and never waits for
//! more. What one destination refuses stops nothing that goes to others.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use halfkey_media::forwarder::{Output, ParticipantId};
use halfkey_udp::{MAX_SEGMENTED_LENGTH, MAX_SEGMENTS, Message, Sender};
use mio::net::UdpSocket;

use crate::figures::{Figures, since_1970};
use crate::inbox::{Content, Inbox};

/// The bytes that are collected before they are sent: few enough to be in the processor's cache
/// when the kernel copies them.
const ARENA: usize = 256 << 10;

/// The destinations that are remembered for refusing segmentation; all are forgotten when there are
/// more, and after a while, since routes change.
const MAX_REFUSING: usize = 1024;
const REMEMBERED: Duration = Duration::from_secs(60);

/// Datagrams to one address, side by side in the arena.
#[derive(Debug, Clone)]
struct Run {
    to: SocketAddr,
    range: Range<usize>,
    /// The length of each of them; the last may be shorter.
    segment: usize,
    /// When the first came of those that it was made of.
    arrived: Option<Duration>,
}

impl Run {
    /// Whether a datagram of this length may be appended.
    fn takes(&self, to: &SocketAddr, length: usize) -> bool {
        let bytes = self.range.len();
        self.to == *to
            && length <= self.segment
            && bytes % self.segment == 0
            && bytes / self.segment < MAX_SEGMENTS
            && bytes + length <= MAX_SEGMENTED_LENGTH
    }

    const fn is_segmented(&self) -> bool {
        self.range.end - self.range.start > self.segment
    }

    /// How many datagrams they are.
    fn count(&self) -> usize {
        self.range.len().div_ceil(self.segment.max(1))
    }

    /// Each datagram by itself.
    fn datagrams(&self) -> impl Iterator<Item = Self> + use<> {
        let Self {
            to,
            range,
            segment,
            arrived,
        } = self.clone();
        range.clone().step_by(segment.max(1)).map(move |start| {
            let end = (start + segment).min(range.end);
            Self {
                to,
                range: start..end,
                segment,
                arrived,
            }
        })
    }

    fn message<'a>(&self, arena: &'a [u8]) -> Message<'a> {
        Message {
            to: self.to,
            data: arena.get(self.range.clone()).unwrap_or_default(),
            segment: (self.is_segmented())
                .then(|| u16::try_from(self.segment).ok())
                .flatten(),
        }
    }
}

/// Datagrams that were not sent, since the last time somebody asked.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unsent {
    /// There was no room for them, twice.
    pub(crate) full: u64,
    /// The system refused them.
    pub(crate) refused: u64,
    /// Another worker had no room for what was handed to it.
    pub(crate) handover: u64,
}

/// What an error says of the message that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Nothing: the call was interrupted.
    Interrupted,
    /// There is no room now.
    NoRoom,
    /// It can't be sent like this.
    Other,
}

impl Refusal {
    fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EINTR) => Self::Interrupted,
            Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => Self::NoRoom,
            _ => Self::Other,
        }
    }
}

/// The socket's sending side.
#[derive(Debug)]
pub(crate) struct Outbox {
    socket: UdpSocket,
    inboxes: Arc<[Inbox]>,
    sender: Sender,
    arena: Box<[u8]>,
    used: usize,
    runs: Vec<Run>,
    /// What there was no room for.
    again: Vec<Run>,
    /// Destinations whose route takes no segmented messages.
    refusing: HashSet<SocketAddr>,
    forget_at: Duration,
    unsent: Unsent,
    /// See [`Output::arrived`].
    arrived: Option<Duration>,
    pub(crate) figures: Figures,
}

impl Outbox {
    /// `inboxes`: of all workers, in their order.
    pub(crate) fn new(socket: UdpSocket, inboxes: Arc<[Inbox]>) -> Self {
        Self {
            socket,
            inboxes,
            sender: Sender::new(),
            arena: vec![0; ARENA].into(),
            used: 0,
            runs: Vec::with_capacity(ARENA / 64),
            again: Vec::with_capacity(ARENA / 64),
            refusing: HashSet::new(),
            forget_at: REMEMBERED,
            unsent: Unsent::default(),
            arrived: None,
            figures: Figures::default(),
        }
    }

    pub(crate) const fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Sends everything, and says what could not be sent since the last time.
    pub(crate) fn finish(&mut self, now: Duration) -> Unsent {
        self.flush();
        if now >= self.forget_at {
            self.refusing.clear();
            self.forget_at = now + REMEMBERED;
        }
        core::mem::take(&mut self.unsent)
    }

    fn flush(&mut self) {
        let runs = core::mem::take(&mut self.runs);
        self.send_all(&runs, Self::refused);
        let again = core::mem::take(&mut self.again);
        self.send_all(&again, Self::refused_again);
        self.note(&runs);
        // Both keep their room.
        (self.runs, self.again) = (runs, again);
        self.runs.clear();
        self.again.clear();
        self.used = 0;
    }

    /// Notes what was sent: a clock is read for all of it, not for each.
    fn note(&mut self, runs: &[Run]) {
        if runs.is_empty() {
            return;
        }
        let now = since_1970();
        for run in runs {
            let count = run.count();
            self.figures.segments.record(count);
            if let Some(arrived) = run.arrived {
                let added = now.saturating_sub(arrived);
                let latency = &mut self.figures.added_latency;
                latency.record_many(added, u32::try_from(count).unwrap_or(u32::MAX));
            }
        }
    }

    /// Sends runs in their order; `refused` is told of those that the system doesn't take.
    fn send_all(&mut self, mut runs: &[Run], refused: fn(&mut Self, &Run, Refusal)) {
        while let Some(first) = runs.first() {
            let messages = runs.iter().map(|run| run.message(&self.arena));
            match self.sender.send(&self.socket, messages) {
                Ok(sent) => {
                    self.figures.calls.record(sent);
                    runs = runs.get(sent.max(1)..).unwrap_or_default();
                }
                Err(error) => match Refusal::of(&error) {
                    Refusal::Interrupted => {}
                    refusal => {
                        refused(self, first, refusal);
                        runs = &runs[1..];
                    }
                },
            }
        }
    }

    fn refused(&mut self, run: &Run, refusal: Refusal) {
        match refusal {
            Refusal::NoRoom => self.again.push(run.clone()),
            _ if run.is_segmented() => {
                // The route can't segment, or its MTU is too small: one by one they may be sent.
                if self.refusing.len() >= MAX_REFUSING {
                    self.refusing.clear();
                }
                self.refusing.insert(run.to);
                let datagrams: Vec<Run> = run.datagrams().collect();
                self.send_all(&datagrams, Self::refused);
            }
            _ => self.send_to(run),
        }
    }

    fn refused_again(&mut self, run: &Run, refusal: Refusal) {
        match refusal {
            Refusal::NoRoom => self.unsent.full += run.count() as u64,
            _ => run.datagrams().for_each(|one| self.send_to(&one)),
        }
    }

    /// The last resort, for one datagram: where the system has no sendmmsg, or lets nobody use it.
    fn send_to(&mut self, datagram: &Run) {
        let data = self.arena.get(datagram.range.clone()).unwrap_or_default();
        match self.socket.send_to(data, datagram.to) {
            Ok(_) => {}
            Err(error) if Refusal::of(&error) == Refusal::NoRoom => self.unsent.full += 1,
            Err(_) => self.unsent.refused += 1,
        }
    }
}

impl Outbox {
    /// Hands bytes to another worker.
    pub(crate) fn hand(&mut self, worker: usize, content: Content, bytes: &[u8]) {
        let inbox = self.inboxes.get(worker);
        if !inbox.is_some_and(|inbox| inbox.put(content, bytes)) {
            self.unsent.handover += 1;
        }
    }
}

impl Output for Outbox {
    fn arrived(&mut self, at: Option<Duration>) {
        self.arrived = at;
    }

    fn hand_over(&mut self, worker: usize, from: ParticipantId, compound: &[u8]) {
        self.hand(worker, Content::Compound(from), compound);
    }

    fn room(&mut self, length: usize) -> &mut [u8] {
        if self.arena.len() - self.used < length {
            self.flush();
        }
        &mut self.arena[self.used..]
    }

    fn send(&mut self, to: SocketAddr, length: usize) {
        let range = self.used..self.used + length;
        self.used = range.end;
        // What is of no arrival doesn't go with what is: that is timed.
        let is_timed = self.arrived.is_some();
        let last = (self.runs.last_mut())
            .filter(|run| run.takes(&to, length) && run.arrived.is_some() == is_timed);
        match last {
            Some(run) if !self.refusing.contains(&to) => run.range.end = range.end,
            _ => self.runs.push(Run {
                to,
                range,
                segment: length,
                arrived: self.arrived,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use halfkey_udp::refuse_segmentation;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn outbox(address: &str) -> Outbox {
        let address: SocketAddr = address.parse().expect("an address");
        Outbox::new(UdpSocket::bind(address).expect("a free port"), Arc::new([]))
    }

    fn receiver(address: &str) -> (std::net::UdpSocket, SocketAddr) {
        let socket = std::net::UdpSocket::bind(address).expect("a free port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let address = socket.local_addr().expect("bound");
        (socket, address)
    }

    fn put(outbox: &mut Outbox, to: SocketAddr, datagrams: &[&[u8]]) {
        for datagram in datagrams {
            outbox.send_copy(to, datagram);
        }
    }

    #[track_caller]
    fn expect(socket: &std::net::UdpSocket, datagrams: &[&[u8]]) {
        let mut buffer = vec![0; 1 << 16];
        for expected in datagrams {
            let length = socket.recv(&mut buffer).expect("in time");
            assert_eq!(&buffer[..length], *expected);
        }
    }

    const NOTHING: Unsent = Unsent {
        full: 0,
        refused: 0,
        handover: 0,
    };

    /// How many messages were collected, and the most datagrams in one.
    fn shape(outbox: &Outbox) -> (usize, usize) {
        let counts = outbox.runs.iter().map(Run::count);
        (outbox.runs.len(), counts.max().unwrap_or(0))
    }

    #[test]
    fn only_what_is_of_an_arrival_is_timed() {
        let mut outbox = outbox("127.0.0.1:0");
        let (_receiver, address) = receiver("127.0.0.1:0");
        for arrived in [Some(since_1970()), None] {
            outbox.arrived(arrived);
            put(&mut outbox, address, &[&[1; 100], &[2; 100]]);
        }
        outbox.finish(Duration::ZERO);
        assert_eq!(outbox.figures.segments.sum(), 4);
        assert_eq!(outbox.figures.added_latency.total(), 2);
    }

    #[test]
    fn a_run_ends_behind_a_shorter_one_and_where_the_address_changes() {
        let mut outbox = outbox("127.0.0.1:0");
        let ((one, to_one), (two, to_two)) = (receiver("127.0.0.1:0"), receiver("127.0.0.1:0"));
        put(
            &mut outbox,
            to_one,
            &[b"aaaa", b"bbbb", b"cc", b"dd", b"eeee"],
        );
        put(&mut outbox, to_two, &[b"ffff", b"gggg"]);
        put(&mut outbox, to_one, &[b"hhhh"]);
        assert_eq!(shape(&outbox), (5, 3));
        assert_eq!(outbox.finish(Duration::ZERO), NOTHING);
        expect(&one, &[b"aaaa", b"bbbb", b"cc", b"dd", b"eeee", b"hhhh"]);
        expect(&two, &[b"ffff", b"gggg"]);
        assert_eq!(shape(&outbox), (0, 0));
    }

    #[test]
    fn a_run_is_no_longer_than_the_kernel_takes() {
        let mut outbox = outbox("127.0.0.1:0");
        let (receiver, to) = receiver("127.0.0.1:0");
        let small: Vec<Vec<u8>> = (0..130_u8).map(|number| vec![number; 10]).collect();
        let large: Vec<Vec<u8>> = (0..10_u8).map(|number| vec![number; 9000]).collect();
        for datagram in &small {
            outbox.send_copy(to, datagram);
        }
        assert_eq!(shape(&outbox), (3, MAX_SEGMENTS));
        assert_eq!(outbox.finish(Duration::ZERO), NOTHING);
        expect(
            &receiver,
            &small.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        );
        for datagram in &large {
            outbox.send_copy(to, datagram);
        }
        assert_eq!(shape(&outbox), (2, 7));
        assert_eq!(outbox.finish(Duration::ZERO), NOTHING);
        expect(
            &receiver,
            &large.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        );
    }

    #[test]
    fn more_than_the_arena_holds_goes_out_in_parts() {
        let mut outbox = outbox("127.0.0.1:0");
        let receivers: Vec<_> = (0..8).map(|_| receiver("127.0.0.1:0")).collect();
        // Each gets less than its buffer holds, all together more than twice the arena.
        let each = ARENA / 4 / 1200;
        for (number, (_, to)) in receivers.iter().enumerate() {
            for _ in 0..each {
                outbox.send_copy(*to, &[number as u8; 1200]);
            }
        }
        assert!(outbox.used > 0 && outbox.runs.len() < 8, "a part is sent");
        assert_eq!(outbox.finish(Duration::ZERO), NOTHING);
        for (number, (receiver, _)) in receivers.iter().enumerate() {
            expect(receiver, &vec![&[number as u8; 1200][..]; each]);
        }
    }

    #[test]
    fn a_route_that_refuses_segmentation_gets_every_datagram_and_others_keep_theirs() {
        // A socket for both families: IPv4 is refused, IPv6 is not.
        let mut outbox = outbox("[::]:0");
        refuse_segmentation(outbox.socket()).expect("possible");
        let ((v4, _), (v6, to_v6)) = (receiver("127.0.0.1:0"), receiver("[::1]:0"));
        let port = v4.local_addr().expect("bound").port();
        let to_v4 = SocketAddr::new("::ffff:127.0.0.1".parse().expect("valid"), port);
        for round in 0..2 {
            put(&mut outbox, to_v6, &[b"1111", b"2222"]);
            put(&mut outbox, to_v4, &[b"3333", b"4444", b"55"]);
            put(&mut outbox, to_v6, &[b"6666", b"77"]);
            // Once refused, it isn't tried again.
            assert_eq!(shape(&outbox).0, if round == 0 { 3 } else { 5 });
            assert_eq!(outbox.finish(Duration::ZERO), NOTHING);
            expect(&v4, &[b"3333", b"4444", b"55"]);
            expect(&v6, &[b"1111", b"2222", b"6666", b"77"]);
            assert!(outbox.refusing.contains(&to_v4) && outbox.refusing.len() == 1);
        }
        // Routes change: after a while it is tried again.
        outbox.finish(REMEMBERED);
        put(&mut outbox, to_v4, &[b"8888", b"9999"]);
        assert_eq!(shape(&outbox).0, 1);
        assert_eq!(outbox.finish(REMEMBERED), NOTHING);
        expect(&v4, &[b"8888", b"9999"]);
    }

    #[test]
    fn what_can_not_be_sent_at_all_is_counted_and_stops_nothing() {
        let mut outbox = outbox("127.0.0.1:0");
        let (receiver, to) = receiver("127.0.0.1:0");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let too_long = vec![0; MAX_SEGMENTED_LENGTH + 1];
        put(&mut outbox, nowhere, &[b"x"]);
        put(&mut outbox, to, &[b"1", b"2"]);
        put(&mut outbox, nowhere, &[b"xx", b"yy", b"z"]);
        put(&mut outbox, to, &[&too_long, b"3"]);
        let expected = Unsent {
            refused: 5,
            ..NOTHING
        };
        assert_eq!(outbox.finish(Duration::ZERO), expected);
        expect(&receiver, &[b"1", b"2", b"3"]);
        assert_eq!(outbox.finish(Duration::ZERO), NOTHING);
    }
}
