//! The receiving half of an Endpoint's association.

use super::hop_keys::RetiredHopKeys;
use super::inner::SyntheticHeader;
use super::keys::{FieldNews, KeyName, KeyRing, ReceivedKey, SourceKeys};
use super::or_empty;
use crate::ekt::EktParameterSet;
use crate::ekt_field::ekt_field_length;
use crate::error::{KeyError, Rejection};
use crate::ohb::OriginalHeaderBlock;
use crate::profile::DoubleProfile;
use crate::rtp::{ChangeableFields, RtpView};
use crate::srtp::{HopReceiveContext, TAG_LENGTH};

/// Opens the packets that come to an Endpoint: the hop's layer, the EKT Field, the end-to-end
/// layer.
#[derive(Debug)]
pub struct DoubleReceiver {
    profile: DoubleProfile,
    hop: HopReceiveContext,
    retired: RetiredHopKeys,
    key_ring: KeyRing,
    /// The outer SRTP packet that is being opened.
    outer: Vec<u8>,
}

/// What was found out about a packet that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unprotected {
    /// The SSRC.
    pub ssrc: u32,
    /// SEQ as the sender made it, for statistics.
    pub inner_sequence_number: u16,
    /// PT as the sender made it, for statistics.
    pub inner_payload_type: u8,
    /// The SPI under which the key came that opened the packet.
    pub ekt_spi: u16,
    /// That key's epoch.
    pub ekt_epoch: u16,
    /// Whether this packet's Full EKT Field brought a key that wasn't known.
    pub new_key: bool,
}

/// The inner layer of an outer packet that is authentic.
struct InnerPacket<'a> {
    view: RtpView<'a>,
    original: ChangeableFields,
    ciphertext: &'a [u8],
    tag: &'a [u8],
}

impl<'a> InnerPacket<'a> {
    /// Section 5.3, step 3.
    fn parse(outer: &'a [u8]) -> Result<Self, Rejection> {
        let view = RtpView::parse(outer)?;
        let (ohb, length) = OriginalHeaderBlock::parse(view.payload())?;
        let sealed = &view.payload()[..view.payload().len() - length];
        let (ciphertext, tag) = sealed
            .split_last_chunk::<TAG_LENGTH>()
            .ok_or(Rejection::OriginalHeaderBlock)?;
        let original = ohb.original(view.changeable_fields());
        Ok(Self {
            view,
            original,
            ciphertext,
            tag,
        })
    }
}

impl DoubleReceiver {
    /// From the outer halves of the master key and salt with which the hop's other end sends.
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
            hop: HopReceiveContext::new(profile.half(), hop_master_key, hop_master_salt)?,
            retired: RetiredHopKeys::default(),
            key_ring: KeyRing::new(profile.half()),
            outer: Vec::new(),
        })
    }

    /// Opens the hop's layer with other keys from the next packet on, as after a second DTLS
    /// handshake. EKT parameter sets, end-to-end keys and their replay windows stay as they are.
    ///
    /// # Errors
    /// A length doesn't fit the profile, or the keys are or were this hop's: what was received
    /// under them would be taken a second time. The keys in use stay then.
    pub fn replace_hop_keys(
        &mut self,
        hop_master_key: &[u8],
        hop_master_salt: &[u8],
    ) -> Result<(), KeyError> {
        let hop = HopReceiveContext::new(self.profile.half(), hop_master_key, hop_master_salt)?;
        self.retired
            .retire(self.hop.fingerprints(), &hop.fingerprints())?;
        self.hop = hop;
        Ok(())
    }

    /// Adds an EKT parameter set; the same one again changes nothing.
    ///
    /// # Errors
    /// A length doesn't fit, the SPI names another set, or there are too many.
    pub fn add_ekt_parameter_set(
        &mut self,
        spi: u16,
        ekt_key: &[u8],
        srtp_master_salt: &[u8],
    ) -> Result<(), KeyError> {
        self.key_ring
            .add(spi, EktParameterSet::new(ekt_key, srtp_master_salt)?)
    }

    /// Wipes an EKT parameter set and every end-to-end key that came under it.
    pub fn remove_ekt_parameter_set(&mut self, spi: u16) {
        self.key_ring.remove(spi);
    }

    /// Opens a packet with its EKT Field (section 5.3).
    ///
    /// `output` is replaced by what the application may believe: the sender's packet, but with the
    /// outer PT and SEQ, and with the outer header extensions, which nobody vouches for end to end.
    ///
    /// # Errors
    /// Why the packet is refused; `output` is empty then. A good Full EKT Field's key stays, since
    /// senders announce keys before they use them.
    pub fn unprotect(
        &mut self,
        packet: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<Unprotected, Rejection> {
        or_empty(output, |output| self.open(packet, output))
    }

    fn open(&mut self, packet: &[u8], output: &mut Vec<u8>) -> Result<Unprotected, Rejection> {
        let (srtp, field) = split_ekt_field(packet)?;
        self.outer.clear();
        self.outer.extend_from_slice(srtp);
        let opened = self.hop.authenticate_rtp(&mut self.outer)?;
        let inner = InnerPacket::parse(&self.outer[..opened.length()])?;
        // The hop's index is taken only once the EKT Field is good: the hop doesn't authenticate
        // the field, so that a copy with a bad one must not stand in the real packet's way.
        let sequence_number = inner.original.sequence_number;
        let news = self
            .key_ring
            .receive_field(field, opened.ssrc, sequence_number)?;
        self.hop.accept_rtp(&opened)?;

        output.extend_from_slice(inner.view.header());
        output.resize(output.len() + inner.ciphertext.len(), 0);
        let (header, plaintext) = output.split_at_mut(opened.header_length);
        let source = self
            .key_ring
            .source_mut(opened.ssrc)
            .ok_or(Rejection::NoInnerKey)?;
        let name = open_inner(source, &inner, &news, plaintext)?;
        let outer = inner.view.changeable_fields();
        ChangeableFields {
            marker: inner.original.marker,
            ..outer
        }
        .write(header);
        Ok(Unprotected {
            ssrc: opened.ssrc,
            inner_sequence_number: sequence_number,
            inner_payload_type: inner.original.payload_type,
            ekt_spi: name.spi,
            ekt_epoch: name.epoch,
            new_key: news.new_key,
        })
    }

    /// Opens a packet of repair data, which only the hop protects. Its EKT Field is left unread.
    ///
    /// # Errors
    /// Why the packet is refused; `output` is empty then.
    pub fn unprotect_repair(
        &mut self,
        packet: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), Rejection> {
        or_empty(output, |output| {
            let (srtp, _) = split_ekt_field(packet)?;
            output.extend_from_slice(srtp);
            let opened = self.hop.open_rtp(output)?;
            output.truncate(opened.length());
            Ok(())
        })
    }

    /// Opens an SRTCP packet, which only the hop protects.
    ///
    /// # Errors
    /// Why the packet is refused; `output` is empty then.
    pub fn unprotect_rtcp(&mut self, packet: &[u8], output: &mut Vec<u8>) -> Result<(), Rejection> {
        or_empty(output, |output| {
            output.extend_from_slice(packet);
            let length = self.hop.open_rtcp(output)?;
            output.truncate(length);
            Ok(())
        })
    }
}

