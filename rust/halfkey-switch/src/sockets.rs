//! The sockets of the workers, all at one address.

use std::io;
use std::net::SocketAddr;

use halfkey_udp::steer_by_ssrc;
use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};

/// What is asked of the system for a socket's buffers; it may give less.
const SOCKET_BUFFER: usize = 4 << 20;

/// Binds a socket for each worker, in their order.
///
/// The first is bound as if it were alone, so that an address that somebody has is an error; only
/// then it lets the others in.
pub(crate) fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<UdpSocket>> {
    let first = open(address)?;
    first.bind(&address.into())?;
    let mut sockets = vec![UdpSocket::from_std(first.into())];
    if workers > 1 {
        let bound = sockets[0].local_addr()?;
        socket2::SockRef::from(&sockets[0]).set_reuse_port(true)?;
        for _ in 1..workers {
            let socket = open(bound)?;
            socket.set_reuse_port(true)?;
            socket.bind(&bound.into())?;
            sockets.push(UdpSocket::from_std(socket.into()));
        }
        // Without it, what comes to the wrong worker is handed over.
        let _ = steer_by_ssrc(&sockets[0], u32::try_from(workers).unwrap_or(1));
    }
    Ok(sockets)
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    // Bursts (a picture for every receiver) are larger than the usual buffer; less is no fault.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    Ok(socket)
}
