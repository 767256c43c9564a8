//! Encrypted Key Transport (RFC 8870 section 4): EKT parameter sets and Full EKT Fields.

use core::fmt;

use aws_lc_rs::key_wrap::{AES_128, AES_256, AesBlockCipher, AesKek, KeyWrapPadded};
use zeroize::Zeroizing;

use crate::ekt_field::MESSAGE_TYPE_FULL;
use crate::error::{KeyError, Rejection};
use crate::profile::SALT_LENGTH;

/// SPI, Epoch, EKTMsgLength and the message type: what a Full EKT Field has behind its ciphertext.
const FULL_TRAILER_LENGTH: usize = 7;
/// SSRC and ROC.
const PLAINTEXT_TAIL_LENGTH: usize = 8;
/// SRTPMasterKeyLength, at most 242 bytes of key, SSRC and ROC (section 4.1).
const MAX_PLAINTEXT_LENGTH: usize = 1 + 242 + PLAINTEXT_TAIL_LENGTH;
/// That, padded to whole semiblocks and with one more (RFC 5649 section 4.1).
const MAX_CIPHERTEXT_LENGTH: usize = MAX_PLAINTEXT_LENGTH.next_multiple_of(8) + 8;

/// An EKTKey: the key-encryption key that the members of a conference share.
struct EktKey {
    cipher: &'static AesBlockCipher,
    key: Zeroizing<Vec<u8>>,
}

impl EktKey {
    fn new(key: &[u8]) -> Result<Self, KeyError> {
        let cipher = match key.len() {
            16 => &AES_128,
            32 => &AES_256,
            _ => return Err(KeyError::EktKeyLength),
        };
        Ok(Self {
            cipher,
            key: Zeroizing::new(key.to_vec()),
        })
    }

    /// The library's key serves one operation only; it wipes its copy when dropped.
    fn kek(&self) -> Option<AesKek> {
        AesKek::new(self.cipher, &self.key).ok()
    }
}

/// An EKTKey and the SRTP master salt that goes with every master key wrapped under it (section
/// 4.2).
pub struct EktParameterSet {
    ekt_key: EktKey,
    srtp_master_salt: Zeroizing<[u8; SALT_LENGTH]>,
}

impl fmt::Debug for EktParameterSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EktParameterSet").finish_non_exhaustive()
    }
}

impl EktParameterSet {
    /// From an EKTKey of 16 or 32 bytes and a salt, of which the first 12 bytes are used.
    ///
    /// # Errors
    /// A length doesn't fit.
    pub fn new(ekt_key: &[u8], srtp_master_salt: &[u8]) -> Result<Self, KeyError> {
        let salt = srtp_master_salt.first_chunk().ok_or(KeyError::SaltLength)?;
        Ok(Self {
            ekt_key: EktKey::new(ekt_key)?,
            srtp_master_salt: Zeroizing::new(*salt),
        })
    }

    /// The salt, as long as SRTP needs it.
    pub(crate) fn srtp_master_salt(&self) -> &[u8; SALT_LENGTH] {
        &self.srtp_master_salt
    }

    /// Whether both have the same key and salt; takes the same time wherever they differ.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        use aws_lc_rs::constant_time::verify_slices_are_equal as verify;
        verify(&self.ekt_key.key, &other.ekt_key.key).is_ok()
            & verify(&*self.srtp_master_salt, &*other.srtp_master_salt).is_ok()
    }

    /// EKTDecrypt (section 4.4.1) and the parts of the plaintext (section 4.3.2, steps 3 and 4).
    pub(crate) fn decrypt(&self, ciphertext: &[u8]) -> Result<EktPlaintext, Rejection> {
        const FAULT: Rejection = Rejection::EktAuthentication;
        let mut output = Zeroizing::new([0; MAX_CIPHERTEXT_LENGTH]);
        let output = output.get_mut(..ciphertext.len()).ok_or(FAULT)?;
        let kek = self.ekt_key.kek().ok_or(FAULT)?;
        let plaintext = kek
            .unwrap_with_padding(ciphertext, output)
            .map_err(|_| FAULT)?;
        EktPlaintext::parse(plaintext).ok_or(Rejection::EktPlaintext)
    }
}

/// SRTPMasterKeyLength, SRTPMasterKey, SSRC, ROC.
pub(crate) struct EktPlaintext {
    pub(crate) srtp_master_key: Zeroizing<Vec<u8>>,
    pub(crate) ssrc: u32,
    pub(crate) roc: u32,
}

impl EktPlaintext {
    fn parse(plaintext: &[u8]) -> Option<Self> {
        let (length, rest) = plaintext.split_first()?;
        let (key, tail) = rest.split_at_checked(usize::from(*length))?;
        let (ssrc, roc) = tail.split_first_chunk()?;
        if key.is_empty() {
            return None;
        }
        Some(Self {
            srtp_master_key: Zeroizing::new(key.to_vec()),
            ssrc: u32::from_be_bytes(*ssrc),
            roc: u32::from_be_bytes(roc.try_into().ok()?),
        })
    }
}

/// The parts of a Full EKT Field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FullEktField<'a> {
    pub(crate) ciphertext: &'a [u8],
    pub(crate) spi: u16,
    pub(crate) epoch: u16,
}

