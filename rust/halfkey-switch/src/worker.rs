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

use crate::demux::{Protocol, classify};
use crate::outbox::Outbox;
use crate::queue::Queue;

pub(crate) const SOCKET: Token = Token(0);
pub(crate) const WAKER: Token = Token(1);

/// The most messages that are taken before instructions and timers get their turn.
const MESSAGES: usize = 32;

/// The most instructions that are followed before media gets its turn.
const INSTRUCTIONS: usize = 64;

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
    instructions: Receiver<Instruction>,
    queue: Arc<Queue>,
    forwarder: Forwarder,
    epoch: Instant,
    received: ReceiveBuffer,
    outbox: Outbox,
    /// The socket was not emptied yet; mio tells of new datagrams only.
    readable: bool,
    /// Instructions were left for the next turn.
    instructed: bool,
    stopped: bool,
}

impl Worker {
    pub(crate) fn new(
        poll: Poll,
        mut socket: UdpSocket,
        instructions: Receiver<Instruction>,
        queue: Arc<Queue>,
        capture_bytes: usize,
    ) -> io::Result<Self> {
        // Without it they come one by one.
        let _ = enable_gro(&socket);
        poll.registry()
            .register(&mut socket, SOCKET, Interest::READABLE)?;
        Ok(Self {
            poll,
            instructions,
            queue,
            forwarder: Forwarder::new(capture_bytes),
            epoch: Instant::now(),
            received: ReceiveBuffer::new(MESSAGES),
            outbox: Outbox::new(socket),
            readable: false,
            instructed: false,
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
            self.follow_instructions();
            let now = self.now();
            if self.readable {
                self.receive_batch(now);
            }
            self.forwarder.handle_timer(now, &mut self.outbox);
            let unsent = self.outbox.finish(now);
            let forwarder = &mut self.forwarder;
            forwarder.count_drops(DropReason::SocketFull, unsent.full);
            forwarder.count_drops(DropReason::SocketRefused, unsent.refused);
        }
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn timeout(&self) -> Option<Duration> {
        if self.readable || self.instructed {
            return Some(Duration::ZERO);
        }
        let due = self.forwarder.next_timer()?;
        Some(due.saturating_sub(self.now()))
    }

    fn follow_instructions(&mut self) {
        self.instructed = true;
        for _ in 0..INSTRUCTIONS {
            match self.instructions.try_recv() {
                Ok(Instruction::Control(follow)) => {
                    let now = self.now();
                    follow(&mut self.forwarder, now);
                }
                Ok(Instruction::Send(to, datagram)) => self.outbox.send_copy(to, &datagram),
                Ok(Instruction::Stop) | Err(TryRecvError::Disconnected) => {
                    self.stopped = true;
                    return;
                }
                Err(TryRecvError::Empty) => {
                    self.instructed = false;
                    return;
                }
            }
        }
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
        let mut batch = self.forwarder.batch(self.received.data(), now);
        for message in messages.iter().flatten() {
            let peer = batch.peer(&message.from);
            for range in message.datagrams() {
                match classify(batch.datagram(range.clone())) {
                    Ok(Protocol::Media) => batch.receive(peer, range, &mut self.outbox),
                    // DTLS is for those whose address has passed a connectivity check.
                    Ok(Protocol::Dtls) if peer.is_none() => {
                        batch.count_drop(DropReason::UnknownAddress);
                    }
                    Ok(_) => {
                        let datagram = batch.datagram(range);
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
