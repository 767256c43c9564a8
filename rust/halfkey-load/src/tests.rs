//! The generator against the switch, both for real.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use halfkey_media::forwarder::{HopKeys, Kind, ParticipantConfig, SourceConfig};
use halfkey_media::{DoubleProfile, HopProfile};
use halfkey_switch::{Settings, Switch};

use crate::{
    Association, Audience, Burst, EktParameters, Generator, Pattern, Stream, measure_floor,
};

const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const PROFILE: DoubleProfile = DoubleProfile::DoubleAeadAes128Gcm;
const SALT: [u8; 12] = [3; 12];
const EKT: EktParameters<'_> = EktParameters {
    spi: 7,
    key: &[9; 16],
    salt: &[4; 14],
};
const SSRC: u32 = 77;

fn pattern() -> Pattern {
    let burst = |at, length, count| Burst {
        at: Duration::from_millis(at),
        length,
        count,
    };
    let bursts = vec![burst(0, 1200, 12), burst(15, 900, 8)];
    Pattern::new(bursts, Duration::from_millis(30)).expect("good")
}

/// More than any machine sends: a burst of 20 packets each microsecond.
fn impossible() -> Pattern {
    let burst = Burst {
        at: Duration::ZERO,
        length: 1200,
        count: 20,
    };
    Pattern::new(vec![burst], Duration::from_micros(1)).expect("good")
}

fn keys(number: u64) -> ([u8; 16], [u8; 16]) {
    let (mut client, mut server) = ([1; 16], [2; 16]);
    client[8..].copy_from_slice(&number.to_be_bytes());
    server[8..].copy_from_slice(&number.to_be_bytes());
    (client, server)
}

/// Adds an Endpoint to both sides; the Media Distributor gets `server` as its key.
fn join(generator: &mut Generator, switch: &Switch, number: u64, server: Option<[u8; 16]>) {
    join_with(generator, switch, number, server, pattern());
}

fn join_with(
    generator: &mut Generator,
    switch: &Switch,
    number: u64,
    server: Option<[u8; 16]>,
    pattern: Pattern,
) {
    let (client, own_server) = keys(number);
    let association = Association {
        profile: PROFILE,
        client: (&client, &SALT),
        server: (&own_server, &SALT),
    };
    let stream = (number == 1).then_some(Stream {
        ssrc: SSRC,
        master_key: &[5; 16],
        payload_type: 96,
        pattern,
        phase: Duration::ZERO,
    });
    let sends = stream.is_some();
    let at = generator.add(0, &association, &EKT, stream, !sends);
    let at = at.expect("a free port");
    let config = ParticipantConfig {
        own_ssrc: 1000 + number as u32,
        cname: "md".into(),
        extensions: vec![(MID.into(), 1)],
        payload_types: vec![("VP8/90000".into(), 96)],
        sources: Vec::from_iter(sends.then_some(SourceConfig {
            ssrc: SSRC,
            kind: Kind::Video,
        })),
    };
    let server = server.unwrap_or(own_server);
    let hop = HopKeys::new(
        HopProfile::AeadAes128Gcm,
        (&client, &SALT),
        (&server, &SALT),
    );
    let hop = hop.expect("lengths fit");
    let followed = switch.at(0, move |forwarder, now| {
        forwarder.add_participant(number, &config);
        forwarder.set_address(number, at)?;
        forwarder.set_keys(number, hop, now)?;
        if sends {
            return Ok(());
        }
        forwarder.assign_slot(number, "v", 1, SSRC, now)
    });
    assert_eq!(followed, Ok(Ok(())));
}

fn switch() -> Switch {
    Switch::new(&Settings {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        workers: 1,
        queue_limit: 16,
        capture_bytes: 0,
        late_after: Settings::LATE_AFTER,
        retransmission_cache: 1 << 22,
    })
    .expect("a free port")
}

#[test]
fn all_that_is_offered_comes_and_opens() {
    let switch = switch();
    let mut generator = Generator::new(switch.local_address(), 4).expect("room");
    for number in 1..=4 {
        join(&mut generator, &switch, number, None);
    }
    let mut received = 0;
    for _ in 0..2 {
        let report = generator.run(Duration::from_millis(200)).expect("runs");
        let arrivals = report.arrivals;
        assert!(report.sent >= 20, "{report:?}");
        assert_eq!(report.offered, 3 * report.sent);
        assert_eq!(arrivals.received, report.offered, "{report:?}");
        assert_eq!(
            (arrivals.duplicated, arrivals.reordered, arrivals.failed),
            (0, 0, 0)
        );
        assert!(arrivals.authenticated >= arrivals.received / 5);
        assert_eq!(report.latency.total(), arrivals.authenticated);
        assert_eq!(report.loss, (0.0, 0.0));
        received += arrivals.received;
        let progress = generator.progress();
        assert_eq!(progress.received.load(Ordering::Relaxed), received);
    }
}

