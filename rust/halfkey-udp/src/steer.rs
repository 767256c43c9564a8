//! Which socket of a group that shares one port gets a datagram.

use core::mem;
use core::ptr;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// A socket number that no group has: the kernel then goes by the addresses.
const NONE: u32 = u32::MAX;

const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const MODULO: u32 = libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K;
const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const IF_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const IF_GREATER: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
const RETURN_ACCUMULATOR: u32 = libc::BPF_RET | libc::BPF_A;

/// Has the kernel give RTP and RTCP (RFC 7983 and RFC 5761 say which is which) to the socket whose
/// number is the SSRC's remainder by `sockets`, in the order in which they were bound. Everything
/// else goes by its addresses. Of datagrams that were joined, the first decides.
///
/// # Errors
/// It doesn't know how to; everything goes by its addresses then.
pub fn steer_by_ssrc(socket: impl AsFd, sockets: u32) -> io::Result<()> {
    let mut program = [
        instruction(LOAD_BYTE, 0, 0, 0),
        instruction(AND, 0, 0, 0xc0),
        instruction(IF_EQUAL, 0, 8, 0x80), // else: to the end
        instruction(LOAD_BYTE, 0, 0, 1),
        instruction(IF_AT_LEAST, 0, 3, 192), // else: RTP
        instruction(IF_GREATER, 2, 0, 223),  // then: RTP
        instruction(LOAD_WORD, 0, 0, 4),
        instruction(JUMP, 0, 0, 1),
        instruction(LOAD_WORD, 0, 0, 8), // RTP
        instruction(MODULO, 0, 0, sockets.max(1)),
        instruction(RETURN_ACCUMULATOR, 0, 0, 0),
        instruction(RETURN, 0, 0, NONE), // the end
    ];
    let program = libc::sock_fprog {
        len: program.len() as libc::c_ushort,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the option's value is a program with its length, which the kernel copies; both live
    // until the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            ptr::from_ref(&program).cast(),
            mem::size_of_val(&program) as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

const fn instruction(code: u32, then: u8, otherwise: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: then,
        jf: otherwise,
        k,
    }
}
