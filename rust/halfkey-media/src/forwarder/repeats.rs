//! NACK (RFC 4585 section 6.2.1): who lost a packet gets it again.
//!
//! ```text
//! source ------------> forwarder ------------> receiver
//!         lost here:              lost here:
//!         the source is asked     made again of what is kept, the same bits
//! ```
//!
//! The source is asked for a packet that never went to the receiver only if it never got here either:
//! its repeat is then new here, and forwarded to all. Any other would be refused here as a replay.

use core::net::SocketAddr;
use core::time::Duration;

use super::limits::{Allowance, NackBudget};
use super::participant::{Downlink, Source};
use super::route::Lost;
use super::{DropReason, Forwarder, Statistics};
use crate::rtcp::{FeedbackHeader, NackItem, RtcpView};
use crate::srtp::{HopReceiveContext, Origin};

impl Forwarder {
    /// Sends again what a receiver has lost of a source and is kept, and asks the source for what
    /// never came from it.
    pub(super) fn follow_nack(
        &mut self,
        from: usize,
        header: FeedbackHeader,
        view: &RtcpView<'_>,
        now: Duration,
        send: &mut impl FnMut(SocketAddr, &[u8]),
    ) -> Result<(), DropReason> {
        if !self.share.owns(header.media_ssrc) {
            return Ok(());
        }
        if self.overload.is_there(now) {
            let items = view.nack_items().count() as u64;
            self.statistics.count(DropReason::NackOverload, items);
            return Ok(());
        }
        let slot = self.slot_with(from, header.media_ssrc)?;
        let (owner, at) = (slot.owner, slot.route);
        if self.downlinks[from].nacks.begin(now) {
            let (sent, _) = self.sent_to(from);
            self.downlinks[from].allowance.earn(sent.bytes);
        }
        let Downlink {
            allowance, nacks, ..
        } = &mut self.downlinks[from];
        let uplink = &mut self.uplinks[owner];
        let source = uplink.sources.get_mut(header.media_ssrc);
        let mut repeater = Repeater {
            ssrc: header.media_ssrc,
            keys: uplink.keys.as_ref(),
            source: source.ok_or(DropReason::UnknownSsrc)?,
            at,
            allowance,
            now,
            room: &mut self.buffer,
            statistics: &mut self.statistics,
        };
        let mut asked = core::mem::take(&mut self.asked);
        asked.clear();
        repeater.follow_all(view, nacks, &mut asked, send);
        if !asked.is_empty() {
            self.send_compound(owner, &[], send, |writer, own_ssrc| {
                writer.generic_nack(own_ssrc, header.media_ssrc, asked.iter().copied())
            });
        }
        self.asked = asked;
        Ok(())
    }
}

/// What follows a NACK of one receiver about one source.
struct Repeater<'a> {
    ssrc: u32,
    /// What opens the source's packets, and knows which came.
    keys: Option<&'a HopReceiveContext>,
    source: &'a mut Source,
    /// Where the source has its route to the receiver.
    at: usize,
    allowance: &'a mut Allowance,
    now: Duration,
    room: &'a mut [u8],
    statistics: &'a mut Statistics,
}

impl Repeater<'_> {
    /// Follows as many items as the budget has; adds what the source is to be asked for.
    fn follow_all(
        &mut self,
        view: &RtcpView<'_>,
        budget: &mut NackBudget,
        asked: &mut Vec<NackItem>,
        send: &mut impl FnMut(SocketAddr, &[u8]),
    ) {
        let mut unread = 0;
        for item in view.nack_items() {
            if budget.take() {
                asked.extend(self.follow(item, send));
            } else {
                unread += 1;
            }
        }
        self.statistics.count(DropReason::NackLimit, unread);
    }

    /// Sends again what there is; gives what the source is to be asked for, in its own numbers.
    fn follow(
        &mut self,
        item: NackItem,
        send: &mut impl FnMut(SocketAddr, &[u8]),
    ) -> Option<NackItem> {
        // Bit 0 is PID, the others are BLP.
        let mut lost = 1 | u32::from(item.bitmask) << 1;
        let (mut first, mut asked) = (None, 0_u32);
        while lost != 0 {
            let bit = lost.trailing_zeros();
            lost &= lost - 1;
            let number = item.packet_id.wrapping_add(bit as u16);
            if let Some(origin) = self.follow_one(number, send) {
                first.get_or_insert(origin);
                asked |= 1 << bit;
            }
        }
        Some(NackItem {
            packet_id: first?.0 as u16,
            // In the source's numbers they are as far from each other.
            bitmask: (asked >> asked.trailing_zeros() >> 1) as u16,
        })
    }

    /// Sends the packet with this SEQ again, if that is possible; gives what the source is to be asked
    /// for.
    fn follow_one(
        &mut self,
        number: u16,
        send: &mut impl FnMut(SocketAddr, &[u8]),
    ) -> Option<Origin> {
        let route = self.source.routes.get_mut(self.at)?;
        let cache = self.source.cache.as_deref();
        match route.repeat(number, cache, self.allowance, self.now, self.room) {
            Lost::Unsent(origin) => return self.ask(origin),
            Lost::Void => self.statistics.count(DropReason::RepeatVoid, 1),
            Lost::Repeated(address, length) => {
                send(address, &self.room[..length]);
                self.source.repeated.count(length);
                self.statistics.repeated.count(length);
                self.statistics.cache_hits += 1;
            }
            Lost::Gone => self.statistics.cache_misses += 1,
            Lost::Refused(reason) => {
                self.statistics.cache_hits += 1;
                self.statistics.count(reason, 1);
            }
        }
        None
    }

    /// Gives what is to be asked for, if it never came and wasn't asked for just now.
    fn ask(&mut self, origin: Origin) -> Option<Origin> {
        let keys = self.keys?;
        if !keys.is_missing(self.ssrc, origin.0) {
            self.statistics.count(DropReason::RepeatVoid, 1);
            return None;
        }
        let asked = self.source.asked.get_or_insert_default();
        if !asked.is_first(origin.0 as u16, self.now) {
            self.statistics.count(DropReason::AskedTooSoon, 1);
            return None;
        }
        Some(origin)
    }
}
