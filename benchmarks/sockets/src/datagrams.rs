//! What is sent: one burst to each receiver, in messages that the kernel reads over and over.

use std::io;
use std::mem;
use std::net::{SocketAddr, UdpSocket};
use std::ptr;

/// The control message UDP_SEGMENT.
#[repr(C)]
struct Segment {
    head: libc::cmsghdr,
    length: u16,
    padding: [u8; 6],
}

/// One message to one receiver: a datagram, or several of one length.
pub struct Message {
    address: libc::sockaddr_in,
    vector: libc::iovec,
    segment: Segment,
    pub header: libc::msghdr,
}

/// A burst: so many datagrams of one length for every receiver.
#[derive(Clone, Copy)]
pub struct Burst {
    pub receivers: usize,
    pub datagrams: usize,
    pub length: usize,
}

impl Burst {
    pub const fn total(&self) -> usize {
        self.receivers * self.datagrams
    }
}

/// Whether each message names its receiver, or the socket does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Named {
    ByMessage,
    BySocket,
}

/// The messages of a burst: `at_once` datagrams in each.
#[expect(
    clippy::vec_box,
    reason = "each header points into its own message, which must stay"
)]
pub fn messages(
    burst: Burst,
    at_once: usize,
    to: &[SocketAddr],
    named: Named,
    data: &[u8],
) -> Vec<Box<Message>> {
    let of_one = burst.datagrams / at_once;
    let receivers = to.iter().flat_map(|to| std::iter::repeat_n(to, of_one));
    receivers
        .map(|to| message(to, &data[..at_once * burst.length], burst.length, named))
        .collect()
}

fn message(to: &SocketAddr, data: &[u8], segment: usize, named: Named) -> Box<Message> {
    let SocketAddr::V4(to) = to else {
        unreachable!("all sockets are bound to 127.0.0.1");
    };
    // SAFETY: integers and null pointers, for which zero is a value.
    let mut message: Box<Message> = Box::new(unsafe { mem::zeroed() });
    message.address.sin_family = libc::AF_INET as u16;
    message.address.sin_port = to.port().to_be();
    message.address.sin_addr.s_addr = u32::from(*to.ip()).to_be();
    message.vector.iov_base = data.as_ptr().cast_mut().cast();
    message.vector.iov_len = data.len();
    // The box stays where it is, and so do these.
    message.header.msg_iov = &raw mut message.vector;
    message.header.msg_iovlen = 1;
    if named == Named::ByMessage {
        message.header.msg_name = ptr::from_mut(&mut message.address).cast();
        message.header.msg_namelen = mem::size_of::<libc::sockaddr_in>() as u32;
    }
    if data.len() > segment {
        message.segment.head.cmsg_level = libc::SOL_UDP;
        message.segment.head.cmsg_type = libc::UDP_SEGMENT;
        message.segment.head.cmsg_len = mem::size_of::<libc::cmsghdr>() + 2;
        message.segment.length = segment as u16;
        message.header.msg_control = ptr::from_mut(&mut message.segment).cast();
        message.header.msg_controllen = mem::size_of::<Segment>();
    }
    message
}

/// Receivers, emptied outside of what is measured.
pub struct Sink {
    sockets: Vec<UdpSocket>,
}

impl Sink {
    pub fn new(receivers: usize) -> io::Result<Self> {
        let sockets = (0..receivers).map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        Ok(Self {
            sockets: sockets.collect::<io::Result<_>>()?,
        })
    }

    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(UdpSocket::local_addr).collect()
    }

    /// Takes what is there, and says how many datagrams it was.
    pub fn drain(&self) -> usize {
        let mut buffer = [0; 2048];
        let taken = self.sockets.iter().map(|socket| {
            let mut count = 0;
            while socket.recv(&mut buffer).is_ok() {
                count += 1;
            }
            count
        });
        taken.sum()
    }
}
