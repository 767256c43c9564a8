//! What is counted of each participant and stream.

use core::net::SocketAddr;
use core::time::Duration;

use super::super::{Forwarder, Kind, Output, ParticipantFigures, Traffic};
use super::helpers::{START, Sent, conference, receive};

fn all(forwarder: &Forwarder) -> Vec<ParticipantFigures> {
    let mut all: Vec<_> = (0..)
        .map_while(|at| forwarder.figures(at..at + 1))
        .collect();
    all.sort_by_key(|page| page.first().map(|one| one.id));
    all.concat()
}

fn traffic(datagrams: &Sent) -> Traffic {
    Traffic {
        packets: datagrams.len() as u64,
        bytes: datagrams.iter().map(|one| one.1.len() as u64).sum(),
    }
}

#[test]
fn packets_and_bytes_are_counted_where_they_come_from_and_go_to() {
    let (mut forwarder, mut endpoints) = conference(3);
    for receiver in [2, 3] {
        (forwarder.assign_slot(receiver, "a", 1, 10, START)).expect("free");
    }
    let from = endpoints[0].address;
    let packets: Vec<_> = (0..3).map(|at| endpoints[0].ordinary(10, at)).collect();
    let mut sent: Sent = Vec::new();
    for packet in &packets {
        sent.extend(receive(&mut forwarder, from, packet, START));
    }
    // A replay, and one that has no route any more.
    receive(&mut forwarder, from, &packets[0], START);
    let figures = all(&forwarder);
    let ids: Vec<_> = figures.iter().map(|one| one.id).collect();
    assert_eq!(ids, [1, 2, 3]);

    let (sender, length) = (&figures[0], packets[0].len() as u64);
    let received = Traffic {
        packets: 4,
        bytes: 4 * length,
    };
    assert_eq!((sender.received, sender.refused), (received, 1));
    assert_eq!((sender.sent, sender.unsent), (Traffic::default(), 0));
    let stream = sender.streams[0];
    assert_eq!((stream.ssrc, stream.kind), (10, Kind::Audio));
    let reception = stream.reception;
    assert_eq!((reception.received, reception.lost), (3, 0));
    assert_eq!((stream.received_bytes, stream.receivers), (3 * length, 2));
    assert_eq!(stream.sent, traffic(&sent));
    for (receiver, endpoint) in figures[1..].iter().zip(&endpoints[1..]) {
        let to = sent.iter().filter(|one| one.0 == endpoint.address);
        assert_eq!(receiver.sent, traffic(&to.cloned().collect()));
        assert_eq!(receiver.received, Traffic::default());
    }
}

#[test]
fn figures_outlive_routes_and_end_with_the_participant() {
    let (mut forwarder, mut endpoints) = conference(3);
    for receiver in [2, 3] {
        (forwarder.assign_slot(receiver, "a", 1, 10, START)).expect("free");
    }
    let packet = endpoints[0].ordinary(10, 1);
    receive(&mut forwarder, endpoints[0].address, &packet, START);
    forwarder.remove_keys(3).expect("there");
    let packet = endpoints[0].ordinary(10, 2);
    receive(&mut forwarder, endpoints[0].address, &packet, START);
    let before = all(&forwarder);
    assert_eq!((before[1].sent.packets, before[1].unsent), (2, 0));
    assert_eq!((before[2].sent.packets, before[2].unsent), (1, 1));

    forwarder.clear_slot(2, "a").expect("full");
    let after = all(&forwarder);
    assert_eq!(after[0].streams[0].receivers, 1);
    assert_eq!(after[0].streams[0].sent, before[0].streams[0].sent);
    assert_eq!(after[1].sent, before[1].sent);

    forwarder.remove_participant(1).expect("there");
    assert_eq!(all(&forwarder)[..], after[1..]);
    assert_eq!(forwarder.figures(0..100).map(|found| found.len()), Some(2));
    assert_eq!(forwarder.figures(3..100), None);
}

/// The arrivals that were told of before each datagram.
#[derive(Default)]
struct Arrivals {
    room: Vec<u8>,
    at: Option<Duration>,
    noted: Vec<Option<Duration>>,
}

impl Output for Arrivals {
    fn arrived(&mut self, at: Option<Duration>) {
        self.at = at;
    }

    fn room(&mut self, length: usize) -> &mut [u8] {
        self.room.resize(length, 0);
        &mut self.room
    }

    fn send(&mut self, _: SocketAddr, _: usize) {
        self.noted.push(self.at);
    }
}

#[test]
fn what_is_sent_is_told_with_the_first_arrival_that_it_is_of() {
    let (mut forwarder, mut endpoints) = conference(3);
    for receiver in [2, 3] {
        (forwarder.assign_slot(receiver, "a", 1, 10, START)).expect("free");
    }
    let packets = [1, 2].map(|number| endpoints[0].ordinary(10, number));
    let length = packets[0].len();
    let mut buffer = packets.concat();
    let mut output = Arrivals::default();
    let peer = forwarder.peer(&endpoints[0].address);
    let mut batch = forwarder.batch(&mut buffer, START);
    let arrivals = [Duration::from_secs(9), Duration::from_secs(8)];
    for (number, arrived) in arrivals.into_iter().enumerate() {
        batch.arrived(Some(arrived));
        batch.receive(peer, number * length..(number + 1) * length, &mut output);
    }
    batch.finish(&mut output);
    assert_eq!(output.noted, [Some(arrivals[1]); 4]);
    // Reports of our own are of no arrival.
    let due = forwarder.next_timer().expect("reports are due");
    forwarder.handle_timer(due, &mut output);
    assert!(output.noted.len() > 4 && output.noted[4..].iter().all(Option::is_none));
}
