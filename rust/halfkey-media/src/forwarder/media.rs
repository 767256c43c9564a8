//! SRTP: open once, then rewrite and seal for each receiver.

use core::net::SocketAddr;
use core::time::Duration;

use super::participant::Downlink;
use super::route::Route;
use super::{DropReason, Forwarder};
use crate::ekt_field::ekt_field_length;
use crate::ohb::{MAX_LENGTH as MAX_OHB_LENGTH, OriginalHeaderBlock};
use crate::rtp::{RtpView, write_header};
use crate::srtp::TAG_LENGTH;

/// A packet without its outer layer: what is the same for all receivers.
struct OpenedPacket<'a> {
    view: RtpView<'a>,
    /// The inner ciphertext and tag.
    payload: &'a [u8],
    ohb: OriginalHeaderBlock,
    ekt_field: &'a [u8],
}

impl Forwarder {
    pub(super) fn receive_rtp(
        &mut self,
        from: usize,
        datagram: &mut [u8],
        now: Duration,
        send: &mut impl FnMut(SocketAddr, &[u8]),
    ) -> Result<(), DropReason> {
        let Self {
            uplinks,
            downlinks,
            buffer,
            captures,
            statistics,
            ..
        } = self;
        let uplink = &mut uplinks[from];
        // Cheap checks first: most of what is bogus ends here, without any cryptography.
        let length = datagram.len() - ekt_field_length(datagram)?;
        let (packet, ekt_field) = datagram.split_at_mut(length);
        let keys = uplink.keys.as_mut().ok_or(DropReason::NoKeys)?;
        let ssrc = RtpView::parse(packet)?.ssrc();
        if uplink.sources.get(ssrc).is_none() {
            return Err(DropReason::UnknownSsrc);
        }
        let opened = keys.open_rtp(packet)?;
        uplink.last_received = Some(now);

        let view = RtpView::parse(&packet[..opened.length()])?;
        let payload_type = uplink
            .payload_type(view.payload_type())
            .ok_or(DropReason::UnknownPayloadType)?;
        let clock_rate = payload_type.clock_rate;
        let (ohb, ohb_length) = OriginalHeaderBlock::parse(view.payload())?;
        let payload = &view.payload()[..opened.payload_length - ohb_length];
        let source = uplink
            .sources
            .get_mut(ssrc)
            .ok_or(DropReason::UnknownSsrc)?;
        source
            .reception
            .receive(opened.index, view.timestamp(), clock_rate, now);
        captures.add(ssrc, payload);

        let packet = OpenedPacket {
            view,
            payload,
            ohb,
            ekt_field,
        };
        for route in &source.routes {
            match relay(&packet, route, &mut downlinks[route.receiver], buffer) {
                Ok((address, length)) => {
                    statistics.forwarded_packets += 1;
                    send(address, &buffer[..length]);
                }
                Err(reason) => statistics.count(reason),
            }
        }
        Ok(())
    }
}

/// Writes the datagram for one receiver into `buffer` (RFC 8723 section 5.2, steps 2 to 4).
fn relay(
    packet: &OpenedPacket<'_>,
    route: &Route,
    downlink: &mut Downlink,
    buffer: &mut [u8],
) -> Result<(SocketAddr, usize), DropReason> {
    let (keys, address) = downlink.ready().ok_or(DropReason::ReceiverNotReady)?;
    let received = packet.view.changeable_fields();
    let sent = route
        .rewrite(received)
        .ok_or(DropReason::UnknownPayloadType)?;
    let elements = route.elements(packet.view.extensions());
    let header_length = write_header(buffer, &packet.view, sent, elements)?;

    let mut ohb = [0; MAX_OHB_LENGTH];
    let ohb_length = packet.ohb.reflect(received, sent).encode(&mut ohb);
    let length = header_length + packet.payload.len() + ohb_length;
    if length + TAG_LENGTH + packet.ekt_field.len() > buffer.len() {
        return Err(crate::error::SealError::BufferTooSmall.into());
    }
    let (payload, block) = buffer[header_length..length].split_at_mut(packet.payload.len());
    payload.copy_from_slice(packet.payload);
    block.copy_from_slice(&ohb[..ohb_length]);

    let sealed = keys.seal_rtp(buffer, length)?;
    let end = sealed + packet.ekt_field.len();
    buffer[sealed..end].copy_from_slice(packet.ekt_field);
    Ok((address, end))
}
