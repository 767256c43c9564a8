//! The worker's loop: the socket, the instructions and the forwarder's timer.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use halfkey_media::Share;
use halfkey_media::forwarder::{Batch, Checked, DropReason, Forwarder, Output, Peer};
use halfkey_udp::{ReceiveBuffer, Received};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use crate::demux::{Protocol, classify, media_ssrc};
use crate::figures::{Figures, since_1970};
use crate::inbox::{Content, Inbox};
use crate::outbox::Outbox;
use crate::queue::Queue;

pub(crate) const SOCKET: Token = Token(0);
pub(crate) const WAKER: Token = Token(1);

/// The most messages that are taken before instructions and timers get their turn.
const MESSAGES: usize = 32;

/// The most instructions that are followed before media gets its turn.
const INSTRUCTIONS: usize = 64;

/// The routes that they may touch: a sender that leaves a large conference has a thousand. A frame
/// for as many receivers costs more.
const ROUTES: usize = 1024;

/// The most parcels of other workers that are taken before the socket gets its turn.
const PARCELS: usize = 64;

/// Runs in the worker, with the time of its clock.
pub(crate) type Control = Box<dyn FnOnce(&mut Forwarder, Duration) + Send>;

/// What the worker is told to do, in its own thread.
pub(crate) enum Instruction {
    /// Send a datagram that is not media.
    Send(SocketAddr, Vec<u8>),
    /// Change the forwarder, or look at it.
    Control(Control),
    /// Tell what was counted of the work.
    Figures(SyncSender<Figures>),
    /// Come to an end.
    Stop,
}

pub(crate) struct Worker {
    poll: Poll,
    inboxes: Arc<[Inbox]>,
    instructions: Receiver<Instruction>,
    queue: Arc<Queue>,
    forwarder: Forwarder,
    epoch: Instant,
    received: ReceiveBuffer,
    outbox: Outbox,
    /// The socket was not emptied yet; mio tells of new datagrams only.
    readable: bool,
    /// Instructions or parcels were left for the next turn.
    has_more: bool,
    stopped: bool,
    /// How long media may wait for its turn.
    late_after: Duration,
    /// What the kernel noted last of messages that there was no room for.
    overflowed: u32,
}

impl Worker {
    pub(crate) fn new(
        forwarder: Forwarder,
        poll: Poll,
        mut socket: UdpSocket,
        instructions: Receiver<Instruction>,
        (queue, inboxes): (Arc<Queue>, Arc<[Inbox]>),
        late_after: Duration,
    ) -> io::Result<Self> {
        poll.registry()
            .register(&mut socket, SOCKET, Interest::READABLE)?;
        Ok(Self {
            poll,
            inboxes: Arc::clone(&inboxes),
            instructions,
            queue,
            forwarder,
            epoch: Instant::now(),
            received: ReceiveBuffer::new(MESSAGES),
            outbox: Outbox::new(socket, inboxes),
            readable: false,
            has_more: false,
            stopped: false,
            late_after,
            overflowed: 0,
        })
    }

    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(8);
        while !self.stopped {
            let timeout = self.timeout();
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
            }
            self.readable |= events.iter().any(|event| event.token() == SOCKET);
            self.inbox().look();
            self.has_more = self.follow_instructions();
            let now = self.now();
            self.has_more |= self.take_parcels(now);
            if self.readable {
                self.receive_batch(now);
            }
            self.forwarder.handle_timer(now, &mut self.outbox);
            let unsent = self.outbox.finish(now);
            let forwarder = &mut self.forwarder;
            forwarder.count_drops(DropReason::SocketFull, unsent.full);
            forwarder.count_drops(DropReason::SocketRefused, unsent.refused);
            forwarder.count_drops(DropReason::HandoverFull, unsent.handover);
        }
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn timeout(&self) -> Option<Duration> {
        if self.readable || self.has_more {
            return Some(Duration::ZERO);
        }
        let due = self.forwarder.next_timer()?;
        Some(due.saturating_sub(self.now()))
    }

    fn inbox(&self) -> &Inbox {
        &self.inboxes[self.forwarder.share().worker()]
    }

    /// Follows instructions, as far as it is one turn's work; true if there may be more.
    fn follow_instructions(&mut self) -> bool {
        let mut routes = 0;
        for _ in 0..INSTRUCTIONS {
            if routes >= ROUTES {
                return true;
            }
            match self.instructions.try_recv() {
                Ok(Instruction::Control(follow)) => {
                    let now = self.now();
                    follow(&mut self.forwarder, now);
                    routes += self.forwarder.take_work();
                }
                Ok(Instruction::Send(to, datagram)) => self.outbox.send_copy(to, &datagram),
                Ok(Instruction::Figures(answer)) => {
                    // Nobody waits for the answer if the asking thread is gone.
                    let _ = answer.send(self.outbox.figures.clone());
                }
                Ok(Instruction::Stop) | Err(TryRecvError::Disconnected) => {
                    self.stopped = true;
                    return false;
                }
                Err(TryRecvError::Empty) => return false,
            }
        }
        true
    }

    /// Takes what other workers handed over, as far as it is one turn's work; true if there is more.
    fn take_parcels(&mut self, now: Duration) -> bool {
        for _ in 0..PARCELS {
            let Some(mut parcel) = self.inbox().take() else {
                return false;
            };
            let (content, bytes) = (parcel.content, parcel.bytes_mut());
            match content {
                Content::Datagram(_, arrived) if is_late(arrived, self.late_after) => {
                    self.forwarder.count_drop(DropReason::Late);
                }
                Content::Datagram(from, arrived) => {
                    self.forwarder.count_handed_over();
                    let peer = self.forwarder.peer(&from);
                    let whole = 0..bytes.len();
                    let mut batch = self.forwarder.batch(bytes, now);
                    batch.arrived(arrived);
                    batch.receive(peer, whole, &mut self.outbox);
                    batch.finish(&mut self.outbox);
                }
                Content::Compound(from) => {
                    let outbox = &mut self.outbox;
                    self.forwarder.receive_compound(from, bytes, now, outbox);
                }
            }
        }
        !self.inbox().is_empty()
    }

    /// Takes what is there, as far as it is one turn's work.
    fn receive_batch(&mut self, now: Duration) {
        let count = match self.received.receive(self.outbox.socket()) {
            Ok(count) => count,
            Err(error) => {
                // What an ICMP message or a signal brings says nothing about the socket.
                self.readable = error.kind() != ErrorKind::WouldBlock;
                return;
            }
        };
        self.readable = count == MESSAGES;
        let messages: [_; MESSAGES] =
            core::array::from_fn(|at| (at < count).then(|| self.received.message(at)).flatten());
        let share = self.forwarder.share();
        let mut turn = Turn {
            batch: self.forwarder.batch(self.received.data(), now),
            share,
            outbox: &mut self.outbox,
            queue: &self.queue,
        };
        let mut datagrams = 0;
        for message in messages.iter().flatten() {
            datagrams += message.datagrams().count();
            turn.take(message, is_late(message.arrived, self.late_after));
        }
        turn.batch.finish(turn.outbox);
        self.outbox.figures.batches.record(datagrams);
        self.count_overflow(&messages);
    }

    /// Counts the messages that the socket had no room for; some are of many datagrams.
    fn count_overflow(&mut self, messages: &[Option<Received>]) {
        let noted = messages.iter().flatten().rev();
        let Some(total) = noted.filter_map(|message| message.overflowed).next() else {
            return;
        };
        let before = core::mem::replace(&mut self.overflowed, total);
        let lost = u64::from(total.wrapping_sub(before));
        (self.forwarder).count_drops(DropReason::ReceiveBufferFull, lost);
    }
}