impl<'a> FullEktField<'a> {
    /// From a whole EKT Field; `None` if it is of another type.
    pub(crate) fn parse(field: &'a [u8]) -> Option<Self> {
        let (ciphertext, trailer) = field.split_last_chunk::<FULL_TRAILER_LENGTH>()?;
        let [
            spi_high,
            spi_low,
            epoch_high,
            epoch_low,
            _,
            _,
            MESSAGE_TYPE_FULL,
        ] = *trailer
        else {
            return None;
        };
        Some(Self {
            ciphertext,
            spi: u16::from_be_bytes([spi_high, spi_low]),
            epoch: u16::from_be_bytes([epoch_high, epoch_low]),
        })
    }
}

/// Makes a Full EKT Field that carries an SRTP master key (section 4.3.1).
///
/// # Errors
/// The EKTKey isn't 16 or 32 bytes long, or the master key not 1 to 242.
pub fn full_ekt_field(
    ekt_key: &[u8],
    spi: u16,
    epoch: u16,
    ssrc: u32,
    roc: u32,
    srtp_master_key: &[u8],
) -> Result<Vec<u8>, KeyError> {
    let key_length = u8::try_from(srtp_master_key.len()).map_err(|_| KeyError::KeyLength)?;
    let length = 1 + srtp_master_key.len() + PLAINTEXT_TAIL_LENGTH;
    if key_length == 0 || length > MAX_PLAINTEXT_LENGTH {
        return Err(KeyError::KeyLength);
    }
    let mut plaintext = Zeroizing::new(Vec::with_capacity(length));
    plaintext.push(key_length);
    plaintext.extend(srtp_master_key);
    plaintext.extend(ssrc.to_be_bytes());
    plaintext.extend(roc.to_be_bytes());

    let kek = EktKey::new(ekt_key)?.kek().ok_or(KeyError::Refused)?;
    let mut output = [0; MAX_CIPHERTEXT_LENGTH + 8];
    let ciphertext = kek
        .wrap_with_padding(&plaintext, &mut output)
        .map_err(|_| KeyError::Refused)?;
    let length = ciphertext.len() + FULL_TRAILER_LENGTH;
    let mut field = Vec::with_capacity(length);
    field.extend_from_slice(ciphertext);
    field.extend(spi.to_be_bytes());
    field.extend(epoch.to_be_bytes());
    field.extend((length as u16).to_be_bytes());
    field.push(MESSAGE_TYPE_FULL);
    Ok(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ekt_field::ekt_field_length;

    fn field(ekt_key: &[u8], master_key: &[u8]) -> Vec<u8> {
        full_ekt_field(ekt_key, 0x1234, 5, 0xdead_beef, 6, master_key).expect("lengths fit")
    }

    #[test]
    fn round_trips_for_every_key_length() {
        for ekt_key in [&[1; 16][..], &[2; 32]] {
            let set = EktParameterSet::new(ekt_key, &[3; 16]).expect("lengths fit");
            for length in 1..=242 {
                let master_key = vec![7; length];
                let field = field(ekt_key, &master_key);
                assert_eq!(ekt_field_length(&field), Ok(field.len()));
                let full = FullEktField::parse(&field).expect("a Full EKT Field");
                assert_eq!((full.spi, full.epoch), (0x1234, 5));
                let plaintext = set.decrypt(full.ciphertext).expect("authentic");
                assert_eq!(*plaintext.srtp_master_key, master_key);
                assert_eq!((plaintext.ssrc, plaintext.roc), (0xdead_beef, 6));
            }
        }
    }

    #[test]
    fn any_bit_or_cut_of_the_ciphertext_is_refused() {
        let field = field(&[1; 16], &[7; 16]);
        let set = EktParameterSet::new(&[1; 16], &[3; 12]).expect("lengths fit");
        let full = FullEktField::parse(&field).expect("a Full EKT Field");
        for bit in 0..8 * full.ciphertext.len() {
            let mut changed = full.ciphertext.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                set.decrypt(&changed).err(),
                Some(Rejection::EktAuthentication)
            );
        }
        for length in 0..full.ciphertext.len() {
            let cut = &full.ciphertext[..length];
            assert_eq!(set.decrypt(cut).err(), Some(Rejection::EktAuthentication));
        }
        assert_eq!(
            set.decrypt(&[0; 1000]).err(),
            Some(Rejection::EktAuthentication)
        );
    }

    #[test]
    fn plaintexts_of_another_form_are_refused() {
        let set = EktParameterSet::new(&[1; 16], &[3; 12]).expect("lengths fit");
        let forms: [&[u8]; 5] = [&[0], &[0; 9], &[16; 24], &[16; 26], &[255; 30]];
        for plaintext in forms {
            let kek = AesKek::new(&AES_128, &[1; 16]).expect("16 bytes");
            let mut output = [0; 64];
            let ciphertext = kek
                .wrap_with_padding(plaintext, &mut output)
                .expect("has room");
            assert_eq!(set.decrypt(ciphertext).err(), Some(Rejection::EktPlaintext));
        }
    }

    #[test]
    fn lengths_are_checked() {
        let make = |key: &[u8], master: &[u8]| full_ekt_field(key, 0, 0, 0, 0, master).err();
        assert_eq!(make(&[0; 24], &[0; 16]), Some(KeyError::EktKeyLength));
        assert_eq!(make(&[0; 16], &[]), Some(KeyError::KeyLength));
        assert_eq!(make(&[0; 16], &[0; 243]), Some(KeyError::KeyLength));
        let salt = EktParameterSet::new(&[0; 16], &[0; 11]).err();
        assert_eq!(salt, Some(KeyError::SaltLength));
    }
}
