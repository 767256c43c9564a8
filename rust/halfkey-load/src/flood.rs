//! A flood beside the load: datagrams that a Media Distributor has to refuse, as fast as a socket
//! sends them one by one.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use halfkey_udp::{Message, Sender};
use mio::net::UdpSocket;

/// Different datagrams of a flood; they are sent again and again.
const DATAGRAMS: usize = 256;

/// The length of a datagram that isn't a copy of another.
const LENGTH: usize = 200;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloodKind {
    /// Bytes that mean nothing, from an address that nobody has.
    Garbage,
    /// A packet that was forwarded already, from the address that it came from.
    Replay,
    /// What looks like media, from an address that nobody has.
    Unknown,
}

/// A flood that is ready to go.
pub(crate) struct Flood {
    socket: UdpSocket,
    to: SocketAddr,
    data: Vec<u8>,
    length: usize,
}

impl Flood {
    /// From an address of its own.
    pub(crate) fn of_a_stranger(kind: FloodKind, to: SocketAddr) -> io::Result<Self> {
        let socket = crate::participant::bind(to.ip())?;
        let mut data = noise(DATAGRAMS * LENGTH);
        if kind == FloodKind::Unknown {
            let packets = data.chunks_exact_mut(LENGTH);
            packets.for_each(|packet| packet[..2].copy_from_slice(&[0x80, 96]));
        }
        Ok(Self {
            socket,
            to,
            data,
            length: LENGTH,
        })
    }

    /// Of a packet that a participant has sent before.
    pub(crate) fn of_copies(socket: UdpSocket, to: SocketAddr, packet: &[u8]) -> Self {
        Self {
            socket,
            to,
            data: packet.repeat(DATAGRAMS),
            length: packet.len(),
        }
    }

    /// Sends until it is told to stop; gives the number of datagrams that the system took.
    pub(crate) fn run(&self, stop: &AtomicBool) -> u64 {
        let (mut out, mut sent) = (Sender::new(), 0);
        while !stop.load(Ordering::Relaxed) {
            let messages = self.data.chunks_exact(self.length).map(|data| Message {
                to: self.to,
                data,
                segment: None,
            });
            match out.send(&self.socket, messages) {
                Ok(count) => sent += count as u64,
                Err(_) => thread::yield_now(),
            }
        }
        sent
    }
}

/// Bytes without a pattern; the same in each run (xorshift64).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    core::iter::repeat_with(next).take(length).collect()
}
