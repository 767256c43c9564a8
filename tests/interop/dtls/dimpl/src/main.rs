//! One DTLS handshake of dimpl over UDP on the loopback interface.
//!
//! `peer client|server PORT CERTIFICATE KEY PROFILE 1.2|1.3`: a server ignores PORT, and prints the one it
//! listens on. Then comes one line on what the handshake led to, and the end of the standard input
//! ends the process. dimpl offers every profile it knows, so PROFILE is ignored too: we choose.

use std::error::Error;
use std::io::{ErrorKind, Read, stdin};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};

const LARGEST_DATAGRAM: usize = 1 << 16;
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [role, port, certificate, key, _profile, version] = arguments.as_slice() else {
        return Err("usage: peer client|server PORT CERTIFICATE KEY PROFILE VERSION".into());
    };
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let certificate = DtlsCertificate {
        certificate: fs::read(certificate)?,
        private_key: fs::read(key)?,
    };
    let config = Arc::new(Config::builder().build()?);
    let mut dtls = match version.as_str() {
        "1.3" => Dtls::new_13(config, certificate, Instant::now()),
        _ => Dtls::new_12(config, certificate, Instant::now()),
    };
    let is_client = role == "client";
    dtls.set_active(is_client);
    if is_client {
        socket.connect((Ipv4Addr::LOCALHOST, port.parse()?))?;
    } else {
        println!("{}", socket.local_addr()?.port());
        let (_, from) = socket.peek_from(&mut [])?;
        socket.connect(from)?;
    }
    thread::spawn(|| {
        let ended = stdin().read_to_end(&mut Vec::new());
        process::exit(i32::from(ended.is_err()));
    });
    run(&mut dtls, &socket)
}

#[derive(Default)]
struct Seen {
    is_connected: bool,
    certificate: Vec<u8>,
    material: Option<(Vec<u8>, SrtpProfile)>,
    is_reported: bool,
}

fn run(dtls: &mut Dtls, socket: &UdpSocket) -> Result<(), Box<dyn Error>> {
    let mut seen = Seen::default();
    let mut datagram = vec![0; LARGEST_DATAGRAM];
    // The first call makes a client's first flight.
    dtls.handle_timeout(Instant::now())?;
    loop {
        let wake = drain(dtls, socket, &mut seen)?;
        seen.report();
        let wait = wake.saturating_duration_since(Instant::now());
        socket.set_read_timeout(Some(wait.max(SHORTEST_WAIT)))?;
        match socket.recv(&mut datagram) {
            Ok(length) => {
                dtls.handle_timeout(Instant::now())?;
                dtls.handle_packet(&datagram[..length])?;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                dtls.handle_timeout(Instant::now())?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends and notes what the engine has to say, and gives the time it wants to be called again.
fn drain(dtls: &mut Dtls, socket: &UdpSocket, seen: &mut Seen) -> Result<Instant, Box<dyn Error>> {
    let mut buffer = vec![0; LARGEST_DATAGRAM];
    loop {
        match dtls.poll_output(&mut buffer) {
            Output::Packet(packet) => drop(socket.send(packet)?),
            Output::Timeout(at) => return Ok(at),
            Output::Connected => seen.is_connected = true,
            Output::PeerCert(der) => seen.certificate = der.to_vec(),
            Output::KeyingMaterial(material, profile) => {
                seen.material = Some((material.to_vec(), profile));
            }
            Output::CloseNotify => process::exit(0),
            Output::BufferTooSmall { .. } => return Err("a record of more than 65535 bytes".into()),
            _ => {}
        }
    }
}

impl Seen {
    fn report(&mut self) {
        let Some((material, profile)) = &self.material else {
            return;
        };
        if self.is_reported || !self.is_connected || self.certificate.is_empty() {
            return;
        }
        let code_point = match profile {
            SrtpProfile::AEAD_AES_128_GCM => 7,
            SrtpProfile::AEAD_AES_256_GCM => 8,
            _ => 1,
        };
        println!(
            r#"{{"profile": {code_point}, "certificate": "{}", "srtp": "{}"}}"#,
            hexadecimal(&self.certificate),
            hexadecimal(material),
        );
        self.is_reported = true;
    }
}

fn hexadecimal(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}
