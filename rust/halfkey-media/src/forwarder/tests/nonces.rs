//! No index is sealed for two different packets, whatever changes between a packet and its repeat.

use std::collections::HashMap;

use core::net::SocketAddr;
use core::time::Duration;

use super::super::Forwarder;
use super::helpers::{Endpoint, START, Sent, conference, dropped, hop_keys, receive};
use crate::ekt_field::ekt_field_length;
use crate::replay::ReplayWindow;
use crate::rtcp::is_rtcp;
use crate::rtp::{ChangeableFields, RtpView};

const VIDEO: u32 = 11;

/// All that was ever sealed for one receiver of one source, by key and index: looks at the wire
/// alone, and so knows nothing of how repeats are made.
#[derive(Default)]
struct Nonces {
    key: u64,
    window: ReplayWindow,
    sealed: HashMap<(u64, u64), Vec<u8>>,
    repeats: usize,
}

impl Nonces {
    fn change_keys(&mut self) {
        self.key += 1;
        self.window = ReplayWindow::new();
    }

    /// Fails if an index that was used is used for anything else.
    fn check(&mut self, sent: &Sent, to: SocketAddr) {
        for (_, datagram) in sent.iter().filter(|one| one.0 == to) {
            if is_rtcp(datagram) {
                continue;
            }
            let field = ekt_field_length(datagram).expect("an EKT Field");
            let packet = &datagram[..datagram.len() - field];
            let view = RtpView::parse(packet).expect("a packet");
            let index = self.window.estimate(view.sequence_number());
            self.window.mark(index);
            let before = self.sealed.insert((self.key, index), packet.to_vec());
            if let Some(before) = before {
                assert!(before == packet, "index {index} was used for two packets");
                self.repeats += 1;
            }
        }
    }
}

struct Stage {
    forwarder: Forwarder,
    endpoints: Vec<Endpoint>,
    nonces: Nonces,
    now: Duration,
    /// Makes payloads differ, and keys.
    count: u64,
}

impl Stage {
    /// The receiver knows the sender's pictures, not its sound.
    fn new() -> Self {
        let (mut forwarder, mut endpoints) = conference(2);
        endpoints[1].config.payload_types.remove(0);
        forwarder.add_participant(2, &endpoints[1].config);
        (forwarder.set_address(2, endpoints[1].address)).expect("free");
        (forwarder.set_keys(2, hop_keys(2), START)).expect("known");
        (forwarder.assign_slot(2, "v", 1, VIDEO, START)).expect("free");
        Self {
            forwarder,
            endpoints,
            nonces: Nonces::default(),
            now: START,
            count: 100,
        }
    }

    fn receive(&mut self, from: usize, datagram: &[u8]) -> usize {
        let from = self.endpoints[from].address;
        let sent = receive(&mut self.forwarder, from, datagram, self.now);
        self.nonces.check(&sent, self.endpoints[1].address);
        sent.len()
    }

    /// Sends a packet as pictures, which the receiver gets, or as sound, which it doesn't.
    fn send(&mut self, number: u16, gets_through: bool) -> usize {
        self.count += 1;
        let fields = ChangeableFields {
            payload_type: if gets_through { 96 } else { 101 },
            sequence_number: number,
            marker: self.count % 3 == 0,
        };
        let payload = format!("payload {}\0", self.count);
        let packet = self.endpoints[0].packet(VIDEO, fields, &[], payload.as_bytes(), b"\0");
        self.receive(0, &packet)
    }

    fn ask(&mut self, number: u16) -> usize {
        let nack = self.endpoints[1].nack(VIDEO, &[(number, 0)]);
        self.receive(1, &nack)
    }

    fn change_keys(&mut self, who: usize) {
        self.count += 1;
        self.endpoints[who].set_keys(self.count);
        let keys = hop_keys(self.count);
        (self.forwarder.set_keys(who as u64 + 1, keys, self.now)).expect("known");
        if who == 1 {
            self.nonces.change_keys();
        }
    }

    fn reassign(&mut self, mid: &str) {
        let mids = ["v", "w"];
        for mid in mids {
            let _ = self.forwarder.clear_slot(2, mid);
        }
        let assigned = (self.forwarder).assign_slot(2, mid, 1, VIDEO, self.now);
        assigned.expect("free");
    }
}

