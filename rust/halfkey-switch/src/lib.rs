//! The UDP socket around the forwarder: workers, each with a thread, a socket and a forwarder.
//!
//! ```text
//!                     +--------------- worker ---------------+
//! UDP socket <------> | SRTP, SRTCP --> Forwarder --> socket |
//!                     | STUN, DTLS  --> queue                | --> Switch::drain
//!                     | instructions <-- channel             | <-- Switch::each, at, send
//!                     +---------- inbox ---------------------+
//!                                   ^ other workers
//! ```
//!
//! All sockets have one address. To which worker a packet belongs follows from its SSRC
//! ([`halfkey_media::Share`]), and the kernel is told to steer by it; what comes to another worker
//! all the same is handed over unopened. So no window is there twice, and no index is sealed twice,
//! whatever the network does to addresses.
//!
//! Instructions are followed in the order in which they were given. So an address that was set is
//! known before a datagram that was sent afterwards leaves.
#![forbid(unsafe_code)]

mod control;
mod demux;
mod figures;
mod inbox;
mod outbox;
mod queue;
mod sockets;
mod switch;
mod worker;

#[cfg(test)]
mod tests;

pub use control::{Answer, Assignment};
pub use figures::Figures;
pub use queue::Datagram;
pub use sockets::Granted;
pub use switch::{MAX_WORKERS, Settings, Stopped, Switch};
