//! Sockets that come from elsewhere.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{BorrowedFd, RawFd};

/// Another descriptor, of our own, for the socket that somebody has by this one.
///
/// # Errors
/// The descriptor isn't open, or there are too many.
pub fn duplicate(descriptor: RawFd) -> io::Result<UdpSocket> {
    if descriptor < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: it isn't -1, and serves only to ask the kernel for another one, within this function;
    // one that isn't open is refused by it.
    let lent = unsafe { BorrowedFd::borrow_raw(descriptor) };
    Ok(lent.try_clone_to_owned()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn both_descriptors_are_one_socket_and_none_is_made_of_nothing() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let other = duplicate(socket.as_raw_fd()).expect("open");
        let addresses = (socket.local_addr(), other.local_addr());
        assert_eq!(addresses.0.expect("bound"), addresses.1.expect("bound"));
        assert!(duplicate(-1).is_err());
        assert!(duplicate(RawFd::MAX).is_err());
    }
}
