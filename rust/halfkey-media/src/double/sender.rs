//! The sending half of an Endpoint's association.

use super::hop_keys::RetiredHopKeys;
use super::inner::{InnerMasterKey, InnerSealingKey, SyntheticHeader};
use super::{MAX_INNER_SSRCS, or_empty};
use crate::ekt_field::ekt_field_length;
use crate::error::{KeyError, SealError};
use crate::profile::DoubleProfile;
use crate::replay::ReplayWindow;
use crate::rtp::RtpView;
use crate::srtp::{HopSendContext, SRTCP_OVERHEAD, TAG_LENGTH, next_index};
use crate::ssrc_table::SsrcTable;

/// The empty Original Header Block.
const EMPTY_OHB: u8 = 0;

/// Seals an Endpoint's packets: end to end, then for the hop.
#[derive(Debug)]
pub struct DoubleSender {
    profile: DoubleProfile,
    hop: HopSendContext,
    retired: RetiredHopKeys,
    sources: SsrcTable<Source>,
}

#[derive(Debug)]
struct Source {
    key: InnerSealingKey,
    window: ReplayWindow,
}

impl DoubleSender {
    /// From the outer halves of the master key and salt with which this end sends.
    ///
    /// # Errors
    /// A length doesn't fit the profile.
    pub fn new(
        profile: DoubleProfile,
        hop_master_key: &[u8],
        hop_master_salt: &[u8],
    ) -> Result<Self, KeyError> {
        Ok(Self {
            profile,
            hop: HopSendContext::new(profile.half(), hop_master_key, hop_master_salt)?,
            retired: RetiredHopKeys::default(),
            sources: SsrcTable::new(MAX_INNER_SSRCS),
        })
    }

    /// Seals for the hop under other keys from the next packet on, as after a second DTLS handshake.
    /// End-to-end keys stay as they are, and so do their indices: none is used a second time.
    ///
    /// # Errors
    /// A length doesn't fit the profile, the keys are or were this hop's, or one of them serves end
    /// to end. The keys in use stay then.
    pub fn replace_hop_keys(
        &mut self,
        hop_master_key: &[u8],
        hop_master_salt: &[u8],
    ) -> Result<(), KeyError> {
        let hop = HopSendContext::new(self.profile.half(), hop_master_key, hop_master_salt)?;
        let fingerprints = hop.fingerprints();
        let mut sources = self.sources.iter();
        if sources.any(|(_, source)| fingerprints.contains(&source.key.fingerprint())) {
            return Err(KeyError::KeyReused);
        }
        self.retired
            .retire(self.hop.fingerprints(), &fingerprints)?;
        self.hop = hop;
        Ok(())
    }

    /// Sets the end-to-end key of an SSRC from its next packet on. The one before is wiped; the
    /// rollover counter goes on.
    ///
    /// # Errors
    /// A length doesn't fit the profile, there are too many SSRCs, or this is the hop's key: with
    /// one key and nonce in both layers the outer one would take the inner one off.
    pub fn set_inner_key(
        &mut self,
        ssrc: u32,
        master_key: &[u8],
        master_salt: &[u8],
    ) -> Result<(), KeyError> {
        let master = InnerMasterKey::new(self.profile.half(), master_key, master_salt)?;
        let key = InnerSealingKey::new(&master)?;
        if self.hop.fingerprints().contains(&key.fingerprint()) {
            return Err(KeyError::KeyReused);
        }
        if let Some(source) = self.sources.get_mut(ssrc) {
            source.key = key;
            return Ok(());
        }
        let new = || Source {
            key,
            window: ReplayWindow::new(),
        };
        self.sources
            .get_or_insert_with(ssrc, new)
            .map(|_| ())
            .ok_or(KeyError::TooManySsrcs)
    }

    /// The inner rollover counter of a packet with this SSRC and SEQ.
    #[must_use]
    pub fn rollover_counter(&self, ssrc: u32, sequence_number: u16) -> u32 {
        let window = self.sources.get(ssrc).map(|source| &source.window);
        window.map_or(0, |window| (window.estimate(sequence_number) >> 16) as u32)
    }

    /// Seals an RTP packet (section 5.1), and appends an EKT Field.
    ///
    /// `output` is replaced by the SRTP packet with its EKT Field.
    ///
    /// # Errors
    /// Nothing was sealed, and `output` is empty.
    pub fn protect(
        &mut self,
        packet: &[u8],
        ekt_field: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        or_empty(output, |output| self.seal(packet, ekt_field, output))
    }

    fn seal(
        &mut self,
        packet: &[u8],
        ekt_field: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let view = check(packet, ekt_field)?;
        let (ssrc, sequence_number) = (view.ssrc(), view.sequence_number());
        let source = self.sources.get_mut(ssrc).ok_or(SealError::NoInnerKey)?;
        let index = next_index(&source.window, sequence_number)?;
        self.hop.check_rtp(ssrc, sequence_number)?;
        source.window.mark(index);

        let with_tag = packet.len() + TAG_LENGTH;
        let with_ohb = with_tag + 1;
        let length = with_ohb + TAG_LENGTH;
        prepare(output, packet, length, ekt_field);
        let (data, tag) = output[view.header_length()..with_tag].split_at_mut(view.payload().len());
        let synthetic;
        let header = if view.has_extension() {
            synthetic = SyntheticHeader::new(&view, view.changeable_fields());
            synthetic.bytes()
        } else {
            view.header()
        };
        if !source.key.seal((ssrc, index), header, data, tag) {
            return Err(SealError::KeyExhausted);
        }
        output[with_tag] = EMPTY_OHB;
        self.hop.seal_rtp(&mut output[..length], with_ohb)?;
        Ok(())
    }

    /// Seals a packet of repair data for the hop only (sections 5.1 and 7), and appends an EKT
    /// Field.
    ///
    /// # Errors
    /// Nothing was sealed, and `output` is empty.
    pub fn protect_repair(
        &mut self,
        packet: &[u8],
        ekt_field: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        or_empty(output, |output| {
            check(packet, ekt_field)?;
            let length = packet.len() + TAG_LENGTH;
            prepare(output, packet, length, ekt_field);
            self.hop.seal_rtp(&mut output[..length], packet.len())?;
            Ok(())
        })
    }

    /// Seals a (compound) RTCP packet, for the hop only (section 6).
    ///
    /// # Errors
    /// Nothing was sealed, and `output` is empty.
    pub fn protect_rtcp(&mut self, packet: &[u8], output: &mut Vec<u8>) -> Result<(), SealError> {
        or_empty(output, |output| {
            prepare(output, packet, packet.len() + SRTCP_OVERHEAD, &[]);
            self.hop.seal_rtcp(output, packet.len())?;
            Ok(())
        })
    }
}

/// What may be sealed and what may follow it.
fn check<'a>(packet: &'a [u8], ekt_field: &[u8]) -> Result<RtpView<'a>, SealError> {
    let view = RtpView::parse(packet).map_err(|_| SealError::NotAPacket)?;
    if !view.extension_is_known() {
        return Err(SealError::ForeignExtension);
    }
    if ekt_field_length(ekt_field) != Ok(ekt_field.len()) {
        return Err(SealError::NotAnEktField);
    }
    Ok(view)
}

/// Puts `packet` into `output`, room up to `length`, and `ekt_field` behind it.
fn prepare(output: &mut Vec<u8>, packet: &[u8], length: usize, ekt_field: &[u8]) {
    output.clear();
    output.reserve(length + ekt_field.len());
    output.extend_from_slice(packet);
    output.resize(length, 0);
    output.extend_from_slice(ekt_field);
}
