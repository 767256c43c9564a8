//! The handle through which other threads use the workers.

use core::fmt;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use halfkey_media::Share;
use halfkey_media::forwarder::{Forwarder, ParticipantFigures, ParticipantId};
use mio::net::UdpSocket;
use mio::{Poll, Waker};

use crate::figures::Figures;
use crate::inbox::Inbox;
use crate::queue::{Datagram, Queue};
use crate::sockets::{Granted, bind};
use crate::worker::{Instruction, WAKER, Worker};

/// Instructions that may wait at once, for each worker.
const INSTRUCTIONS: usize = 4096;

/// Participants whose figures are copied at once.
const PARTICIPANTS: usize = 64;

/// The most workers: what one compound is about is noted in 64 bits, and each has a copy of what
/// participants have negotiated.
pub const MAX_WORKERS: usize = 64;

/// How a switch is made.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The local address; port 0 for any.
    pub address: SocketAddr,
    /// The threads, from 1 to [`MAX_WORKERS`].
    pub workers: usize,
    /// The most STUN and DTLS datagrams that wait to be drained: half of them strangers', half of
    /// participants. Those over 1,500 bytes count as several, and one address has an eighth at most,
    /// or 16.
    pub queue_limit: usize,
    /// How much of what each SSRC sent last is kept; see [`Forwarder::new`].
    pub capture_bytes: usize,
    /// How long media may wait for its turn; what waited longer is dropped. So too much of it costs
    /// packets, the same for every receiver, and not time.
    pub late_after: Duration,
    /// The memory for what video sources sent last, in bytes, of all workers together: each gets the
    /// same part. See [`Forwarder::new`].
    pub retransmission_cache: usize,
}

impl Settings {
    /// Half of what ITU-T G.114 lets the whole way of a conversation take.
    pub const LATE_AFTER: Duration = Duration::from_millis(200);
}

/// A worker has ended, or all have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a worker of the media path has ended")
    }
}

impl std::error::Error for Stopped {}

