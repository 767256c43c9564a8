//! One session key with its salt, and the nonces of RFC 7714.

use core::fmt;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::{Zeroize, Zeroizing};

use super::TAG_LENGTH;
use crate::error::KeyError;
use crate::kdf::{Label, derive};
use crate::profile::{HopProfile, MAX_KEY_LENGTH, SALT_LENGTH};

/// A session encryption key and session salt, made from a master key.
///
/// The library keeps the key schedule on its own heap and wipes it when it is freed.
pub(crate) struct SessionCipher {
    key: LessSafeKey,
    salt: [u8; SALT_LENGTH],
}

impl fmt::Debug for SessionCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCipher").finish_non_exhaustive()
    }
}

impl Drop for SessionCipher {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

/// Tells a session key from others without being it, also when the key is gone. It is the session
/// salt, which comes of the same master key and master salt, and of which no key can be made.
pub(crate) struct Fingerprint(Zeroizing<[u8; SALT_LENGTH]>);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fingerprint").finish_non_exhaustive()
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&*self.0, &*other.0).is_ok()
    }
}

impl SessionCipher {
    pub(crate) fn srtp(profile: HopProfile, key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        Self::new(
            profile,
            key,
            salt,
            Label::SrtpEncryption,
            Label::SrtpSalting,
        )
    }

    pub(crate) fn srtcp(profile: HopProfile, key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        Self::new(
            profile,
            key,
            salt,
            Label::SrtcpEncryption,
            Label::SrtcpSalting,
        )
    }

    fn new(
        profile: HopProfile,
        master_key: &[u8],
        master_salt: &[u8],
        key_label: Label,
        salt_label: Label,
    ) -> Result<Self, KeyError> {
        let mut key = Zeroizing::new([0; MAX_KEY_LENGTH]);
        let key = &mut key[..profile.key_length()];
        derive(profile, master_key, master_salt, key_label, key)?;
        let mut salt = Zeroizing::new([0; SALT_LENGTH]);
        derive(profile, master_key, master_salt, salt_label, &mut *salt)?;
        Self::from_session(profile, key, &salt)
    }

    /// With a session key and salt as they are.
    pub(crate) fn from_session(
        profile: HopProfile,
        key: &[u8],
        salt: &[u8; SALT_LENGTH],
    ) -> Result<Self, KeyError> {
        let key = UnboundKey::new(profile.aead(), key).map_err(|_| KeyError::Refused)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            salt: *salt,
        })
    }

    /// What tells this key from others.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Zeroizing::new(self.salt))
    }

    /// RFC 7714 section 8.1: 00 00 || SSRC || ROC || SEQ, XOR salt.
    pub(crate) fn rtp_nonce(&self, ssrc: u32, index: u64) -> Nonce {
        self.nonce(ssrc, index)
    }

    /// RFC 7714 section 9.1: 00 00 || SSRC || 00 00 || 0 and the 31-bit index, XOR salt.
    pub(crate) fn rtcp_nonce(&self, ssrc: u32, index: u32) -> Nonce {
        self.nonce(ssrc, u64::from(index))
    }

    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let mut block = [0; SALT_LENGTH];
        block[2..6].copy_from_slice(&ssrc.to_be_bytes());
        block[6..].copy_from_slice(&index.to_be_bytes()[2..]);
        for (byte, salt) in block.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        Nonce::assume_unique_for_key(block)
    }

    /// Encrypts `data` in place and writes the tag; true if it worked.
    #[must_use]
    pub(crate) fn seal(&self, nonce: Nonce, aad: &[u8], data: &mut [u8], tag: &mut [u8]) -> bool {
        self.key
            .seal_in_place_scatter(nonce, Aad::from(aad), data, &[], tag)
            .is_ok()
    }

    /// Authenticates and decrypts `data`, which ends with the tag, in place. If it isn't
    /// authentic, what is left in `data` is of no use.
    #[must_use]
    pub(crate) fn open(&self, nonce: Nonce, aad: &[u8], data: &mut [u8]) -> bool {
        let Some(length) = data.len().checked_sub(TAG_LENGTH) else {
            return false;
        };
        let (data, tag) = data.split_at_mut(length);
        self.key
            .open_in_place_separate_tag(nonce, Aad::from(aad), tag, data)
            .is_ok()
    }
}

#[cfg(feature = "endpoint")]
impl SessionCipher {
    /// Like `open`, but leaves the ciphertext (without its tag) as it is, for another key to try.
    #[must_use]
    pub(crate) fn open_into(
        &self,
        nonce: Nonce,
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8],
        plaintext: &mut [u8],
    ) -> bool {
        self.key
            .open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, plaintext)
            .is_ok()
    }
}
