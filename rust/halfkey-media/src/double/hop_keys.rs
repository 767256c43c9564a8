//! Which hop keys served before: under a key that came back indices would begin anew.

use super::MAX_RETIRED_HOP_KEYS;
use crate::error::KeyError;
use crate::srtp::Fingerprint;

/// What tells the keys of one hop, for SRTP and SRTCP, from others.
type Fingerprints = [Fingerprint; 2];

/// The replaced keys of one direction of a hop, as far back as they are remembered.
#[derive(Debug, Default)]
pub(super) struct RetiredHopKeys(Vec<Fingerprints>);

impl RetiredHopKeys {
    /// Notes that `current` gives way to `next`.
    ///
    /// # Errors
    /// `next` is `current`, or served before; nothing is noted then.
    pub(super) fn retire(
        &mut self,
        current: Fingerprints,
        next: &Fingerprints,
    ) -> Result<(), KeyError> {
        if current == *next || self.0.contains(next) {
            return Err(KeyError::KeyReused);
        }
        if self.0.len() >= MAX_RETIRED_HOP_KEYS {
            self.0.remove(0);
        }
        self.0.push(current);
        Ok(())
    }
}
