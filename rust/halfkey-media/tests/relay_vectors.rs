//! The relay vectors of tests/vectors/rfc8723.json, which an implementation in Python made that
//! shares no code with this one: once through the re-seal itself, once through the forwarder.

use std::net::SocketAddr;
use std::time::Duration;

use halfkey_media::forwarder::{Forwarder, HopKeys, Kind, Output, ParticipantConfig, SourceConfig};
use halfkey_media::rtp::{ChangeableFields, Element, RtpView};
use halfkey_media::{
    HopProfile, HopReceiveContext, HopSendContext, OpenedPacket, Share, TAG_LENGTH,
};
use serde_json::Value;

const VECTORS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/vectors/rfc8723.json"
);
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// The extension that the vectors' relays write, if they write one.
const MID_ELEMENT: Element<'_> = (3, b"slot-1");
/// Less than half of the sequence numbers: a longer leap would be taken for one backwards.
const STEP: usize = 0x7000;
const SHORT_EKT_FIELD: u8 = 0;
const NOW: Duration = Duration::from_secs(1);

fn vectors() -> Vec<Value> {
    let text = std::fs::read_to_string(VECTORS).expect("the vectors are in the tree");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let all = file["vectors"].as_array().expect("a list").iter();
    let relays: Vec<Value> = all.filter(|one| one["kind"] == "relay").cloned().collect();
    assert_eq!(relays.len(), 42);
    relays
}

fn octets(value: &Value) -> Vec<u8> {
    let digits = value.as_str().expect("a string").as_bytes();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair));
    pairs
        .map(|pair| u8::from_str_radix(pair.expect("ASCII"), 16).expect("hexadecimal"))
        .collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn profile(vector: &Value) -> HopProfile {
    let code_point = number(&vector["input"]["profile"]) as u16;
    HopProfile::from_code_point(code_point).expect("a profile of ours")
}

/// Master key and salt of a layer.
fn keys(layer: &Value) -> (Vec<u8>, Vec<u8>) {
    (octets(&layer["master_key"]), octets(&layer["master_salt"]))
}

fn sender(profile: HopProfile, layer: &Value) -> HopSendContext {
    let (key, salt) = keys(layer);
    HopSendContext::new(profile, &key, &salt).expect("lengths fit")
}

fn receiver(profile: HopProfile, layer: &Value) -> HopReceiveContext {
    let (key, salt) = keys(layer);
    HopReceiveContext::new(profile, &key, &salt).expect("lengths fit")
}

/// A layer's packet on the wire.
fn packet(layer: &Value) -> Vec<u8> {
    [octets(&layer["aad"]), octets(&layer["ciphertext"])].concat()
}

/// The packets that bring a context from its first one, whose ROC is 0, to where this one is.
fn packets_before(profile: HopProfile, layer: &Value) -> Vec<Vec<u8>> {
    let mut context = sender(profile, layer);
    let index = number(&layer["roc"]) << 16 | number(&layer["sequence_number"]);
    let index = usize::try_from(index).expect("a few rounds");
    let indices = (index % STEP..index).step_by(STEP);
    let template = packet(layer);
    indices
        .filter(|_| index > 0xffff)
        .map(|before| {
            let mut packet = template[..12].to_vec();
            packet[0] = 0x80;
            packet[2..4].copy_from_slice(&(before as u16).to_be_bytes());
            packet.resize(13 + TAG_LENGTH, 0); // the Original Header Block, and room
            context.seal_rtp(&mut packet, 13).expect("fresh");
            packet
        })
        .collect()
}

/// The changeable fields after a relay's changes.
fn changed(received: ChangeableFields, changes: &Value) -> ChangeableFields {
    let given = |name: &str| changes.get(name).and_then(Value::as_u64);
    let marker = changes.get("marker").and_then(Value::as_bool);
    ChangeableFields {
        payload_type: given("payload_type").map_or(received.payload_type, |value| value as u8),
        sequence_number: given("sequence_number")
            .map_or(received.sequence_number, |value| value as u16),
        marker: marker.unwrap_or(received.marker),
    }
}

#[test]
fn the_reseal_gives_every_vector_bit_by_bit() {
    for vector in vectors() {
        let (id, profile) = (&vector["id"], profile(&vector));
        let relays = vector["relays"].as_array().expect("a list");
        assert!(!relays.is_empty(), "{id}");
        for relay in relays {
            let (received, sent) = (&relay["receive"], &relay["send"]);
            let mut receive = receiver(profile, received);
            for mut before in packets_before(profile, received) {
                receive.open_rtp(&mut before).expect("authentic");
            }
            let mut data = packet(received);
            let opened = receive.open_rtp(&mut data).expect("authentic");
            let roc = u64::from(opened.rollover_counter());
            assert_eq!(roc, number(&received["roc"]), "{id}");
            let opened = OpenedPacket::parse(&data[..opened.length()]).expect("well-formed");
            assert_eq!(
                opened.view.payload(),
                octets(&received["plaintext"]),
                "{id}"
            );
            let before = octets(&relay["ohb_before"]);
            assert_eq!(
                [opened.inner, &before].concat(),
                opened.view.payload(),
                "{id}"
            );

            // The vector gives the extension whole; elements are what the re-seal writes it from.
            let header = octets(&relay["header"]);
            let elements = match relay["changes"].get("extension") {
                Some(_) => RtpView::parse(&header).expect("a header").extensions(),
                None => opened.view.extensions(),
            };
            let fields = changed(opened.view.changeable_fields(), &relay["changes"]);
            let mut buffer = [0xee; 2048];
            let mut send = sender(profile, sent);
            assert_eq!(number(&sent["roc"]), 0, "{id}: a new hop begins with ROC 0");
            let length = opened.rewrite(fields, elements, &mut buffer);
            let length = send.seal_rtp(&mut buffer, length.expect("has room"));
            let sealed = &buffer[..length.expect("fresh")];
            assert_eq!(sealed, octets(&relay["srtp_packet"]), "{id}");
        }
    }
}

