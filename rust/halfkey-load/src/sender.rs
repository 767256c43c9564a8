//! A stream on its way out.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use halfkey_media::double::DoubleSender;
use halfkey_media::ekt::full_ekt_field;
use halfkey_media::{KeyError, SealError};
use halfkey_udp::{MAX_SEGMENTED_LENGTH, MAX_SEGMENTS, Message};
use mio::net::UdpSocket;

use crate::participant::{Association, EktParameters, Stream};
use crate::pattern::{Burst, HEADER, Pattern, STAMP, payload_length};

/// How often the key goes with a packet, after the first three (RFC 8870 section 4.7).
const ANNOUNCEMENT: Duration = Duration::from_secs(1);

const SHORT_EKT_FIELD: &[u8] = &[0];
const EPOCH: u16 = 1;

pub(crate) struct Sender {
    seal: DoubleSender,
    ssrc: u32,
    payload_type: u8,
    master_key: Vec<u8>,
    spi: u16,
    ekt_key: Vec<u8>,
    pattern: Pattern,
    phase: Duration,
    /// The burst that is next.
    next: usize,
    /// When the run under way began, from the generator's beginning.
    began: Duration,
    sequence_number: u16,
    announced: u64,
    announced_at: Duration,
    packet: Vec<u8>,
    sealed: Vec<u8>,
    datagrams: Vec<u8>,
    lengths: Vec<usize>,
    /// Packets of the run under way.
    pub(crate) sent: u64,
    /// Those of them that the system had no room for.
    pub(crate) unsent: u64,
}

impl Sender {
    pub(crate) fn new(
        association: &Association<'_>,
        ekt: &EktParameters<'_>,
        stream: Stream<'_>,
    ) -> Result<Self, KeyError> {
        let (key, salt) = association.client;
        let mut seal = DoubleSender::new(association.profile, key, salt)?;
        let inner_salt = ekt.salt.get(..12).ok_or(KeyError::SaltLength)?;
        seal.set_inner_key(stream.ssrc, stream.master_key, inner_salt)?;
        // A wrong key is found here, not in the run.
        full_ekt_field(ekt.key, ekt.spi, EPOCH, stream.ssrc, 0, stream.master_key)?;
        Ok(Self {
            seal,
            ssrc: stream.ssrc,
            payload_type: stream.payload_type & 0x7f,
            master_key: stream.master_key.to_vec(),
            spi: ekt.spi,
            ekt_key: ekt.key.to_vec(),
            pattern: stream.pattern,
            phase: stream.phase,
            next: 0,
            began: Duration::ZERO,
            sequence_number: 0,
            announced: 0,
            announced_at: Duration::ZERO,
            packet: Vec::new(),
            sealed: Vec::new(),
            datagrams: Vec::new(),
            lengths: Vec::new(),
            sent: 0,
            unsent: 0,
        })
    }

    /// Begins a run: the pattern starts anew, with counters at zero; keys and indices go on.
    pub(crate) const fn begin(&mut self, now: Duration) {
        self.began = now;
        (self.next, self.sent, self.unsent) = (0, 0, 0);
    }

    /// When the next burst is due, from the generator's beginning.
    pub(crate) fn due(&self) -> Duration {
        self.began + self.phase + self.pattern.burst(self.next).at
    }

    /// Packets that the run under way has until then, from the generator's beginning.
    pub(crate) fn due_until(&self, time: Duration) -> u64 {
        time.checked_sub(self.began + self.phase)
            .map_or(0, |since| self.pattern.packets_until(since))
    }

    /// The last packet that was sent.
    pub(crate) fn last_packet(&self) -> Option<&[u8]> {
        let length = *self.lengths.last()?;
        self.datagrams.get(self.datagrams.len() - length..)
    }

    /// Sends the next burst; returns its number of packets. What the system has no room for is lost,
    /// as on the network: the schedule doesn't wait.
    pub(crate) fn send(
        &mut self,
        out: &mut halfkey_udp::Sender,
        socket: &UdpSocket,
        to: SocketAddr,
        now: Duration,
    ) -> io::Result<u64> {
        let burst = self.pattern.burst(self.next);
        self.next += 1;
        self.datagrams.clear();
        self.lengths.clear();
        for at in 0..burst.count {
            self.seal(&burst, at + 1 == burst.count, now)?;
        }
        let count = burst.count as u64;
        self.sent += count;
        let messages = messages(&self.datagrams, &self.lengths, to);
        let mut done = 0;
        while done < messages.len() {
            match out.send(socket, messages[done..].iter().copied()) {
                Ok(sent) => done += sent,
                Err(_) => {
                    let left = messages[done..].iter().map(datagrams_in);
                    self.unsent += left.sum::<usize>() as u64;
                    break;
                }
            }
        }
        Ok(count)
    }

    fn seal(&mut self, burst: &Burst, last: bool, now: Duration) -> io::Result<()> {
        let marker = if last { 0x80 } else { 0 };
        let timestamp = (burst.at.as_millis() as u32).wrapping_mul(90);
        self.packet.clear();
        self.packet.extend([0x80, marker | self.payload_type]);
        self.packet.extend(self.sequence_number.to_be_bytes());
        self.packet.extend(timestamp.to_be_bytes());
        self.packet.extend(self.ssrc.to_be_bytes());
        self.packet.extend((now.as_nanos() as u64).to_be_bytes());
        let length = HEADER + payload_length(burst.length).max(STAMP);
        self.packet.resize(length, 0x5a);
        let field = self.ekt_field(now);
        let field = field.as_deref().unwrap_or(SHORT_EKT_FIELD);
        let sealed = self.seal.protect(&self.packet, field, &mut self.sealed);
        sealed.map_err(|error: SealError| io::Error::other(error))?;
        self.sequence_number = self.sequence_number.wrapping_add(1);
        self.datagrams.extend_from_slice(&self.sealed);
        self.lengths.push(self.sealed.len());
        Ok(())
    }

    /// A Full EKT Field for the next packet, if one is due.
    fn ekt_field(&mut self, now: Duration) -> Option<Vec<u8>> {
        if self.announced >= 3 && now < self.announced_at + ANNOUNCEMENT {
            return None;
        }
        self.announced += 1;
        self.announced_at = now;
        let roc = self.seal.rollover_counter(self.ssrc, self.sequence_number);
        let key = &self.master_key;
        full_ekt_field(&self.ekt_key, self.spi, EPOCH, self.ssrc, roc, key).ok()
    }
}

/// Datagrams side by side as messages: neighbours of one length go together.
fn messages<'a>(data: &'a [u8], lengths: &[usize], to: SocketAddr) -> Vec<Message<'a>> {
    let mut at = 0;
    let mut messages = Vec::new();
    for run in lengths.chunk_by(|one, other| one == other) {
        let most = (MAX_SEGMENTED_LENGTH / run[0]).clamp(1, MAX_SEGMENTS);
        for part in run.chunks(most) {
            let end = at + part.iter().sum::<usize>();
            messages.push(Message {
                to,
                data: &data[at..end],
                segment: (part.len() > 1).then_some(part[0] as u16),
            });
            at = end;
        }
    }
    messages
}

fn datagrams_in(message: &Message<'_>) -> usize {
    message
        .segment
        .map_or(1, |segment| message.data.len().div_ceil(segment.into()))
}
