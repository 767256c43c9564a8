//! Endpoints of the hop layer: what they send is "inner ciphertext" to the forwarder.

use core::net::SocketAddr;
use core::time::Duration;

use super::super::{
    Forwarder, HopKeys, Kind, Output, ParticipantConfig, ParticipantId, SourceConfig,
};
use crate::ekt_field::ekt_field_length;
use crate::ohb::OriginalHeaderBlock;
use crate::profile::HopProfile;
use crate::rtcp::{CompoundWriter, NackItem};
use crate::rtp::{ChangeableFields, RtpView, write_header};
use crate::srtp::{HopReceiveContext, HopSendContext};
use crate::{Rejection, SealError, Share};

pub(super) const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
pub(super) const LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
pub(super) const START: Duration = Duration::from_secs(10);

pub(super) struct Endpoint {
    pub(super) id: ParticipantId,
    pub(super) address: SocketAddr,
    pub(super) config: ParticipantConfig,
    pub(super) send: HopSendContext,
    pub(super) receive: HopReceiveContext,
}

fn key(seed: u64) -> ([u8; 16], [u8; 12]) {
    let mut key = [seed as u8; 16];
    key[..8].copy_from_slice(&seed.to_be_bytes());
    (key, [seed as u8 ^ 0x5a; 12])
}

/// The other end of the hop with [`hop_keys`].
fn contexts(seed: u64) -> (HopSendContext, HopReceiveContext) {
    let ((client, client_salt), (server, server_salt)) = (key(2 * seed), key(2 * seed + 1));
    let profile = HopProfile::AeadAes128Gcm;
    let send = HopSendContext::new(profile, &client, &client_salt);
    let receive = HopReceiveContext::new(profile, &server, &server_salt);
    (send.expect("lengths fit"), receive.expect("lengths fit"))
}

pub(super) fn hop_keys(seed: u64) -> HopKeys {
    let ((client, client_salt), (server, server_salt)) = (key(2 * seed), key(2 * seed + 1));
    let profile = HopProfile::AeadAes128Gcm;
    HopKeys::new(profile, (&client, &client_salt), (&server, &server_salt)).expect("lengths fit")
}

/// A packet as a receiver sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) fields: ChangeableFields,
    pub(super) ssrc: u32,
    pub(super) timestamp: u32,
    pub(super) extensions: Vec<(u8, Vec<u8>)>,
    pub(super) payload: Vec<u8>,
    pub(super) ohb: OriginalHeaderBlock,
    pub(super) ekt_field: Vec<u8>,
}

impl Endpoint {
    /// Number `id`, with an audio source `10 * id` and a video source `10 * id + 1`. Every number
    /// that is negotiated differs between Endpoints.
    pub(super) fn new(id: ParticipantId) -> Self {
        let small = id as u8;
        let config = ParticipantConfig {
            own_ssrc: 1000 + u32::from(small),
            cname: format!("md-{id}"),
            extensions: vec![(LEVEL.into(), small), (MID.into(), small + 4)],
            payload_types: vec![
                ("opus/48000/2".into(), 100 + small),
                ("VP8/90000".into(), 96),
            ],
            sources: vec![
                SourceConfig {
                    ssrc: 10 * u32::from(small),
                    kind: Kind::Audio,
                },
                SourceConfig {
                    ssrc: 10 * u32::from(small) + 1,
                    kind: Kind::Video,
                },
            ],
        };
        let (send, receive) = contexts(id);
        Self {
            id,
            address: SocketAddr::from(([192, 0, 2, small], 5000)),
            config,
            send,
            receive,
        }
    }

    /// Takes the keys of [`hop_keys`] for another number into use.
    pub(super) fn set_keys(&mut self, seed: u64) {
        (self.send, self.receive) = contexts(seed);
    }

    /// A NACK of this receiver about packets of a source.
    pub(super) fn nack(&mut self, ssrc: u32, items: &[(u16, u16)]) -> Vec<u8> {
        let own = self.audio();
        let items = items.iter().map(|(packet_id, bitmask)| NackItem {
            packet_id: *packet_id,
            bitmask: *bitmask,
        });
        self.rtcp(|writer| writer.generic_nack(own, ssrc, items))
    }

    pub(super) fn audio(&self) -> u32 {
        10 * self.id as u32
    }

    /// An SRTP packet with this payload, Original Header Block and EKT Field.
    pub(super) fn packet(
        &mut self,
        ssrc: u32,
        fields: ChangeableFields,
        extensions: &[(u8, &[u8])],
        payload: &[u8],
        ekt_field: &[u8],
    ) -> Vec<u8> {
        let mut fixed = [0; 12];
        fixed[0] = 0x80;
        fixed[4..8].copy_from_slice(&777_u32.to_be_bytes());
        fixed[8..].copy_from_slice(&ssrc.to_be_bytes());
        let view = RtpView::parse(&fixed).expect("a header");
        let mut buffer = vec![0; 2000];
        let elements = extensions.iter().copied();
        let header = write_header(&mut buffer, &view, fields, elements).expect("has room");
        let length = header + payload.len();
        buffer[header..length].copy_from_slice(payload);
        let sealed = self.send.seal_rtp(&mut buffer, length).expect("fresh");
        buffer.truncate(sealed);
        buffer.extend_from_slice(ekt_field);
        buffer
    }

