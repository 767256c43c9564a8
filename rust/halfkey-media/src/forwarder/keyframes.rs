//! Requests for a picture that needs no other: many receivers ask, the source hears it once.

use core::time::Duration;

/// The least time between two requests to one source.
pub(super) const INTERVAL: Duration = Duration::from_millis(300);

/// How a source is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyframeRequest {
    /// Picture Loss Indication (RFC 4585 section 6.3.1).
    PictureLossIndication,
    /// Full Intra Request, with its command's sequence number (RFC 5104 section 4.3.1).
    FullIntraRequest(u8),
}

/// The requests to one source. One that comes too soon after another is not lost but waits: the
/// picture under way may be older than what its asker needs.
#[derive(Debug, Default)]
pub(super) struct Keyframes {
    not_before: Duration,
    pending: bool,
    full_intra: bool,
    commands: u8,
}

impl Keyframes {
    /// Takes a PLI or a FIR of a receiver, or the forwarder's own wish; gives when a request is due.
    pub(super) fn request(&mut self, full_intra: bool, now: Duration) -> Duration {
        self.pending = true;
        self.full_intra |= full_intra;
        now.max(self.not_before)
    }

    /// When the waiting request is due, if there is one.
    pub(super) fn due(&self) -> Option<Duration> {
        self.pending.then_some(self.not_before)
    }

    /// Takes the waiting request, if it is due.
    pub(super) fn take(&mut self, now: Duration) -> Option<KeyframeRequest> {
        if !self.pending || now < self.not_before {
            return None;
        }
        self.pending = false;
        self.not_before = now + INTERVAL;
        if !core::mem::take(&mut self.full_intra) {
            return Some(KeyframeRequest::PictureLossIndication);
        }
        self.commands = self.commands.wrapping_add(1);
        Some(KeyframeRequest::FullIntraRequest(self.commands))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_requests_become_one_and_a_late_one_waits() {
        let at = Duration::from_millis;
        let mut keyframes = Keyframes::default();
        assert_eq!(keyframes.take(at(0)), None);
        assert_eq!(keyframes.request(false, at(1000)), at(1000));
        let request = keyframes.take(at(1000));
        assert_eq!(request, Some(KeyframeRequest::PictureLossIndication));
        assert_eq!(keyframes.due(), None);

        for late in [at(1001), at(1200)] {
            assert_eq!(keyframes.request(late == at(1200), late), at(1300));
            assert_eq!(keyframes.take(late), None);
        }
        assert_eq!(keyframes.due(), Some(at(1300)));
        let request = keyframes.take(at(1300));
        assert_eq!(request, Some(KeyframeRequest::FullIntraRequest(1)));
        assert_eq!(keyframes.take(at(2000)), None);
    }
}
