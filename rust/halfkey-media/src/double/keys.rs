//! The end-to-end keys that were received, by SSRC (RFC 8870 section 4.3.2).

use super::inner::{InnerMasterKey, InnerOpeningKey};
use super::{MAX_INNER_SSRCS, MAX_KEYS_PER_SSRC, MAX_PARAMETER_SETS};
use crate::ekt::{EktParameterSet, FullEktField};
use crate::error::{KeyError, Rejection};
use crate::profile::HopProfile;
use crate::replay::ReplayWindow;
use crate::srtp::Fingerprint;
use crate::ssrc_table::SsrcTable;

/// The most keys of one SSRC that are remembered after they made room for later ones.
const MAX_RETIRED_KEYS: usize = 64;

/// What tells two keys of an SSRC apart: under which EKT parameter set it came, as which key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyName {
    pub(super) spi: u16,
    pub(super) epoch: u16,
}

/// What the EKT Field of a packet says about the keys that may open it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FieldNews {
    /// A key came that wasn't known for this SSRC.
    pub(super) new_key: bool,
    /// The key that the field carries, and this packet's rollover counter under it.
    pub(super) announced: Option<(KeyName, u32)>,
}

/// A received key with the indices that were used under it.
#[derive(Debug)]
pub(super) struct ReceivedKey {
    master: InnerMasterKey,
    pub(super) key: InnerOpeningKey,
    pub(super) name: KeyName,
    pub(super) window: ReplayWindow,
}

/// The keys of one SSRC, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct SourceKeys {
    pub(super) keys: Vec<ReceivedKey>,
    /// Where the key is that opened the last packet.
    pub(super) last_used: usize,
    /// The highest epoch by SPI.
    epochs: Vec<KeyName>,
    /// Keys that made room for later ones, with their SPI. With another epoch, which nothing
    /// authenticates, they would come back without a memory of what they opened.
    retired: Vec<(u16, Fingerprint)>,
    /// The last good Full EKT Field: sent again and again, it is unwrapped once.
    last_field: Option<KnownField>,
}

#[derive(Debug)]
struct KnownField {
    spi: u16,
    epoch: u16,
    /// The name of the key that it carries.
    name: KeyName,
    ciphertext: Vec<u8>,
    roc: u32,
}

impl SourceKeys {
    fn known_field(&self, field: &FullEktField<'_>) -> Option<FieldNews> {
        let known = self.last_field.as_ref()?;
        let same = (known.spi, known.epoch) == (field.spi, field.epoch);
        (same && known.ciphertext == field.ciphertext).then_some(FieldNews {
            new_key: false,
            announced: Some((known.name, known.roc)),
        })
    }

    /// Takes a key that came under this name (section 4.1, Epoch): one that is there, or another
    /// under a higher epoch than any before. Its first packets have indices near `index`.
    ///
    /// Answers the name under which the key is kept, and whether it is new.
    fn take(
        &mut self,
        name: KeyName,
        master: InnerMasterKey,
        index: u64,
    ) -> Result<(KeyName, bool), Rejection> {
        let same = |key: &ReceivedKey| key.master.equals(&master);
        let Some(at) = self.keys.iter().position(same) else {
            self.check_epoch(name)?;
            self.install(name, master, index)?;
            self.note_epoch(name);
            return Ok((name, true));
        };
        let kept = self.keys[at].name;
        if kept.spi == name.spi && kept.epoch <= name.epoch {
            return Ok((kept, false));
        }
        if kept.spi != name.spi {
            self.check_epoch(name)?;
        }
        // One key under two names would have two windows, and open a packet twice.
        self.keys[at].name = name;
        self.last_field = None;
        self.note_epoch(name);
        Ok((name, false))
    }

    fn check_epoch(&self, name: KeyName) -> Result<(), Rejection> {
        let mut seen = self.epochs.iter().filter(|seen| seen.spi == name.spi);
        if seen.any(|seen| seen.epoch >= name.epoch) {
            return Err(Rejection::EktEpoch);
        }
        Ok(())
    }

    /// Nothing authenticates an epoch, so a key's is the lowest that it came under: one that was
    /// forged keeps no later key out for longer than until the true one is seen.
    fn note_epoch(&mut self, name: KeyName) {
        let keys = self.keys.iter().filter(|key| key.name.spi == name.spi);
        let highest = keys.map(|key| key.name.epoch).max();
        let epoch = highest.unwrap_or(name.epoch);
        match self.epochs.iter_mut().find(|seen| seen.spi == name.spi) {
            Some(seen) => seen.epoch = epoch,
            None => self.epochs.push(KeyName { epoch, ..name }),
        }
    }