#[test]
#[should_panic(expected = "was used for two packets")]
fn the_check_itself_sees_an_index_that_is_used_twice() {
    let mut stage = Stage::new();
    stage.send(1, true);
    // A context that forgot what it sealed, as none may.
    (stage.forwarder.remove_keys(2)).expect("known");
    (stage.forwarder.set_keys(2, hop_keys(2), START)).expect("known");
    (stage.forwarder.set_rewrite(2, "v", 0xffff, None)).expect("in use");
    stage.send(2, true);
}

#[test]
fn nothing_is_sealed_again_once_packets_are_made_in_another_way() {
    let changes: [fn(&mut Stage); 5] = [
        |stage| {
            let set = stage.forwarder.set_rewrite(2, "v", 0, Some(true));
            set.expect("in use");
        },
        |stage| (stage.forwarder.set_rewrite(2, "v", 1, None)).expect("in use"),
        |stage| stage.reassign("v"),
        |stage| stage.reassign("w"),
        |stage| stage.change_keys(0),
    ];
    for (which, change) in changes.into_iter().enumerate() {
        let mut stage = Stage::new();
        stage.send(10, true);
        stage.send(11, true);
        assert_eq!(stage.ask(10), 1, "{which}: as long as nothing changes");
        change(&mut stage);
        stage.now += Duration::from_millis(50);
        for number in 9..=12 {
            let repeats = stage.nonces.repeats;
            stage.ask(number);
            assert_eq!(stage.nonces.repeats, repeats, "{which}: {number}");
        }
        stage.send(20, true);
        let highest = stage.nonces.window.highest().expect("sent") as u16;
        assert_eq!(stage.ask(highest), 1, "{which}: what came since can be");
    }
}

/// A sender that goes round while the receiver gets nothing: then one SEQ, and one index of the
/// receiver's, stand for two packets of the sender's, and the later one is kept.
#[test]
fn a_round_that_the_receiver_did_not_see_confuses_nothing() {
    for number in [0_u16, 1, 500] {
        let mut stage = Stage::new();
        assert_eq!(stage.send(number, true), 1);
        stage.send(number.wrapping_add(0x7fff), false);
        stage.send(number.wrapping_add(0xfffe), false);
        assert_eq!(stage.send(number, true), 0, "its index was used");
        let drops = dropped(&stage.forwarder);
        assert_eq!(drops[0], ("already_sealed", 1));
        assert_eq!(stage.ask(number), 0);
        assert_eq!(stage.forwarder.statistics().cache_misses, 1);
    }
}

#[test]
fn no_index_is_used_for_two_packets_whatever_happens() {
    let mut stage = Stage::new();
    let mut random = 1_u64;
    let mut number = 0_u16;
    for _ in 0..30_000 {
        random = (random.wrapping_mul(6_364_136_223_846_793_005)).wrapping_add(1);
        let (choice, value) = (random >> 40 & 0xff, (random >> 48) as u16);
        stage.now += Duration::from_millis(u64::from(value % 8));
        match choice {
            0 => stage.change_keys(0),
            1 => stage.change_keys(1),
            2 => stage.reassign(if value % 2 == 0 { "v" } else { "w" }),
            3 | 4 => {
                for mid in ["v", "w"] {
                    let marker = [None, Some(true), Some(false)][usize::from(value % 3)];
                    let _ = (stage.forwarder).set_rewrite(2, mid, value % 4, marker);
                }
            }
            5 => number = number.wrapping_add(0x7f00),
            6..=9 => number = number.wrapping_add(value % 300),
            10..=150 => {
                number = number.wrapping_add(value % 3);
                // Some go out of order, some not at all, and some don't get through.
                let sent = number.wrapping_sub(u16::from(choice % 16 == 0) * (value % 20));
                if stage.endpoints[0].send.check_rtp(VIDEO, sent).is_ok() {
                    stage.send(sent, choice % 7 != 0);
                }
            }
            _ => {
                let highest = stage.nonces.window.highest().unwrap_or(0) as u16;
                stage.ask(highest.wrapping_sub(value % 16));
            }
        }
    }
    assert!(stage.nonces.repeats > 1000, "{}", stage.nonces.repeats);
    let misses = stage.forwarder.statistics().cache_misses;
    assert!(misses > 100, "changes end what can be repeated: {misses}");
}
