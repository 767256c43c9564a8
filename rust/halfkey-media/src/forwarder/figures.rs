//! What was counted of each participant and each stream.

use core::ops::Range;

use super::participant::{Kind, Source, Uplink};
use super::route::Route;
use super::{Forwarder, ParticipantId, ReceptionReport};

/// Packets and their bytes, from UDP's payload on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many packets.
    pub packets: u64,
    /// How many bytes they had together.
    pub bytes: u64,
}

impl Traffic {
    pub(super) const fn count(&mut self, length: usize) {
        self.packets += 1;
        self.bytes += length as u64;
    }

    /// Adds what was counted elsewhere.
    pub const fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// A participant since it was added, as far as this worker had to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantFigures {
    /// Its number.
    pub id: ParticipantId,
    /// SRTP and SRTCP that came from its address, good or bad.
    pub received: Traffic,
    /// Of these, the packets that were dropped on arrival.
    pub refused: u64,
    /// SRTP that was sealed for it, for the first time.
    pub sent: Traffic,
    /// SRTP packets for it that could not be made.
    pub unsent: u64,
    /// What it sends.
    pub streams: Vec<StreamFigures>,
}

impl ParticipantFigures {
    /// Adds what another worker had to do with the same participant.
    pub fn add(&mut self, other: Self) {
        self.received.add(&other.received);
        self.refused += other.refused;
        self.sent.add(&other.sent);
        self.unsent += other.unsent;
        self.streams.extend(other.streams);
    }
}

/// A source of a participant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamFigures {
    /// Its SSRC.
    pub ssrc: u32,
    /// What it sends.
    pub kind: Kind,
    /// Authentic packets, and how they arrive under the keys of the moment.
    pub reception: ReceptionReport,
    /// Their bytes since the source was declared.
    pub received_bytes: u64,
    /// The slots that it is in.
    pub receivers: usize,
    /// What of it was sealed for receivers, for the first time.
    pub sent: Traffic,
    /// What of it was sent again to those who had lost it.
    pub repeated: Traffic,
}

impl Forwarder {
    /// The figures of the participants whose places in the table are in `places`; none where nobody
    /// can be there any more. What it costs is bounded by the places and what is routed there.
    #[must_use]
    pub fn figures(&self, places: Range<usize>) -> Option<Vec<ParticipantFigures>> {
        if places.start >= self.uplinks.len() {
            return None;
        }
        let places = places.start..places.end.min(self.uplinks.len());
        let there = places.filter(|at| self.indices.get(&self.uplinks[*at].id) == Some(at));
        Some(there.map(|at| self.participant_figures(at)).collect())
    }

    fn participant_figures(&self, at: usize) -> ParticipantFigures {
        let uplink = &self.uplinks[at];
        let (sent, unsent) = self.sent_to(at);
        ParticipantFigures {
            id: uplink.id,
            received: uplink.received,
            refused: uplink.refused,
            sent,
            unsent,
            streams: streams(uplink),
        }
    }

    /// What was sealed for a participant for the first time, and how many packets could not be made.
    pub(super) fn sent_to(&self, at: usize) -> (Traffic, u64) {
        let downlink = &self.downlinks[at];
        let (mut sent, mut unsent) = (downlink.sent_before, downlink.unsent_before);
        let routes = downlink.slots.iter().filter_map(|slot| {
            let source = self.uplinks[slot.owner].sources.get(slot.ssrc)?;
            source.routes.get(slot.route)
        });
        for route in routes {
            sent.add(&route.sent);
            unsent += route.unsent;
        }
        (sent, unsent)
    }
}

fn streams(uplink: &Uplink) -> Vec<StreamFigures> {
    let figures = |(ssrc, source): (u32, &Source)| StreamFigures {
        ssrc,
        kind: source.kind,
        reception: source.reception.report(),
        received_bytes: source.received_bytes,
        receivers: source.routes.len(),
        sent: sent(source),
        repeated: source.repeated,
    };
    uplink.sources.iter().map(figures).collect()
}

fn sent(source: &Source) -> Traffic {
    let mut sum = source.sent_before;
    let each = |route: &Route| sum.add(&route.sent);
    source.routes.iter().for_each(each);
    sum
}
