//! What one worker hands to another: bounded, without locks, and waited for together with the socket.
//!
//! A datagram whose SSRC is another worker's is handed over unopened, since its window is there. An
//! RTCP compound that was opened goes to those who have the sources that it is about.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use halfkey_media::forwarder::ParticipantId;
use mio::Waker;

/// The longest datagram that is handed over; what crosses a network of today is no longer.
pub(crate) const LENGTH: usize = 1536;

/// What may wait for one worker: 1.5 MiB.
const PARCELS: usize = 1024;

/// What a parcel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A datagram as it came, from where, and when by the kernel's notes.
    Datagram(SocketAddr, Option<Duration>),
    /// An RTCP compound that was opened, and whose it is.
    Compound(ParticipantId),
}

/// Bytes on the way from one worker to another.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) content: Content,
    data: [u8; LENGTH],
    length: usize,
}

impl Parcel {
    /// None if the bytes are too many.
    pub(crate) fn new(content: Content, bytes: &[u8]) -> Option<Self> {
        let mut data = [0; LENGTH];
        data.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self {
            content,
            data,
            length: bytes.len(),
        })
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.data[..self.length]
    }
}

/// One worker's inbox; every other worker puts parcels in.
#[derive(Debug)]
pub(crate) struct Inbox {
    parcels: ArrayQueue<Parcel>,
    waker: Waker,
    /// The worker was woken and has not looked yet.
    woken: AtomicBool,
}

impl Inbox {
    pub(crate) fn new(waker: Waker) -> Self {
        Self {
            parcels: ArrayQueue::new(PARCELS),
            waker,
            woken: AtomicBool::new(false),
        }
    }

    /// Puts bytes in; false if there is no room for them.
    pub(crate) fn put(&self, content: Content, bytes: &[u8]) -> bool {
        let Some(parcel) = Parcel::new(content, bytes) else {
            return false;
        };
        let has_room = self.parcels.push(parcel).is_ok();
        // One system call for all that comes until the worker looks.
        if !self.woken.swap(true, Ordering::SeqCst) {
            let _ = self.wake();
        }
        has_room
    }

    /// Has the worker look at what there is to do.
    pub(crate) fn wake(&self) -> io::Result<()> {
        self.waker.wake()
    }

    /// Before the worker takes parcels: who puts one in from now on wakes it again.
    pub(crate) fn look(&self) {
        self.woken.store(false, Ordering::SeqCst);
    }

    pub(crate) fn take(&self) -> Option<Parcel> {
        self.parcels.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use mio::{Poll, Token};

    #[test]
    fn is_bounded_and_keeps_the_order() {
        let poll = Poll::new().expect("a poll");
        let inbox = Inbox::new(Waker::new(poll.registry(), Token(0)).expect("a waker"));
        let from = SocketAddr::from(([192, 0, 2, 1], 1));
        assert!(!inbox.put(Content::Compound(1), &[0; LENGTH + 1]));
        for number in 0..PARCELS {
            assert!(inbox.put(Content::Datagram(from, None), &number.to_be_bytes()));
        }
        assert!(!inbox.put(Content::Compound(1), b"one too many"));
        inbox.look();
        for number in 0..PARCELS {
            let mut parcel = inbox.take().expect("put in");
            assert_eq!(parcel.bytes_mut(), number.to_be_bytes());
            assert_eq!(parcel.content, Content::Datagram(from, None));
        }
        assert!(inbox.is_empty());
    }
}