/// Whether what came then, by the kernel's notes, has waited for too long.
fn is_late(arrived: Option<Duration>, late_after: Duration) -> bool {
    arrived.is_some_and(|arrived| since_1970().saturating_sub(arrived) > late_after)
}

/// What is done with the messages of one call.
struct Turn<'a> {
    batch: Batch<'a>,
    share: Share,
    outbox: &'a mut Outbox,
    queue: &'a Queue,
}

impl Turn<'_> {
    fn take(&mut self, message: &Received, is_late: bool) {
        let peer = self.batch.peer(&message.from);
        self.batch.arrived(message.arrived);
        for range in message.datagrams() {
            let datagram = self.batch.datagram(range.clone());
            match classify(datagram) {
                // Strangers' is refused as theirs, so that they can't make it look as if there were too
                // much to do.
                Ok(Protocol::Media) if is_late && peer.is_some() => {
                    self.batch.count_drop(DropReason::Late);
                }
                Ok(Protocol::Media) => self.take_media(message, peer, range),
                // DTLS is for those whose address has passed a connectivity check.
                Ok(Protocol::Dtls) if peer.is_none() => {
                    self.batch.count_drop(DropReason::UnknownAddress);
                }
                Ok(Protocol::Dtls) => self.queue(message.from, peer, range),
                Ok(Protocol::Stun) => self.take_check(message.from, peer, range),
                Err(reason) => self.batch.count_drop(reason),
            }
        }
    }

    fn take_check(&mut self, from: SocketAddr, peer: Option<Peer>, range: Range<usize>) {
        match (self.batch).receive_check(from, range.clone(), self.outbox) {
            Ok(Checked::Done) => {}
            Ok(Checked::Changes) => self.queue(from, peer, range),
            Err(reason) => self.batch.count_drop(reason),
        }
    }

    fn queue(&mut self, from: SocketAddr, peer: Option<Peer>, range: Range<usize>) {
        let datagram = self.batch.datagram(range);
        if !self.queue.push(from, datagram, peer.is_some()) {
            self.batch.count_drop(DropReason::QueueFull);
        }
    }

    fn take_media(&mut self, message: &Received, peer: Option<Peer>, range: Range<usize>) {
        let datagram = self.batch.datagram(range.clone());
        let owner = media_ssrc(datagram).map(|ssrc| self.share.owner(ssrc));
        match owner.filter(|owner| *owner != self.share.worker()) {
            // Whoever it is from: a stranger's takes no other worker's time.
            Some(owner) if peer.is_some() => {
                let content = Content::Datagram(message.from, message.arrived);
                self.outbox.hand(owner, content, datagram);
            }
            _ => self.batch.receive(peer, range, self.outbox),
        }
    }
}
