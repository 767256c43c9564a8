//! What the kernel notes beside a message: control messages.

use core::ffi::c_void;
use core::mem;
use core::ptr;
use core::time::Duration;

/// The room for one message's control messages: aligned as a `cmsghdr`, and enough for the three
/// kinds that are asked for.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control([u8; Self::LENGTH]);

impl Control {
    pub(crate) const LENGTH: usize = 96;

    pub(crate) const EMPTY: Self = Self([0; Self::LENGTH]);

    pub(crate) const fn as_mut_ptr(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }
}

/// What was noted of a message.
#[derive(Default)]
pub(crate) struct Notes {
    /// UDP_GRO: the length of the datagrams that it was made of.
    pub(crate) segment: Option<usize>,
    /// SO_TIMESTAMPNS: when it came, since 1970.
    pub(crate) arrived: Option<Duration>,
    /// SO_RXQ_OVFL: the datagrams so far that there was no room for.
    pub(crate) overflowed: Option<u32>,
}

impl Notes {
    /// Reads what the kernel wrote for a message that was received with this header.
    pub(crate) fn of(header: &libc::msghdr) -> Self {
        let mut notes = Self::default();
        // SAFETY: the kernel has filled the control buffer, which the header points to with its
        // length, and CMSG_FIRSTHDR stays in it.
        let mut next = unsafe { libc::CMSG_FIRSTHDR(header).as_ref() };
        while let Some(control) = next {
            notes.take(control);
            // SAFETY: likewise, and `control` is one of that buffer's.
            next = unsafe { libc::CMSG_NXTHDR(header, control).as_ref() };
        }
        notes
    }

    fn take(&mut self, control: &libc::cmsghdr) {
        match (control.cmsg_level, control.cmsg_type) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let length = data::<libc::c_int>(control).map(usize::try_from);
                self.segment = length.and_then(Result::ok).filter(|length| *length > 0);
            }
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS) => {
                self.arrived = data::<libc::timespec>(control).and_then(|time| since_1970(&time));
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => self.overflowed = data::<u32>(control),
            _ => {}
        }
    }
}

/// None for a clock that is set before 1970.
fn since_1970(time: &libc::timespec) -> Option<Duration> {
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
    Some(Duration::new(seconds, nanoseconds))
}

/// What is in a control message; none if it is too short for that.
fn data<T: Integers>(control: &libc::cmsghdr) -> Option<T> {
    // SAFETY: the function only computes a length.
    let whole = unsafe { libc::CMSG_LEN(mem::size_of::<T>() as libc::c_uint) } as usize;
    if control.cmsg_len < whole {
        return None;
    }
    // SAFETY: the control message is long enough to hold a T behind its head, aligned or not, and
    // any bytes are one.
    Some(unsafe { ptr::read_unaligned(libc::CMSG_DATA(control).cast::<T>()) })
}

/// Types for which any bytes are a value.
trait Integers {}

impl Integers for libc::c_int {}
impl Integers for u32 {}
impl Integers for libc::timespec {}
