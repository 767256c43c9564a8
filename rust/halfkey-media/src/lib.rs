//! Packet transforms of Privacy-Enhanced RTP Conferencing, without I/O.
//!
//! Without features the crate holds what a Media Distributor needs: views of RTP and RTCP
//! packets, SRTP and SRTCP for one hop, the Original Header Block, and the length of an EKT Field.
//! The feature `endpoint` adds what only an Endpoint may hold: end-to-end keys ([`double`]) and
//! EKT keys ([`ekt`]).
#![forbid(unsafe_code)]

#[cfg(feature = "endpoint")]
pub mod double;
#[cfg(feature = "endpoint")]
pub mod ekt;
pub mod ekt_field;
pub mod error;
pub mod forwarder;
pub mod histogram;
pub mod kdf;
pub mod ohb;
pub mod profile;
pub mod relay;
pub mod replay;
pub mod rtcp;
pub mod rtp;
pub mod share;
pub mod srtp;
pub mod ssrc_table;
pub mod stun;

#[cfg(test)]
mod test_data;

pub use ekt_field::ekt_field_length;
pub use error::{KeyError, Rejection, SealError, StunRejection};
pub use ohb::OriginalHeaderBlock;
pub use profile::{DoubleProfile, HopProfile};
pub use relay::OpenedPacket;
pub use share::Share;
pub use srtp::{HopReceiveContext, HopSendContext, Opened, Origin, Repeat, SendStream, TAG_LENGTH};
