//! The handle through which another thread uses the worker.

use core::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use halfkey_media::forwarder::Forwarder;
use mio::net::UdpSocket;
use mio::{Poll, Waker};
use socket2::{Domain, Protocol, Socket, Type};

use crate::queue::{Datagram, Queue};
use crate::worker::{Instruction, WAKER, Worker};

/// Instructions that may wait at once.
const INSTRUCTIONS: usize = 4096;

/// What is asked of the system for the socket's buffers; it may give less.
const SOCKET_BUFFER: usize = 4 << 20;

/// How a switch is made.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The local address; port 0 for any.
    pub address: SocketAddr,
    /// The most STUN and DTLS datagrams that wait to be drained.
    pub queue_limit: usize,
    /// How much of what each SSRC sent last is kept; see [`Forwarder::new`].
    pub capture_bytes: usize,
}

/// The worker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the switch has stopped")
    }
}

impl std::error::Error for Stopped {}

/// A UDP socket with a worker of its own; ends with its handle.
#[derive(Debug)]
pub struct Switch {
    local_address: SocketAddr,
    instructions: SyncSender<Instruction>,
    waker: Waker,
    queue: Arc<Queue>,
    worker: Option<JoinHandle<()>>,
}

impl Switch {
    /// Binds the socket and starts the worker.
    ///
    /// # Errors
    /// What the system says against it.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        let socket = bind(settings.address)?;
        let local_address = socket.local_addr()?;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let queue = Arc::new(Queue::new(settings.queue_limit)?);
        let (instructions, received) = sync_channel(INSTRUCTIONS);
        let capture_bytes = settings.capture_bytes;
        let worker = Worker::new(poll, socket, received, Arc::clone(&queue), capture_bytes)?;
        let thread = thread::Builder::new().name("halfkey-switch".into());
        Ok(Self {
            local_address,
            instructions,
            waker,
            queue,
            worker: Some(thread.spawn(move || worker.run())?),
        })
    }

    /// Where the socket is bound.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// A descriptor that is readable while [`Self::drain`] has something.
    #[must_use]
    pub fn event_fd(&self) -> RawFd {
        self.queue.event_fd()
    }

    /// Takes at most `limit` datagrams that are not media, the oldest first. DTLS comes from
    /// participants' addresses only, STUN from anywhere.
    #[must_use]
    pub fn drain(&self, limit: usize) -> Vec<Datagram> {
        self.queue.drain(limit)
    }

    /// Sends a datagram that is not media, after all instructions that were given before. False if
    /// too much is waiting: then it is lost, as on the network.
    ///
    /// # Errors
    /// The worker has ended.
    pub fn send(&self, to: SocketAddr, datagram: Vec<u8>) -> Result<bool, Stopped> {
        match self.instructions.try_send(Instruction::Send(to, datagram)) {
            Ok(()) => self.wake().map(|()| true),
            Err(TrySendError::Full(_)) => Ok(false),
            Err(TrySendError::Disconnected(_)) => Err(Stopped),
        }
    }

    /// Runs `instruction` in the worker, with the time of its clock, and waits for the answer.
    ///
    /// # Errors
    /// The worker has ended.
    pub fn control<T: Send + 'static>(
        &self,
        instruction: impl FnOnce(&mut Forwarder, Duration) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = sync_channel(1);
        let follow = move |forwarder: &mut Forwarder, now| {
            // Nobody waits for the answer if the asking thread is gone.
            let _ = answer.send(instruction(forwarder, now));
        };
        self.instructions
            .send(Instruction::Control(Box::new(follow)))
            .map_err(|_| Stopped)?;
        self.wake()?;
        answered.recv().map_err(|_| Stopped)
    }

    fn wake(&self) -> Result<(), Stopped> {
        self.waker.wake().map_err(|_| Stopped)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // If the worker has ended by itself, there is nobody to tell.
        let _ = self.instructions.send(Instruction::Stop);
        let _ = self.wake();
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    // Bursts (a picture for every receiver) are larger than the usual buffer; less is no fault.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}
