//! The way in: all is counted, a share is opened through both layers.

use std::time::Duration;

use halfkey_media::KeyError;
use halfkey_media::double::DoubleReceiver;
use halfkey_media::ekt_field::MESSAGE_TYPE_FULL;
use halfkey_media::histogram::Histogram;
use halfkey_media::replay::ReplayWindow;
use halfkey_media::rtcp::is_rtcp;
use halfkey_media::rtp::RtpView;

use crate::arrivals::Arrivals;
use crate::participant::{Association, EktParameters};

/// A stream as it comes to a receiver.
#[derive(Debug)]
struct Incoming {
    ssrc: u32,
    window: ReplayWindow,
    /// Its key has come, so that packets can be opened.
    keyed: bool,
}

pub(crate) struct Receiver {
    open: DoubleReceiver,
    incoming: Vec<Incoming>,
    opened: Vec<u8>,
    since_sample: u32,
    pub(crate) arrivals: Arrivals,
}

impl Receiver {
    pub(crate) fn new(
        association: &Association<'_>,
        ekt: &EktParameters<'_>,
    ) -> Result<Self, KeyError> {
        let (key, salt) = association.server;
        let mut open = DoubleReceiver::new(association.profile, key, salt)?;
        open.add_ekt_parameter_set(ekt.spi, ekt.key, ekt.salt)?;
        Ok(Self {
            open,
            incoming: Vec::new(),
            opened: Vec::new(),
            since_sample: 0,
            arrivals: Arrivals::default(),
        })
    }

    /// Takes a datagram: counts it, and opens one of `sample`, and each with a Full EKT Field.
    pub(crate) fn take(
        &mut self,
        datagram: &[u8],
        now: Duration,
        sample: u32,
        latency: &mut Histogram,
    ) {
        if is_rtcp(datagram) {
            return;
        }
        let [_, _, high, low, _, _, _, _, ssrc @ ..] = datagram else {
            return;
        };
        let Some(ssrc) = ssrc.first_chunk() else {
            return;
        };
        let at = self.find(u32::from_be_bytes(*ssrc));
        let incoming = &mut self.incoming[at];
        let sequence_number = u16::from_be_bytes([*high, *low]);
        let before = self.arrivals.received;
        self.arrivals.count(&mut incoming.window, sequence_number);
        self.since_sample += 1;
        let announces = datagram.last() == Some(&MESSAGE_TYPE_FULL);
        let wanted = announces || (incoming.keyed && self.since_sample >= sample);
        if wanted && self.arrivals.received > before {
            self.since_sample = 0;
            self.open(datagram, at, now, latency);
        }
    }

    fn open(&mut self, datagram: &[u8], at: usize, now: Duration, latency: &mut Histogram) {
        if self.open.unprotect(datagram, &mut self.opened).is_err() {
            self.arrivals.failed += 1;
            return;
        }
        let view = RtpView::parse(&self.opened);
        let stamp = view
            .ok()
            .and_then(|view| view.payload().first_chunk().copied());
        let Some(stamp) = stamp else {
            self.arrivals.failed += 1;
            return;
        };
        self.incoming[at].keyed = true;
        self.arrivals.authenticated += 1;
        let sent = Duration::from_nanos(u64::from_be_bytes(stamp));
        latency.record(now.saturating_sub(sent));
    }

    /// Where a stream's state is: few streams come to one receiver.
    fn find(&mut self, ssrc: u32) -> usize {
        let found = self.incoming.iter().position(|one| one.ssrc == ssrc);
        found.unwrap_or_else(|| {
            self.incoming.push(Incoming {
                ssrc,
                window: ReplayWindow::new(),
                keyed: false,
            });
            self.incoming.len() - 1
        })
    }
}
