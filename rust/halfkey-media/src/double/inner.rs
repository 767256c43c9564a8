//! The inner layer: end-to-end keys, and the synthetic header that they authenticate.

use core::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::profile::{HopProfile, SALT_LENGTH};
use crate::rtp::{ChangeableFields, MAX_HEADER_LENGTH, RtpView};
use crate::srtp::{Fingerprint, SessionCipher};

/// An end-to-end SRTP master key with its salt. It is wiped when dropped, and is no hop's key.
pub struct InnerMasterKey {
    profile: HopProfile,
    key: Zeroizing<Vec<u8>>,
    salt: Zeroizing<[u8; SALT_LENGTH]>,
}

impl fmt::Debug for InnerMasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InnerMasterKey").finish_non_exhaustive()
    }
}

impl InnerMasterKey {
    /// From a key as long as `profile` asks and a salt of 12 bytes.
    ///
    /// # Errors
    /// A length doesn't fit.
    pub fn new(profile: HopProfile, key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        if key.len() != profile.key_length() {
            return Err(KeyError::KeyLength);
        }
        let salt = salt.try_into().map_err(|_| KeyError::SaltLength)?;
        Ok(Self {
            profile,
            key: Zeroizing::new(key.to_vec()),
            salt: Zeroizing::new(salt),
        })
    }

    /// Whether this is the same key with the same salt.
    pub(super) fn equals(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.key, &other.key).is_ok()
            & verify_slices_are_equal(&*self.salt, &*other.salt).is_ok()
    }

    fn session(&self) -> Result<SessionCipher, KeyError> {
        SessionCipher::srtp(self.profile, &self.key, &*self.salt)
    }
}

/// Seals the inner layer.
#[derive(Debug)]
pub(super) struct InnerSealingKey(SessionCipher);

impl InnerSealingKey {
    pub(super) fn new(master: &InnerMasterKey) -> Result<Self, KeyError> {
        master.session().map(Self)
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint()
    }

    #[must_use]
    pub(super) fn seal(
        &self,
        (ssrc, index): (u32, u64),
        header: &[u8],
        data: &mut [u8],
        tag: &mut [u8],
    ) -> bool {
        self.0
            .seal(self.0.rtp_nonce(ssrc, index), header, data, tag)
    }
}

/// Opens the inner layer.
#[derive(Debug)]
pub(super) struct InnerOpeningKey(SessionCipher);

impl InnerOpeningKey {
    pub(super) fn new(master: &InnerMasterKey) -> Result<Self, KeyError> {
        master.session().map(Self)
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint()
    }

    #[must_use]
    pub(super) fn open(
        &self,
        (ssrc, index): (u32, u64),
        header: &[u8],
        (ciphertext, tag): (&[u8], &[u8]),
        plaintext: &mut [u8],
    ) -> bool {
        self.0.open_into(
            self.0.rtp_nonce(ssrc, index),
            header,
            ciphertext,
            tag,
            plaintext,
        )
    }
}

/// The header of the synthetic packet (sections 5.1 and 5.3): original fields, X zero, no
/// extension.
#[derive(Debug)]
pub(super) struct SyntheticHeader {
    bytes: [u8; MAX_HEADER_LENGTH],
    length: usize,
}

impl SyntheticHeader {
    pub(super) fn new(view: &RtpView<'_>, original: ChangeableFields) -> Self {
        let length = view.fixed_length();
        let mut bytes = [0; MAX_HEADER_LENGTH];
        bytes[..length].copy_from_slice(&view.bytes()[..length]);
        original.write(&mut bytes);
        bytes[0] &= !0x10;
        Self { bytes, length }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
