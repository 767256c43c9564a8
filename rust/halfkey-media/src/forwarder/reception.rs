//! How a source's packets arrive (RFC 3550 sections 6.4.1, A.3 and A.8).

use core::time::Duration;

use crate::rtcp::ReportBlock;

const MAX_LOST: i64 = 0x7f_ffff;
const MIN_LOST: i64 = -0x80_0000;

/// The figures of one source since its first packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReceptionReport {
    /// Packets received.
    pub received: u64,
    /// Packets expected less those received; negative if there were duplicates.
    pub lost: i64,
    /// Interarrival jitter, in timestamp units.
    pub jitter: u32,
}

/// Statistics of one source. The packet index of SRTP already counts the cycles of SEQ, so A.1 has
/// nothing to add: every packet that gets here is authentic, and no probation is needed.
#[derive(Debug, Default)]
pub(super) struct Reception {
    base: u64,
    highest: u64,
    received: u64,
    expected_prior: u64,
    received_prior: u64,
    /// Relative transit time of the last packet that came in order, in timestamp units.
    transit: Option<u32>,
    /// Sixteen times the jitter (A.8's integer form).
    jitter: u32,
    /// The middle of the last sender report's NTP timestamp, and when it came.
    sender_report: Option<(u32, Duration)>,
}

impl Reception {
    /// Notes an authentic packet. `clock_rate`: of its payload type, in Hz.
    pub(super) fn receive(&mut self, index: u64, timestamp: u32, clock_rate: u32, now: Duration) {
        if self.received == 0 {
            (self.base, self.highest) = (index, index);
        }
        self.received += 1;
        self.base = self.base.min(index);
        // One that was overtaken or sent again says nothing about the path's jitter.
        if index < self.highest {
            return;
        }
        self.highest = index;
        let arrival = (now.as_micros() * u128::from(clock_rate) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(last) = self.transit.replace(transit) {
            let difference = (transit.wrapping_sub(last) as i32).unsigned_abs();
            let decay = (self.jitter.saturating_add(8)) >> 4;
            self.jitter = self.jitter.saturating_add(difference) - decay;
        }
    }

    /// Notes a sender report.
    pub(super) fn receive_sender_report(&mut self, ntp_timestamp: u64, now: Duration) {
        self.sender_report = Some(((ntp_timestamp >> 16) as u32, now));
    }

    /// The figures so far.
    pub(super) fn report(&self) -> ReceptionReport {
        ReceptionReport {
            received: self.received,
            lost: self.expected() as i64 - self.received as i64,
            jitter: self.jitter >> 4,
        }
    }

    /// The report block for the interval that ends now; `None` if nothing came in it.
    pub(super) fn take_block(&mut self, ssrc: u32, now: Duration) -> Option<ReportBlock> {
        if self.received == self.received_prior {
            return None;
        }
        let expected = self.expected();
        let expected_interval = expected - self.expected_prior;
        let lost_interval = expected_interval.saturating_sub(self.received - self.received_prior);
        let fraction = (lost_interval << 8)
            .checked_div(expected_interval)
            .unwrap_or(0);
        (self.expected_prior, self.received_prior) = (expected, self.received);
        let figures = self.report();
        let (last, delay) = self.last_sender_report(now);
        Some(ReportBlock {
            ssrc,
            fraction_lost: fraction.min(255) as u8,
            cumulative_lost: figures.lost.clamp(MIN_LOST, MAX_LOST) as i32,
            highest_sequence_number: self.highest as u32,
            jitter: figures.jitter,
            last_sender_report: last,
            delay_since_last_sender_report: delay,
        })
    }

    fn expected(&self) -> u64 {
        if self.received == 0 {
            return 0;
        }
        self.highest - self.base + 1
    }

    fn last_sender_report(&self, now: Duration) -> (u32, u32) {
        self.sender_report.map_or((0, 0), |(last, at)| {
            let delay = now.saturating_sub(at).as_micros() * 65536 / 1_000_000;
            (last, u32::try_from(delay).unwrap_or(u32::MAX))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 8000;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn loss_is_counted_per_interval_and_in_all() {
        let mut reception = Reception::default();
        assert_eq!(reception.take_block(1, at(0)), None);
        for index in [0xfffe_u64, 0xffff, 0x1_0002, 0x1_0003] {
            reception.receive(index, 0, RATE, at(0));
        }
        let block = reception.take_block(1, at(0)).expect("something came");
        // Two of six are missing: 85/256.
        assert_eq!((block.fraction_lost, block.cumulative_lost), (85, 2));
        assert_eq!(block.highest_sequence_number, 0x1_0003);
        assert_eq!(reception.take_block(1, at(0)), None);

        // One of them comes late, and nothing else: no loss in this interval.
        reception.receive(0x1_0000, 0, RATE, at(0));
        let block = reception.take_block(1, at(0)).expect("something came");
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 1));
    }

    #[test]
    fn jitter_follows_the_formula() {
        let mut reception = Reception::default();
        let arrivals = [0_u64, 20, 45, 60, 90];
        let mut jitter = 0_f64;
        let mut last = 0.0;
        for (number, arrival) in arrivals.into_iter().enumerate() {
            let timestamp = number as u32 * 160;
            reception.receive(number as u64, timestamp, RATE, at(arrival));
            let transit = arrival as f64 * 8.0 - f64::from(timestamp);
            if number > 0 {
                let difference: f64 = transit - last;
                jitter += (difference.abs() - jitter) / 16.0;
            }
            last = transit;
        }
        assert!((f64::from(reception.report().jitter) - jitter).abs() <= 1.0);
        assert!(jitter > 5.0);
        // A packet out of order changes nothing.
        let before = reception.report().jitter;
        reception.receive(0, 0, RATE, at(5000));
        assert_eq!(reception.report().jitter, before);
    }

    #[test]
    fn jitter_bears_any_timestamp() {
        let mut reception = Reception::default();
        for number in 0..100_u64 {
            let timestamp = if number % 2 == 0 { 0 } else { 0x8000_0000 };
            reception.receive(number, timestamp, 90_000, at(number));
        }
        assert!(reception.take_block(1, at(100)).is_some());
    }

    #[test]
    fn sender_reports_are_echoed_with_their_age() {
        let mut reception = Reception::default();
        reception.receive(1, 0, RATE, at(0));
        reception.receive_sender_report(0x0102_0304_0506_0708, at(1000));
        let block = reception.take_block(1, at(1500)).expect("something came");
        assert_eq!(block.last_sender_report, 0x0304_0506);
        assert_eq!(block.delay_since_last_sender_report, 0x8000);
    }
}
