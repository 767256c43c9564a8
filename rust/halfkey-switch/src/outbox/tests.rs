//! What becomes of datagrams: together, refused, tried again.

use super::*;

use halfkey_udp::refuse_segmentation;

const PATIENCE: Duration = Duration::from_secs(10);

fn outbox(address: &str) -> Outbox {
    let address: SocketAddr = address.parse().expect("an address");
    Outbox::new(UdpSocket::bind(address).expect("a free port"), Arc::new([]))
}

fn receiver(address: &str) -> (std::net::UdpSocket, SocketAddr) {
    let socket = std::net::UdpSocket::bind(address).expect("a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

fn put(outbox: &mut Outbox, to: SocketAddr, datagrams: &[&[u8]]) {
    for datagram in datagrams {
        outbox.send_copy(to, datagram);
    }
}

#[track_caller]
fn expect(socket: &std::net::UdpSocket, datagrams: &[&[u8]]) {
    let mut buffer = vec![0; 1 << 16];
    for expected in datagrams {
        let length = socket.recv(&mut buffer).expect("in time");
        assert_eq!(&buffer[..length], *expected);
    }
}

const NOTHING: Unsent = Unsent {
    full: 0,
    refused: 0,
    handover: 0,
};

/// How many messages were collected, and the most datagrams in one.
fn shape(outbox: &Outbox) -> (usize, usize) {
    let counts = outbox.runs.iter().map(Run::count);
    (outbox.runs.len(), counts.max().unwrap_or(0))
}

#[test]
fn only_what_is_of_an_arrival_is_timed() {
    let mut outbox = outbox("127.0.0.1:0");
    let (_receiver, address) = receiver("127.0.0.1:0");
    for arrived in [Some(since_1970()), None] {
        outbox.arrived(arrived);
        put(&mut outbox, address, &[&[1; 100], &[2; 100]]);
    }
    outbox.finish(Duration::ZERO);
    assert_eq!(outbox.figures.segments.sum(), 4);
    assert_eq!(outbox.figures.added_latency.total(), 2);
}

#[test]
fn an_empty_datagram_is_one_and_ends_a_run() {
    let mut outbox = outbox("127.0.0.1:0");
    let (receiver, to) = receiver("127.0.0.1:0");
    put(&mut outbox, to, &[b"", b"", b"aa", b"", b"", b"bb"]);
    assert_eq!(outbox.finish(Duration::ZERO), NOTHING);
    expect(&receiver, &[b"", b"", b"aa", b"", b"", b"bb"]);
    // Whatever becomes of it, it counts.
    let run = Run {
        to,
        range: 0..0,
        segment: 0,
        arrived: None,
    };
    for refusal in [Refusal::NoRoom, Refusal::Call, Refusal::Form] {
        outbox.refused_again(&run, refusal);
    }
    let unsent = outbox.finish(Duration::ZERO);
    assert_eq!((unsent.full, unsent.refused), (1, 1));
    expect(&receiver, &[b""]);
}

#[test]
fn what_there_was_no_room_for_is_tried_once_more_behind_the_others() {
    let mut outbox = outbox("127.0.0.1:0");
    let (receiver, to) = receiver("127.0.0.1:0");
    put(&mut outbox, to, &[b"1111", b"2222"]);
    let first = outbox.runs.remove(0);
    outbox.refused(&first, Refusal::of(&errno(libc::ENOBUFS)));
    put(&mut outbox, to, &[b"3333"]);
    assert_eq!(outbox.finish(Duration::ZERO), NOTHING);
    expect(&receiver, &[b"3333", b"1111", b"2222"]);
    outbox.refused_again(&first, Refusal::of(&errno(libc::EAGAIN)));
    assert_eq!(outbox.finish(Duration::ZERO).full, 2);
}

fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

#[test]
fn a_destination_that_is_not_there_is_not_taken_for_one_that_takes_no_segments() {
    let mut outbox = outbox("127.0.0.1:0");
    let (receiver, to) = receiver("127.0.0.1:0");
    for error in [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::EPERM] {
        put(&mut outbox, to, &[b"1111", b"2222"]);
        let run = outbox.runs.remove(0);
        outbox.refused(&run, Refusal::of(&errno(error)));
        assert!(outbox.refusing.is_empty());
    }
    // What one call may not send another one may.
    expect(&receiver, &[b"1111", b"2222"]);
    let unsent = outbox.finish(Duration::ZERO);
    assert_eq!((unsent.full, unsent.refused), (0, 4));
    assert_eq!(
        outbox.figures.segments.sum(),
        2,
        "and nothing else was sent"
    );
}

#[test]
fn a_run_ends_behind_a_shorter_one_and_where_the_address_changes() {
    let mut outbox = outbox("127.0.0.1:0");
    let ((one, to_one), (two, to_two)) = (receiver("127.0.0.1:0"), receiver("127.0.0.1:0"));
    put(
        &mut outbox,
        to_one,
        &[b"aaaa", b"bbbb", b"cc", b"dd", b"eeee"],
    );
    put(&mut outbox, to_two, &[b"ffff", b"gggg"]);
    put(&mut outbox, to_one, &[b"hhhh"]);
    assert_eq!(shape(&outbox), (5, 3));
    assert_eq!(outbox.finish(Duration::ZERO), NOTHING);
    expect(&one, &[b"aaaa", b"bbbb", b"cc", b"dd", b"eeee", b"hhhh"]);
    expect(&two, &[b"ffff", b"gggg"]);
    assert_eq!(shape(&outbox), (0, 0));
}

#[test]
fn a_run_is_no_longer_than_the_kernel_takes() {
    let mut outbox = outbox("127.0.0.1:0");
    let (receiver, to) = receiver("127.0.0.1:0");
    let small: Vec<Vec<u8>> = (0..130_u8).map(|number| vec![number; 10]).collect();
    let large: Vec<Vec<u8>> = (0..10_u8).map(|number| vec![number; 9000]).collect();
    for datagram in &small {
        outbox.send_copy(to, datagram);
    }
    assert_eq!(shape(&outbox), (3, MAX_SEGMENTS));
    assert_eq!(outbox.finish(Duration::ZERO), NOTHING);
    expect(
        &receiver,
        &small.iter().map(Vec::as_slice).collect::<Vec<_>>(),
    );
    for datagram in &large {
        outbox.send_copy(to, datagram);
    }
    assert_eq!(shape(&outbox), (2, 7));
    assert_eq!(outbox.finish(Duration::ZERO), NOTHING);
    expect(
        &receiver,
        &large.iter().map(Vec::as_slice).collect::<Vec<_>>(),
    );
}

#[test]
fn more_than_the_arena_holds_goes_out_in_parts() {
    let mut outbox = outbox("127.0.0.1:0");
    let receivers: Vec<_> = (0..8).map(|_| receiver("127.0.0.1:0")).collect();
    // Each gets less than its buffer holds, all together more than twice the arena.
    let each = ARENA / 4 / 1200;
    for (number, (_, to)) in receivers.iter().enumerate() {
        for _ in 0..each {
            outbox.send_copy(*to, &[number as u8; 1200]);
        }
    }
    assert!(outbox.used > 0 && outbox.runs.len() < 8, "a part is sent");
    assert_eq!(outbox.finish(Duration::ZERO), NOTHING);
    for (number, (receiver, _)) in receivers.iter().enumerate() {
        expect(receiver, &vec![&[number as u8; 1200][..]; each]);
    }
}

#[test]
fn a_route_that_refuses_segmentation_gets_every_datagram_and_others_keep_theirs() {
    // A socket for both families: IPv4 is refused, IPv6 is not.
    let mut outbox = outbox("[::]:0");
    refuse_segmentation(outbox.socket()).expect("possible");
    let ((v4, _), (v6, to_v6)) = (receiver("127.0.0.1:0"), receiver("[::1]:0"));
    let port = v4.local_addr().expect("bound").port();
    let to_v4 = SocketAddr::new("::ffff:127.0.0.1".parse().expect("valid"), port);
    for round in 0..2 {
        put(&mut outbox, to_v6, &[b"1111", b"2222"]);
        put(&mut outbox, to_v4, &[b"3333", b"4444", b"55"]);
        put(&mut outbox, to_v6, &[b"6666", b"77"]);
        // Once refused, it isn't tried again.
        assert_eq!(shape(&outbox).0, if round == 0 { 3 } else { 5 });
        assert_eq!(outbox.finish(Duration::ZERO), NOTHING);
        expect(&v4, &[b"3333", b"4444", b"55"]);
        expect(&v6, &[b"1111", b"2222", b"6666", b"77"]);
        assert!(outbox.refusing.contains(&to_v4) && outbox.refusing.len() == 1);
    }
    // Routes change: after a while it is tried again.
    outbox.finish(REMEMBERED);
    put(&mut outbox, to_v4, &[b"8888", b"9999"]);
    assert_eq!(shape(&outbox).0, 1);
    assert_eq!(outbox.finish(REMEMBERED), NOTHING);
    expect(&v4, &[b"8888", b"9999"]);
}

#[test]
fn what_can_not_be_sent_at_all_is_counted_and_stops_nothing() {
    let mut outbox = outbox("127.0.0.1:0");
    let (receiver, to) = receiver("127.0.0.1:0");
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let too_long = vec![0; MAX_SEGMENTED_LENGTH + 1];
    put(&mut outbox, nowhere, &[b"x"]);
    put(&mut outbox, to, &[b"1", b"2"]);
    put(&mut outbox, nowhere, &[b"xx", b"yy", b"z"]);
    put(&mut outbox, to, &[&too_long, b"3"]);
    let expected = Unsent {
        refused: 5,
        ..NOTHING
    };
    assert_eq!(outbox.finish(Duration::ZERO), expected);
    assert_eq!(
        outbox.figures.segments.sum(),
        3,
        "what was not sent isn't timed"
    );
    expect(&receiver, &[b"1", b"2", b"3"]);
    assert_eq!(outbox.finish(Duration::ZERO), NOTHING);
}
