//! A flood beside the load: datagrams that a Media Distributor has to refuse, as fast as a socket
//! sends them one by one.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use halfkey_udp::{Message, Sender};
use mio::net::UdpSocket;
use socket2::{Domain, SockRef, Socket, Type};

/// Datagrams that are sent before it is looked whether there are others; of a flood that isn't of
/// copies, so many different ones.
const DATAGRAMS: usize = 256;

/// The discard service's port: where nothing comes from.
const DISCARD: u16 = 9;

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

/// The packet that a participant sent last.
#[derive(Debug, Default)]
pub(crate) struct LastPacket(Mutex<Vec<u8>>);

impl LastPacket {
    pub(crate) fn set(&self, packet: &[u8]) {
        let mut last = self.get();
        last.clear();
        last.extend_from_slice(packet);
    }

    fn get(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    /// Of packets that a participant has sent before, from its own address.
    pub(crate) fn of_copies(original: &UdpSocket, to: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            socket: twin(original)?,
            to,
            data: Vec::new(),
            length: 1,
        })
    }

    /// Sends until it is told to stop; gives the number of datagrams that the system took. Copies are
    /// of the latest packet: an older one is soon older than any replay window tells.
    pub(crate) fn run(mut self, stop: &AtomicBool, last_packet: Option<&LastPacket>) -> u64 {
        let (mut out, mut sent) = (Sender::new(), 0);
        while !stop.load(Ordering::Relaxed) {
            if let Some(last_packet) = last_packet {
                self.data.clone_from(&last_packet.get());
                self.length = self.data.len().max(1);
            }
            let datagrams = self.data.chunks_exact(self.length).cycle();
            let messages = datagrams.take(DATAGRAMS).map(|data| Message {
                to: self.to,
                data,
                segment: None,
            });
            match out.send(&self.socket, messages) {
                Ok(count) if count > 0 => sent += count as u64,
                _ => thread::yield_now(),
            }
        }
        sent
    }
}

/// Another socket with the same address, which takes nothing away from the first: what it sends
/// fills a buffer of its own, and as it is connected to nobody who sends, nothing comes to it.
fn twin(original: &UdpSocket) -> io::Result<UdpSocket> {
    let address = original.local_addr()?;
    SockRef::from(original).set_reuse_port(true)?;
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.connect(&SocketAddr::new(address.ip(), DISCARD).into())?;
    crate::participant::prepare(socket.into())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_twin_sends_from_the_same_address_and_takes_nothing() {
        let host = std::net::Ipv4Addr::LOCALHOST;
        let original = std::net::UdpSocket::bind((host, 0)).expect("a free port");
        let peer = std::net::UdpSocket::bind((host, 0)).expect("a free port");
        let wait = Some(Duration::from_secs(5));
        for socket in [&original, &peer] {
            socket.set_read_timeout(wait).expect("a time");
        }
        let (own, others) = (original.local_addr(), peer.local_addr());
        let (own, others) = (own.expect("bound"), others.expect("bound"));
        let copy = original.try_clone().expect("room");
        let twin = twin(&UdpSocket::from_std(copy)).expect("the same address");
        let message = Message {
            to: others,
            data: b"from both",
            segment: None,
        };
        let sent = Sender::new().send(&twin, [message].into_iter());
        assert_eq!(sent.ok(), Some(1));
        let mut buffer = [0; 16];
        assert_eq!(peer.recv_from(&mut buffer).expect("it comes").1, own);
        for number in 0..32 {
            peer.send_to(&[number], own).expect("room");
        }
        original.set_nonblocking(false).expect("it waits");
        for number in 0..32 {
            assert_eq!(original.recv(&mut buffer).expect("all of them"), 1);
            assert_eq!(buffer[0], number);
        }
        let nothing = twin.recv(&mut buffer).map_err(|error| error.kind());
        assert_eq!(nothing, Err(io::ErrorKind::WouldBlock));
    }
}
