//! What a Media Distributor sees of the payload, kept for whoever wants to look at it.

use std::collections::VecDeque;

use crate::ssrc_table::SsrcTable;

const MAX_SSRCS: usize = 256;

/// The latest payload bytes of each SSRC, without the Original Header Block; outlives its SSRCs.
#[derive(Debug)]
pub(super) struct Captures {
    limit: usize,
    by_ssrc: SsrcTable<VecDeque<u8>>,
}

impl Captures {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            limit,
            by_ssrc: SsrcTable::new(MAX_SSRCS),
        }
    }

    pub(super) fn add(&mut self, ssrc: u32, payload: &[u8]) {
        if self.limit == 0 {
            return;
        }
        if let Some(kept) = self.by_ssrc.get_or_insert_with(ssrc, VecDeque::new) {
            let payload = &payload[payload.len().saturating_sub(self.limit)..];
            let surplus = (kept.len() + payload.len()).saturating_sub(self.limit);
            kept.drain(..surplus);
            kept.extend(payload);
        }
    }

    pub(super) fn all(&self) -> Vec<(u32, Vec<u8>)> {
        self.by_ssrc
            .iter()
            .map(|(ssrc, kept)| (ssrc, kept.iter().copied().collect()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_bytes_are_kept_and_no_more() {
        let mut captures = Captures::new(5);
        captures.add(7, b"abc");
        captures.add(7, b"defg");
        captures.add(8, b"0123456789");
        assert_eq!(
            captures.all(),
            [(7, b"cdefg".to_vec()), (8, b"56789".to_vec())]
        );
        for ssrc in 0..2 * MAX_SSRCS as u32 {
            captures.add(ssrc, b"x");
        }
        assert_eq!(captures.all().len(), MAX_SSRCS);
    }

    #[test]
    fn nothing_is_kept_unless_asked_for() {
        let mut captures = Captures::new(0);
        captures.add(7, b"abc");
        assert_eq!(captures.all(), []);
    }
}
