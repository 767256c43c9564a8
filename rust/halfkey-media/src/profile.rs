//! SRTP protection profiles (RFC 7714 section 14.2, RFC 8723 section 10.1).

use aws_lc_rs::{aead, cipher};

/// The length of a single profile's SRTP master salt and session salts, in bytes.
pub const SALT_LENGTH: usize = 12;

/// The longest master key of a single profile, in bytes.
pub const MAX_KEY_LENGTH: usize = 32;

/// A profile with one layer: what protects one hop, or one half of a double profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HopProfile {
    /// AEAD_AES_128_GCM, `{0x00, 0x07}`.
    AeadAes128Gcm,
    /// AEAD_AES_256_GCM, `{0x00, 0x08}`.
    AeadAes256Gcm,
}

impl HopProfile {
    /// The single profile with this registered code point; for a double one, its hop half.
    #[must_use]
    pub const fn from_code_point(code_point: u16) -> Option<Self> {
        match code_point {
            0x0007 | 0x0009 => Some(Self::AeadAes128Gcm),
            0x0008 | 0x000A => Some(Self::AeadAes256Gcm),
            _ => None,
        }
    }

    /// The length of master and session keys, in bytes.
    #[must_use]
    pub const fn key_length(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    pub(crate) fn aead(self) -> &'static aead::Algorithm {
        match self {
            Self::AeadAes128Gcm => &aead::AES_128_GCM,
            Self::AeadAes256Gcm => &aead::AES_256_GCM,
        }
    }

    pub(crate) fn kdf_cipher(self) -> &'static cipher::Algorithm {
        match self {
            Self::AeadAes128Gcm => &cipher::AES_128,
            Self::AeadAes256Gcm => &cipher::AES_256,
        }
    }
}

/// A profile with an inner, end-to-end half and an outer, hop-by-hop half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DoubleProfile {
    /// DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM, `{0x00, 0x09}`.
    DoubleAeadAes128Gcm,
    /// DOUBLE_AEAD_AES_256_GCM_AEAD_AES_256_GCM, `{0x00, 0x0A}`.
    DoubleAeadAes256Gcm,
}

impl DoubleProfile {
    /// The double profile with this registered code point.
    #[must_use]
    pub const fn from_code_point(code_point: u16) -> Option<Self> {
        match code_point {
            0x0009 => Some(Self::DoubleAeadAes128Gcm),
            0x000A => Some(Self::DoubleAeadAes256Gcm),
            _ => None,
        }
    }

    /// The single profile that each of the halves follows.
    #[must_use]
    pub const fn half(self) -> HopProfile {
        match self {
            Self::DoubleAeadAes128Gcm => HopProfile::AeadAes128Gcm,
            Self::DoubleAeadAes256Gcm => HopProfile::AeadAes256Gcm,
        }
    }
}
