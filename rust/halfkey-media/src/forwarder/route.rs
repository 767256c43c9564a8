//! Where a source goes, and what changes on its way there.

use core::net::SocketAddr;

use super::ControlError;
use super::figures::Traffic;
use super::participant::{Downlink, Uplink};
use crate::rtp::{ChangeableFields, Element};
use crate::srtp::SendStream;

/// The `mid` header extension (RFC 9143 section 15.2), which names the slot.
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// Extensions that mean something on one hop only, and are never passed on.
const OF_ONE_HOP: [&str; 2] = [
    MID,
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
];

/// A slot of a receiver, with the source that is in it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) mid: String,
    pub(super) owner: usize,
    pub(super) ssrc: u32,
    /// Where the source has its route to here.
    pub(super) route: usize,
}

/// A source's way into a slot: everything that is looked up was looked up beforehand, and what is
/// needed to seal for this receiver is here, so that a packet touches nothing else of it.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) receiver: usize,
    /// Where the receiver is; none as long as that isn't known.
    pub(super) address: Option<SocketAddr>,
    /// What seals for the receiver; none as long as there are no keys. It is borrowed from the
    /// downlink, and to be given back.
    pub(super) stream: Option<Box<SendStream>>,
    mid: Vec<u8>,
    mid_id: u8,
    /// Local identifiers, the sender's and the receiver's.
    extensions: Vec<(u8, u8)>,
    /// Payload types, the sender's and the receiver's.
    payload_types: Vec<(u8, u8)>,
    /// Added to SEQ.
    pub(super) sequence_offset: u16,
    /// Whether a packet came for it.
    is_in_use: bool,
    /// What M becomes, if it is changed.
    pub(super) marker: Option<bool>,
    /// What went to the receiver.
    pub(super) sent: Traffic,
    /// How many packets could not be made for it.
    pub(super) unsent: u64,
}

impl Route {
    pub(super) fn new(
        uplink: &Uplink,
        downlink: &Downlink,
        receiver: usize,
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
            receiver,
            address: downlink.address,
            stream: None,
            mid: mid.as_bytes().to_vec(),
            mid_id: theirs(MID).ok_or(ControlError::NoMidExtension)?,
            extensions: passed_on
                .filter_map(|(uri, ours)| Some((*ours, theirs(uri)?)))
                .collect(),
            payload_types: known.collect(),
            sequence_offset: 0,
            is_in_use: false,
            marker: None,
            sent: Traffic::default(),
            unsent: 0,
        })
    }

    /// Before the first packet of a source that comes back to a receiver: lets its numbers go on
    /// behind the highest that the receiver had of it, unless they are ahead of that anyhow. Where
    /// the source went on by half a round in between, both ends would take them for old ones.
    pub(super) fn begin(&mut self, first: u16) {
        if self.is_in_use {
            return;
        }
        let Some(stream) = &self.stream else {
            return;
        };
        self.is_in_use = true;
        let Some(highest) = stream.highest_sequence_number() else {
            return;
        };
        let ahead = first
            .wrapping_add(self.sequence_offset)
            .wrapping_sub(highest);
        if !(1..0x8000).contains(&ahead) {
            self.sequence_offset = highest.wrapping_add(1).wrapping_sub(first);
        }
    }

    /// PT, SEQ and M as the receiver gets them; `None` if it doesn't know the payload type.
    pub(super) fn rewrite(&self, received: ChangeableFields) -> Option<ChangeableFields> {
        let payload_type = lookup(&self.payload_types, received.payload_type)?;
        Some(ChangeableFields {
            payload_type,
            sequence_number: received.sequence_number.wrapping_add(self.sequence_offset),
            marker: self.marker.unwrap_or(received.marker),
        })
    }

    /// The header extension as the receiver gets it: its `mid`, and what else both sides know.
    pub(super) fn elements<'a>(
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
