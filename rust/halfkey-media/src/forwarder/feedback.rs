//! SRTCP: what is passed on, what ends here, and the forwarder's own reports.
//!
//! Sender reports and goodbyes go to those who receive the source. Receiver reports end here, since
//! the forwarder reports for itself on each hop. PLI and FIR go to the source's owner in the
//! forwarder's own name, if the asker has that source in a slot; so does what the forwarder can't do
//! about a NACK itself. Nothing else is passed on.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use super::keyframes::KeyframeRequest;
use super::participant::Downlink;
use super::route::Slot;
use super::{DropReason, Forwarder, Output, ParticipantId};
use crate::error::{Rejection, SealError};
use crate::rtcp::{CompoundWriter, FirEntry, ReportBlock, RtcpPacket, RtcpView, split_compound};
use crate::srtp::SRTCP_OVERHEAD;

/// The time between two of our receiver reports on one hop.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The most packets in a compound that is followed: one datagram of many small ones would make as
/// many datagrams for each receiver.
const MAX_PACKETS: usize = 32;

/// As many blocks as one receiver report holds.
const MAX_BLOCKS: usize = 31;

impl Forwarder {
    pub(super) fn receive_rtcp(
        &mut self,
        from: usize,
        datagram: &mut [u8],
        now: Duration,
        output: &mut impl Output,
    ) -> Result<(), DropReason> {
        let uplink = &mut self.uplinks[from];
        let keys = uplink.keys.as_mut().ok_or(DropReason::NoKeys)?;
        let length = keys.open_rtcp(datagram)?;
        uplink.last_received = Some(now);
        let compound = &datagram[..length];
        // All or nothing: no part of a compound acts if another is malformed.
        for (count, view) in split_compound(compound).enumerate() {
            if count >= MAX_PACKETS {
                return Err(Rejection::Malformed.into());
            }
            if view?.read()? == RtcpPacket::Other {
                self.statistics.count(DropReason::UnsupportedRtcp, 1);
            }
        }
        self.hand_over(from, compound, output);
        let mut send = |to, datagram: &[u8]| output.send_copy(to, datagram);
        self.follow_compound(from, compound, now, &mut send);
        Ok(())
    }

    /// Takes a compound that another worker opened: what it says about sources of this share.
    pub fn receive_compound(
        &mut self,
        from: ParticipantId,
        compound: &[u8],
        now: Duration,
        output: &mut impl Output,
    ) {
        if let Some(index) = self.indices.get(&from).copied() {
            let mut send = |to, datagram: &[u8]| output.send_copy(to, datagram);
            self.follow_compound(index, compound, now, &mut send);
        }
    }

    /// Hands a compound to each worker that has a source which it is about, once.
    fn hand_over(&self, from: usize, compound: &[u8], output: &mut impl Output) {
        let mut owners = 0_u64;
        for view in split_compound(compound).filter_map(Result::ok) {
            let mut concerns = |ssrc| owners |= 1 << self.share.owner(ssrc);
            match view.read() {
                Ok(RtcpPacket::SenderReport { ssrc, .. }) => concerns(ssrc),
                Ok(RtcpPacket::GenericNack(header) | RtcpPacket::PictureLossIndication(header)) => {
                    concerns(header.media_ssrc)
                }
                Ok(RtcpPacket::FullIntraRequest(_)) => {
                    view.fir_entries().for_each(|entry| concerns(entry.ssrc));
                }
                Ok(RtcpPacket::Goodbye) => view.goodbye_ssrcs().for_each(concerns),
                _ => {}
            }
        }
        owners &= !(1 << self.share.worker());
        while owners != 0 {
            output.hand_over(
                owners.trailing_zeros() as usize,
                self.uplinks[from].id,
                compound,
            );
            owners &= owners - 1;
        }
    }

    /// Does what a compound says about sources of this share.
    fn follow_compound(
        &mut self,
        from: usize,
        compound: &[u8],
        now: Duration,
        send: &mut impl FnMut(SocketAddr, &[u8]),
    ) {
        let views = || split_compound(compound).filter_map(Result::ok);
        for view in views() {
            self.note_cname(from, &view);
        }
        for view in views() {
            if let Err(reason) = self.take_rtcp(from, &view, now, send) {
                self.statistics.count(reason, 1);
            }
        }
        // Once each, however often it is said.
        let mut leaving: Vec<u32> = views().flat_map(|view| view.goodbye_ssrcs()).collect();
        leaving.sort_unstable();
        leaving.dedup();
        for ssrc in leaving {
            self.relay_goodbye(from, ssrc, now, send);
        }
    }

    fn take_rtcp(
        &mut self,
        from: usize,
        view: &RtcpView<'_>,
        now: Duration,
        send: &mut impl FnMut(SocketAddr, &[u8]),
    ) -> Result<(), DropReason> {
        match view.read()? {
            RtcpPacket::SenderReport { ssrc, info } => {
                self.relay_sender_report(from, ssrc, &info, now, send)
            }
            RtcpPacket::ReceiverReport { .. }
            | RtcpPacket::SourceDescription
            | RtcpPacket::Goodbye
            | RtcpPacket::Other => Ok(()),
            RtcpPacket::GenericNack(header) => self.follow_nack(from, header, view, now, send),
            RtcpPacket::PictureLossIndication(header) => {
                self.relay_keyframe_request(from, header.media_ssrc, false, now, send)
            }
            RtcpPacket::FullIntraRequest(_) => view.fir_entries().try_for_each(|entry| {
                self.relay_keyframe_request(from, entry.ssrc, true, now, send)
            }),
        }
    }

