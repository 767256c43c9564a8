//! NACK (RFC 4585 section 6.2.1): who lost a packet gets it again.
//!
//! ```text
//! source ------------> forwarder ------------> receiver
//!         lost here:              lost here:
//!         the source is asked     made again of what is kept, the same bits
//! ```
//!
//! A packet that was lost before it got here never went to the receiver; the source's repeat is new
//! here, and is forwarded to all. One that did go to the receiver would be refused here as a replay if
//! the source sent it again, so the source is never asked for it.

use core::net::SocketAddr;
use core::time::Duration;

use super::participant::Source;
use super::route::Lost;
use super::{DropReason, Forwarder, Statistics};
use crate::rtcp::{FeedbackHeader, NackItem, RtcpView};

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
        let slot = self.slot_with(from, header.media_ssrc)?;
        let (owner, at) = (slot.owner, slot.route);
        let source = self.uplinks[owner].sources.get_mut(header.media_ssrc);
        let mut repeater = Repeater {
            source: source.ok_or(DropReason::UnknownSsrc)?,
            at,
            now,
            room: &mut self.buffer,
            statistics: &mut self.statistics,
        };
        let mut asked = core::mem::take(&mut self.asked);
        asked.clear();
        asked.extend(
            view.nack_items()
                .filter_map(|item| repeater.follow(item, send)),
        );
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
    source: &'a mut Source,
    /// Where the source has its route to the receiver.
    at: usize,
    now: Duration,
    room: &'a mut [u8],
    statistics: &'a mut Statistics,
}

impl Repeater<'_> {
    /// Sends again what there is; gives what the source is to be asked for, in its own numbers.
    fn follow(
        &mut self,
        item: NackItem,
        send: &mut impl FnMut(SocketAddr, &[u8]),
    ) -> Option<NackItem> {
        // Bit 0 is PID, the others are BLP.
        let mut lost = 1 | u32::from(item.bitmask) << 1;
        let mut asked = 0;
        while lost != 0 {
            let bit = lost.trailing_zeros();
            lost &= lost - 1;
            let number = item.packet_id.wrapping_add(bit as u16);
            asked |= u32::from(self.is_to_be_asked(number, send)) << bit;
        }
        let route = self.source.routes.get(self.at)?;
        let first = (asked != 0).then(|| asked.trailing_zeros())?;
        Some(NackItem {
            packet_id: route.original(item.packet_id.wrapping_add(first as u16)),
            bitmask: (asked >> first >> 1) as u16,
        })
    }

    /// Sends the packet with this SEQ again, if that is possible; true if the source is to be asked.
    fn is_to_be_asked(&mut self, number: u16, send: &mut impl FnMut(SocketAddr, &[u8])) -> bool {
        let Some(route) = self.source.routes.get_mut(self.at) else {
            return false;
        };
        let cache = self.source.cache.as_deref();
        match route.repeat(number, cache, self.now, self.room) {
            Lost::Upstream => {
                let asked = self.source.asked.get_or_insert_default();
                return asked.is_first(route.original(number), self.now);
            }
            Lost::Repeated(length) => {
                if let Some(address) = route.address {
                    send(address, &self.room[..length]);
                }
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
        false
    }
}
