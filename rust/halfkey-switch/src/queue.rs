//! What is not media, on its way out of the workers: bounded, with a descriptor to wait for.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Stopped;

/// A datagram, and where it came from.
pub type Datagram = (SocketAddr, Vec<u8>);

/// The bytes that a place stands for: longer datagrams take several.
const PLACE: usize = 1500;

/// One address may have this part of the places.
const SHARE: usize = 8;

/// And so many in any case: a flight of a handshake fits into them.
const LEAST: usize = 16;

/// A queue between the workers and whoever drains it. `readable` has exactly one byte in it while
/// the queue isn't empty, or has nothing more to wait for: both change under the lock.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    limit: usize,
    signal: UnixStream,
    readable: UnixStream,
}

#[derive(Debug, Default)]
struct Waiting {
    /// With whether whoever sent it was known.
    datagrams: VecDeque<(Datagram, bool)>,
    /// The places that are taken, in all, by strangers, and by each address.
    taken: usize,
    taken_by_strangers: usize,
    by_address: HashMap<SocketAddr, usize>,
    is_signalled: bool,
    /// A worker is no more.
    has_ended: bool,
}

impl Waiting {
    fn pop(&mut self) -> Option<Datagram> {
        let ((from, datagram), known) = self.datagrams.pop_front()?;
        let places = places(&datagram);
        self.taken -= places;
        self.taken_by_strangers -= if known { 0 } else { places };
        if let Some(own) = self.by_address.get_mut(&from) {
            *own -= places;
            if *own == 0 {
                self.by_address.remove(&from);
            }
        }
        Some((from, datagram))
    }
}

fn places(datagram: &[u8]) -> usize {
    datagram.len().div_ceil(PLACE).max(1)
}

impl Queue {
    /// `limit`: the datagrams that may wait, where they are no longer than networks carry.
    pub(crate) fn new(limit: usize) -> io::Result<Self> {
        let (signal, readable) = UnixStream::pair()?;
        signal.set_nonblocking(true)?;
        readable.set_nonblocking(true)?;
        Ok(Self {
            waiting: Mutex::default(),
            limit,
            signal,
            readable,
        })
    }

    pub(crate) fn event_fd(&self) -> RawFd {
        self.readable.as_raw_fd()
    }

    /// Adds a datagram; false if there is no room. Half of it is for those who are known and half for
    /// strangers, of whom some are about to be known, and each address gets a small part: so nobody
    /// crowds out the handshakes and connectivity checks of all others.
    pub(crate) fn push(&self, from: SocketAddr, datagram: &[u8], known: bool) -> bool {
        let places = places(datagram);
        let mut waiting = self.lock();
        let of_strangers = waiting.taken_by_strangers;
        let of_kind = if known {
            waiting.taken - of_strangers
        } else {
            of_strangers
        };
        let own = waiting.by_address.get(&from).copied().unwrap_or(0);
        if of_kind + places > self.limit.div_ceil(2)
            || own + places > (self.limit / SHARE).max(LEAST)
        {
            return false;
        }
        waiting.taken_by_strangers += if known { 0 } else { places };
        waiting.by_address.insert(from, own + places);
        waiting.taken += places;
        waiting
            .datagrams
            .push_back(((from, datagram.to_vec()), known));
        self.signal(&mut waiting);
        true
    }

    /// Takes at most `limit` datagrams, the oldest first.
    ///
    /// # Errors
    /// A worker has ended.
    pub(crate) fn drain(&self, limit: usize) -> Result<Vec<Datagram>, Stopped> {
        let mut waiting = self.lock();
        if waiting.has_ended {
            return Err(Stopped);
        }
        let taken = (0..limit).map_while(|_| waiting.pop()).collect();
        if waiting.datagrams.is_empty() && core::mem::take(&mut waiting.is_signalled) {
            let _ = (&self.readable).read(&mut [0; 1]);
        }
        Ok(taken)
    }

    /// Tells whoever drains it that a worker has ended: without it, media of some never moves again.
    pub(crate) fn end(&self) {
        let mut waiting = self.lock();
        waiting.has_ended = true;
        self.signal(&mut waiting);
    }

    fn signal(&self, waiting: &mut Waiting) {
        if !core::mem::replace(&mut waiting.is_signalled, true) {
            // One byte into an empty pair always has room; a closed one has nobody to tell.
            let _ = (&self.signal).write(&[0]);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock leaves the queue half-changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes the signal, and puts it back.
    fn is_signalled(queue: &Queue) -> bool {
        let mut bytes = [0; 2];
        match (&queue.readable).read(&mut bytes) {
            Ok(count) => {
                assert_eq!(count, 1);
                (&queue.signal).write_all(&[0]).expect("has room");
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                false
            }
        }
    }

    #[test]
    fn is_bounded_and_has_a_half_for_strangers_and_one_for_those_who_are_known() {
        let queue = Queue::new(4).expect("a queue");
        let from = SocketAddr::from(([192, 0, 2, 1], 1));
        assert!(!is_signalled(&queue));
        for (numbers, known) in [([b"1", b"2"], true), ([b"3", b"4"], false)] {
            assert!(
                numbers
                    .iter()
                    .all(|number| queue.push(from, *number, known))
            );
            assert!(!queue.push(from, b"x", known));
        }
        assert!(is_signalled(&queue));

        assert_eq!(queue.drain(3).map(|taken| taken.len()), Ok(3));
        assert!(is_signalled(&queue));
        assert_eq!(queue.drain(3), Ok(vec![(from, b"4".to_vec())]));
        assert!(!is_signalled(&queue));
        assert_eq!(queue.drain(3), Ok(Vec::new()));
        assert!(queue.push(from, b"5", false));
        assert!(is_signalled(&queue));
    }
    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn no_address_takes_all_of_it() {
        let queue = Queue::new(1024).expect("a queue");
        for known in [true, false] {
            let pushed = (0..2000).filter(|_| queue.push(peer(1), b"x", known));
            assert_eq!(pushed.count(), 128);
            assert!(queue.push(peer(2), b"y", known));
            assert_eq!(queue.drain(2000).map(|taken| taken.len()), Ok(129));
            assert!(queue.lock().by_address.is_empty());
        }
        let small = Queue::new(64).expect("a queue");
        let pushed = (0..64).filter(|_| small.push(peer(1), b"x", true));
        assert_eq!(pushed.count(), LEAST);
    }

    #[test]
    fn long_datagrams_take_more_of_it() {
        let queue = Queue::new(1024).expect("a queue");
        let long = [22; 65_000];
        let pushed = (0..2000_u16).filter(|port| queue.push(peer(*port % 100), &long, true));
        assert_eq!(pushed.count(), 512 / 44);
        let waiting = queue.lock().datagrams.iter().map(|one| one.0.1.len()).sum();
        assert!((500_000..512 * PLACE).contains(&waiting), "{waiting}");
        queue.drain(2000).expect("goes on");
        assert!(queue.push(peer(1), &[22; 1501], true));
        let waiting = queue.lock();
        assert_eq!((waiting.taken, waiting.taken_by_strangers), (2, 0));
    }

    #[test]
    fn says_that_a_worker_has_ended() {
        for waits in [false, true] {
            let queue = Queue::new(4).expect("a queue");
            if waits {
                assert!(queue.push(peer(1), b"1", true));
            }
            queue.end();
            assert!(is_signalled(&queue));
            assert_eq!(queue.drain(1), Err(Stopped));
            assert!(is_signalled(&queue), "as often as it is asked");
        }
    }
}