    /// The slot of this receiver that the SSRC is in.
    pub(super) fn slot_with(&self, receiver: usize, media_ssrc: u32) -> Result<&Slot, DropReason> {
        let mut slots = self.downlinks[receiver].slots.iter();
        let slot = slots.find(|slot| slot.ssrc == media_ssrc);
        slot.ok_or(DropReason::UnknownSsrc)
    }

    fn relay_keyframe_request(
        &mut self,
        from: usize,
        media_ssrc: u32,
        full_intra: bool,
        now: Duration,
        send: &mut impl FnMut(SocketAddr, &[u8]),
    ) -> Result<(), DropReason> {
        if !self.share.owns(media_ssrc) {
            return Ok(());
        }
        let owner = self.slot_with(from, media_ssrc)?.owner;
        let source = self.uplinks[owner].sources.get_mut(media_ssrc);
        let source = source.ok_or(DropReason::UnknownSsrc)?;
        source.keyframes.request(full_intra, now);
        self.send_due_keyframe_requests(owner, now, send);
        Ok(())
    }

    /// Asks an owner's sources for the pictures that are due, and arms the timer for the others.
    pub(super) fn send_due_keyframe_requests(
        &mut self,
        owner: usize,
        now: Duration,
        send: &mut impl FnMut(SocketAddr, &[u8]),
    ) {
        let mut next = None;
        for at in 0..self.uplinks[owner].sources.len() {
            let Some((ssrc, source)) = self.uplinks[owner].sources.entry_at_mut(at) else {
                continue;
            };
            let request = source.keyframes.take(now);
            next = next.into_iter().chain(source.keyframes.due()).min();
            let Some(request) = request else {
                continue;
            };
            self.statistics.keyframe_requests += 1;
            self.send_compound(owner, &[], send, |writer, own_ssrc| match request {
                KeyframeRequest::PictureLossIndication => {
                    writer.picture_loss_indication(own_ssrc, ssrc)
                }
                KeyframeRequest::FullIntraRequest(sequence_number) => {
                    let entry = FirEntry {
                        ssrc,
                        sequence_number,
                    };
                    writer.full_intra_request(own_ssrc, core::iter::once(entry))
                }
            });
        }
        if let Some(next) = next {
            self.arm(owner, next);
        }
    }

    /// Reports to a participant on those of its sources from which something came. Once a second, so
    /// it is where those that are silent give their caches back.
    pub(super) fn send_report(
        &mut self,
        index: usize,
        now: Duration,
        send: &mut impl FnMut(SocketAddr, &[u8]),
    ) {
        let sources = self.uplinks[index].sources.iter_mut();
        let blocks: Vec<ReportBlock> = sources
            .filter_map(|(ssrc, source)| {
                source.drop_stale_cache(now);
                source.reception.take_block(ssrc, now)
            })
            .collect();
        for blocks in blocks.chunks(MAX_BLOCKS) {
            self.send_compound(index, blocks, send, |_, _| Ok(()));
        }
    }

    /// Sends a compound of our own: a receiver report, our CNAME, and what `write` adds; it is given
    /// our SSRC on that hop.
    pub(super) fn send_compound(
        &mut self,
        to: usize,
        blocks: &[ReportBlock],
        send: &mut impl FnMut(SocketAddr, &[u8]),
        write: impl FnOnce(&mut CompoundWriter<'_>, u32) -> Result<(), SealError>,
    ) {
        let negotiated = Arc::clone(&self.downlinks[to].negotiated);
        let written = write_rtcp(
            &mut self.downlinks[to],
            &mut self.buffer,
            |writer, own_ssrc| {
                writer.receiver_report(own_ssrc, blocks)?;
                writer.source_description(own_ssrc, &negotiated.cname)?;
                write(writer, own_ssrc)
            },
        );
        match written {
            Ok((address, length)) => {
                self.statistics.sent_rtcp_packets += 1;
                send(address, &self.buffer[..length]);
            }
            Err(reason) => self.statistics.count(reason, 1),
        }
    }
}

/// Writes and seals a compound in `buffer`; gives where it goes and its length.
pub(super) fn write_rtcp(
    downlink: &mut Downlink,
    buffer: &mut [u8],
    write: impl FnOnce(&mut CompoundWriter<'_>, u32) -> Result<(), SealError>,
) -> Result<(SocketAddr, usize), DropReason> {
    let own_ssrc = downlink.own_ssrc;
    let (keys, address) = downlink.ready().ok_or(DropReason::ReceiverNotReady)?;
    let room = buffer.len() - SRTCP_OVERHEAD;
    let mut writer = CompoundWriter::new(&mut buffer[..room]);
    write(&mut writer, own_ssrc)?;
    let length = writer.length();
    Ok((address, keys.seal_rtcp(buffer, length)?))
}