    /// An ordinary packet: payload "inner", an empty Original Header Block, a Short EKT Field.
    pub(super) fn ordinary(&mut self, ssrc: u32, sequence_number: u16) -> Vec<u8> {
        let payload_type = self.config.payload_types[(ssrc % 10) as usize].1;
        let fields = ChangeableFields {
            payload_type,
            sequence_number,
            marker: false,
        };
        self.packet(ssrc, fields, &[], b"inner\0", b"\0")
    }

    pub(super) fn open(&mut self, datagram: &[u8]) -> Result<Received, Rejection> {
        let at = datagram.len() - ekt_field_length(datagram)?;
        let mut packet = datagram[..at].to_vec();
        let opened = self.receive.open_rtp(&mut packet)?;
        let view = RtpView::parse(&packet[..opened.length()])?;
        let (ohb, length) = OriginalHeaderBlock::parse(view.payload())?;
        Ok(Received {
            fields: view.changeable_fields(),
            ssrc: view.ssrc(),
            timestamp: view.timestamp(),
            extensions: view
                .extensions()
                .map(|(id, data)| (id, data.to_vec()))
                .collect(),
            payload: view.payload()[..view.payload().len() - length].to_vec(),
            ohb,
            ekt_field: datagram[at..].to_vec(),
        })
    }

    pub(super) fn rtcp(
        &mut self,
        write: impl FnOnce(&mut CompoundWriter<'_>) -> Result<(), SealError>,
    ) -> Vec<u8> {
        let mut buffer = vec![0; 2000];
        let mut writer = CompoundWriter::new(&mut buffer);
        write(&mut writer).expect("has room");
        let length = writer.length();
        let sealed = self.send.seal_rtcp(&mut buffer, length).expect("has room");
        buffer.truncate(sealed);
        buffer
    }

    pub(super) fn open_rtcp(&mut self, datagram: &[u8]) -> Vec<u8> {
        let mut packet = datagram.to_vec();
        let length = self.receive.open_rtcp(&mut packet).expect("authentic");
        packet.truncate(length);
        packet
    }
}

/// A forwarder with Endpoints 1 to `count`, all connected and keyed; nothing is in any slot.
pub(super) fn conference(count: u64) -> (Forwarder, Vec<Endpoint>) {
    conference_with(count, 1 << 22)
}

/// The same, with so much memory for what sources sent last.
pub(super) fn conference_with(count: u64, cache_bytes: usize) -> (Forwarder, Vec<Endpoint>) {
    let mut forwarder = Forwarder::new(Share::WHOLE, 0, cache_bytes);
    let endpoints: Vec<_> = (1..=count).map(Endpoint::new).collect();
    for endpoint in &endpoints {
        forwarder.add_participant(endpoint.id, &endpoint.config);
        let set = forwarder.set_address(endpoint.id, endpoint.address);
        set.expect("a free address");
        let set = forwarder.set_keys(endpoint.id, hop_keys(endpoint.id), START);
        set.expect("known");
    }
    (forwarder, endpoints)
}

pub(super) type Sent = Vec<(SocketAddr, Vec<u8>)>;

/// What was sent, in order.
#[derive(Default)]
pub(super) struct Collected {
    room: Vec<u8>,
    pub(super) sent: Sent,
}

impl Output for Collected {
    fn room(&mut self, length: usize) -> &mut [u8] {
        self.room.resize(length, 0xee);
        &mut self.room
    }

    fn send(&mut self, to: SocketAddr, length: usize) {
        self.sent.push((to, self.room[..length].to_vec()));
    }
}

pub(super) fn receive(
    forwarder: &mut Forwarder,
    from: SocketAddr,
    datagram: &[u8],
    now: Duration,
) -> Sent {
    receive_batch(forwarder, &[(from, datagram.to_vec())], now)
}

/// Datagrams that came together.
pub(super) fn receive_batch(
    forwarder: &mut Forwarder,
    datagrams: &[(SocketAddr, Vec<u8>)],
    now: Duration,
) -> Sent {
    let mut output = Collected::default();
    let mut buffer: Vec<u8> = datagrams.iter().flat_map(|one| one.1.clone()).collect();
    let peers: Vec<_> = datagrams.iter().map(|one| forwarder.peer(&one.0)).collect();
    let mut batch = forwarder.batch(&mut buffer, now);
    let mut start = 0;
    for (peer, (_, datagram)) in peers.into_iter().zip(datagrams) {
        batch.receive(peer, start..start + datagram.len(), &mut output);
        start += datagram.len();
    }
    batch.finish(&mut output);
    output.sent
}

pub(super) fn handle_timer(forwarder: &mut Forwarder, now: Duration) -> Sent {
    let mut output = Collected::default();
    forwarder.handle_timer(now, &mut output);
    output.sent
}

pub(super) fn dropped(forwarder: &Forwarder) -> Vec<(&'static str, u64)> {
    forwarder.statistics().dropped().into_iter().collect()
}
