//! Where a source goes.

use core::net::SocketAddr;
use core::time::Duration;

use super::cache::Cache;
use super::figures::Traffic;
use super::limits::{Allowance, Recent};
use super::mapping::Mapping;
use super::media::Relayed;
use super::participant::{Downlink, Uplink};
use super::{ControlError, DropReason};
use crate::error::Rejection;
use crate::srtp::{Origin, SendStream};

/// A slot of a receiver, with the source that is in it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) mid: String,
    pub(super) owner: usize,
    pub(super) ssrc: u32,
    /// Where the source has its route to here.
    pub(super) route: usize,
}

/// A source's way into a slot: everything that is looked up was looked up beforehand, and what is
/// needed to seal for this receiver is here, so that a packet touches nothing else of it.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) receiver: usize,
    /// Where the receiver is; none as long as that isn't known.
    pub(super) address: Option<SocketAddr>,
    /// What seals for the receiver, or why there is nothing. It is borrowed from the downlink, and to
    /// be given back.
    pub(super) stream: Result<Box<SendStream>, DropReason>,
    /// To be changed by [`Self::change`] alone.
    mapping: Mapping,
    /// Whether a packet came for it.
    is_in_use: bool,
    /// Whether a sender report of the source came since the route began.
    pub(super) had_report: bool,
    /// What went to the receiver, without what it was sent again.
    pub(super) sent: Traffic,
    /// How many packets could not be made for it.
    pub(super) unsent: u64,
    /// What it was sent again lately; made when it asks for the first time: most never do.
    repeated: Option<Box<Recent>>,
}

/// What becomes of a packet that a receiver asks for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// It is to be sent again to this address, with this length.
    Repeated(SocketAddr, usize),
    /// It never went to the receiver, and would be made of this packet of the source's.
    Unsent(Origin),
    /// It never went to the receiver, and can't any more.
    Void,
    /// It went to the receiver, and can't be made again: most likely it is kept no more.
    Gone,
    /// It could be sent again, and is not.
    Refused(DropReason),
}

impl Route {
    pub(super) fn new(
        uplink: &Uplink,
        downlink: &Downlink,
        receiver: usize,
        mid: &str,
    ) -> Result<Self, ControlError> {
        Ok(Self {
            receiver,
            address: downlink.address,
            stream: Err(DropReason::ReceiverNotReady),
            mapping: Mapping::new(uplink, downlink, mid)?,
            is_in_use: false,
            had_report: false,
            sent: Traffic::default(),
            unsent: 0,
            repeated: None,
        })
    }

    /// Has packets made in another way from now on. Those that went out are not made again.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Mapping)) {
        self.end_run();
        change(&mut self.mapping);
    }

    /// Lets no packet that went out be sent again: what it was made of is to be known no more.
    pub(super) fn end_run(&mut self) {
        if let Ok(stream) = &mut self.stream {
            stream.end_run();
        }
    }

    /// Before the first packet of a source that comes back to a receiver: lets its numbers go on
    /// behind the highest that the receiver had of it, unless they are ahead of that anyhow. Where
    /// the source went on by half a round in between, both ends would take them for old ones.
    fn begin(&mut self, first: u16) {
        if self.is_in_use {
            return;
        }
        let Ok(stream) = &self.stream else {
            return;
        };
        self.is_in_use = true;
        let Some(highest) = stream.highest_sequence_number() else {
            return;
        };
        let ahead = first
            .wrapping_add(self.mapping.sequence_offset)
            .wrapping_sub(highest);
        if !(1..0x8000).contains(&ahead) {
            let offset = highest.wrapping_add(1).wrapping_sub(first);
            self.change(|mapping| mapping.sequence_offset = offset);
        }
    }

    /// Makes the datagram for the receiver in `room`; gives where it goes and its length.
    pub(super) fn seal(
        &mut self,
        relayed: &Relayed<'_>,
        room: &mut [u8],
    ) -> Result<(SocketAddr, usize), DropReason> {
        let address = self.address.ok_or(DropReason::ReceiverNotReady)?;
        self.begin(relayed.packet.view.sequence_number());
        let stream = self.stream.as_mut().map_err(|reason| *reason)?;
        let length = self.mapping.make(relayed, room, |buffer, length| {
            stream.seal_rtp_of(relayed.origin, buffer, length)
        })?;
        Ok((address, length))
    }

    /// Makes the datagram in `room` again that the receiver got, or was to get, with this SEQ.
    pub(super) fn repeat(
        &mut self,
        sequence_number: u16,
        cache: Option<&Cache>,
        allowance: &mut Allowance,
        now: Duration,
        room: &mut [u8],
    ) -> Lost {
        let Ok(stream) = &self.stream else {
            return Lost::Gone;
        };
        if !stream.was_sealed(sequence_number) {
            let origin = stream.unsealed(sequence_number);
            return origin.map_or(Lost::Void, Lost::Unsent);
        }
        let Some(repeat) = stream.repeat(sequence_number) else {
            return Lost::Gone;
        };
        let origin = repeat.origin();
        let Some((packet, ekt_field)) = cache.and_then(|cache| cache.find(origin, now)) else {
            return Lost::Gone;
        };
        let Some(address) = self.address else {
            return Lost::Refused(DropReason::ReceiverNotReady);
        };
        let repeated = self.repeated.get_or_insert_default();
        if repeated.has(sequence_number, now) {
            return Lost::Refused(DropReason::RepeatTooSoon);
        }
        // First, since it costs much less than sealing.
        if !allowance.spend(packet.len() + ekt_field.len() + self.mapping.growth()) {
            return Lost::Refused(DropReason::RepeatLimit);
        }
        repeated.note(sequence_number, now);
        let seal = |buffer: &mut [u8], length| repeat.seal(buffer, length);
        let made = Relayed::parse(packet, ekt_field, origin)
            .ok_or(DropReason::Rejected(Rejection::Malformed))
            .and_then(|relayed| self.mapping.make(&relayed, room, seal));
        made.map_or_else(Lost::Refused, |length| Lost::Repeated(address, length))
    }
}
