//! Many UDP datagrams by one system call: recvmmsg with UDP_GRO, sendmmsg with UDP_SEGMENT.
//!
//! The one crate of the Media Distributor with unsafe code: it hands pointers to the kernel, and
//! nothing else. Every pointer is made anew for each call out of references that outlive it.
//!
//! Other crates have parts of this, none has all of it (looked at in November 2026): quinn-udp 0.6
//! sends one message by a call, and turns segmentation off for all destinations when one refuses
//! it; nix 0.32 gives all messages of a call the same control messages, and its recvmmsg doesn't
//! restore the lengths that the kernel changes, so that UDP_GRO works once; rustix 1.1 has neither
//! recvmmsg nor UDP_SEGMENT.

mod address;
mod control;
mod descriptor;
mod option;
mod receive;
mod send;
mod steer;

pub use descriptor::duplicate;
#[cfg(feature = "testing")]
pub use option::refuse_segmentation;
pub use option::{enable_arrival_notes, enable_gro};
pub use receive::{ReceiveBuffer, Received};
pub use send::{MAX_SEGMENTED_LENGTH, MAX_SEGMENTS, Message, Sender};
pub use steer::steer_by_ssrc;
