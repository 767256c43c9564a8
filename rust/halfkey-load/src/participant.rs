//! One Endpoint of the run: its socket, what it sends, what it receives.

use std::io;
use std::net::{IpAddr, SocketAddr};

use halfkey_media::{DoubleProfile, KeyError};
use halfkey_udp::enable_gro;
use mio::net::UdpSocket;

use crate::pattern::Pattern;
use crate::receiver::Receiver;
use crate::sender::Sender;

/// What is asked of the system for a socket's buffers, as the switch asks; it may give less.
const SOCKET_BUFFER: usize = 4 << 20;

/// The hop's keys, as DTLS-SRTP would give them: the outer halves.
#[derive(Clone, Copy)]
pub struct Association<'a> {
    /// The double profile.
    pub profile: DoubleProfile,
    /// The Endpoint's key and salt.
    pub client: (&'a [u8], &'a [u8]),
    /// The Media Distributor's key and salt.
    pub server: (&'a [u8], &'a [u8]),
}

/// A conference's EKT parameter set.
#[derive(Clone, Copy)]
pub struct EktParameters<'a> {
    /// Its name.
    pub spi: u16,
    /// The EKTKey.
    pub key: &'a [u8],
    /// The SRTP master salt that goes with it.
    pub salt: &'a [u8],
}

/// What a participant sends.
pub struct Stream<'a> {
    /// Unique in the run.
    pub ssrc: u32,
    /// The end-to-end SRTP master key.
    pub master_key: &'a [u8],
    /// What its packets say they carry.
    pub payload_type: u8,
    /// When it sends how much.
    pub pattern: Pattern,
    /// How much later it begins.
    pub phase: std::time::Duration,
}

pub(crate) struct Participant {
    pub(crate) conference: usize,
    pub(crate) socket: UdpSocket,
    pub(crate) address: SocketAddr,
    pub(crate) sender: Option<Sender>,
    /// Whether it is shown what others send.
    pub(crate) receives: bool,
    pub(crate) receiver: Receiver,
}

impl Participant {
    pub(crate) fn new(
        socket: UdpSocket,
        conference: usize,
        association: &Association<'_>,
        ekt: &EktParameters<'_>,
        stream: Option<Stream<'_>>,
        receives: bool,
    ) -> io::Result<Self> {
        let sender = stream.map(|stream| Sender::new(association, ekt, stream));
        Ok(Self {
            conference,
            receives,
            address: socket.local_addr()?,
            socket,
            sender: sender.transpose().map_err(unusable)?,
            receiver: Receiver::new(association, ekt).map_err(unusable)?,
        })
    }
}

fn unusable(error: KeyError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// A socket as the switch's.
pub(crate) fn bind(host: IpAddr) -> io::Result<UdpSocket> {
    prepare(std::net::UdpSocket::bind((host, 0))?)
}

/// Makes a socket like the switch's.
pub(crate) fn prepare(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
    socket.set_nonblocking(true)?;
    let sized = socket2::SockRef::from(&socket);
    let _ = sized.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = sized.set_send_buffer_size(SOCKET_BUFFER);
    // Without it the kernel segments in the sender's time.
    let _ = enable_gro(&socket);
    Ok(UdpSocket::from_std(socket))
}
