//! Datagrams that came together: all are opened, then each receiver gets its own in a row.
//!
//! Going by receiver is what lets a run of packets to one address leave by one system call, and it
//! touches a receiver's key and window once for a picture and not once for each of its packets.

use core::net::SocketAddr;
use core::ops::Range;
use core::time::Duration;

use super::{Checked, DropReason, Forwarder, Output, Peer};
use crate::rtcp::is_rtcp;
use crate::srtp::Origin;

/// The packets that wait to be forwarded before what waits is forwarded in any case.
pub(super) const MAX_WAITING: usize = 256;

/// The packets that they become, likewise: what comes after them needn't wait longer. It is many
/// enough for a picture to a thousand receivers.
pub(super) const MAX_WORK: usize = 16_384;

/// A packet that was opened, and where it lies in the batch's buffer.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    /// Whose it is: the uplink's index, and that of the source in it.
    pub(super) source: (usize, usize),
    pub(super) packet: Range<usize>,
    pub(super) ekt_field: Range<usize>,
    pub(super) origin: Origin,
    /// When it came, by the caller's notes.
    pub(super) arrived: Option<Duration>,
    /// How many it becomes.
    pub(super) receivers: usize,
}

/// The datagrams in one buffer; made by [`Forwarder::batch`] and at an end with [`Self::finish`].
#[derive(Debug)]
pub struct Batch<'a> {
    forwarder: &'a mut Forwarder,
    buffer: &'a mut [u8],
    now: Duration,
    arrived: Option<Duration>,
    /// The packets that those that wait become.
    work: usize,
}

impl<'a> Batch<'a> {
    pub(super) fn new(forwarder: &'a mut Forwarder, buffer: &'a mut [u8], now: Duration) -> Self {
        forwarder.waiting.clear();
        Self {
            forwarder,
            buffer,
            now,
            arrived: None,
            work: 0,
        }
    }

    /// Notes when the datagrams came that are taken next; [`Output::arrived`] is told.
    pub const fn arrived(&mut self, at: Option<Duration>) {
        self.arrived = at;
    }

    /// Takes the SRTP or SRTCP datagram in `range` of the buffer, from a participant or from nobody
    /// that is known. Media waits; what follows from control packets goes to `output` at once.
    pub fn receive(&mut self, from: Option<Peer>, range: Range<usize>, output: &mut impl Output) {
        self.forwarder.statistics.received_packets += 1;
        let length = range.len();
        let taken = self.take(from, range, output);
        if let Err(reason) = taken {
            self.forwarder.statistics.count(reason, 1);
        }
        if let Some(Peer(index)) = from {
            self.forwarder.taken += 1;
            self.forwarder.uplinks[index].count(length, taken.is_ok());
        }
    }

    /// Takes the STUN message in `range` of the buffer; the answer goes to `output` at once.
    ///
    /// # Errors
    /// Why it gets no answer; it isn't counted yet.
    pub fn receive_check(
        &mut self,
        from: SocketAddr,
        range: Range<usize>,
        output: &mut impl Output,
    ) -> Result<Checked, DropReason> {
        let message = self.buffer.get(range).unwrap_or_default();
        (self.forwarder).receive_check(from, message, self.now, output)
    }

    /// The participant whose datagrams come from this address.
    #[must_use]
    pub fn peer(&self, address: &SocketAddr) -> Option<Peer> {
        self.forwarder.peer(address)
    }

    /// The datagram in `range` of the buffer.
    #[must_use]
    pub fn datagram(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    /// Counts a datagram that the caller dropped.
    pub fn count_drop(&mut self, reason: DropReason) {
        self.forwarder.count_drop(reason);
    }

    /// Forwards what waits.
    pub fn finish(self, output: &mut impl Output) {
        self.forwarder.forward(self.buffer, output);
    }

    fn take(
        &mut self,
        from: Option<Peer>,
        range: Range<usize>,
        output: &mut impl Output,
    ) -> Result<(), DropReason> {
        let Peer(index) = from.ok_or(DropReason::UnknownAddress)?;
        if is_rtcp(self.datagram(range.clone())) {
            // No goodbye overtakes the last packets of its source.
            self.forward(output);
            let datagram = self.buffer.get_mut(range).unwrap_or_default();
            return (self.forwarder).receive_rtcp(index, datagram, self.now, output);
        }
        let start = range.start;
        let datagram = self.buffer.get_mut(range).unwrap_or_default();
        let mut waiting = self.forwarder.open_rtp(index, start, datagram, self.now)?;
        waiting.arrived = self.arrived;
        self.work += waiting.receivers;
        self.forwarder.waiting.push(waiting);
        if self.forwarder.waiting.len() >= MAX_WAITING || self.work >= MAX_WORK {
            self.forward(output);
        }
        Ok(())
    }

    fn forward(&mut self, output: &mut impl Output) {
        self.forwarder.forward(self.buffer, output);
        self.work = 0;
    }
}
