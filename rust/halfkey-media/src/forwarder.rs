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
//! goes to an [`Output`]. Datagrams that came together make a [`Batch`]. After any call that takes `now`, arm a timer for
//! [`Forwarder::next_timer`].

mod announcements;
mod batch;
mod cache;
mod capture;
mod checks;
mod control;
mod drops;
mod feedback;
mod figures;
mod keyframes;
mod limits;
mod mapping;
mod media;
mod output;
mod overload;
mod participant;
mod reception;
mod repeats;
mod route;

#[cfg(test)]
mod tests;

use core::net::SocketAddr;
use core::time::Duration;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

pub use batch::Batch;
pub use checks::{CheckFigures, Checked, Credentials};
pub use control::ControlError;
pub use drops::{DropReason, Statistics};
pub use figures::{ParticipantFigures, StreamFigures, Traffic};
pub use output::Output;
pub use participant::{HopKeys, Kind, Negotiated, ParticipantConfig, SourceConfig};
pub use reception::ReceptionReport;

use batch::{MAX_WAITING, Waiting};
use cache::Budget;
use capture::Captures;
use checks::Sessions;
use overload::Overload;
use participant::{Downlink, Uplink};

use crate::rtcp::NackItem;
use crate::share::Share;

/// A participant's number, chosen by the caller.
pub type ParticipantId = u64;

/// A participant whose address was looked up; good until the next instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(usize);

/// The room for a compound of our own.
const BUFFER_LENGTH: usize = 1 << 16;

/// The most participants whose timers one call looks after.
const MAX_TIMERS: usize = 64;

/// All participants of all conferences, and those of their sources that are one worker's.
#[derive(Debug)]
pub struct Forwarder {
    share: Share,
    indices: HashMap<ParticipantId, usize>,
    addresses: HashMap<SocketAddr, usize>,
    // Two tables with the same index: a packet borrows one uplink and many downlinks.
    uplinks: Vec<Uplink>,
    downlinks: Vec<Downlink>,
    vacant: Vec<usize>,
    sessions: Sessions,
    waiting: Vec<Waiting>,
    buffer: Vec<u8>,
    captures: Captures,
    /// For what sources sent last.
    budget: Budget,
    /// What a source is being asked for; kept for its memory.
    asked: Vec<NackItem>,
    overload: Overload,
    /// The datagrams that were taken from participants, whatever became of them.
    taken: u64,
    statistics: Statistics,
    /// When whose turn it is. Only the entry that a participant's `armed` names counts: an earlier
    /// one leaves a later one behind, which means nothing when it comes up.
    timers: BinaryHeap<Reverse<(Duration, usize)>>,
    /// Routes that instructions touched since somebody asked.
    work: usize,
}

impl Forwarder {
    /// A forwarder without participants, for the sources of this share. `capture_bytes`: how much of
    /// what each SSRC sent last is kept, as it came (still encrypted end to end); 0 for nothing.
    /// `cache_bytes`: the memory for what video sources sent last, from which losses on the way to
    /// receivers are repaired; sources for which there is none go without.
    #[must_use]
    pub fn new(share: Share, capture_bytes: usize, cache_bytes: usize) -> Self {
        Self {
            share,
            indices: HashMap::new(),
            addresses: HashMap::new(),
            uplinks: Vec::new(),
            downlinks: Vec::new(),
            vacant: Vec::new(),
            sessions: Sessions::default(),
            waiting: Vec::with_capacity(MAX_WAITING),
            buffer: vec![0; BUFFER_LENGTH],
            captures: Captures::new(capture_bytes),
            budget: Budget::new(cache_bytes),
            asked: Vec::new(),
            overload: Overload::default(),
            taken: 0,
            statistics: Statistics::default(),
            timers: BinaryHeap::new(),
            work: 0,
        }
    }

    /// The participant whose datagrams come from this address.
    #[must_use]
    pub fn peer(&self, address: &SocketAddr) -> Option<Peer> {
        self.addresses.get(address).copied().map(Peer)
    }

    /// Begins with the datagrams that came in `buffer`, which are changed.
    pub fn batch<'a>(&'a mut self, buffer: &'a mut [u8], now: Duration) -> Batch<'a> {
        self.overload.note(self.statistics.work(self.taken), now);
        Batch::new(self, buffer, now)
    }

    /// When [`Self::handle_timer`] wants to be called.
    #[must_use]
    pub fn next_timer(&self) -> Option<Duration> {
        self.timers.peek().map(|Reverse((due, _))| *due)
    }

    /// The SSRCs whose packets belong here.
    #[must_use]
    pub const fn share(&self) -> Share {
        self.share
    }

    /// How many routes instructions have touched since the last call: what they cost.
    pub const fn take_work(&mut self) -> usize {
        core::mem::replace(&mut self.work, 0)
    }

    /// Sends reports and requests for pictures that are due, as many as one turn bears: then
    /// [`Self::next_timer`] is in the past.
    pub fn handle_timer(&mut self, now: Duration, output: &mut impl Output) {
        let mut send = |to, datagram: &[u8]| output.send_copy(to, datagram);
        for _ in 0..MAX_TIMERS {
            let next = self.timers.peek().copied();
            let Some(Reverse((due, index))) = next.filter(|Reverse((due, _))| *due <= now) else {
                return;
            };
            self.timers.pop();
            let downlink = &mut self.downlinks[index];
            if downlink.armed != Some(due) {
                continue;
            }
            downlink.armed = None;
            if downlink.keys.is_none() {
                continue;
            }
            if downlink.report_due <= now {
                self.send_report(index, now, &mut send);
                self.downlinks[index].report_due = now + feedback::REPORT_INTERVAL;
            }
            self.arm(index, self.downlinks[index].report_due);
            self.send_due_keyframe_requests(index, now, &mut send);
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

    /// The memory that is taken for what sources sent last, in bytes.
    #[must_use]
    pub fn cache_bytes(&self) -> usize {
        self.budget.used()
    }

    /// The number of participants.
    #[must_use]
    pub fn participants(&self) -> usize {
        self.indices.len()
    }

    /// Counts a datagram that the caller dropped.
    pub fn count_drop(&mut self, reason: DropReason) {
        self.statistics.count(reason, 1);
    }

    /// Counts a datagram that came to another worker first.
    pub const fn count_handed_over(&mut self) {
        self.statistics.handed_over_packets += 1;
    }

    /// Counts many that went the same way.
    pub const fn count_drops(&mut self, reason: DropReason, times: u64) {
        self.statistics.count(reason, times);
    }

    /// Has the timer come round to a participant at `due`, or earlier.
    fn arm(&mut self, index: usize, due: Duration) {
        let armed = &mut self.downlinks[index].armed;
        if armed.is_none_or(|armed| due < armed) {
            *armed = Some(due);
            self.timers.push(Reverse((due, index)));
        }
    }
}
