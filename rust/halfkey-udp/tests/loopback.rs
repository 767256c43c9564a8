//! Real sockets on loopback.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use halfkey_udp::{Message, ReceiveBuffer, Sender, enable_arrival_notes, enable_gro};

const PATIENCE: Duration = Duration::from_secs(10);

fn socket(address: &str) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(address).expect("a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

/// Waits until something is there, and gives the datagrams of one call.
fn receive(socket: &UdpSocket, buffer: &mut ReceiveBuffer) -> Vec<(SocketAddr, Vec<u8>)> {
    socket.peek(&mut [0; 1]).expect("in time");
    let count = buffer.receive(socket).expect("is there");
    let mut datagrams = Vec::new();
    for at in 0..count {
        let message = buffer.message(at).expect("from an IP address");
        for range in message.datagrams() {
            datagrams.push((message.from, buffer.data()[range].to_vec()));
        }
    }
    datagrams
}

fn message(to: SocketAddr, data: &[u8], segment: Option<u16>) -> Message<'_> {
    Message { to, data, segment }
}

#[test]
fn messages_to_several_arrive_as_the_datagrams_that_they_are() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let ((sender, from), (one, one_address), (two, two_address)) =
            (socket(any), socket(any), socket(any));
        enable_gro(&two).expect("this kernel has it");
        let data: Vec<u8> = (0..=255).collect();
        let messages = [
            message(one_address, &data[..100], Some(30)),
            message(two_address, &data[100..200], Some(30)),
            message(one_address, &data[200..], None),
            message(two_address, &[], None),
        ];
        let sent = Sender::new().send(&sender, messages.into_iter());
        assert_eq!(sent.expect("sent"), 4);

        // Twice on one buffer: what the kernel changed in it is restored.
        let mut buffer = ReceiveBuffer::new(2);
        for (socket, expected) in [
            (
                &one,
                vec![
                    &data[..30],
                    &data[30..60],
                    &data[60..90],
                    &data[90..100],
                    &data[200..],
                ],
            ),
            (
                &two,
                vec![
                    &data[100..130],
                    &data[130..160],
                    &data[160..190],
                    &data[190..200],
                    &[],
                ],
            ),
        ] {
            let mut received = Vec::new();
            while received.len() < 5 {
                received.extend(receive(socket, &mut buffer));
            }
            let expected: Vec<_> = expected.iter().map(|one| (from, one.to_vec())).collect();
            assert_eq!(received, expected);
        }
        let error = buffer.receive(&one).expect_err("nothing more");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn joined_datagrams_come_in_one_message() {
    let ((sender, _), (receiver, to)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    enable_gro(&receiver).expect("this kernel has it");
    let data = [7; 1000];
    let mut buffer = ReceiveBuffer::new(4);
    for _ in 0..3 {
        let sent = Sender::new().send(&sender, [message(to, &data, Some(300))].into_iter());
        assert_eq!(sent.expect("sent"), 1);
        receiver.peek(&mut [0; 1]).expect("in time");
        assert_eq!(buffer.receive(&receiver).expect("is there"), 1);
        let message = buffer.message(0).expect("from an IP address");
        assert_eq!((message.range.clone(), message.segment), (0..1000, 300));
        assert_eq!(message.datagrams().count(), 4);
    }
}

#[test]
fn a_refused_message_ends_the_call_and_is_named_when_it_is_the_first() {
    let ((sender, _), (receiver, to)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let messages = [
        message(to, b"1", None),
        message(nowhere, b"2", None),
        message(to, b"3", None),
    ];
    let mut out = Sender::new();
    let sent = out.send(&sender, messages.into_iter());
    assert_eq!(sent.expect("the first"), 1);
    let error = out.send(&sender, messages.into_iter().skip(1));
    assert_eq!(error.expect_err("refused").kind(), ErrorKind::InvalidInput);
    assert_eq!(
        out.send(&sender, messages.into_iter().skip(2))
            .expect("sent"),
        1
    );
    let mut buffer = ReceiveBuffer::new(8);
    let mut received = Vec::new();
    while received.len() < 2 {
        received.extend(receive(&receiver, &mut buffer).into_iter().map(|one| one.1));
    }
    assert_eq!(received, [b"1", b"3"]);
}

fn since_1970() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a clock that was set")
}

#[test]
fn arrivals_are_noted_beside_joined_datagrams_and_what_found_no_room_is_counted() {
    let ((sender, from), (receiver, address)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let mut buffer = ReceiveBuffer::new(1);
    let mut take = || {
        receiver.peek(&mut [0; 1]).expect("in time");
        assert_eq!(buffer.receive(&receiver).expect("is there"), 1);
        buffer.message(0).expect("from an IP address")
    };
    sender.send_to(b"unasked", address).expect("sent");
    let unasked = take();
    assert_eq!((unasked.arrived, unasked.overflowed), (None, None));

    enable_gro(&receiver).expect("this kernel has it");
    enable_arrival_notes(&receiver).expect("this kernel has it");
    let before = since_1970();
    let joined = [message(address, &[7; 100], Some(30))];
    let mut send = Sender::new();
    send.send(&sender, joined.into_iter()).expect("sent");
    let received = take();
    assert_eq!((received.from, received.segment), (from, 30));
    let arrived = received.arrived.expect("noted");
    assert!(before <= arrived && arrived <= since_1970());
    assert_eq!(received.overflowed, None, "nothing was lost yet");

    socket2::SockRef::from(&receiver)
        .set_recv_buffer_size(1)
        .expect("the least that the system has");
    for _ in 0..50 {
        sender.send_to(&[0; 1000], address).expect("sent");
    }
    // What is lost before a datagram is noted with it: so one that comes after all of them.
    receiver.set_nonblocking(true).expect("possible");
    while receiver.recv(&mut [0; 1000]).is_ok() {}
    receiver.set_nonblocking(false).expect("possible");
    sender.send_to(b"the last", address).expect("sent");
    assert!(take().overflowed.is_some_and(|lost| lost > 0 && lost < 50));
}
