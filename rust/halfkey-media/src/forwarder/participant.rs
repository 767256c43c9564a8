//! The two halves of a participant's hop.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use super::announcements::Announcements;
use super::cache::{Budget, Cache, Holdings};
use super::figures::Traffic;
use super::keyframes::Keyframes;
use super::limits::{Allowance, NackBudget, Recent};
use super::reception::Reception;
use super::route::{Route, Slot};
use super::{DropReason, ParticipantId};
use crate::error::KeyError;
use crate::profile::HopProfile;
use crate::share::Share;
use crate::srtp::{HopReceiveContext, HopSendContext, Origin, SendStream};
use crate::ssrc_table::SsrcTable;

/// The most sources that one participant may declare.
const MAX_SOURCES: usize = 64;

/// The SSRCs from which a participant may send RTCP: those of its sources, and one for each slot that
/// it may have, since some Endpoints report so.
const MAX_RTCP_SSRCS: usize = 8 * MAX_SOURCES;

/// The clock rate of a payload type whose name has none.
const DEFAULT_CLOCK_RATE: u32 = 90_000;

/// What a source sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures: its receivers may ask for one that needs no other.
    Video,
}

/// A source that a participant declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceConfig {
    /// Its SSRC.
    pub ssrc: u32,
    /// What it sends.
    pub kind: Kind,
}

/// What was negotiated with a participant.
#[derive(Debug, Clone, Default)]
pub struct ParticipantConfig {
    /// The Media Distributor's own SSRC on this hop, for its RTCP; where it is in another worker's
    /// share, or declared by the participant, one near it.
    pub own_ssrc: u32,
    /// The Media Distributor's CNAME on this hop, at most 255 bytes.
    pub cname: String,
    /// Header extensions: URI and local identifier.
    pub extensions: Vec<(String, u8)>,
    /// Payload types: name as in `a=rtpmap` (for example `VP8/90000`), and number.
    pub payload_types: Vec<(String, u8)>,
    /// What the participant sends.
    pub sources: Vec<SourceConfig>,
}

/// What was negotiated with a participant, ready for use: its two halves have the same, and all
/// workers.
#[derive(Debug, Default)]
pub struct Negotiated {
    own_ssrc: u32,
    sources: Vec<SourceConfig>,
    pub(super) cname: Vec<u8>,
    pub(super) extensions: Vec<(String, u8)>,
    pub(super) payload_types: Vec<PayloadType>,
}

impl Negotiated {
    /// Makes it ready.
    #[must_use]
    pub fn new(config: &ParticipantConfig) -> Self {
        Self {
            own_ssrc: config.own_ssrc,
            sources: config.sources.clone(),
            cname: config.cname.as_bytes().to_vec(),
            extensions: config.extensions.clone(),
            payload_types: PayloadType::all(config),
        }
    }
}

/// The keys of one hop, a context for each direction.
#[derive(Debug)]
pub struct HopKeys {
    pub(super) receive: HopReceiveContext,
    pub(super) send: HopSendContext,
}

impl HopKeys {
    /// From the client's (the participant's) and the server's (our) SRTP master keys and salts.
    ///
    /// # Errors
    /// A length doesn't fit the profile, or both directions have one key.
    pub fn new(
        profile: HopProfile,
        client_write: (&[u8], &[u8]),
        server_write: (&[u8], &[u8]),
    ) -> Result<Self, KeyError> {
        let receive = HopReceiveContext::new(profile, client_write.0, client_write.1)?;
        let send = HopSendContext::new(profile, server_write.0, server_write.1)?;
        if receive.fingerprints() == send.fingerprints() {
            return Err(KeyError::KeyReused);
        }
        Ok(Self {
            receive: receive.with_rtcp_ssrcs(MAX_RTCP_SSRCS),
            send,
        })
    }

    /// Parts the keys among workers, in their order: each opens and seals for SSRCs of its own
    /// share, so that no window and no index is in two hands.
    pub fn split(self, workers: usize) -> impl Iterator<Item = Self> {
        let both = self.receive.split(workers).zip(self.send.split(workers));
        both.map(|(receive, send)| Self { receive, send })
    }
}

