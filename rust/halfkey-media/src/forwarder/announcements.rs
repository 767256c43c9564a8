//! What a source says of itself, which goes on to all who receive it: sender reports and goodbyes.
//!
//! One datagram of a source makes one for each receiver here, as with its media, but it is no more than
//! 28 bytes of a compound. So each goes on once in an interval: more would say nothing new, and be a
//! cheap way to keep a worker busy.

use core::net::SocketAddr;
use core::time::Duration;

use super::feedback::write_rtcp;
use super::{DropReason, Forwarder};
use crate::rtcp::{RtcpView, SenderInfo};

/// The least time between two sender reports of a source that go on. Those of sound come every few
/// seconds; those of pictures as often as 360 / (kbit/s) seconds (RFC 3550 section 6.2), a tenth of a
/// second with 3.6 Mbit/s. What comes in between is dropped and not delayed: each report tells the
/// whole relation of both clocks, and one that waited would tell it late.
const SENDER_REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// The least time between two goodbyes of a source that go on. Who says goodbye has nothing to add
/// (RFC 3550 section 6.3.7); one that is said again a second later may reach who lost the first.
const GOODBYE_INTERVAL: Duration = Duration::from_secs(1);

/// When a source's announcements may go on.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    report_not_before: Duration,
    goodbye_not_before: Duration,
    has_newcomers: bool,
}

/// Who gets a sender report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    Everyone,
    /// Those who had none yet: until they have, they can't play sound and pictures together.
    Newcomers,
}

impl Announcements {
    /// Somebody receives the source from now on.
    pub(super) const fn add_newcomer(&mut self) {
        self.has_newcomers = true;
    }

    /// Who gets the report that has come; none if it came too soon.
    fn take_report(&mut self, now: Duration) -> Option<Audience> {
        let has_newcomers = core::mem::take(&mut self.has_newcomers);
        if pass(&mut self.report_not_before, SENDER_REPORT_INTERVAL, now) {
            return Some(Audience::Everyone);
        }
        has_newcomers.then_some(Audience::Newcomers)
    }

    /// Whether the goodbye that has come goes on.
    fn take_goodbye(&mut self, now: Duration) -> bool {
        pass(&mut self.goodbye_not_before, GOODBYE_INTERVAL, now)
    }
}

fn pass(not_before: &mut Duration, interval: Duration, now: Duration) -> bool {
    let passes = now >= *not_before;
    if passes {
        *not_before = now + interval;
    }
    passes
}

impl Forwarder {
    /// A source's CNAME comes behind the sender report that it is to go on with.
    pub(super) fn note_cname(&mut self, from: usize, view: &RtcpView<'_>) {
        let ssrc = view
            .body
            .first_chunk()
            .map(|ssrc| u32::from_be_bytes(*ssrc));
        let (Some(cname), Some(ssrc)) = (view.cname(), ssrc) else {
            return;
        };
        if let Some(source) = self.uplinks[from].sources.get_mut(ssrc) {
            source.cname.clear();
            source.cname.extend_from_slice(cname);
        }
    }

    /// Passes a sender report on to the source's receivers, without its report blocks.
    pub(super) fn relay_sender_report(
        &mut self,
        from: usize,
        ssrc: u32,
        info: &SenderInfo,
        now: Duration,
        send: &mut impl FnMut(SocketAddr, &[u8]),
    ) -> Result<(), DropReason> {
        if !self.share.owns(ssrc) {
            return Ok(());
        }
        let source = self.uplinks[from].sources.get_mut(ssrc);
        let source = source.ok_or(DropReason::UnknownSsrc)?;
        source
            .reception
            .receive_sender_report(info.ntp_timestamp, now);
        let audience = source.announcements.take_report(now);
        let audience = audience.ok_or(DropReason::RtcpTooSoon)?;
        for route in &mut source.routes {
            let is_newcomer = !core::mem::replace(&mut route.had_report, true);
            if audience == Audience::Newcomers && !is_newcomer {
                continue;
            }
            let written = write_rtcp(
                &mut self.downlinks[route.receiver],
                &mut self.buffer,
                |writer, _| {
                    writer.sender_report(ssrc, info, &[])?;
                    writer.source_description(ssrc, &source.cname)
                },
            );
            match written {
                Ok((address, length)) => {
                    self.statistics.sent_rtcp_packets += 1;
                    send(address, &self.buffer[..length]);
                }
                Err(reason) => self.statistics.count(reason, 1),
            }
        }
        Ok(())
    }

    /// Tells the source's receivers that it is leaving.
    pub(super) fn relay_goodbye(
        &mut self,
        from: usize,
        ssrc: u32,
        now: Duration,
        send: &mut impl FnMut(SocketAddr, &[u8]),
    ) {
        let Some(source) = self.uplinks[from].sources.get_mut(ssrc) else {
            // An Endpoint without sources says goodbye for what it sent its reports from.
            return;
        };
        if !source.announcements.take_goodbye(now) {
            self.statistics.count(DropReason::RtcpTooSoon, 1);
            return;
        }
        let receivers: Vec<usize> = source.routes.iter().map(|route| route.receiver).collect();
        for receiver in receivers {
            self.send_compound(receiver, &[], send, |writer, _| writer.goodbye(&[ssrc]));
        }
    }
}
