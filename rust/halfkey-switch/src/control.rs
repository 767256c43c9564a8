//! Instructions, and which worker each is for.
//!
//! Every worker knows every participant, with its address and its share of the keys. A route is with
//! the worker that has the source's SSRC, and so are its index and its window.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use halfkey_media::forwarder::{CheckFigures, ControlError, Credentials, Forwarder, HopKeys};
use halfkey_media::forwarder::{Negotiated, ParticipantConfig, ParticipantId};

use crate::switch::{Stopped, Switch};

/// What became of an instruction.
pub type Answer = Result<Result<(), ControlError>, Stopped>;

/// Slots that are filled before media gets its turn.
const AT_ONCE: usize = 64;

/// A source for a slot of a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Whose slot it is.
    pub receiver: ParticipantId,
    /// Which of its slots.
    pub mid: String,
    /// Whose source goes there.
    pub owner: ParticipantId,
    /// The source.
    pub ssrc: u32,
}

impl Assignment {
    /// The owner's source `ssrc` for the receiver's slot `mid`.
    pub fn new(
        receiver: ParticipantId,
        mid: impl Into<String>,
        owner: ParticipantId,
        ssrc: u32,
    ) -> Self {
        let mid = mid.into();
        Self {
            receiver,
            mid,
            owner,
            ssrc,
        }
    }

    fn follow(&self, forwarder: &mut Forwarder, now: Duration) -> Result<(), ControlError> {
        forwarder.assign_slot(self.receiver, &self.mid, self.owner, self.ssrc, now)
    }
}

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

    /// Puts sources into receivers' slots; see [`halfkey_media::forwarder::Forwarder::assign_slot`].
    /// Each is for the worker with the source, and what the slot had of another worker's goes once the
    /// new source is there. Who comes into a conference of a thousand has a thousand slots to fill,
    /// and doesn't wait a thousand times; media gets its turn after every few. One that can't be
    /// filled keeps none of the others out: the first such is the answer.
    ///
    /// # Errors
    /// The workers have ended.
    pub fn assign_slots(&self, assignments: impl IntoIterator<Item = Assignment>) -> Answer {
        let mut assignments = assignments.into_iter();
        let mut answer = Ok(());
        loop {
            let some: Arc<[Assignment]> = assignments.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                return Ok(answer);
            }
            let refused = self.fill(&some)?;
            if self.workers() > 1 {
                self.clear_elsewhere(&some, &refused)?;
            }
            answer = answer.and(refused.first().map_or(Ok(()), |first| Err(first.1)));
        }
    }

    /// Follows each assignment where its source is; gives the places of those that can't be, in order.
    fn fill(&self, some: &Arc<[Assignment]>) -> Result<Vec<(usize, ControlError)>, Stopped> {
        let refused = self.each(|_| {
            let some = Arc::clone(some);
            move |forwarder, now| {
                let share = forwarder.share();
                let own = some.iter().enumerate().filter(|one| share.owns(one.1.ssrc));
                own.filter_map(|(at, one)| Some((at, one.follow(forwarder, now).err()?)))
                    .collect::<Vec<_>>()
            }
        })?;
        let mut refused = refused.concat();
        refused.sort_unstable_by_key(|one| one.0);
        Ok(refused)
    }

    /// Takes away what other workers had in slots that were filled.
    fn clear_elsewhere(
        &self,
        some: &Arc<[Assignment]>,
        refused: &[(usize, ControlError)],
    ) -> Result<(), Stopped> {
        let refused: Arc<[usize]> = refused.iter().map(|one| one.0).collect();
        self.each(|_| {
            let (some, refused) = (Arc::clone(some), Arc::clone(&refused));
            move |forwarder, _| {
                let share = forwarder.share();
                for (at, one) in some.iter().enumerate() {
                    if !share.owns(one.ssrc) && !refused.contains(&at) {
                        // Most often there is nothing in it.
                        let _ = forwarder.clear_slot(one.receiver, &one.mid);
                    }
                }
            }
        })?;
        Ok(())
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
}