#[test]
fn what_a_wrong_hop_key_sealed_is_counted_and_does_not_open() {
    let switch = switch();
    let mut generator = Generator::new(switch.local_address(), 4).expect("room");
    join(&mut generator, &switch, 1, None);
    join(&mut generator, &switch, 2, Some([6; 16]));
    let report = generator.run(Duration::from_millis(100)).expect("runs");
    assert_eq!(report.arrivals.received, report.sent);
    assert_eq!(report.arrivals.authenticated, 0);
    assert!(report.arrivals.failed >= 3, "its first three bring a key");
}

#[test]
fn what_nobody_forwards_is_lost() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let switch = switch();
    let mut generator = Generator::new(silent.local_addr().expect("bound"), 4).expect("room");
    for number in 1..=2 {
        join(&mut generator, &switch, number, None);
    }
    let report = generator.run(Duration::from_millis(50)).expect("runs");
    assert!(report.offered > 0);
    assert_eq!(report.arrivals.received, 0);
    assert_eq!(report.loss, (1.0, 1.0));
}

/// One that sends what can't be sent in time, and one who receives it.
fn overloaded(switch: &Switch) -> Generator {
    let mut generator = Generator::new(switch.local_address(), 4).expect("room");
    for number in 1..=2 {
        join_with(&mut generator, switch, number, None, impossible());
    }
    generator
}

/// How long a run that should end is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_load_that_no_machine_makes_ends_with_its_time_and_says_what_was_not_sent() {
    let switch = switch();
    let mut generator = overloaded(&switch);
    let (ended, told) = mpsc::channel();
    thread::spawn(move || {
        let report = generator.run(Duration::from_millis(200));
        ended.send(report).expect("it is waited for");
    });
    let report = told.recv_timeout(PATIENCE).expect("it ends").expect("runs");
    assert!(report.sent > 0);
    assert!(report.due >= 20 * 200_000, "{report:?}");
    assert!(report.sent < report.due / 2, "{report:?}");
    assert!(report.behind > Duration::ZERO);
    assert_eq!(report.offered, report.sent, "what was sent is offered");
}

#[test]
fn receivers_have_their_turn_and_a_stop_is_heard_however_much_is_due() {
    let switch = switch();
    let mut generator = overloaded(&switch);
    let progress = generator.progress();
    let (ended, told) = mpsc::channel();
    thread::spawn(move || {
        let report = generator.run(10 * PATIENCE);
        ended.send(report).expect("it is waited for");
    });
    let mut waited = 0;
    while progress.received.load(Ordering::Relaxed) == 0 {
        assert!(waited < PATIENCE.as_millis(), "nothing is received");
        thread::sleep(Duration::from_millis(1));
        waited += 1;
    }
    progress.stop.store(true, Ordering::Relaxed);
    let report = told.recv_timeout(PATIENCE).expect("it ends").expect("runs");
    assert!(report.sending < 10 * PATIENCE, "{report:?}");
    assert!(report.sent < report.due, "{report:?}");
}

#[test]
fn what_is_sent_in_time_is_all_that_was_due() {
    let switch = switch();
    let mut generator = Generator::new(switch.local_address(), 4).expect("room");
    let burst = |at, count| Burst {
        at: Duration::from_millis(at),
        length: 1000,
        count,
    };
    let pattern = Pattern::new(vec![burst(0, 5), burst(5, 7)], Duration::from_secs(2));
    let pattern = pattern.expect("good");
    for number in 1..=2 {
        join_with(&mut generator, &switch, number, None, pattern.clone());
    }
    let report = generator.run(Duration::from_secs(1)).expect("runs");
    assert_eq!((report.sent, report.due), (12, 12), "{report:?}");
    assert_eq!(report.behind, Duration::ZERO);
}

#[test]
fn a_socket_that_is_adopted_goes_on_with_what_is_not_media_handed_back() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let to = silent.local_addr().expect("bound");
    let mut generator = Generator::new(to, 4).expect("room");
    let (client, server) = keys(1);
    let association = Association {
        profile: PROFILE,
        client: (&client, &SALT),
        server: (&server, &SALT),
    };
    let joined = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = joined.local_addr().expect("bound");
    let adopted = generator.adopt(joined, 0, &association, &EKT, None, true);
    assert_eq!(adopted.expect("a UDP socket"), address);
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    stranger.send_to(&[1, 7], address).expect("room");
    silent.send_to(&[1, 8], address).expect("room");
    silent.send_to(&[0x80, 9], address).expect("room");
    let mut back = std::collections::VecDeque::new();
    while back.is_empty() {
        generator.run(Duration::from_millis(20)).expect("runs");
        back = generator.progress().handed_back.take();
    }
    assert_eq!(back, [(0, vec![1, 8])]);
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let tcp = std::os::fd::OwnedFd::from(tcp).into();
    let refused = generator.adopt(tcp, 0, &association, &EKT, None, true);
    assert!(refused.is_err());
}

#[test]
fn the_floor_has_both_parts() {
    let host = std::net::Ipv4Addr::LOCALHOST.into();
    let audience = Audience {
        conferences: 2,
        receivers: 3,
    };
    let floor = measure_floor(
        host,
        PROFILE,
        &pattern(),
        audience,
        Duration::from_millis(100),
    );
    let floor = floor.expect("measured");
    assert!(floor.send > 0.0 && floor.seal > 0.0, "{floor:?}");
}