fn split_ekt_field(packet: &[u8]) -> Result<(&[u8], &[u8]), Rejection> {
    let length = ekt_field_length(packet)?;
    Ok(packet.split_at(packet.len() - length))
}

/// Trial decryption with the keys of an SSRC, beginning with the one that opened its last packet.
fn open_inner(
    source: &mut SourceKeys,
    inner: &InnerPacket<'_>,
    news: &FieldNews,
    plaintext: &mut [u8],
) -> Result<KeyName, Rejection> {
    let header = SyntheticHeader::new(&inner.view, inner.original);
    let mut rejection = if source.keys.is_empty() {
        Rejection::NoInnerKey
    } else {
        Rejection::InnerAuthentication
    };
    let count = source.keys.len();
    for step in 0..count {
        let at = (source.last_used + step) % count;
        let Some(received) = source.keys.get_mut(at) else {
            continue;
        };
        let announced = news.announced.filter(|(name, _)| *name == received.name);
        match open_with(
            received,
            inner,
            header.bytes(),
            announced.map(|(_, roc)| roc),
            plaintext,
        ) {
            Ok(()) => {
                source.last_used = at;
                return Ok(received.name);
            }
            Err(Rejection::InnerReplayed) => rejection = Rejection::InnerReplayed,
            Err(_) => {}
        }
    }
    Err(rejection)
}

/// Tries one key: with the rollover counter that its EKT Field gives for this very packet, which
/// is right where the stream was away for long, then with the one that follows from earlier ones.
fn open_with(
    received: &mut ReceivedKey,
    inner: &InnerPacket<'_>,
    header: &[u8],
    announced_roc: Option<u32>,
    plaintext: &mut [u8],
) -> Result<(), Rejection> {
    let ssrc = inner.view.ssrc();
    let sequence_number = inner.original.sequence_number;
    let estimated = received.window.estimate(sequence_number);
    let announced = announced_roc.map(|roc| u64::from(roc) << 16 | u64::from(sequence_number));
    let mut rejection = Rejection::InnerAuthentication;
    for index in announced
        .filter(|index| *index != estimated)
        .into_iter()
        .chain([estimated])
    {
        if received.window.check(index).is_err() {
            rejection = Rejection::InnerReplayed;
            continue;
        }
        let sealed = (inner.ciphertext, inner.tag);
        if received.key.open((ssrc, index), header, sealed, plaintext) {
            received.window.mark(index);
            return Ok(());
        }
    }
    Err(rejection)
}
