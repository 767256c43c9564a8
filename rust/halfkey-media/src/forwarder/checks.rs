//! Connectivity and consent checks (RFC 8445 section 7.3, RFC 7675): answered here as long as they
//! change nothing.
//!
//! ```text
//! request --USERNAME--> session --MESSAGE-INTEGRITY--> answer
//!            | none       | false   | nominates another address, or a conflict of roles
//!            v            v         v
//!           counted      counted   for whoever decides on addresses
//! ```

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::{ControlError, DropReason, Forwarder, Output, ParticipantId};
use crate::error::StunRejection;
use crate::stun::{ANSWER_LENGTH, Check, Password};

/// The ICE credentials of one participant's session (RFC 8839 section 5.4): all workers have the same
/// ones, since a prepared password is more than a kilobyte.
#[derive(Debug)]
pub struct Credentials {
    ufrag: Box<[u8]>,
    remote_ufrag: Box<[u8]>,
    password: Password,
}

impl Credentials {
    /// From our own ufrag, which is no other participant's, our own password, and the participant's
    /// ufrag.
    #[must_use]
    pub fn new(ufrag: &str, password: &str, remote_ufrag: &str) -> Self {
        Self {
            ufrag: ufrag.as_bytes().into(),
            remote_ufrag: remote_ufrag.as_bytes().into(),
            password: Password::new(password),
        }
    }
}

/// Who proves what.
#[derive(Debug)]
struct Session {
    /// The participant's place in the table.
    participant: usize,
    credentials: Arc<Credentials>,
}

/// The sessions, by our own ufrag: one for each participant at most.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<Box<[u8]>, Session>);

/// The checks of a participant that were answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckFigures {
    /// How many.
    pub count: u64,
    /// How long ago the last one came.
    pub last: Duration,
}

/// What was made of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It was answered, or asks for no answer.
    Done,
    /// It is authentic and would change something: it is for whoever decides on that.
    Changes,
}

impl Sessions {
    /// The session that a check names.
    fn find(&self, check: &Check<'_>) -> Option<&Session> {
        let (ours, theirs) = check.username()?;
        let session = self.0.get(ours)?;
        (*session.credentials.remote_ufrag == *theirs).then_some(session)
    }

    pub(super) fn remove(&mut self, ufrag: Option<Box<[u8]>>) {
        if let Some(ufrag) = ufrag {
            self.0.remove(&ufrag);
        }
    }
}

impl Forwarder {
    /// Sets what proves a participant's checks; what was set before proves nothing any more.
    ///
    /// # Errors
    /// There is no such participant, or our ufrag is another one's.
    pub fn set_credentials(
        &mut self,
        id: ParticipantId,
        credentials: &Arc<Credentials>,
    ) -> Result<(), ControlError> {
        let participant = self.index(id)?;
        let downlink = &mut self.downlinks[participant];
        self.sessions.remove(downlink.ufrag.take());
        let Entry::Vacant(entry) = self.sessions.0.entry(credentials.ufrag.clone()) else {
            return Err(ControlError::CredentialsTaken);
        };
        entry.insert(Session {
            participant,
            credentials: Arc::clone(credentials),
        });
        downlink.ufrag = Some(credentials.ufrag.clone());
        Ok(())
    }

    /// Takes a STUN message.
    ///
    /// # Errors
    /// Why it gets no answer.
    pub(super) fn receive_check(
        &mut self,
        from: SocketAddr,
        message: &[u8],
        now: Duration,
        output: &mut impl Output,
    ) -> Result<Checked, DropReason> {
        let Some(check) = Check::parse(message)? else {
            return Ok(Checked::Done);
        };
        let session = self.sessions.find(&check);
        let session = session.ok_or(StunRejection::UnknownUsername)?;
        let password = &session.credentials.password;
        check.verify(password)?;
        let downlink = &mut self.downlinks[session.participant];
        let moves = check.nominates() && downlink.address != Some(from);
        if moves || check.is_controlled() {
            return Ok(Checked::Changes);
        }
        downlink.checks += 1;
        downlink.last_check = now;
        self.statistics.answered_checks += 1;
        let mut answer = [0; ANSWER_LENGTH];
        let length = check.answer(from, password, &mut answer);
        output.send_copy(from, &answer[..length]);
        Ok(Checked::Done)
    }

    /// The checks of each participant that has had an answer here.
    #[must_use]
    pub fn checks(&self, now: Duration) -> Vec<(ParticipantId, CheckFigures)> {
        let figures = |(id, index): (&ParticipantId, &usize)| {
            let downlink = &self.downlinks[*index];
            let figures = CheckFigures {
                count: downlink.checks,
                last: now.saturating_sub(downlink.last_check),
            };
            (figures.count > 0).then_some((*id, figures))
        };
        self.indices.iter().filter_map(figures).collect()
    }
}
