//! What a source sent last, as it was opened, for receivers that lose some of it on their way.
//!
//! It is there once for all receivers. Its memory has a fixed size, is taken when there is something
//! to keep, and given back when the source is silent or goes.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::srtp::Origin;

/// How long a packet is kept: later than that its picture was shown without it, or another one came.
pub(super) const MAX_AGE: Duration = Duration::from_secs(1);

/// The bytes of packets that are kept of a source: a second of 2 Mbit/s.
const BYTES: usize = 1 << 18;

/// The packets that are kept of a source: no receiver's window reaches farther back.
const PACKETS: usize = 1024;

/// The memory that one source takes.
pub(super) const SIZE: usize = BYTES + PACKETS * size_of::<Entry>();

/// One participant's sources may have this part of the caches there are, and one in any case.
const SHARE: usize = 4;

/// How much memory the sources of a worker may take together.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: Arc<AtomicUsize>,
}

/// How many caches the sources of one participant have.
#[derive(Debug, Default)]
pub(super) struct Holdings(Arc<AtomicUsize>);

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        let used = Arc::default();
        Self { limit, used }
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Memory for a source of who has these; none when all is taken, or it has its share.
    pub(super) fn take(&self, holdings: &Holdings) -> Option<Box<Cache>> {
        let most = (self.limit / SIZE / SHARE).max(1);
        if self.used() + SIZE > self.limit || holdings.0.load(Ordering::Relaxed) >= most {
            return None;
        }
        self.used.fetch_add(SIZE, Ordering::Relaxed);
        holdings.0.fetch_add(1, Ordering::Relaxed);
        let lease = Lease {
            used: Arc::clone(&self.used),
            held: Arc::clone(&holdings.0),
        };
        Some(Box::new(Cache::new(lease)))
    }
}

/// The part of the budget that a cache has; whichever way the cache goes, it is given back.
#[derive(Debug)]
struct Lease {
    used: Arc<AtomicUsize>,
    held: Arc<AtomicUsize>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.used.fetch_sub(SIZE, Ordering::Relaxed);
        self.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where a packet is, with the EKT Field behind it.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    origin: u64,
    /// In all that was ever written.
    start: u64,
    /// Microseconds of the forwarder's time.
    at: u64,
    packet: u16,
    ekt_field: u16,
}

/// The latest packets of one source: bytes in a ring, and entries by index.
#[derive(Debug)]
pub(super) struct Cache {
    bytes: Box<[u8]>,
    entries: Box<[Entry]>,
    written: u64,
    newest: Duration,
    _lease: Lease,
}

impl Cache {
    fn new(lease: Lease) -> Self {
        Self {
            bytes: vec![0; BYTES].into_boxed_slice(),
            entries: vec![Entry::default(); PACKETS].into_boxed_slice(),
            written: 0,
            newest: Duration::ZERO,
            _lease: lease,
        }
    }

    /// Keeps an opened packet with its EKT Field, in place of the oldest.
    pub(super) fn keep(&mut self, origin: Origin, packet: &[u8], ekt_field: &[u8], now: Duration) {
        let length = packet.len() + ekt_field.len();
        if length > usize::from(u16::MAX) {
            return;
        }
        let mut at = (self.written % BYTES as u64) as usize;
        if at + length > BYTES {
            // None lies across the ring's end.
            self.written += (BYTES - at) as u64;
            at = 0;
        }
        let (first, second) = self.bytes[at..at + length].split_at_mut(packet.len());
        first.copy_from_slice(packet);
        second.copy_from_slice(ekt_field);
        self.entries[place(origin)] = Entry {
            origin: origin.0,
            start: self.written,
            at: now.as_micros() as u64,
            packet: packet.len() as u16,
            ekt_field: ekt_field.len() as u16,
        };
        self.written += length as u64;
        self.newest = now;
    }

    /// A packet and its EKT Field, if they are still there and not too old.
    pub(super) fn find(&self, origin: Origin, now: Duration) -> Option<(&[u8], &[u8])> {
        let entry = self.entries[place(origin)];
        let is_it = entry.packet > 0 && entry.origin == origin.0;
        let is_there = self.written - entry.start <= BYTES as u64;
        let age = (now.as_micros() as u64).saturating_sub(entry.at);
        if !is_it || !is_there || age > MAX_AGE.as_micros() as u64 {
            return None;
        }
        let at = (entry.start % BYTES as u64) as usize;
        let length = usize::from(entry.packet) + usize::from(entry.ekt_field);
        let both = self.bytes.get(at..at + length)?;
        both.split_at_checked(usize::from(entry.packet))
    }