/// One SSRC of a participant, and where it goes.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) kind: Kind,
    pub(super) routes: Vec<Route>,
    /// The route that was the first to get the last packets.
    pub(super) first: usize,
    pub(super) reception: Reception,
    pub(super) keyframes: Keyframes,
    pub(super) announcements: Announcements,
    pub(super) cname: Vec<u8>,
    pub(super) received_bytes: u64,
    /// What went through routes that are no more.
    pub(super) sent_before: Traffic,
    /// What it sent last, if that is kept.
    pub(super) cache: Option<Box<Cache>>,
    /// What was sent again out of the cache.
    pub(super) repeated: Traffic,
    /// What it was asked for lately; none if it never was.
    pub(super) asked: Option<Box<Recent>>,
}

impl Source {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            routes: Vec::new(),
            first: 0,
            reception: Reception::default(),
            keyframes: Keyframes::default(),
            announcements: Announcements::default(),
            cname: Vec::new(),
            received_bytes: 0,
            sent_before: Traffic::default(),
            cache: None,
            repeated: Traffic::default(),
            asked: None,
        }
    }

    /// Keeps a packet for those who lose it, if somebody gets it; false if there is no memory. Of
    /// sound nothing is kept: nobody waits for it.
    pub(super) fn keep(
        &mut self,
        (budget, holdings): (&Budget, &Holdings),
        origin: Origin,
        packet: &[u8],
        ekt_field: &[u8],
        now: Duration,
    ) -> bool {
        if self.kind != Kind::Video || self.routes.is_empty() {
            return true;
        }
        if self.cache.is_none() {
            self.cache = budget.take(holdings);
        }
        if let Some(cache) = &mut self.cache {
            cache.keep(origin, packet, ekt_field, now);
        }
        self.cache.is_some()
    }

    /// Gives the cache's memory back when there is nothing in it that anybody would get.
    pub(super) fn drop_stale_cache(&mut self, now: Duration) {
        if self.cache.as_ref().is_some_and(|cache| cache.is_stale(now)) {
            self.cache = None;
        }
    }

    /// Under other keys indices begin anew, and name other packets than before.
    fn begin_anew(&mut self) {
        self.reception = Reception::default();
        self.forget();
    }

    /// Has nothing sent again that came so far.
    fn forget(&mut self) {
        self.cache = None;
        self.routes.iter_mut().for_each(Route::end_run);
    }
}

/// A payload type of a sender.
#[derive(Debug, Clone)]
pub(super) struct PayloadType {
    /// In lower case: names of encodings have no case (RFC 8866 section 6.6).
    pub(super) name: String,
    pub(super) number: u8,
    pub(super) clock_rate: u32,
}

impl PayloadType {
    fn all(config: &ParticipantConfig) -> Vec<Self> {
        let entries = config.payload_types.iter();
        let new = |(name, number): &(String, u8)| Self {
            name: name.to_ascii_lowercase(),
            number: *number,
            clock_rate: clock_rate(name).unwrap_or(DEFAULT_CLOCK_RATE),
        };
        entries.map(new).collect()
    }
}

/// The second part of `opus/48000/2`.
fn clock_rate(name: &str) -> Option<u32> {
    name.split('/')
        .nth(1)?
        .parse()
        .ok()
        .filter(|rate| *rate > 0)
}

/// What comes from a participant.
#[derive(Debug)]
pub(super) struct Uplink {
    pub(super) id: ParticipantId,
    pub(super) keys: Option<HopReceiveContext>,
    pub(super) sources: SsrcTable<Source>,
    pub(super) negotiated: Arc<Negotiated>,
    /// When the last authentic packet came.
    pub(super) last_received: Option<Duration>,
    /// SRTP and SRTCP that came from its address, good or bad.
    pub(super) received: Traffic,
    /// Of these, the packets that were dropped on arrival.
    pub(super) refused: u64,
    /// The caches that its sources have.
    pub(super) holdings: Holdings,
}

impl Default for Uplink {
    fn default() -> Self {
        Self::new(0, &Arc::default(), Share::WHOLE)
    }
}

impl Uplink {
    /// With those of the sources that are in the share.
    pub(super) fn new(id: ParticipantId, negotiated: &Arc<Negotiated>, share: Share) -> Self {
        let mut sources = SsrcTable::new(MAX_SOURCES);
        for source in negotiated.sources.iter().filter(|one| share.owns(one.ssrc)) {
            sources.get_or_insert_with(source.ssrc, || Source::new(source.kind));
        }
        Self {
            id,
            keys: None,
            sources,
            negotiated: Arc::clone(negotiated),
            last_received: None,
            received: Traffic::default(),
            refused: 0,
            holdings: Holdings::default(),
        }
    }

