//! The sockets of the workers, all at one address.

use std::io;
use std::net::SocketAddr;

use halfkey_udp::{enable_arrival_notes, enable_gro, steer_by_ssrc};
use mio::net::UdpSocket;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// What is asked of the system for a socket's buffers; it may give less.
const SOCKET_BUFFER: usize = 4 << 20;

/// What the system gave the sockets, of what does without harm to anybody's media but makes it better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// The bytes that may wait in a socket, of [`Self::ASKED`].
    pub receive_buffer: usize,
    /// The bytes that may be on their way out of it, likewise.
    pub send_buffer: usize,
    /// Whether datagrams of one sender are taken together (UDP_GRO).
    pub is_joining: bool,
    /// Whether it is known when datagrams came: else none is late, however long it waited.
    pub is_timing: bool,
    /// Whether they come to the worker that has their SSRC: else they are handed over.
    pub is_steering: bool,
}

impl Granted {
    /// The bytes that are asked for.
    pub const ASKED: usize = SOCKET_BUFFER;
}

/// Binds a socket for each worker, in their order.
///
/// The first is bound as if it were alone, so that an address that somebody has is an error; only
/// then it lets the others in.
pub(crate) fn bind(address: SocketAddr, workers: usize) -> io::Result<(Vec<UdpSocket>, Granted)> {
    let first = open(address)?;
    first.bind(&address.into())?;
    let mut granted = prepare(&first)?;
    let mut sockets = vec![UdpSocket::from_std(first.into())];
    if workers > 1 {
        let bound = sockets[0].local_addr()?;
        SockRef::from(&sockets[0]).set_reuse_port(true)?;
        for _ in 1..workers {
            let socket = open(bound)?;
            socket.set_reuse_port(true)?;
            socket.bind(&bound.into())?;
            prepare(&socket)?;
            sockets.push(UdpSocket::from_std(socket.into()));
        }
        let workers = u32::try_from(workers).unwrap_or(1);
        granted.is_steering = steer_by_ssrc(&sockets[0], workers).is_ok();
    }
    Ok((sockets, granted))
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Asks for what makes it better; what isn't given is no fault.
fn prepare(socket: &Socket) -> io::Result<Granted> {
    // Bursts (a picture for every receiver) are larger than the usual buffer.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    Ok(Granted {
        // The system tells twice what it gives, since it needs as much again for itself.
        receive_buffer: socket.recv_buffer_size()? / 2,
        send_buffer: socket.send_buffer_size()? / 2,
        is_joining: enable_gro(socket).is_ok(),
        is_timing: enable_arrival_notes(socket).is_ok(),
        is_steering: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_is_read_back() {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let (sockets, granted) = bind(address, 2).expect("free ports");
        let another = open(address).expect("a socket");
        let asked = |one: &Socket| {
            let _ = one.set_recv_buffer_size(Granted::ASKED);
            one.recv_buffer_size().expect("a socket") / 2
        };
        let usual = another.recv_buffer_size().expect("a socket") / 2;
        assert_eq!(granted.receive_buffer, asked(&another));
        assert!(granted.receive_buffer >= usual && granted.receive_buffer <= Granted::ASKED);
        for socket in &sockets {
            let given = SockRef::from(socket).recv_buffer_size();
            assert_eq!(given.expect("a socket") / 2, granted.receive_buffer);
        }
    }
}
