//! A bounded table by SSRC.

/// State by SSRC, for at most `limit` of them. Entries are sorted: a look-up is a short binary
/// search without hashing, and adding an SSRC (rare) moves those behind it.
#[derive(Debug)]
pub struct SsrcTable<T> {
    entries: Vec<(u32, T)>,
    limit: usize,
}

impl<T> SsrcTable<T> {
    /// An empty table.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            entries: Vec::new(),
            limit,
        }
    }

    /// The number of SSRCs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The most SSRCs that it takes.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Whether there is no SSRC.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where an SSRC is (`Ok`), or where it would be put (`Err`).
    fn search(&self, ssrc: u32) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&ssrc, |entry| entry.0)
    }

    /// Where an SSRC is, for [`Self::at_mut`]: good until another is added or one goes.
    #[must_use]
    pub fn position(&self, ssrc: u32) -> Option<usize> {
        self.search(ssrc).ok()
    }

    /// The state at a position.
    pub fn at_mut(&mut self, position: usize) -> Option<&mut T> {
        self.entries.get_mut(position).map(|entry| &mut entry.1)
    }

    /// The SSRC at a position, with its state.
    pub fn entry_at_mut(&mut self, position: usize) -> Option<(u32, &mut T)> {
        self.entries
            .get_mut(position)
            .map(|entry| (entry.0, &mut entry.1))
    }

    /// The state of an SSRC.
    #[must_use]
    pub fn get(&self, ssrc: u32) -> Option<&T> {
        let at = self.search(ssrc).ok()?;
        self.entries.get(at).map(|entry| &entry.1)
    }

    /// The state of an SSRC, to be changed.
    pub fn get_mut(&mut self, ssrc: u32) -> Option<&mut T> {
        let at = self.search(ssrc).ok()?;
        self.entries.get_mut(at).map(|entry| &mut entry.1)
    }

    /// The state of an SSRC, made by `new` if it isn't there; `None` when the table is full.
    pub fn get_or_insert_with(&mut self, ssrc: u32, new: impl FnOnce() -> T) -> Option<&mut T> {
        let at = match self.search(ssrc) {
            Ok(at) => at,
            Err(_) if self.entries.len() >= self.limit => return None,
            Err(at) => {
                if self.entries.is_empty() {
                    // Most tables never have more than one.
                    self.entries.reserve_exact(1);
                }
                self.entries.insert(at, (ssrc, new()));
                at
            }
        };
        self.entries.get_mut(at).map(|entry| &mut entry.1)
    }

    /// Takes an SSRC out, with its state.
    pub fn remove(&mut self, ssrc: u32) -> Option<T> {
        let at = self.search(ssrc).ok()?;
        Some(self.entries.remove(at).1)
    }

    /// All SSRCs with their state, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.entries.iter().map(|entry| (entry.0, &entry.1))
    }

    /// All SSRCs with their state, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.entries.iter_mut().map(|entry| (entry.0, &mut entry.1))
    }

    /// Whether an SSRC that isn't there yet would be refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.limit
    }

    /// Keeps the entries for which `keep` answers true.
    pub fn retain(&mut self, mut keep: impl FnMut(u32, &mut T) -> bool) {
        self.entries.retain_mut(|(ssrc, state)| keep(*ssrc, state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_no_more_than_its_limit() {
        let mut table = SsrcTable::new(3);
        for ssrc in [9, 1, 5] {
            assert_eq!(
                table.get_or_insert_with(ssrc, || ssrc * 10),
                Some(&mut (ssrc * 10))
            );
        }
        assert!(table.is_full());
        assert_eq!(table.get_or_insert_with(7, || 70), None);
        assert_eq!(table.get_or_insert_with(5, || 0), Some(&mut 50));
        assert_eq!(table.get(1), Some(&10));
        assert_eq!(table.get(7), None);
        assert_eq!(table.position(7), None);
        let position = table.position(5).expect("added");
        assert_eq!(table.at_mut(position), Some(&mut 50));
        assert_eq!(table.at_mut(3), None);
        table.retain(|ssrc, _| ssrc != 5);
        assert_eq!((table.len(), table.get_mut(5)), (2, None));
        assert_eq!((table.remove(5), table.remove(9)), (None, Some(90)));
        assert_eq!((table.len(), table.get(1)), (1, Some(&10)));
    }
}
