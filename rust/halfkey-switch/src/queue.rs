//! What is not media, on its way out of the worker: bounded, with a descriptor to wait for.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A datagram, and where it came from.
pub type Datagram = (SocketAddr, Vec<u8>);

/// A queue between the worker and whoever drains it. `readable` has exactly one byte in it while
/// the queue isn't empty: both change under the lock.
#[derive(Debug)]
pub(crate) struct Queue {
    datagrams: Mutex<VecDeque<Datagram>>,
    limit: usize,
    signal: UnixStream,
    readable: UnixStream,
}

impl Queue {
    pub(crate) fn new(limit: usize) -> io::Result<Self> {
        let (signal, readable) = UnixStream::pair()?;
        signal.set_nonblocking(true)?;
        readable.set_nonblocking(true)?;
        Ok(Self {
            datagrams: Mutex::new(VecDeque::new()),
            limit,
            signal,
            readable,
        })
    }

    pub(crate) fn event_fd(&self) -> RawFd {
        self.readable.as_raw_fd()
    }

    /// Adds a datagram; false if there is no room. Strangers get half of the room: they can't crowd
    /// out the handshakes and consent checks of those who are known.
    pub(crate) fn push(&self, from: SocketAddr, datagram: &[u8], known: bool) -> bool {
        let mut datagrams = self.lock();
        let limit = if known { self.limit } else { self.limit / 2 };
        if datagrams.len() >= limit {
            return false;
        }
        if datagrams.is_empty() {
            // One byte into an empty pair always has room; a closed one has nobody to tell.
            let _ = (&self.signal).write(&[0]);
        }
        datagrams.push_back((from, datagram.to_vec()));
        true
    }

    /// Takes at most `limit` datagrams, the oldest first.
    pub(crate) fn drain(&self, limit: usize) -> Vec<Datagram> {
        let mut datagrams = self.lock();
        let count = limit.min(datagrams.len());
        let taken: Vec<_> = datagrams.drain(..count).collect();
        if datagrams.is_empty() && count > 0 {
            let _ = (&self.readable).read(&mut [0; 1]);
        }
        taken
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Datagram>> {
        // Nothing under the lock leaves the queue half-changed.
        self.datagrams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
    fn is_bounded_and_keeps_half_of_itself_for_those_who_are_known() {
        let queue = Queue::new(4).expect("a queue");
        let from = SocketAddr::from(([192, 0, 2, 1], 1));
        assert!(!is_signalled(&queue));
        assert!(queue.push(from, b"1", false) && queue.push(from, b"2", false));
        assert!(!queue.push(from, b"x", false));
        assert!(queue.push(from, b"3", true) && queue.push(from, b"4", true));
        assert!(!queue.push(from, b"x", true));
        assert!(is_signalled(&queue));

        assert_eq!(queue.drain(3).len(), 3);
        assert!(is_signalled(&queue));
        assert_eq!(queue.drain(3), [(from, b"4".to_vec())]);
        assert!(!is_signalled(&queue));
        assert_eq!(queue.drain(3), []);
        assert!(queue.push(from, b"5", false));
        assert!(is_signalled(&queue));
    }
}
