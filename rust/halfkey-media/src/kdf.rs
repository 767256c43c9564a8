//! Key derivation with AES in counter mode: RFC 3711 section 4.3 for 128-bit master keys, RFC 6188
//! section 3 for 256-bit ones; the key derivation rate is zero.

use aws_lc_rs::cipher::{EncryptionContext, StreamingEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::profile::{HopProfile, SALT_LENGTH};

/// The length of an AES block, in bytes.
const BLOCK_LENGTH: usize = 16;

/// What a derived key or salt is for (RFC 3711 section 4.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Label {
    /// The SRTP session encryption key.
    SrtpEncryption = 0x00,
    /// The SRTP session salt.
    SrtpSalting = 0x02,
    /// The SRTCP session encryption key.
    SrtcpEncryption = 0x03,
    /// The SRTCP session salt.
    SrtcpSalting = 0x05,
}

/// Derives `output.len()` bytes from a master key and its 12-byte salt.
///
/// The PRF takes 14 bytes of salt; the 12 of the AEAD profiles are followed by two zeros.
///
/// # Errors
/// The key's or the salt's length doesn't fit the profile.
pub fn derive(
    profile: HopProfile,
    master_key: &[u8],
    master_salt: &[u8],
    label: Label,
    output: &mut [u8],
) -> Result<(), KeyError> {
    let salt: &[u8; SALT_LENGTH] = master_salt.try_into().map_err(|_| KeyError::SaltLength)?;
    let mut block = Zeroizing::new([0; BLOCK_LENGTH]);
    block[..SALT_LENGTH].copy_from_slice(salt);
    // key_id = label || 48 bits of zero, right-aligned with the 14 bytes of salt.
    block[7] ^= label as u8;
    prf(profile, master_key, &block, output)
}

/// AES-CM PRF of RFC 3711 section 4.3.3, from its first input block (x * 2^16).
///
/// The library's streaming cipher keeps the key schedule on its heap, which it wipes. The schedule
/// begins with the key itself, and a copy on the stack would stay there.
fn prf(
    profile: HopProfile,
    master_key: &[u8],
    block: &[u8; BLOCK_LENGTH],
    output: &mut [u8],
) -> Result<(), KeyError> {
    if master_key.len() != profile.key_length() {
        return Err(KeyError::KeyLength);
    }
    let refused = |_| KeyError::Refused;
    let key = UnboundCipherKey::new(profile.kdf_cipher(), master_key).map_err(refused)?;
    let context = EncryptionContext::Iv128(FixedLength::from(*block));
    let mut cipher = StreamingEncryptingKey::less_safe_ctr(key, context).map_err(refused)?;
    // The cipher asks for room beyond a block, though in this mode it doesn't use it.
    let mut room = Zeroizing::new([0; 2 * BLOCK_LENGTH]);
    for part in output.chunks_mut(BLOCK_LENGTH) {
        cipher
            .update(&[0; BLOCK_LENGTH], &mut *room)
            .map_err(refused)?;
        part.copy_from_slice(&room[..part.len()]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::hex;

    /// Runs the PRF on a whole 14-byte salt, as the RFCs' vectors have it.
    fn vector(profile: HopProfile, key: &str, salt: &str, label: u8, length: usize) -> Vec<u8> {
        let mut block = [0; 16];
        block[..14].copy_from_slice(&hex(salt));
        block[7] ^= label;
        let mut output = vec![0xff; length];
        prf(profile, &hex(key), &block, &mut output).expect("lengths fit");
        output
    }

    #[test]
    fn rfc_3711_appendix_b_3() {
        let run = |label, length| {
            let key = "E1F97A0D3E018BE0D64FA32C06DE4139";
            let salt = "0EC675AD498AFEEBB6960B3AABE6";
            vector(HopProfile::AeadAes128Gcm, key, salt, label, length)
        };
        assert_eq!(run(0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(run(2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
        let authentication = "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE
            E049646C43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC25
            6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2";
        assert_eq!(run(1, 94), hex(authentication));
    }

    #[test]
    fn rfc_6188_section_7_2() {
        let run = |label, length| {
            let key = "f0f04914b513f2763a1b1fa130f10e29 98f6f6e43e4309d1e622a0e332b9f1b6";
            let salt = "3b04803de51ee7c96423ab5b78d2";
            vector(HopProfile::AeadAes256Gcm, key, salt, label, length)
        };
        let key = "5ba1064e30ec51613cad926c5a28ef73 1ec7fb397f70a960653caf06554cd8c4";
        assert_eq!(run(0, 32), hex(key));
        assert_eq!(run(2, 14), hex("fa31791685ca444a9e07c6c64e93"));
        assert_eq!(run(1, 20), hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"));
    }

    #[test]
    fn lengths_are_checked() {
        let mut output = [0; 16];
        let mut run = |key: &[u8], salt: &[u8]| {
            let profile = HopProfile::AeadAes128Gcm;
            derive(profile, key, salt, Label::SrtpEncryption, &mut output)
        };
        assert_eq!(run(&[0; 32], &[0; 12]), Err(KeyError::KeyLength));
        assert_eq!(run(&[0; 16], &[0; 14]), Err(KeyError::SaltLength));
        assert_eq!(run(&[0; 16], &[0; 12]), Ok(()));
    }
}
