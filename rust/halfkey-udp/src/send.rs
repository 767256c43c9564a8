//! sendmmsg, with UDP_SEGMENT.

use core::mem;
use core::net::SocketAddr;
use core::ptr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::address::RawAddress;

/// The most datagrams in one message: what the kernel has taken since UDP_SEGMENT came (Linux 4.18).
pub const MAX_SEGMENTS: usize = 64;

/// The most bytes in one message: a UDP datagram's payload over IPv4, since the kernel makes one of
/// it first.
pub const MAX_SEGMENTED_LENGTH: usize = 65_507;

/// The most messages of one call.
const MESSAGES: usize = 256;

/// The control message UDP_SEGMENT, as the kernel reads it.
#[derive(Clone, Copy)]
#[repr(C)]
struct SegmentControl {
    head: libc::cmsghdr,
    segment: u16,
    padding: [u8; 6],
}

// What CMSG_LEN and CMSG_SPACE would say, where there is no padding behind the head.
const CONTROL_LENGTH: usize = mem::size_of::<libc::cmsghdr>() + mem::size_of::<u16>();
const _: () = assert!(mem::offset_of!(SegmentControl, segment) == mem::size_of::<libc::cmsghdr>());
const _: () = assert!(mem::size_of::<SegmentControl>() % mem::align_of::<libc::cmsghdr>() == 0);

/// Datagrams to one address, side by side.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Where they go.
    pub to: SocketAddr,
    /// The datagrams: at most [`MAX_SEGMENTS`] and [`MAX_SEGMENTED_LENGTH`] if they are several.
    pub data: &'a [u8],
    /// The length of each of them, the last may be shorter; none if there is one only.
    pub segment: Option<u16>,
}

/// Sends many messages by one call.
pub struct Sender {
    addresses: Box<[RawAddress]>,
    controls: Box<[SegmentControl]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl core::fmt::Debug for Sender {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

// SAFETY: the pointers in it are only read by the kernel, in `send`, which makes them anew.
unsafe impl Send for Sender {}

impl Default for Sender {
    fn default() -> Self {
        Self::new()
    }
}

impl Sender {
    /// With what a call needs.
    #[must_use]
    pub fn new() -> Self {
        // SAFETY: integers and null pointers, for which zero is a value.
        let (control, vector, header) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        Self {
            addresses: vec![RawAddress::empty(); MESSAGES].into(),
            controls: vec![control; MESSAGES].into(),
            vectors: vec![vector; MESSAGES].into(),
            headers: vec![header; MESSAGES].into(),
        }
    }

    /// Sends the first messages, without waiting, and returns how many: fewer than there are if
    /// they are too many for one call, or if one is refused. Why it is refused is said when it is
    /// the first.
    ///
    /// # Errors
    /// The first message was refused; none was sent.
    pub fn send<'a>(
        &mut self,
        socket: impl AsFd,
        messages: impl Iterator<Item = Message<'a>>,
    ) -> io::Result<usize> {
        let mut count = 0;
        for message in messages.take(MESSAGES) {
            self.prepare(count, &message);
            count += 1;
        }
        self.call(socket.as_fd(), count)
    }

    fn prepare(&mut self, at: usize, message: &Message<'_>) {
        let (address, length) = RawAddress::new(&message.to);
        self.addresses[at] = address;
        self.vectors[at] = libc::iovec {
            // The kernel reads from here only.
            iov_base: message.data.as_ptr().cast_mut().cast(),
            iov_len: message.data.len(),
        };
        let header = &mut self.headers[at].msg_hdr;
        header.msg_name = ptr::from_mut(&mut self.addresses[at]).cast();
        header.msg_namelen = length;
        header.msg_iov = &raw mut self.vectors[at];
        header.msg_iovlen = 1;
        header.msg_control = ptr::null_mut();
        header.msg_controllen = 0;
        if let Some(segment) = message.segment {
            let control = &mut self.controls[at];
            control.head.cmsg_level = libc::SOL_UDP;
            control.head.cmsg_type = libc::UDP_SEGMENT;
            control.head.cmsg_len = CONTROL_LENGTH as _;
            control.segment = segment;
            header.msg_control = ptr::from_mut(control).cast();
            header.msg_controllen = mem::size_of::<SegmentControl>() as _;
        }
    }

    fn call(&mut self, socket: BorrowedFd<'_>, count: usize) -> io::Result<usize> {
        // SAFETY: `prepare` set the first `count` headers: each points to an address, a vector and
        // perhaps a control message of its own, in `self`, and to data that the messages borrow for
        // the lifetime 'a, which outlives the call in `send`.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}