/// Tells that a worker's thread ends, whichever way.
struct Ending(Arc<Queue>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A UDP address with workers of its own; they end with the handle.
#[derive(Debug)]
pub struct Switch {
    local_address: SocketAddr,
    granted: Granted,
    instructions: Vec<SyncSender<Instruction>>,
    inboxes: Arc<[Inbox]>,
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
    /// Held while all are instructed: each hears of what concerns all in the same order.
    order: Mutex<()>,
}

impl Switch {
    /// Binds the sockets and starts the workers.
    ///
    /// # Errors
    /// What the system says against it, or there are no workers or too many.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        if !(1..=MAX_WORKERS).contains(&settings.workers) {
            let text = format!("workers: give a number from 1 to {MAX_WORKERS}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let (sockets, granted) = bind(settings.address, settings.workers)?;
        let polls: Vec<Poll> = sockets
            .iter()
            .map(|_| Poll::new())
            .collect::<Result<_, _>>()?;
        let inbox = |poll: &Poll| Ok(Inbox::new(Waker::new(poll.registry(), WAKER)?));
        let mut switch = Self {
            local_address: sockets[0].local_addr()?,
            granted,
            instructions: Vec::new(),
            inboxes: polls.iter().map(inbox).collect::<io::Result<_>>()?,
            queue: Arc::new(Queue::new(settings.queue_limit)?),
            threads: Vec::new(),
            order: Mutex::new(()),
        };
        let shares = Share::all(settings.workers);
        for ((share, poll), socket) in shares.zip(polls).zip(sockets) {
            let cache_bytes = settings.retransmission_cache / settings.workers;
            let forwarder = Forwarder::new(share, settings.capture_bytes, cache_bytes);
            switch.start(forwarder, poll, socket, settings.late_after)?;
        }
        Ok(switch)
    }

    fn start(
        &mut self,
        forwarder: Forwarder,
        poll: Poll,
        socket: UdpSocket,
        late_after: Duration,
    ) -> io::Result<()> {
        let (instructions, received) = sync_channel(INSTRUCTIONS);
        let name = format!("halfkey-media-{}", forwarder.share().worker());
        let shared = (Arc::clone(&self.queue), Arc::clone(&self.inboxes));
        let worker = Worker::new(forwarder, poll, socket, received, shared, late_after)?;
        let thread = thread::Builder::new().name(name);
        let queue = Arc::clone(&self.queue);
        let run = move || {
            let _ending = Ending(queue);
            worker.run();
        };
        self.threads.push(thread.spawn(run)?);
        self.instructions.push(instructions);
        Ok(())
    }

    /// Where the sockets are bound.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// What the system gave the sockets; of the first, since they are alike.
    #[must_use]
    pub const fn granted(&self) -> Granted {
        self.granted
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.instructions.len()
    }

    /// A descriptor that is readable while [`Self::drain`] has something.
    #[must_use]
    pub fn event_fd(&self) -> RawFd {
        self.queue.event_fd()
    }

    /// Takes at most `limit` datagrams that are not media, the oldest first. DTLS comes from
    /// participants' addresses only, STUN from anywhere.
    ///
    /// # Errors
    /// A worker has ended; [`Self::event_fd`] is readable then.
    pub fn drain(&self, limit: usize) -> Result<Vec<Datagram>, Stopped> {
        self.queue.drain(limit)
    }

    /// Sends a datagram that is not media, after all instructions that were given before. False if
    /// too much is waiting: then it is lost, as on the network.
    ///
    /// # Errors
    /// The workers have ended.
    pub fn send(&self, to: SocketAddr, datagram: Vec<u8>) -> Result<bool, Stopped> {
        let first = self.instructions.first().ok_or(Stopped)?;
        match first.try_send(Instruction::Send(to, datagram)) {
            Ok(()) => self.wake(0).map(|()| true),
            Err(TrySendError::Full(_)) => Ok(false),
            Err(TrySendError::Disconnected(_)) => Err(Stopped),
        }
    }

    /// Runs an instruction in each worker, with the time of its clock, and waits for the answers:
    /// `make` gets the worker's number. Where several threads give instructions, all workers follow
    /// them in the same order.
    ///
    /// # Errors
    /// The workers have ended.
    pub fn each<T, F>(&self, make: impl FnMut(usize) -> F) -> Result<Vec<T>, Stopped>
    where
        T: Send + 'static,
        F: FnOnce(&mut Forwarder, Duration) -> T + Send + 'static,
    {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let workers = 0..self.workers();
        let answers = workers.clone().map(make).zip(workers);
        let answers = answers.map(|(instruction, worker)| self.instruct(worker, instruction));
        let answers = answers.collect::<Result<Vec<_>, _>>()?;
        let answers = answers.into_iter();
        answers
            .map(|answer| answer.recv().map_err(|_| Stopped))
            .collect()
    }

    /// Runs an instruction in one worker, and waits for the answer.
    ///
    /// # Errors
    /// The workers have ended, or there is none of this number.
    pub fn at<T: Send + 'static>(
        &self,
        worker: usize,
        instruction: impl FnOnce(&mut Forwarder, Duration) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = self.instruct(worker, instruction)?;
        answer.recv().map_err(|_| Stopped)
    }

    /// What all workers together counted of their work, and how long it took.
    ///
    /// # Errors
    /// The workers have ended.
    pub fn figures(&self) -> Result<Figures, Stopped> {
        let mut sum = Figures::default();
        for (worker, instructions) in self.instructions.iter().enumerate() {
            let (answer, answered) = sync_channel(1);
            let asked = instructions.send(Instruction::Figures(answer));
            asked.map_err(|_| Stopped)?;
            self.wake(worker)?;
            sum.add(&answered.recv().map_err(|_| Stopped)?);
        }
        Ok(sum)
    }

    /// What was counted of each participant and its streams, of all workers together. A worker is
    /// asked for a few at a time, so that media never waits for many.
    ///
    /// # Errors
    /// The workers have ended.
    pub fn participants(&self) -> Result<Vec<ParticipantFigures>, Stopped> {
        let mut all: BTreeMap<ParticipantId, ParticipantFigures> = BTreeMap::new();
        for first in (0..).step_by(PARTICIPANTS) {
            let look =
                move |forwarder: &mut Forwarder, _| forwarder.figures(first..first + PARTICIPANTS);
            let found = self.each(|_| look)?;
            if found.iter().all(Option::is_none) {
                break;
            }
            for figures in found.into_iter().flatten().flatten() {
                match all.entry(figures.id) {
                    Entry::Vacant(entry) => _ = entry.insert(figures),
                    Entry::Occupied(mut entry) => entry.get_mut().add(figures),
                }
            }
        }
        Ok(all.into_values().collect())
    }

    fn instruct<T: Send + 'static>(
        &self,
        worker: usize,
        instruction: impl FnOnce(&mut Forwarder, Duration) -> T + Send + 'static,
    ) -> Result<Receiver<T>, Stopped> {
        let (answer, answered) = sync_channel(1);
        let follow = move |forwarder: &mut Forwarder, now| {
            // Nobody waits for the answer if the asking thread is gone.
            let _ = answer.send(instruction(forwarder, now));
        };
        let instructions = self.instructions.get(worker).ok_or(Stopped)?;
        let instruction = Instruction::Control(Box::new(follow));
        instructions.send(instruction).map_err(|_| Stopped)?;
        self.wake(worker)?;
        Ok(answered)
    }

    fn wake(&self, worker: usize) -> Result<(), Stopped> {
        let inbox = self.inboxes.get(worker).ok_or(Stopped)?;
        inbox.wake().map_err(|_| Stopped)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // If a worker has ended by itself, there is nobody to tell.
        for (worker, instructions) in self.instructions.iter().enumerate() {
            let _ = instructions.send(Instruction::Stop);
            let _ = self.wake(worker);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
