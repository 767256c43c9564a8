//! Instructions: who takes part, with which keys, and what goes where.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use super::participant::{Downlink, Uplink};
use super::route::{Route, Slot};
use super::{Forwarder, HopKeys, Kind, Negotiated, ParticipantConfig, ParticipantId, feedback};

/// Why an instruction can't be followed: a fault of the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlError {
    /// There is no participant with this number.
    UnknownParticipant,
    /// The participant has not declared this SSRC.
    UnknownSource,
    /// The receiver has no identifier for the `mid` header extension.
    NoMidExtension,
    /// The receiver has this SSRC in another slot: under one key it is one source's alone.
    AlreadyInASlot,
    /// Another participant has this address.
    AddressTaken,
    /// Nothing is in this slot.
    EmptySlot,
    /// Another participant's checks are proved under this ufrag.
    CredentialsTaken,
}

impl Forwarder {
    /// Adds a participant, in place of an earlier one with this number.
    pub fn add_participant(&mut self, id: ParticipantId, config: &ParticipantConfig) {
        self.add_negotiated(id, &Arc::new(Negotiated::new(config)));
    }

    /// As [`Self::add_participant`], with what other workers have, too.
    pub fn add_negotiated(&mut self, id: ParticipantId, negotiated: &Arc<Negotiated>) {
        let _ = self.remove_participant(id);
        let uplink = Uplink::new(id, negotiated, self.share);
        let downlink = Downlink::new(negotiated, self.share);
        let index = if let Some(index) = self.vacant.pop() {
            self.uplinks[index] = uplink;
            self.downlinks[index] = downlink;
            index
        } else {
            self.uplinks.push(uplink);
            self.downlinks.push(downlink);
            self.uplinks.len() - 1
        };
        self.indices.insert(id, index);
    }

    /// Forgets a participant, its keys and its address.
    ///
    /// # Errors
    /// There is none with this number.
    pub fn remove_participant(&mut self, id: ParticipantId) -> Result<(), ControlError> {
        let index = self.index(id)?;
        for slot in core::mem::take(&mut self.downlinks[index].slots) {
            self.unroute(index, &slot);
        }
        let mut uplink = core::mem::take(&mut self.uplinks[index]);
        for (_, source) in uplink.sources.iter_mut() {
            self.work += source.routes.len();
            for route in source.routes.drain(..) {
                let downlink = &mut self.downlinks[route.receiver];
                downlink.slots.retain(|slot| slot.owner != index);
                downlink.close(route);
            }
        }
        if let Some(address) = self.downlinks[index].address {
            self.addresses.remove(&address);
        }
        self.sessions.remove(self.downlinks[index].ufrag.take());
        self.downlinks[index] = Downlink::default();
        self.vacant.push(index);
        self.indices.remove(&id);
        Ok(())
    }

    /// Sets where a participant's packets come from and go to.
    ///
    /// # Errors
    /// There is no such participant, or the address is another's.
    pub fn set_address(
        &mut self,
        id: ParticipantId,
        address: SocketAddr,
    ) -> Result<(), ControlError> {
        let index = self.index(id)?;
        if self
            .addresses
            .get(&address)
            .is_some_and(|other| *other != index)
        {
            return Err(ControlError::AddressTaken);
        }
        if let Some(old) = self.downlinks[index].address.replace(address) {
            self.addresses.remove(&old);
        }
        self.addresses.insert(address, index);
        self.work += self.downlinks[index].slots.len();
        for slot in &self.downlinks[index].slots {
            if let Some(route) = route_into(&mut self.uplinks, slot) {
                route.address = Some(address);
            }
        }
        Ok(())
    }

    /// Sets the keys of a participant's hop; the same ones again change nothing.
    ///
    /// # Errors
    /// There is no such participant.
    pub fn set_keys(
        &mut self,
        id: ParticipantId,
        keys: HopKeys,
        now: Duration,
    ) -> Result<(), ControlError> {
        let index = self.index(id)?;
        self.uplinks[index].set_keys(keys.receive);
        let due = now + feedback::REPORT_INTERVAL;
        if self.downlinks[index].set_keys(keys.send) {
            self.lend_streams(index);
        }
        self.downlinks[index].report_due = due;
        self.arm(index, due);
        Ok(())
    }

    /// Wipes the keys of a participant's hop: nothing is taken from it or sent to it any more.
    ///
    /// # Errors
    /// There is no such participant.
    pub fn remove_keys(&mut self, id: ParticipantId) -> Result<(), ControlError> {
        let index = self.index(id)?;
        self.uplinks[index].remove_keys();
        self.downlinks[index].keys = None;
        self.lend_streams(index);
        Ok(())
    }

