//! Instructions, and which worker each is for.
//!
//! Every worker knows every participant, with its address and its share of the keys. A route is with
//! the worker that has the source's SSRC, and so are its index and its window.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use halfkey_media::Share;
use halfkey_media::forwarder::{CheckFigures, ControlError, Credentials, Forwarder, HopKeys};
use halfkey_media::forwarder::{Negotiated, ParticipantConfig, ParticipantId};

use crate::switch::{Stopped, Switch};

/// What became of an instruction.
pub type Answer = Result<Result<(), ControlError>, Stopped>;

impl Switch {
    /// See [`halfkey_media::forwarder::Forwarder::add_participant`], for all workers.
    ///
    /// # Errors
    /// The workers have ended.
    pub fn add_participant(
        &self,
        id: ParticipantId,
        config: &ParticipantConfig,
    ) -> Result<(), Stopped> {
        let negotiated = Arc::new(Negotiated::new(config));
        self.each(|_| {
            let negotiated = Arc::clone(&negotiated);
            move |forwarder, _| forwarder.add_negotiated(id, &negotiated)
        })?;
        Ok(())
    }

    /// See [`halfkey_media::forwarder::Forwarder::remove_participant`], for all workers.
    ///
    /// # Errors
    /// The workers have ended.
    pub fn remove_participant(&self, id: ParticipantId) -> Answer {
        let removed = self.each(|_| move |forwarder, _| forwarder.remove_participant(id))?;
        Ok(removed.into_iter().collect())
    }

    /// See [`halfkey_media::forwarder::Forwarder::set_address`], for all workers.
    ///
    /// # Errors
    /// The workers have ended.
    pub fn set_address(&self, id: ParticipantId, address: SocketAddr) -> Answer {
        let set = self.each(|_| move |forwarder, _| forwarder.set_address(id, address))?;
        Ok(set.into_iter().collect())
    }

    /// See [`halfkey_media::forwarder::Forwarder::set_credentials`], for all workers: checks come to
    /// any of them.
    ///
    /// # Errors
    /// The workers have ended.
    pub fn set_credentials(&self, id: ParticipantId, credentials: Credentials) -> Answer {
        let credentials = Arc::new(credentials);
        let set = self.each(|_| {
            let credentials = Arc::clone(&credentials);
            move |forwarder, _| forwarder.set_credentials(id, &credentials)
        })?;
        Ok(set.into_iter().collect())
    }

    /// See [`halfkey_media::forwarder::Forwarder::checks`]; of all workers together.
    ///
    /// # Errors
    /// The workers have ended.
    pub fn checks(&self) -> Result<BTreeMap<ParticipantId, CheckFigures>, Stopped> {
        let mut all: BTreeMap<ParticipantId, CheckFigures> = BTreeMap::new();
        let look = |forwarder: &mut Forwarder, now| forwarder.checks(now);
        for (id, figures) in self.each(|_| look)?.into_iter().flatten() {
            all.entry(id)
                .and_modify(|known| {
                    known.count += figures.count;
                    known.last = known.last.min(figures.last);
                })
                .or_insert(figures);
        }
        Ok(all)
    }

    /// See [`halfkey_media::forwarder::Forwarder::set_keys`]; each worker gets its share.
    ///
    /// # Errors
    /// The workers have ended.
    pub fn set_keys(&self, id: ParticipantId, keys: HopKeys) -> Answer {
        let mut parts = keys.split(self.workers());
        let set = self.each(|_| {
            let part = parts.next();
            move |forwarder, now| part.map_or(Ok(()), |keys| forwarder.set_keys(id, keys, now))
        })?;
        Ok(set.into_iter().collect())
    }

    /// See [`halfkey_media::forwarder::Forwarder::remove_keys`], for all workers.
    ///
    /// # Errors
    /// The workers have ended.
    pub fn remove_keys(&self, id: ParticipantId) -> Answer {
        let removed = self.each(|_| move |forwarder, _| forwarder.remove_keys(id))?;
        Ok(removed.into_iter().collect())
    }

    /// See [`halfkey_media::forwarder::Forwarder::assign_slot`], for the worker with the source.
    /// What the slot had of another worker's goes once the new source is there.
    ///
    /// # Errors
    /// The workers have ended.
    pub fn assign_slot(
        &self,
        receiver: ParticipantId,
        mid: &str,
        owner: ParticipantId,
        ssrc: u32,
    ) -> Answer {
        let worker = self.owner(ssrc);
        let slot = mid.to_owned();
        let assigned = self.at(worker, move |forwarder, now| {
            forwarder.assign_slot(receiver, &slot, owner, ssrc, now)
        })?;
        if assigned.is_ok() && self.workers() > 1 {
            self.each(|other| {
                let slot = mid.to_owned();
                move |forwarder, _| {
                    if other != worker {
                        // Most often there is nothing in it.
                        let _ = forwarder.clear_slot(receiver, &slot);
                    }
                }
            })?;
        }
        Ok(assigned)
    }

    /// See [`halfkey_media::forwarder::Forwarder::clear_slot`], for the worker that has something in
    /// the slot.
    ///
    /// # Errors
    /// The workers have ended.
    pub fn clear_slot(&self, receiver: ParticipantId, mid: &str) -> Answer {
        let mut answers = self.each(|_| {
            let slot = mid.to_owned();
            move |forwarder, _| forwarder.clear_slot(receiver, &slot)
        })?;
        let cleared = answers.iter().position(Result::is_ok);
        Ok(answers.swap_remove(cleared.unwrap_or(0)))
    }

    /// The worker to which an SSRC belongs.
    fn owner(&self, ssrc: u32) -> usize {
        let share = Share::all(self.workers()).next();
        share.unwrap_or(Share::WHOLE).owner(ssrc)
    }
}
