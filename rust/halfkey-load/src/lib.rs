//! Load for a Media Distributor, and what comes of it.
//!
//! The generator is all Endpoints of a run: it seals as they do, end to end and for the hop, sends
//! by its schedule whatever happens (an open loop), counts all that comes back, and opens a share of
//! it through both layers. Beside it stands the floor: the same datagrams by bare system calls, and
//! bare seals.
//!
//! It holds end-to-end keys, so nothing of a Media Distributor may ask for this crate.
#![forbid(unsafe_code)]

mod arrivals;
mod flood;
mod floor;
mod generator;
mod handed_back;
mod participant;
mod pattern;
mod receiver;
mod sender;

pub use arrivals::Arrivals;
pub use flood::FloodKind;
pub use floor::{Audience, Floor, measure as measure_floor};
pub use generator::{Generator, Progress, Report};
pub use handed_back::HandedBack;
pub use participant::{Association, EktParameters, Stream};
pub use pattern::{Burst, Pattern};

#[cfg(test)]
mod tests;