    /// Whether everything in it is too old.
    pub(super) fn is_stale(&self, now: Duration) -> bool {
        now.saturating_sub(self.newest) > MAX_AGE
    }
}

const fn place(origin: Origin) -> usize {
    origin.0 as usize % PACKETS
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(10);

    fn cache() -> (Budget, Box<Cache>) {
        let budget = Budget::new(SIZE);
        let cache = budget.take(&Holdings::default()).expect("has room");
        (budget, cache)
    }

    #[test]
    fn the_latest_bytes_are_kept_and_nothing_that_was_overwritten_is_found() {
        let (_budget, mut cache) = cache();
        let packet = |number: u64| vec![number as u8; 1000 + number as usize % 7];
        for number in 1..=2000_u64 {
            cache.keep(Origin(number), &packet(number), &[number as u8, 0], NOW);
            let mut kept = 0;
            for earlier in number.saturating_sub(PACKETS as u64)..=number {
                if let Some((found, ekt_field)) = cache.find(Origin(earlier), NOW) {
                    assert_eq!(found, packet(earlier));
                    assert_eq!(ekt_field, [earlier as u8, 0]);
                    kept += found.len() + 2;
                }
            }
            assert!(kept <= BYTES);
            assert!(kept >= (BYTES - 3000).min(1000 * number as usize));
        }
        assert_eq!(cache.find(Origin(1), NOW), None);
        assert_eq!(cache.find(Origin(2001), NOW), None);
    }

    #[test]
    fn a_packet_is_found_by_its_whole_index_and_for_a_second() {
        let (_budget, mut cache) = cache();
        let origin = Origin(1 << 47 | 5);
        assert_eq!(cache.find(Origin(0), NOW), None, "nothing was kept");
        cache.keep(origin, b"packet", b"\0", NOW);
        for other in [5, 5 + PACKETS as u64, 0] {
            assert_eq!(cache.find(Origin(other), NOW), None);
        }
        for (age, is_there) in [(MAX_AGE, true), (MAX_AGE + Duration::from_micros(1), false)] {
            assert_eq!(cache.find(origin, NOW + age).is_some(), is_there);
            assert_eq!(cache.is_stale(NOW + age), !is_there);
        }
    }

    #[test]
    fn what_can_not_be_kept_is_left_out() {
        let (_budget, mut cache) = cache();
        cache.keep(Origin(1), &[1; 1 << 16], &[0], NOW);
        assert_eq!(cache.find(Origin(1), NOW), None);
        cache.keep(Origin(2), &[2; (1 << 16) - 2], &[0], NOW);
        assert!(cache.find(Origin(2), NOW).is_some());
    }

    #[test]
    fn no_more_memory_is_taken_than_there_may_be_and_all_is_given_back() {
        let budget = Budget::new(2 * SIZE + SIZE / 2);
        let new = || budget.take(&Holdings::default());
        let taken = [new(), new()];
        assert!(taken.iter().all(Option::is_some));
        assert_eq!(budget.used(), 2 * SIZE);
        assert!(new().is_none());
        drop(taken);
        assert_eq!(budget.used(), 0);
        let none = Budget::new(SIZE - 1);
        assert!(none.take(&Holdings::default()).is_none());
    }

    #[test]
    fn one_participant_has_a_quarter_of_the_caches_and_one_at_the_least() {
        for (caches, most) in [(1, 1), (7, 1), (8, 2), (400, 100)] {
            let budget = Budget::new(caches * SIZE);
            let holdings = Holdings::default();
            let take = || core::iter::from_fn(|| budget.take(&holdings));
            // They are given back in between.
            for _ in 0..2 {
                assert_eq!(take().collect::<Vec<_>>().len(), most);
            }
            let all: Vec<_> = take().collect();
            let other = budget.take(&Holdings::default());
            assert_eq!(other.is_some(), caches > all.len());
        }
    }
}