    /// Counts a datagram that came from its address.
    pub(super) const fn count(&mut self, length: usize, was_taken: bool) {
        self.received.count(length);
        self.refused += !was_taken as u64;
    }

    /// Takes keys into use. The same ones again change nothing: what was received under them would
    /// be taken a second time. Under others indices begin anew, and so do the figures.
    pub(super) fn set_keys(&mut self, keys: HopReceiveContext) {
        let known = self.keys.as_ref().map(|old| old.fingerprints());
        if known != Some(keys.fingerprints()) {
            self.keys = Some(keys);
            let sources = self.sources.iter_mut();
            sources.for_each(|(_, source)| source.begin_anew());
        }
    }

    /// Wipes the keys, and what was opened with them.
    pub(super) fn remove_keys(&mut self) {
        self.keys = None;
        let sources = self.sources.iter_mut();
        sources.for_each(|(_, source)| source.forget());
    }

    pub(super) fn payload_type(&self, number: u8) -> Option<&PayloadType> {
        let mut types = self.negotiated.payload_types.iter();
        types.find(|one| one.number == number)
    }
}

/// What goes to a participant.
#[derive(Debug, Default)]
pub(super) struct Downlink {
    pub(super) keys: Option<HopSendContext>,
    pub(super) address: Option<SocketAddr>,
    pub(super) own_ssrc: u32,
    pub(super) negotiated: Arc<Negotiated>,
    pub(super) slots: Vec<Slot>,
    pub(super) report_due: Duration,
    /// When the forwarder's timer comes round to this participant; later entries mean nothing.
    pub(super) armed: Option<Duration>,
    /// Our own ufrag of its ICE session.
    pub(super) ufrag: Option<Box<[u8]>>,
    /// Its checks that were answered, and when the last one came.
    pub(super) checks: u64,
    pub(super) last_check: Duration,
    /// What went to it through routes that are no more, and how many packets could not be made.
    pub(super) sent_before: Traffic,
    pub(super) unsent_before: u64,
    /// What it may still be sent again.
    pub(super) allowance: Allowance,
    /// What it may still ask for.
    pub(super) nacks: NackBudget,
}

impl Downlink {
    /// Each worker has an SSRC of its own on each hop, since SRTCP indices are counted by SSRC.
    pub(super) fn new(negotiated: &Arc<Negotiated>, share: Share) -> Self {
        let declared = |ssrc| negotiated.sources.iter().any(|source| source.ssrc == ssrc);
        Self {
            own_ssrc: share.choose(negotiated.own_ssrc, declared),
            negotiated: Arc::clone(negotiated),
            ..Self::default()
        }
    }

    /// Takes keys into use; true if they are others than before. The same ones again change nothing:
    /// their indices would begin anew, and nonces would repeat.
    pub(super) fn set_keys(&mut self, keys: HopSendContext) -> bool {
        let known = self.keys.as_ref().map(|old| old.fingerprints());
        let other = known != Some(keys.fingerprints());
        if other {
            self.keys = Some(keys);
        }
        other
    }

    /// Borrows the stream of an SSRC, for a route.
    ///
    /// # Errors
    /// What becomes of the route's packets: there are no keys, or they take no more SSRCs.
    pub(super) fn lend(&mut self, ssrc: u32) -> Result<Box<SendStream>, DropReason> {
        let keys = self.keys.as_mut().ok_or(DropReason::ReceiverNotReady)?;
        Ok(keys.lend(ssrc)?)
    }

    /// Takes back what a route has that is no more. The stream's indices stay used, whoever has the
    /// SSRC next.
    pub(super) fn close(&mut self, route: Route) {
        self.sent_before.add(&route.sent);
        self.unsent_before += route.unsent;
        if let (Some(keys), Ok(stream)) = (self.keys.as_mut(), route.stream) {
            keys.give_back(*stream);
        }
    }

    /// The slot with this source.
    pub(super) fn slot_of(&mut self, owner: usize, ssrc: u32) -> Option<&mut Slot> {
        let mut slots = self.slots.iter_mut();
        slots.find(|slot| slot.owner == owner && slot.ssrc == ssrc)
    }

    /// The keys and the address, when there are both.
    pub(super) fn ready(&mut self) -> Option<(&mut HopSendContext, SocketAddr)> {
        Some((self.keys.as_mut()?, self.address?))
    }
}
