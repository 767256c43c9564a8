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

/// What a control message's length is rounded up to: see `CMSG_ALIGN`.
const ALIGNMENT: usize = mem::size_of::<usize>();

/// Where a control message's data begin.
const HEAD: usize = mem::size_of::<libc::cmsghdr>().next_multiple_of(ALIGNMENT);

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
    /// Reads the first bytes of the room, so many as the kernel has written.
    pub(crate) fn of(control: &Control, length: usize) -> Self {
        let mut notes = Self::default();
        let mut bytes = control.0.get(..length).unwrap_or_default();
        while let Some(head) = read::<libc::cmsghdr>(bytes) {
            let whole: usize = head.cmsg_len as _;
            let Some(data) = bytes.get(HEAD..whole) else {
                break;
            };
            notes.take(&head, data);
            bytes = bytes
                .get(whole.next_multiple_of(ALIGNMENT)..)
                .unwrap_or_default();
        }
        notes
    }

    fn take(&mut self, head: &libc::cmsghdr, data: &[u8]) {
        match (head.cmsg_level, head.cmsg_type) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let length = read::<libc::c_int>(data).map(usize::try_from);
                self.segment = length.and_then(Result::ok).filter(|length| *length > 0);
            }
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS) => {
                self.arrived = read::<libc::timespec>(data).and_then(|time| since_1970(&time));
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => self.overflowed = read::<u32>(data),
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

/// What the bytes begin with; none if they are too few.
fn read<T: Integers>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..mem::size_of::<T>())?;
    // SAFETY: they are as many as a T has, aligned or not, and any bytes are one.
    Some(unsafe { ptr::read_unaligned(bytes.as_ptr().cast()) })
}

/// Types for which any bytes are a value.
///
/// # Safety
/// Every field is an integer.
unsafe trait Integers {}

// SAFETY: an integer.
unsafe impl Integers for libc::c_int {}
// SAFETY: likewise.
unsafe impl Integers for u32 {}
// SAFETY: two integers.
unsafe impl Integers for libc::timespec {}
// SAFETY: three integers, with some libraries a fourth that fills a gap.
unsafe impl Integers for libc::cmsghdr {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A control message as the kernel writes it.
    fn write(kind: (i32, i32), data: &[u8], claimed: usize) -> Vec<u8> {
        let mut bytes = claimed.to_ne_bytes().to_vec();
        bytes.extend(kind.0.to_ne_bytes());
        bytes.extend(kind.1.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0xaa);
        bytes
    }

    fn notes(messages: &[Vec<u8>], length: usize) -> (Option<usize>, Option<u32>) {
        let mut control = Control::EMPTY;
        let bytes = messages.concat();
        control.0[..bytes.len()].copy_from_slice(&bytes);
        let notes = Notes::of(&control, length);
        (notes.segment, notes.overflowed)
    }

    #[test]
    fn every_note_is_found_and_what_is_unknown_passed_over() {
        let number = |number: u32| number.to_ne_bytes();
        let unknown = write((99, 98), b"12345", HEAD + 5);
        let segment = write((libc::SOL_UDP, libc::UDP_GRO), &number(1200), HEAD + 4);
        let overflow = write((libc::SOL_SOCKET, libc::SO_RXQ_OVFL), &number(7), HEAD + 4);
        let all = [unknown, segment, overflow];
        let length = all.concat().len();
        assert_eq!(notes(&all, length), (Some(1200), Some(7)));
        // Nothing is read behind what was written, however it ends.
        for shorter in 0..length {
            let (segment, overflow) = notes(&all, shorter);
            assert_eq!(segment.is_some(), shorter >= 24 + HEAD + 4, "{shorter}");
            assert_eq!(overflow.is_some(), shorter >= 48 + HEAD + 4, "{shorter}");
        }
    }

    #[test]
    fn lengths_that_can_not_be_end_it() {
        let kind = (libc::SOL_UDP, libc::UDP_GRO);
        for claimed in [
            0,
            1,
            HEAD - 1,
            HEAD,
            HEAD + 3,
            Control::LENGTH + 1,
            usize::MAX,
        ] {
            let message = write(kind, &1200_u32.to_ne_bytes(), claimed);
            assert_eq!(
                notes(&[message], Control::LENGTH),
                (None, None),
                "{claimed}"
            );
        }
        let message = write(kind, &1200_u32.to_ne_bytes(), HEAD + 4);
        assert_eq!(notes(&[message], usize::MAX), (None, None));
    }
}
