//! The UDP socket around the forwarder: one worker thread, which owns both.
//!
//! ```text
//!                     +--------------- worker ---------------+
//! UDP socket <------> | SRTP, SRTCP --> Forwarder --> socket |
//!                     | STUN, DTLS  --> queue                | --> Switch::drain
//!                     | instructions <-- channel             | <-- Switch::control, send
//!                     +--------------------------------------+
//! ```
//!
//! Instructions are followed in the order in which they were given. So an address that was set is
//! known before a datagram that was sent afterwards leaves.
#![forbid(unsafe_code)]

mod demux;
mod outbox;
mod queue;
mod switch;
mod worker;

#[cfg(test)]
mod tests;

pub use queue::Datagram;
pub use switch::{Settings, Stopped, Switch};
