//! Where datagrams go that the forwarder made.

use core::net::SocketAddr;
use core::time::Duration;

use super::ParticipantId;

/// Takes datagrams, in the order in which they are to be sent.
///
/// A datagram is written where it stays until it is sent, and those to one address come in a row as
/// far as they can: an implementation that lays them side by side may send them by one call.
pub trait Output {
    /// Room for a datagram of `length` bytes, or as much as there ever is. What is in it is of no
    /// importance. It is the same room until [`Self::send`].
    fn room(&mut self, length: usize) -> &mut [u8];

    /// Sends the first `length` bytes of the room that was given last.
    fn send(&mut self, to: SocketAddr, length: usize);

    /// What is sent from now on is of datagrams of which the first came at this time; none for what
    /// is of nobody's datagrams, and where that isn't known.
    fn arrived(&mut self, at: Option<Duration>) {
        let _ = at;
    }

    /// Hands an RTCP compound, opened, to another worker: it is about sources of that one's. A
    /// worker without others has none to hand to.
    fn hand_over(&mut self, worker: usize, from: ParticipantId, compound: &[u8]) {
        let _ = (worker, from, compound);
    }

    /// Sends a datagram that is somewhere else.
    fn send_copy(&mut self, to: SocketAddr, datagram: &[u8]) {
        // One that is larger than any room is larger than any datagram.
        if let Some(room) = self.room(datagram.len()).get_mut(..datagram.len()) {
            room.copy_from_slice(datagram);
            self.send(to, datagram.len());
        }
    }
}