const OWNER: u64 = 1;
const RECEIVER: u64 = 2;

fn address(id: u64) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, id as u8], 5000))
}

/// A participant with one payload type.
fn config(payload_type: u8, sources: Vec<SourceConfig>) -> ParticipantConfig {
    ParticipantConfig {
        own_ssrc: 1,
        cname: "md".into(),
        extensions: vec![(MID.into(), MID_ELEMENT.0)],
        payload_types: vec![("codec/8000".into(), payload_type)],
        sources,
    }
}

/// A forwarder with the vector's hops, where the packets before this one went by.
fn forwarder(profile: HopProfile, relay: &Value, sent: ChangeableFields) -> Forwarder {
    let incoming = packet(&relay["receive"]);
    let incoming = RtpView::parse(&incoming).expect("a header");
    let source = SourceConfig {
        ssrc: incoming.ssrc(),
        kind: Kind::Audio,
    };
    let (client, server) = (keys(&relay["receive"]), keys(&relay["send"]));
    // For the directions in which nothing goes.
    let unused = (vec![0x55; profile.key_length()], vec![0x55; 12]);
    let mut forwarder = Forwarder::new(Share::WHOLE, 0, 0);
    for (id, config, client, server) in [
        (
            OWNER,
            config(incoming.payload_type(), vec![source]),
            &client,
            &unused,
        ),
        (
            RECEIVER,
            config(sent.payload_type, vec![]),
            &unused,
            &server,
        ),
    ] {
        forwarder.add_participant(id, &config);
        forwarder.set_address(id, address(id)).expect("free");
        let keys = HopKeys::new(profile, (&client.0, &client.1), (&server.0, &server.1));
        let set = forwarder.set_keys(id, keys.expect("lengths fit"), NOW);
        set.expect("known");
    }
    for before in packets_before(profile, &relay["receive"]) {
        assert!(forward(&mut forwarder, before).is_empty());
    }
    let mid = std::str::from_utf8(MID_ELEMENT.1).expect("ASCII");
    let assigned = forwarder.assign_slot(RECEIVER, mid, OWNER, source.ssrc, NOW);
    assigned.expect("free");
    let offset = sent
        .sequence_number
        .wrapping_sub(incoming.sequence_number());
    let rewritten = forwarder.set_rewrite(RECEIVER, mid, offset, Some(sent.marker));
    rewritten.expect("in use");
    forwarder
}

#[derive(Default)]
struct ToReceiver {
    room: Vec<u8>,
    sent: Vec<Vec<u8>>,
}

impl Output for ToReceiver {
    fn room(&mut self, length: usize) -> &mut [u8] {
        self.room.resize(length, 0xee);
        &mut self.room
    }

    fn send(&mut self, to: SocketAddr, length: usize) {
        assert_eq!(to, address(RECEIVER));
        self.sent.push(self.room[..length].to_vec());
    }
}

fn forward(forwarder: &mut Forwarder, mut datagram: Vec<u8>) -> Vec<Vec<u8>> {
    datagram.push(SHORT_EKT_FIELD);
    let mut output = ToReceiver::default();
    let owner = forwarder.peer(&address(OWNER));
    let length = datagram.len();
    let mut batch = forwarder.batch(&mut datagram, NOW);
    batch.receive(owner, 0..length, &mut output);
    batch.finish(&mut output);
    assert_eq!(forwarder.statistics().dropped().len(), 0);
    output.sent
}

/// The forwarder always writes its receiver's mid as the first element, so only the vectors whose
/// relay writes that one extension can come out bit by bit. Of the others all but X and the
/// extension is compared: the fixed header, the inner ciphertext and the Original Header Block.
#[test]
fn the_forwarder_gives_every_vector_but_for_its_mid() {
    let mut equal = 0;
    let mut others = 0;
    for vector in vectors() {
        let (id, profile) = (&vector["id"], profile(&vector));
        for relay in vector["relays"].as_array().expect("a list") {
            let header = octets(&relay["header"]);
            let expected = RtpView::parse(&header).expect("a header");
            let mut forwarder = forwarder(profile, relay, expected.changeable_fields());
            let sent = forward(&mut forwarder, packet(&relay["receive"]));
            let [datagram] = &sent[..] else {
                panic!("{id}: one datagram, not {}", sent.len());
            };
            let (ekt_field, srtp) = datagram.split_last().expect("not empty");
            assert_eq!(*ekt_field, SHORT_EKT_FIELD, "{id}");
            if expected.extensions().collect::<Vec<_>>() == [MID_ELEMENT] {
                equal += 1;
                assert_eq!(srtp, octets(&relay["srtp_packet"]), "{id}");
                continue;
            }
            others += 1;
            let mut opened = srtp.to_vec();
            let length = receiver(profile, &relay["send"]).open_rtp(&mut opened);
            let opened = &opened[..length.expect("authentic").length()];
            let view = RtpView::parse(opened).expect("well-formed");
            assert_eq!(view.payload(), octets(&relay["send"]["plaintext"]), "{id}");
            let mut fixed = opened[..view.fixed_length()].to_vec();
            fixed[0] = fixed[0] & !0x10 | header[0] & 0x10;
            assert_eq!(fixed, header[..expected.fixed_length()], "{id}");
            assert_eq!(view.extensions().next(), Some(MID_ELEMENT), "{id}");
        }
    }
    assert_eq!((equal, others), (4, 50));
}
