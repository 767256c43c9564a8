//! Socket options.

use core::mem;
use core::ptr;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Lets the system join datagrams of one sender's into one message.
///
/// # Errors
/// It doesn't know how to; they come one by one then.
pub fn enable_gro(socket: impl AsFd) -> io::Result<()> {
    switch_on(socket, libc::SOL_UDP, libc::UDP_GRO)
}

/// Has the kernel say of each message when it came, by the system's clock, and of how many datagrams
/// the socket had no room for.
///
/// # Errors
/// It doesn't know how to.
pub fn enable_arrival_notes(socket: impl AsFd) -> io::Result<()> {
    let socket = socket.as_fd();
    switch_on(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)?;
    switch_on(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL)
}

/// Makes the kernel refuse segmented messages over IPv4, with EINVAL: datagrams without checksums
/// can't be segmented.
///
/// # Errors
/// What the system says.
#[cfg(feature = "testing")]
pub fn refuse_segmentation(socket: impl AsFd) -> io::Result<()> {
    switch_on(socket, libc::SOL_SOCKET, libc::SO_NO_CHECK)
}

fn switch_on(socket: impl AsFd, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is an int, and its length is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            ptr::from_ref(&on).cast(),
            mem::size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
