//! SRTP: open once, then rewrite and seal for each receiver.

use core::net::SocketAddr;
use core::time::Duration;

use super::participant::Downlink;
use super::route::Route;
use super::{DropReason, Forwarder};
use crate::ekt_field::ekt_field_length;
use crate::error::SealError;
use crate::relay::OpenedPacket;
use crate::rtp::RtpView;

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

        let packet = OpenedPacket::parse(&packet[..opened.length()])?;
        let payload_type = uplink
            .payload_type(packet.view.payload_type())
            .ok_or(DropReason::UnknownPayloadType)?;
        let clock_rate = payload_type.clock_rate;
        let source = uplink
            .sources
            .get_mut(ssrc)
            .ok_or(DropReason::UnknownSsrc)?;
        source
            .reception
            .receive(opened.index, packet.view.timestamp(), clock_rate, now);
        captures.add(ssrc, packet.inner);

        for route in &mut source.routes {
            let downlink = &mut downlinks[route.receiver];
            match relay(&packet, ekt_field, route, downlink, buffer) {
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

/// Writes the datagram for one receiver into `buffer`: the packet sealed again, and its EKT Field.
fn relay(
    packet: &OpenedPacket<'_>,
    ekt_field: &[u8],
    route: &mut Route,
    downlink: &mut Downlink,
    buffer: &mut [u8],
) -> Result<(SocketAddr, usize), DropReason> {
    let (keys, address) = downlink.ready().ok_or(DropReason::ReceiverNotReady)?;
    let highest = || keys.highest_sequence_number(packet.view.ssrc());
    route.begin(packet.view.sequence_number(), highest);
    let sent = route
        .rewrite(packet.view.changeable_fields())
        .ok_or(DropReason::UnknownPayloadType)?;
    let elements = route.elements(packet.view.extensions());
    let room = buffer
        .len()
        .checked_sub(ekt_field.len())
        .ok_or(SealError::BufferTooSmall)?;
    let sealed = packet.reseal(keys, sent, elements, &mut buffer[..room])?;
    let end = sealed + ekt_field.len();
    buffer[sealed..end].copy_from_slice(ekt_field);
    Ok((address, end))
}
