//! The worker's loop: the socket, the instructions and the forwarder's timer.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use halfkey_media::forwarder::{DropReason, Forwarder};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use crate::demux::{Protocol, classify};
use crate::queue::Queue;

pub(crate) const SOCKET: Token = Token(0);
pub(crate) const WAKER: Token = Token(1);

/// The most datagrams that are taken before instructions and timers get their turn.
const BATCH: usize = 64;

const LARGEST_DATAGRAM: usize = 1 << 16;

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
    socket: UdpSocket,
    instructions: Receiver<Instruction>,
    queue: Arc<Queue>,
    forwarder: Forwarder,
    epoch: Instant,
    buffer: Vec<u8>,
    /// The socket was not emptied yet; mio tells of new datagrams only.
    readable: bool,
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
        poll.registry()
            .register(&mut socket, SOCKET, Interest::READABLE)?;
        Ok(Self {
            poll,
            socket,
            instructions,
            queue,
            forwarder: Forwarder::new(capture_bytes),
            epoch: Instant::now(),
            buffer: vec![0; LARGEST_DATAGRAM],
            readable: false,
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
            if self.readable {
                self.receive_batch();
            }
            self.handle_timer();
        }
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn timeout(&self) -> Option<Duration> {
        if self.readable {
            return Some(Duration::ZERO);
        }
        let due = self.forwarder.next_timer()?;
        Some(due.saturating_sub(self.now()))
    }

    fn follow_instructions(&mut self) {
        loop {
            match self.instructions.try_recv() {
                Ok(Instruction::Control(follow)) => {
                    let now = self.now();
                    follow(&mut self.forwarder, now);
                }
                Ok(Instruction::Send(to, datagram)) => {
                    if !transmit(&self.socket, to, &datagram) {
                        self.forwarder.count_drop(DropReason::SocketFull);
                    }
                }
                Ok(Instruction::Stop) | Err(TryRecvError::Disconnected) => {
                    self.stopped = true;
                    return;
                }
                Err(TryRecvError::Empty) => return,
            }
        }
    }

    fn receive_batch(&mut self) {
        for _ in 0..BATCH {
            match self.socket.recv_from(&mut self.buffer) {
                Ok((length, from)) => self.receive(from, length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return;
                }
                // What an ICMP message or a signal brings says nothing about the socket.
                Err(_) => {}
            }
        }
    }

    fn receive(&mut self, from: SocketAddr, length: usize) {
        let now = self.now();
        let datagram = &mut self.buffer[..length];
        let known = self.forwarder.knows(&from);
        match classify(datagram) {
            Ok(Protocol::Media) => {
                let (socket, mut refused) = (&self.socket, 0);
                let mut send = |to, data: &[u8]| refused += u32::from(!transmit(socket, to, data));
                self.forwarder.receive(from, datagram, now, &mut send);
                self.count_refused(refused);
            }
            // DTLS is for those whose address has passed a connectivity check.
            Ok(Protocol::Dtls) if !known => self.forwarder.count_drop(DropReason::UnknownAddress),
            Ok(_) => {
                if !self.queue.push(from, datagram, known) {
                    self.forwarder.count_drop(DropReason::QueueFull);
                }
            }
            Err(reason) => self.forwarder.count_drop(reason),
        }
    }

    fn handle_timer(&mut self) {
        let now = self.now();
        let (socket, mut refused) = (&self.socket, 0);
        let mut send = |to, data: &[u8]| refused += u32::from(!transmit(socket, to, data));
        self.forwarder.handle_timer(now, &mut send);
        self.count_refused(refused);
    }

    fn count_refused(&mut self, refused: u32) {
        for _ in 0..refused {
            self.forwarder.count_drop(DropReason::SocketFull);
        }
    }
}

/// Sends a datagram; false if the socket doesn't take it. UDP may lose it anyway.
fn transmit(socket: &UdpSocket, to: SocketAddr, datagram: &[u8]) -> bool {
    socket.send_to(datagram, to).is_ok()
}
