//! The worker's loop: the socket, the instructions and the forwarder's timer.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use halfkey_media::forwarder::{DropReason, Forwarder, Output};
use halfkey_udp::{ReceiveBuffer, enable_gro};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use crate::demux::{Protocol, classify, media_ssrc};
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
}

impl Worker {
    pub(crate) fn new(
        forwarder: Forwarder,
        poll: Poll,
        mut socket: UdpSocket,
        instructions: Receiver<Instruction>,
        queue: Arc<Queue>,
        inboxes: Arc<[Inbox]>,
    ) -> io::Result<Self> {
        // Without it they come one by one.
        let _ = enable_gro(&socket);
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
                Content::Datagram(from) => {
                    self.forwarder.count_handed_over();
                    let peer = self.forwarder.peer(&from);
                    let whole = 0..bytes.len();
                    let mut batch = self.forwarder.batch(bytes, now);
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
        let mut batch = self.forwarder.batch(self.received.data(), now);
        for message in messages.iter().flatten() {
            let peer = batch.peer(&message.from);
            for range in message.datagrams() {
                let datagram = batch.datagram(range.clone());
                match classify(datagram) {
                    Ok(Protocol::Media) => {
                        let owner = media_ssrc(datagram).map(|ssrc| share.owner(ssrc));
                        match owner.filter(|owner| *owner != share.worker()) {
                            // Whoever it is from: a stranger's takes no other worker's time.
                            Some(owner) if peer.is_some() => {
                                let content = Content::Datagram(message.from);
                                self.outbox.hand(owner, content, datagram);
                            }
                            _ => batch.receive(peer, range, &mut self.outbox),
                        }
                    }
                    // DTLS is for those whose address has passed a connectivity check.
                    Ok(Protocol::Dtls) if peer.is_none() => {
                        batch.count_drop(DropReason::UnknownAddress);
                    }
                    Ok(_) => {
                        if !self.queue.push(message.from, datagram, peer.is_some()) {
                            batch.count_drop(DropReason::QueueFull);
                        }
                    }
                    Err(reason) => batch.count_drop(reason),
                }
            }
        }
        batch.finish(&mut self.outbox);
    }
}
