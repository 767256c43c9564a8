//! The Media Distributor's packet path: opens a packet once, and seals it once for each receiver.
//!
//! ```text
//! participant --- uplink ---> source --- route ---> downlink ---> participant
//!                 (opens)     (one per SSRC)        (seals)
//! ```
//!
//! Every participant has an uplink and a downlink, with keys of their own. A source is an SSRC that
//! its owner declared; a route puts it into a slot of a receiver, which is named by the `mid` header
//! extension. SSRC, timestamp, CSRCs and the payload are never touched (RFC 8723 section 5.2), and
//! the EKT Field goes on unread.
//!
//! No sockets and no clock: `now` is the time since an epoch of the caller's, and what is to be sent
//! is handed to a function. After any call that takes `now`, arm a timer for
//! [`Forwarder::next_timer`].

mod capture;
mod control;
mod drops;
mod feedback;
mod keyframes;
mod media;
mod participant;
mod reception;
mod route;

#[cfg(test)]
mod tests;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::HashMap;

pub use control::ControlError;
pub use drops::{DropReason, Statistics};
pub use participant::{HopKeys, Kind, ParticipantConfig, SourceConfig};
pub use reception::ReceptionReport;

use capture::Captures;
use participant::{Downlink, Uplink};

use crate::rtcp::is_rtcp;

/// A participant's number, chosen by the caller.
pub type ParticipantId = u64;

/// The room for one outgoing datagram.
const BUFFER_LENGTH: usize = 1 << 16;

/// All participants of all conferences of one worker.
#[derive(Debug)]
pub struct Forwarder {
    indices: HashMap<ParticipantId, usize>,
    addresses: HashMap<SocketAddr, usize>,
    // Two tables with the same index: a packet borrows one uplink and many downlinks.
    uplinks: Vec<Uplink>,
    downlinks: Vec<Downlink>,
    vacant: Vec<usize>,
    buffer: Vec<u8>,
    captures: Captures,
    statistics: Statistics,
    timer: Option<Duration>,
}

impl Forwarder {
    /// A forwarder without participants. `capture_bytes`: how much of what each SSRC sent last is
    /// kept, as it came (still encrypted end to end); 0 for nothing.
    #[must_use]
    pub fn new(capture_bytes: usize) -> Self {
        Self {
            indices: HashMap::new(),
            addresses: HashMap::new(),
            uplinks: Vec::new(),
            downlinks: Vec::new(),
            vacant: Vec::new(),
            buffer: vec![0; BUFFER_LENGTH],
            captures: Captures::new(capture_bytes),
            statistics: Statistics::default(),
            timer: None,
        }
    }

    /// Whether datagrams from this address are a participant's.
    #[must_use]
    pub fn knows(&self, address: &SocketAddr) -> bool {
        self.addresses.contains_key(address)
    }

    /// Takes an SRTP or SRTCP datagram, which is changed, and hands what follows from it to `send`.
    pub fn receive(
        &mut self,
        from: SocketAddr,
        datagram: &mut [u8],
        now: Duration,
        send: &mut impl FnMut(SocketAddr, &[u8]),
    ) {
        self.statistics.received_packets += 1;
        let result = match self.addresses.get(&from) {
            None => Err(DropReason::UnknownAddress),
            Some(&index) if is_rtcp(datagram) => self.receive_rtcp(index, datagram, now, send),
            Some(&index) => self.receive_rtp(index, datagram, now, send),
        };
        if let Err(reason) = result {
            self.statistics.count(reason);
        }
    }

    /// When [`Self::handle_timer`] wants to be called.
    #[must_use]
    pub const fn next_timer(&self) -> Option<Duration> {
        self.timer
    }

    /// Sends the reports and the requests for pictures that are due.
    pub fn handle_timer(&mut self, now: Duration, send: &mut impl FnMut(SocketAddr, &[u8])) {
        if self.timer.is_none_or(|timer| timer > now) {
            return;
        }
        self.timer = None;
        for index in 0..self.uplinks.len() {
            if self.downlinks[index].keys.is_none() {
                continue;
            }
            if self.downlinks[index].report_due <= now {
                self.send_report(index, now, send);
                self.downlinks[index].report_due = now + feedback::REPORT_INTERVAL;
            }
            self.arm(self.downlinks[index].report_due);
            self.send_due_keyframe_requests(index, now, send);
        }
    }

    /// The time since a participant's last authentic packet; `None` if there was none.
    #[must_use]
    pub fn idle(&self, now: Duration) -> Vec<(ParticipantId, Duration)> {
        let last = |index: usize| self.uplinks[index].last_received;
        self.indices
            .iter()
            .filter_map(|(id, index)| Some((*id, now.saturating_sub(last(*index)?))))
            .collect()
    }

    /// What was counted so far.
    #[must_use]
    pub const fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// How each source's packets arrive.
    #[must_use]
    pub fn reception(&self) -> Vec<(u32, ReceptionReport)> {
        let sources = self.uplinks.iter().flat_map(|uplink| uplink.sources.iter());
        sources
            .map(|(ssrc, source)| (ssrc, source.reception.report()))
            .collect()
    }

    /// By SSRC, the payload bytes that came last, if they are kept.
    #[must_use]
    pub fn captured(&self) -> Vec<(u32, Vec<u8>)> {
        self.captures.all()
    }

    /// The number of participants.
    #[must_use]
    pub fn participants(&self) -> usize {
        self.indices.len()
    }

    /// Counts a datagram that the caller dropped.
    pub fn count_drop(&mut self, reason: DropReason) {
        self.statistics.count(reason);
    }

    /// Moves the timer forward to `due`, if that is earlier.
    fn arm(&mut self, due: Duration) {
        self.timer = Some(self.timer.map_or(due, |timer| timer.min(due)));
    }
}
