//! What is to be sent: side by side in one arena, so that a run of datagrams to one address is one
//! message, and many messages are one system call.
//!
//! ```text
//! runs of equal length --> UDP_SEGMENT, sendmmsg --not in this form--> sendmmsg, one by one
//!                              | not by this call: sendto, one by one, and no second time
//!                              | no room: once more when the others are gone, then counted
//!                              | not there, or not at all: counted
//! ```
//!
//! A run is cut where the length changes (the last datagram may be shorter) and never waits for
//! more. What one destination refuses stops nothing that goes to others. What there was no room for
//! goes out behind what else was collected, also to the same receiver: it sorts by sequence numbers.

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
            && (1..=self.segment).contains(&length)
            && bytes % self.segment == 0
            && bytes / self.segment < MAX_SEGMENTS
            && bytes + length <= MAX_SEGMENTED_LENGTH
    }

    const fn is_segmented(&self) -> bool {
        self.range.end - self.range.start > self.segment
    }

    /// How many datagrams they are; an empty one is one, too.
    fn count(&self) -> usize {
        self.range.len().div_ceil(self.segment.max(1)).max(1)
    }

    /// Each datagram by itself.
    fn datagrams(&self) -> impl Iterator<Item = Self> + use<> {
        let Self {
            to,
            range,
            segment,
            arrived,
        } = self.clone();
        (0..self.count()).map(move |number| {
            let start = range.start + number * segment;
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
    /// It can't be sent in this form: the route can't segment, or its MTU is too small.
    Form,
    /// It can't be sent by this call: the system has no sendmmsg, or lets nobody use it; or a filter
    /// lets nothing through.
    Call,
    /// It can't be sent there, or not at all.
    Final,
}

impl Refusal {
    fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EINTR) => Self::Interrupted,
            Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => Self::NoRoom,
            Some(libc::EINVAL | libc::EIO | libc::EMSGSIZE | libc::EOPNOTSUPP) => Self::Form,
            Some(libc::ENOSYS | libc::EPERM) => Self::Call,
            _ => Self::Final,
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
        // Both keep their room.
        (self.runs, self.again) = (runs, again);
        self.runs.clear();
        self.again.clear();
        self.used = 0;
    }

    /// Notes what the system took: a clock is read for all of it, not for each.
    fn note(&mut self, runs: &[Run]) {
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
        // What comes behind a refusal is likely to be refused, too: not many are made ready for it.
        let mut most = usize::MAX;
        while let Some(first) = runs.first() {
            let messages = runs.iter().take(most).map(|run| run.message(&self.arena));
            match self.sender.send(&self.socket, messages) {
                Ok(sent) => {
                    most = usize::MAX;
                    self.figures.calls.record(sent);
                    let (sent, others) = runs.split_at(sent.clamp(1, runs.len()));
                    self.note(sent);
                    runs = others;
                }
                Err(error) => match Refusal::of(&error) {
                    Refusal::Interrupted => {}
                    refusal => {
                        most = 1;
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
            Refusal::Form if run.is_segmented() => {
                if self.refusing.len() >= MAX_REFUSING {
                    self.refusing.clear();
                }
                self.refusing.insert(run.to);
                let datagrams: Vec<Run> = run.datagrams().collect();
                self.send_all(&datagrams, Self::refused);
            }
            _ => self.refused_again(run, refusal),
        }
    }

    fn refused_again(&mut self, run: &Run, refusal: Refusal) {
        match refusal {
            Refusal::NoRoom => self.unsent.full += run.count() as u64,
            Refusal::Call => run.datagrams().for_each(|one| self.send_to(&one)),
            Refusal::Form if run.is_segmented() => {
                run.datagrams().for_each(|one| self.send_to(&one));
            }
            _ => self.unsent.refused += run.count() as u64,
        }
    }

    /// The last resort, for one datagram.
    fn send_to(&mut self, datagram: &Run) {
        let data = self.arena.get(datagram.range.clone()).unwrap_or_default();
        match self.socket.send_to(data, datagram.to) {
            Ok(_) => self.note(core::slice::from_ref(datagram)),
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
mod tests;