    /// Puts a source into a receiver's slot, in place of what was there. A video source is asked for
    /// a picture that needs no other.
    ///
    /// # Errors
    /// There is no such participant or source, or the receiver can't take it.
    pub fn assign_slot(
        &mut self,
        receiver: ParticipantId,
        mid: &str,
        owner: ParticipantId,
        ssrc: u32,
        now: Duration,
    ) -> Result<(), ControlError> {
        let (receiver, owner) = (self.index(receiver)?, self.index(owner)?);
        if self.uplinks[owner].sources.get(ssrc).is_none() {
            return Err(ControlError::UnknownSource);
        }
        let taken = |slot: &Slot| slot.ssrc == ssrc && slot.mid != mid;
        if self.downlinks[receiver].slots.iter().any(taken) {
            return Err(ControlError::AlreadyInASlot);
        }
        let mut route = Route::new(
            &self.uplinks[owner],
            &self.downlinks[receiver],
            receiver,
            mid,
        )?;
        self.vacate(receiver, mid);
        self.work += 1;
        route.stream = self.downlinks[receiver].lend(ssrc);
        if let Some(source) = self.uplinks[owner].sources.get_mut(ssrc) {
            self.downlinks[receiver].slots.push(Slot {
                mid: mid.to_owned(),
                owner,
                ssrc,
                route: source.routes.len(),
            });
            source.routes.push(route);
            source.announcements.add_newcomer();
            if source.kind == Kind::Video {
                let due = source.keyframes.request(false, now);
                self.arm(owner, due);
            }
        }
        Ok(())
    }

    /// Empties a receiver's slot.
    ///
    /// # Errors
    /// There is no such participant, or nothing is in the slot.
    pub fn clear_slot(&mut self, receiver: ParticipantId, mid: &str) -> Result<(), ControlError> {
        let receiver = self.index(receiver)?;
        self.vacate(receiver, mid)
            .then_some(())
            .ok_or(ControlError::EmptySlot)
    }

    /// Has the packets in a receiver's slot renumbered by `sequence_offset`, and their M set to
    /// `marker` if it is given. The Original Header Block says what they were.
    ///
    /// # Errors
    /// There is no such participant, or nothing is in the slot.
    pub fn set_rewrite(
        &mut self,
        receiver: ParticipantId,
        mid: &str,
        sequence_offset: u16,
        marker: Option<bool>,
    ) -> Result<(), ControlError> {
        let receiver = self.index(receiver)?;
        let slots = &self.downlinks[receiver].slots;
        let slot = slots.iter().find(|slot| slot.mid == mid);
        let slot = slot.ok_or(ControlError::EmptySlot)?;
        let route = route_into(&mut self.uplinks, slot);
        let route = route.ok_or(ControlError::EmptySlot)?;
        route.change(|mapping| {
            mapping.sequence_offset = sequence_offset;
            mapping.marker = marker;
        });
        Ok(())
    }

    pub(super) fn index(&self, id: ParticipantId) -> Result<usize, ControlError> {
        let index = self.indices.get(&id).copied();
        index.ok_or(ControlError::UnknownParticipant)
    }

    /// Empties a slot; false if it was empty.
    fn vacate(&mut self, receiver: usize, mid: &str) -> bool {
        let slots = &mut self.downlinks[receiver].slots;
        let Some(at) = slots.iter().position(|slot| slot.mid == mid) else {
            return false;
        };
        let slot = slots.swap_remove(at);
        self.unroute(receiver, &slot);
        true
    }

    /// Takes away the route into a slot; the one that takes its place in the source is told to its
    /// slot.
    fn unroute(&mut self, receiver: usize, slot: &Slot) {
        let Some(source) = self.uplinks[slot.owner].sources.get_mut(slot.ssrc) else {
            return;
        };
        self.work += 1;
        if slot.route >= source.routes.len() {
            return;
        }
        let route = source.routes.swap_remove(slot.route);
        if let Some(moved) = source.routes.get(slot.route) {
            let downlink = &mut self.downlinks[moved.receiver];
            if let Some(other) = downlink.slot_of(slot.owner, slot.ssrc) {
                other.route = slot.route;
            }
        }
        source.sent_before.add(&route.sent);
        self.downlinks[receiver].close(route);
    }

    /// Gives the routes to a participant streams under its keys, or none where there are no keys.
    fn lend_streams(&mut self, receiver: usize) {
        let (uplinks, downlink) = (&mut self.uplinks, &mut self.downlinks[receiver]);
        self.work += downlink.slots.len();
        for at in 0..downlink.slots.len() {
            let stream = downlink.lend(downlink.slots[at].ssrc);
            if let Some(route) = route_into(uplinks, &downlink.slots[at]) {
                route.stream = stream;
            }
        }
    }
}

/// The route into a slot.
pub(super) fn route_into<'a>(uplinks: &'a mut [Uplink], slot: &Slot) -> Option<&'a mut Route> {
    let source = uplinks[slot.owner].sources.get_mut(slot.ssrc)?;
    source.routes.get_mut(slot.route)
}
