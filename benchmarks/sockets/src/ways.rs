//! The ways to the kernel. Each sends one burst to all receivers, and waits for nothing else.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use io_uring::{IoUring, opcode, types};

use crate::datagrams::{Burst, Message, Named, messages};

/// Sends one burst.
pub type Way<'a> = Box<dyn FnMut() -> io::Result<()> + 'a>;

fn sender() -> io::Result<UdpSocket> {
    UdpSocket::bind("127.0.0.1:0")
}

/// A socket for each receiver. A server's would share its port, which costs the sender nothing.
fn connected(to: &[SocketAddr]) -> io::Result<Vec<UdpSocket>> {
    let sockets = to.iter().map(|to| {
        let socket = sender()?;
        socket.connect(to)?;
        Ok(socket)
    });
    sockets.collect()
}

fn refused(result: isize) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A system call for each message, on one socket or on the receivers' own.
pub fn sendmsg<'a>(
    burst: Burst,
    at_once: usize,
    to: &[SocketAddr],
    named: Named,
    data: &'a [u8],
) -> io::Result<Way<'a>> {
    let sockets = match named {
        Named::ByMessage => vec![sender()?],
        Named::BySocket => connected(to)?,
    };
    let messages = messages(burst, at_once, to, named, data);
    Ok(Box::new(move || {
        let of_one = messages.len() / sockets.len();
        for (at, message) in messages.iter().enumerate() {
            let socket = sockets[at / of_one].as_raw_fd();
            // SAFETY: the header and what it points to are there as long as `messages` and `data`.
            refused(unsafe {
                libc::sendmsg(socket, &raw const message.header, libc::MSG_DONTWAIT)
            })?;
        }
        Ok(())
    }))
}

/// `in_a_call` messages by one sendmmsg.
pub fn sendmmsg<'a>(
    burst: Burst,
    at_once: usize,
    in_a_call: usize,
    to: &[SocketAddr],
    data: &'a [u8],
) -> io::Result<Way<'a>> {
    let socket = sender()?;
    let messages = messages(burst, at_once, to, Named::ByMessage, data);
    let mut headers: Vec<libc::mmsghdr> = messages
        .iter()
        .map(|message| libc::mmsghdr {
            msg_hdr: message.header,
            msg_len: 0,
        })
        .collect();
    Ok(Box::new(move || {
        // What the headers point to.
        let _ = &messages;
        for some in headers.chunks_mut(in_a_call) {
            let (fd, count) = (socket.as_raw_fd(), some.len() as u32);
            // SAFETY: as above; the kernel writes into `some` alone.
            let sent = unsafe { libc::sendmmsg(fd, some.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
            refused(sent as isize)?;
            assert_eq!(sent as u32, count, "loopback takes all of a call");
        }
        Ok(())
    }))
}

/// A submission for each message, and one system call for all of them; with a kernel thread that
/// looks for them (`is_polled`), none.
pub fn uring<'a>(
    burst: Burst,
    at_once: usize,
    to: &[SocketAddr],
    named: Named,
    is_polled: bool,
    data: &'a [u8],
) -> io::Result<Way<'a>> {
    let messages = messages(burst, at_once, to, named, data);
    let sockets = match named {
        Named::ByMessage => vec![sender()?],
        Named::BySocket => connected(to)?,
    };
    let entries = messages.len().next_power_of_two() as u32;
    let mut builder = IoUring::builder();
    if is_polled {
        builder.setup_sqpoll(1000);
    } else {
        builder.setup_single_issuer();
    }
    let mut ring = builder.build(entries)?;
    let fds: Vec<i32> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
    ring.submitter().register_files(&fds)?;
    Ok(Box::new(move || {
        let _ = &sockets;
        submit(&mut ring, &messages, messages.len() / fds.len())
    }))
}

fn submit(ring: &mut IoUring, messages: &[Box<Message>], of_one: usize) -> io::Result<()> {
    {
        let mut queue = ring.submission();
        for (at, message) in messages.iter().enumerate() {
            let file = types::Fixed((at / of_one) as u32);
            let entry = opcode::SendMsg::new(file, &raw const message.header).build();
            // SAFETY: as above, and all are waited for below.
            unsafe { queue.push(&entry) }.expect("the queue has room for a burst");
        }
    }
    let mut completed = 0;
    while completed < messages.len() {
        ring.submit_and_wait(1)?;
        for completion in ring.completion() {
            if completion.result() < 0 {
                return Err(io::Error::from_raw_os_error(-completion.result()));
            }
            completed += 1;
        }
    }
    Ok(())
}