    fn install(
        &mut self,
        name: KeyName,
        master: InnerMasterKey,
        index: u64,
    ) -> Result<(), Rejection> {
        let key = InnerOpeningKey::new(&master).map_err(|_| Rejection::EktKeyLength)?;
        let fingerprint = key.fingerprint();
        if self.retired.iter().any(|(_, one)| *one == fingerprint) {
            return Err(Rejection::EktEpoch);
        }
        if self.keys.len() >= MAX_KEYS_PER_SSRC {
            let oldest = self.keys.remove(0);
            self.last_used = self.last_used.saturating_sub(1);
            if self.retired.len() >= MAX_RETIRED_KEYS {
                self.retired.remove(0);
            }
            self.retired
                .push((oldest.name.spi, oldest.key.fingerprint()));
        }
        self.keys.push(ReceivedKey {
            master,
            key,
            name,
            window: ReplayWindow::starting_near(index),
        });
        Ok(())
    }

    fn forget(&mut self, spi: u16) {
        self.keys.retain(|key| key.name.spi != spi);
        self.epochs.retain(|seen| seen.spi != spi);
        self.retired.retain(|(retired, _)| *retired != spi);
        self.last_field.take_if(|field| field.spi == spi);
        self.last_used = 0;
    }
}

/// The EKT parameter sets, and the keys of all SSRCs.
#[derive(Debug)]
pub(super) struct KeyRing {
    profile: HopProfile,
    sets: Vec<(u16, EktParameterSet)>,
    sources: SsrcTable<SourceKeys>,
}

impl KeyRing {
    pub(super) const fn new(profile: HopProfile) -> Self {
        Self {
            profile,
            sets: Vec::new(),
            sources: SsrcTable::new(MAX_INNER_SSRCS),
        }
    }

    pub(super) fn add(&mut self, spi: u16, set: EktParameterSet) -> Result<(), KeyError> {
        match self.set(spi) {
            Some(same) if same.equals(&set) => return Ok(()),
            Some(_) => return Err(KeyError::SpiInUse),
            None if self.sets.len() >= MAX_PARAMETER_SETS => {
                return Err(KeyError::TooManyParameterSets);
            }
            None => {}
        }
        self.sets.push((spi, set));
        Ok(())
    }

    /// Forgets a set, and every key that came under it.
    pub(super) fn remove(&mut self, spi: u16) {
        self.sets.retain(|(other, _)| *other != spi);
        self.sources.retain(|_, source| {
            source.forget(spi);
            !source.epochs.is_empty()
        });
    }

    fn set(&self, spi: u16) -> Option<&EktParameterSet> {
        self.sets
            .iter()
            .find(|(other, _)| *other == spi)
            .map(|(_, set)| set)
    }

    pub(super) fn source_mut(&mut self, ssrc: u32) -> Option<&mut SourceKeys> {
        self.sources.get_mut(ssrc)
    }

    /// Processes the EKT Field of a packet with this SSRC and (original) SEQ: section 4.3.2.
    pub(super) fn receive_field(
        &mut self,
        field: &[u8],
        ssrc: u32,
        sequence_number: u16,
    ) -> Result<FieldNews, Rejection> {
        // Other message types are discarded (section 4.1).
        let Some(field) = FullEktField::parse(field) else {
            return Ok(FieldNews::default());
        };
        let known = self
            .sources
            .get(ssrc)
            .and_then(|source| source.known_field(&field));
        if let Some(news) = known {
            return Ok(news);
        }
        let set = self.set(field.spi).ok_or(Rejection::UnknownSpi)?;
        let plaintext = set.decrypt(field.ciphertext)?;
        if plaintext.ssrc != ssrc {
            return Ok(FieldNews::default()); // step 5: the field is discarded, the packet isn't
        }
        let salt = set.srtp_master_salt();
        let master = InnerMasterKey::new(self.profile, &plaintext.srtp_master_key, salt)
            .map_err(|_| Rejection::EktKeyLength)?;
        let index = u64::from(plaintext.roc) << 16 | u64::from(sequence_number);
        let source = self.sources.get_or_insert_with(ssrc, SourceKeys::default);
        let source = source.ok_or(Rejection::SsrcLimit)?;
        let name = KeyName {
            spi: field.spi,
            epoch: field.epoch,
        };
        let (name, new_key) = source.take(name, master, index)?;
        let ciphertext = field.ciphertext.to_vec();
        source.last_field = Some(KnownField {
            spi: field.spi,
            epoch: field.epoch,
            name,
            ciphertext,
            roc: plaintext.roc,
        });
        Ok(FieldNews {
            new_key,
            announced: Some((name, plaintext.roc)),
        })
    }
}
