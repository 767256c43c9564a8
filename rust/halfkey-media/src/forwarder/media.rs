//! SRTP: open once, then rewrite and seal for each receiver.

use core::time::Duration;

use super::batch::Waiting;
use super::participant::Source;
use super::route::Route;
use super::{DropReason, Forwarder, Output, Statistics};
use crate::ekt_field::ekt_field_length;
use crate::relay::OpenedPacket;
use crate::rtp::RtpView;
use crate::srtp::Origin;

/// The most packets of a source that one receiver gets in a row.
const MAX_RUN: usize = 32;

/// The room that a rewritten packet needs beyond itself and its header once more: a `mid` of any
/// length, an OHB and a tag.
const GROWTH: usize = 512;

/// An opened packet with its EKT Field: all that it takes to make packets of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relayed<'a> {
    pub(super) packet: OpenedPacket<'a>,
    pub(super) ekt_field: &'a [u8],
    pub(super) origin: Origin,
}

impl<'a> Relayed<'a> {
    /// Of a packet that was parsed before, so it can be.
    pub(super) fn parse(packet: &'a [u8], ekt_field: &'a [u8], origin: Origin) -> Option<Self> {
        Some(Self {
            packet: OpenedPacket::parse(packet).ok()?,
            ekt_field,
            origin,
        })
    }

    /// The room that it takes to make a packet of it for anybody.
    fn room(&self) -> usize {
        let view = &self.packet.view;
        view.bytes().len() + view.header_length() + GROWTH + self.ekt_field.len()
    }
}

impl Forwarder {
    /// Opens the datagram that begins at `start` of its buffer.
    pub(super) fn open_rtp(
        &mut self,
        from: usize,
        start: usize,
        datagram: &mut [u8],
        now: Duration,
    ) -> Result<Waiting, DropReason> {
        let uplink = &mut self.uplinks[from];
        let whole = datagram.len();
        // Cheap checks first: most of what is bogus ends here, without any cryptography.
        let length = datagram.len() - ekt_field_length(datagram)?;
        let (packet, ekt_field) = datagram.split_at_mut(length);
        let keys = uplink.keys.as_mut().ok_or(DropReason::NoKeys)?;
        let ssrc = RtpView::parse(packet)?.ssrc();
        let position = uplink.sources.position(ssrc);
        let position = position.ok_or(DropReason::UnknownSsrc)?;
        let opened = keys.open_rtp(packet)?;
        uplink.last_received = Some(now);

        let packet = OpenedPacket::parse(&packet[..opened.length()])?;
        let payload_type = uplink
            .payload_type(packet.view.payload_type())
            .ok_or(DropReason::UnknownPayloadType)?;
        let clock_rate = payload_type.clock_rate;
        let source = uplink.sources.at_mut(position);
        let source = source.ok_or(DropReason::UnknownSsrc)?;
        let timestamp = packet.view.timestamp();
        (source.reception).receive(opened.index, timestamp, clock_rate, now);
        source.received_bytes += whole as u64;
        self.captures.add(ssrc, packet.inner);
        let origin = Origin(opened.index);
        let memory = (&self.budget, &uplink.holdings);
        if !source.keep(memory, origin, packet.view.bytes(), ekt_field, now) {
            self.statistics.cache_refusals += 1;
        }
        Ok(Waiting {
            source: (from, position),
            packet: start..start + opened.length(),
            ekt_field: start + length..start + whole,
            origin,
            arrived: None,
            receivers: source.routes.len(),
        })
    }

    /// Forwards the packets that wait; `buffer` is the one that they lie in.
    pub(super) fn forward(&mut self, buffer: &[u8], output: &mut impl Output) {
        let Self {
            uplinks,
            waiting,
            statistics,
            ..
        } = self;
        // Those of one source come together, and stay in the order in which they came.
        waiting.sort_unstable_by_key(|one| (one.source, one.packet.start));
        for run in waiting.chunk_by(|one, other| one.source == other.source) {
            let (uplink, source) = run[0].source;
            let Some(source) = uplinks[uplink].sources.at_mut(source) else {
                continue;
            };
            for run in run.chunks(MAX_RUN) {
                output.arrived(run.iter().filter_map(|one| one.arrived).min());
                forward_run(source, run, buffer, statistics, output);
            }
        }
        output.arrived(None);
        waiting.clear();
    }
}

/// Sends packets of one source to each of its receivers.
fn forward_run(
    source: &mut Source,
    run: &[Waiting],
    buffer: &[u8],
    statistics: &mut Statistics,
    output: &mut impl Output,
) {
    let mut packets = [const { None }; MAX_RUN];
    for (packet, waiting) in packets.iter_mut().zip(run) {
        let opened = buffer.get(waiting.packet.clone()).unwrap_or_default();
        let ekt_field = buffer.get(waiting.ekt_field.clone()).unwrap_or_default();
        *packet = Relayed::parse(opened, ekt_field, waiting.origin);
    }
    // By turns: where the way out is too narrow for all, the loss isn't always the same ones'.
    source.first = (source.first + 1) % source.routes.len().max(1);
    let (later, first) = source.routes.split_at_mut(source.first);
    for route in first.iter_mut().chain(later) {
        for packet in packets.iter().flatten() {
            match relay(packet, route, output) {
                Ok(length) => {
                    statistics.forwarded_packets += 1;
                    route.sent.count(length);
                }
                Err(reason) => {
                    statistics.count(reason, 1);
                    route.unsent += 1;
                }
            }
        }
    }
}

/// Makes and sends the datagram for one receiver: the packet sealed again, and its EKT Field. Gives
/// its length.
fn relay(
    relayed: &Relayed<'_>,
    route: &mut Route,
    output: &mut impl Output,
) -> Result<usize, DropReason> {
    let (address, length) = route.seal(relayed, output.room(relayed.room()))?;
    output.send(address, length);
    Ok(length)
}
