//! The end-to-end keys that were received, by SSRC (RFC 8870 section 4.3.2).

use super::inner::{InnerMasterKey, InnerOpeningKey};
use super::{MAX_INNER_SSRCS, MAX_KEYS_PER_SSRC, MAX_PARAMETER_SETS};
use crate::ekt::{EktParameterSet, FullEktField};
use crate::error::{KeyError, Rejection};
use crate::profile::HopProfile;
use crate::replay::ReplayWindow;
use crate::ssrc_table::SsrcTable;

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
    /// The last good Full EKT Field: sent again and again, it is unwrapped once.
    last_field: Option<KnownField>,
}

#[derive(Debug)]
struct KnownField {
    name: KeyName,
    ciphertext: Vec<u8>,
    roc: u32,
}

impl SourceKeys {
    fn known_field(&self, field: &FullEktField<'_>) -> Option<FieldNews> {
        let known = self.last_field.as_ref()?;
        let name = KeyName {
            spi: field.spi,
            epoch: field.epoch,
        };
        (known.name == name && known.ciphertext == field.ciphertext).then_some(FieldNews {
            new_key: false,
            announced: Some((name, known.roc)),
        })
    }

    /// Whether a key may come under this name (section 4.1, Epoch): under a higher epoch than any
    /// before, or as the one that it named already. Answers whether it is new.
    fn check_epoch(&self, name: KeyName, master: &InnerMasterKey) -> Result<bool, Rejection> {
        let seen = self.epochs.iter().find(|seen| seen.spi == name.spi);
        if seen.is_none_or(|seen| name.epoch > seen.epoch) {
            return Ok(true);
        }
        let known = self
            .keys
            .iter()
            .any(|key| key.name == name && key.master.equals(master));
        if known {
            Ok(false)
        } else {
            Err(Rejection::EktEpoch)
        }
    }

    /// Adds a key that passed `check_epoch` as new. Its first packets have indices near `index`.
    /// Answers whether it is another key than those that are there.
    fn install(
        &mut self,
        name: KeyName,
        master: InnerMasterKey,
        index: u64,
    ) -> Result<bool, KeyError> {
        let renamed = self.keys.iter_mut().find(|key| key.master.equals(&master));
        let is_new = renamed.is_none();
        if let Some(key) = renamed {
            // One key under two names would have two windows, and open a packet twice.
            key.name = name;
        } else {
            if self.keys.len() >= MAX_KEYS_PER_SSRC {
                self.keys.remove(0);
                self.last_used = self.last_used.saturating_sub(1);
            }
            let key = InnerOpeningKey::new(&master)?;
            let window = ReplayWindow::starting_near(index);
            self.keys.push(ReceivedKey {
                master,
                key,
                name,
                window,
            });
        }
        match self.epochs.iter_mut().find(|seen| seen.spi == name.spi) {
            Some(seen) => seen.epoch = name.epoch,
            None => self.epochs.push(name),
        }
        Ok(is_new)
    }

    fn forget(&mut self, spi: u16) {
        self.keys.retain(|key| key.name.spi != spi);
        self.epochs.retain(|seen| seen.spi != spi);
        self.last_field.take_if(|field| field.name.spi == spi);
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
        let new_key = source.check_epoch(name, &master)?
            && source
                .install(name, master, index)
                .map_err(|_| Rejection::EktKeyLength)?;
        let ciphertext = field.ciphertext.to_vec();
        source.last_field = Some(KnownField {
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
