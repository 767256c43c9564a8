//! recvmmsg, with UDP_GRO, the kernel's time stamps and its count of what found no room.

use core::mem;
use core::net::SocketAddr;
use core::ops::Range;
use core::ptr;
use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use crate::address::RawAddress;
use crate::control::{Control, Notes};

/// The room for one message: a datagram of any length, or what UDP_GRO makes of many.
const SLOT: usize = 1 << 16;

/// What one message is: datagrams of one sender's, side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Where they came from.
    pub from: SocketAddr,
    /// Where they lie in the buffer.
    pub range: Range<usize>,
    /// The length of each of them; the last may be shorter.
    pub segment: usize,
    /// When the first of them came, since 1970 by the system's clock, if the kernel says so.
    pub arrived: Option<Duration>,
    /// How many the socket had no room for before them, modulo 2^32, if the kernel says so.
    pub overflowed: Option<u32>,
}

impl Received {
    /// Where each datagram lies in the buffer.
    pub fn datagrams(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (start, end, step) = (self.range.start, self.range.end, self.segment.max(1));
        // An empty datagram is one, too.
        let count = (end - start).div_ceil(step).max(1);
        (0..count).map(move |at| start + at * step..(start + (at + 1) * step).min(end))
    }
}

/// Room for the messages of one call.
pub struct ReceiveBuffer {
    data: Box<[u8]>,
    addresses: Box<[RawAddress]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    /// The messages of the last call.
    count: usize,
}

impl core::fmt::Debug for ReceiveBuffer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ReceiveBuffer").finish_non_exhaustive()
    }
}

// SAFETY: nothing but the kernel reads the pointers in `vectors` and `headers`, and that in `receive`,
// which makes all of them anew first.
unsafe impl Send for ReceiveBuffer {}

impl ReceiveBuffer {
    /// Room for `messages` at once, 64 KiB each. The system gives pages only as they are used.
    #[must_use]
    pub fn new(messages: usize) -> Self {
        // SAFETY: integers and null pointers, for which zero is a value.
        let (vector, header) = unsafe { (mem::zeroed(), mem::zeroed()) };
        Self {
            data: vec![0; messages * SLOT].into(),
            addresses: vec![RawAddress::empty(); messages].into(),
            controls: vec![Control::EMPTY; messages].into(),
            vectors: vec![vector; messages].into(),
            headers: vec![header; messages].into(),
            count: 0,
        }
    }

    /// The buffer that the ranges of [`Received`] are in.
    pub fn data(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// Takes the messages that are there, without waiting; returns their number.
    ///
    /// # Errors
    /// `WouldBlock` if there is none, or what the system says.
    pub fn receive(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let slots = self.data.chunks_exact_mut(SLOT);
        let parts = self.addresses.iter_mut().zip(self.controls.iter_mut());
        let kernel = self.vectors.iter_mut().zip(self.headers.iter_mut());
        for ((slot, (address, control)), (vector, header)) in slots.zip(parts).zip(kernel) {
            vector.iov_base = slot.as_mut_ptr().cast();
            vector.iov_len = slot.len();
            // The kernel changes the lengths, so they are set for each call.
            header.msg_hdr.msg_name = ptr::from_mut(address).cast();
            header.msg_hdr.msg_namelen = RawAddress::LENGTH;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.as_mut_ptr();
            header.msg_hdr.msg_controllen = Control::LENGTH;
            header.msg_hdr.msg_flags = 0;
        }
        // SAFETY: each header points to an address, a vector, a slot and a control buffer of its
        // own, with their lengths, which live in `self` for as long as the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        self.count = usize::try_from(count).unwrap_or(0);
        match count {
            0.. => Ok(self.count),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// What message number `at` of the last call is; none if there were fewer, or if its sender has
    /// no IP address.
    #[must_use]
    pub fn message(&self, at: usize) -> Option<Received> {
        let header = self.headers.get(..self.count)?.get(at)?;
        let length = (header.msg_len as usize).min(SLOT);
        let notes = Notes::of(self.controls.get(at)?, header.msg_hdr.msg_controllen);
        Some(Received {
            from: self.addresses.get(at)?.get()?,
            range: at * SLOT..at * SLOT + length,
            segment: notes.segment.unwrap_or(length),
            arrived: notes.arrived,
            overflowed: notes.overflowed,
        })
    }
}
