//! What changes of a source's packets on their way to one receiver.

use super::media::Relayed;
use super::participant::{Downlink, Uplink};
use super::{ControlError, DropReason};
use crate::error::SealError;
use crate::rtp::{ChangeableFields, Element};

/// The `mid` header extension (RFC 9143 section 15.2), which names the slot.
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// More than a packet is longer than what it is made of, without its `mid`: tag, OHB, and what the form
/// of the header extension takes.
const GROWTH: usize = 64;

/// Extensions that mean something on one hop only, and are never passed on.
const OF_ONE_HOP: [&str; 2] = [
    MID,
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
];

/// How packets are made for one receiver: of a packet and of what is here, and of nothing else. So as
/// long as it stays as it is, the same packet becomes the same bytes.
#[derive(Debug)]
pub(super) struct Mapping {
    mid: Vec<u8>,
    mid_id: u8,
    /// Local identifiers, the sender's and the receiver's.
    extensions: Vec<(u8, u8)>,
    /// Payload types, the sender's and the receiver's.
    payload_types: Vec<(u8, u8)>,
    /// Added to SEQ.
    pub(super) sequence_offset: u16,
    /// What M becomes, if it is changed.
    pub(super) marker: Option<bool>,
}

impl Mapping {
    pub(super) fn new(
        uplink: &Uplink,
        downlink: &Downlink,
        mid: &str,
    ) -> Result<Self, ControlError> {
        let theirs = |uri: &str| {
            let mut entries = downlink.negotiated.extensions.iter();
            entries.find(|entry| entry.0 == uri).map(|entry| entry.1)
        };
        let passed_on = uplink
            .negotiated
            .extensions
            .iter()
            .filter(|(uri, _)| !OF_ONE_HOP.contains(&uri.as_str()));
        let known = uplink.negotiated.payload_types.iter().filter_map(|ours| {
            let mut types = downlink.negotiated.payload_types.iter();
            let same = types.find(|theirs| theirs.name == ours.name)?;
            Some((ours.number, same.number))
        });
        Ok(Self {
            mid: mid.as_bytes().to_vec(),
            mid_id: theirs(MID).ok_or(ControlError::NoMidExtension)?,
            extensions: passed_on
                .filter_map(|(uri, ours)| Some((*ours, theirs(uri)?)))
                .collect(),
            payload_types: known.collect(),
            sequence_offset: 0,
            marker: None,
        })
    }

    /// Makes the datagram for the receiver in `room`: the packet as `seal` seals it, and its EKT
    /// Field. Gives its length.
    pub(super) fn make(
        &self,
        relayed: &Relayed<'_>,
        room: &mut [u8],
        seal: impl FnOnce(&mut [u8], usize) -> Result<usize, SealError>,
    ) -> Result<usize, DropReason> {
        let Relayed {
            packet, ekt_field, ..
        } = relayed;
        let sent = self
            .rewrite(packet.view.changeable_fields())
            .ok_or(DropReason::UnknownPayloadType)?;
        let room_for_packet = room.len().saturating_sub(ekt_field.len());
        let elements = self.elements(packet.view.extensions());
        let length = packet.rewrite(sent, elements, &mut room[..room_for_packet])?;
        let sealed = seal(&mut room[..room_for_packet], length)?;
        let end = sealed + ekt_field.len();
        room[sealed..end].copy_from_slice(ekt_field);
        Ok(end)
    }

    /// More than a packet is longer than what it is made of.
    pub(super) fn growth(&self) -> usize {
        GROWTH + self.mid.len()
    }

    /// PT, SEQ and M as the receiver gets them; `None` if it doesn't know the payload type.
    fn rewrite(&self, received: ChangeableFields) -> Option<ChangeableFields> {
        let payload_type = lookup(&self.payload_types, received.payload_type)?;
        Some(ChangeableFields {
            payload_type,
            sequence_number: received.sequence_number.wrapping_add(self.sequence_offset),
            marker: self.marker.unwrap_or(received.marker),
        })
    }

    /// The header extension as the receiver gets it: its `mid`, and what else both sides know.
    fn elements<'a>(
        &'a self,
        received: impl Iterator<Item = Element<'a>> + Clone,
    ) -> impl Iterator<Item = Element<'a>> + Clone {
        let mid: Element<'a> = (self.mid_id, &self.mid);
        let others = received.filter_map(|(id, data)| Some((lookup(&self.extensions, id)?, data)));
        core::iter::once(mid).chain(others)
    }
}

/// Few entries: faster than a hash.
fn lookup(pairs: &[(u8, u8)], key: u8) -> Option<u8> {
    pairs.iter().find(|pair| pair.0 == key).map(|pair| pair.1)
}
