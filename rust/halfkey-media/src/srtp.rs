//! SRTP and SRTCP over one hop, with AES-GCM (RFC 3711, RFC 7714).
//!
//! A direction is a type: a [`HopReceiveContext`] can't seal and a [`HopSendContext`] can't open,
//! and neither gives its keys away, so that no key serves both.
//!
//! ```compile_fail,E0599
//! fn seal(context: &mut halfkey_media::HopReceiveContext, buffer: &mut [u8]) {
//!     let _ = context.seal_rtp(buffer, 12);
//! }
//! ```
//!
//! ```compile_fail,E0599
//! fn open(context: &mut halfkey_media::HopSendContext, packet: &mut [u8]) {
//!     let _ = context.open_rtp(packet);
//! }
//! ```

mod cipher;
mod receive;
mod send;
mod sent;
mod stream;
#[cfg(test)]
mod tests;

#[cfg(feature = "endpoint")]
pub(crate) use cipher::Fingerprint;
pub(crate) use cipher::SessionCipher;
pub use receive::{HopReceiveContext, Opened};
pub use send::HopSendContext;
#[cfg(feature = "endpoint")]
pub(crate) use stream::next_index;
pub use stream::{Origin, Repeat, SendStream};

/// The length of AES-GCM's authentication tag, in bytes.
pub const TAG_LENGTH: usize = 16;

/// What [`HopSendContext::seal_rtcp`] adds to a packet: the tag, and the E flag with the index.
pub const SRTCP_OVERHEAD: usize = TAG_LENGTH + ESRTCP_WORD_LENGTH;

/// The most SSRCs that one context opens packets of in its life, and that it seals packets of at a time.
pub const MAX_SSRCS: usize = 4096;

/// The most SSRCs that one context seals packets of in its life. Of those that are gone it keeps a few
/// bytes: a conference of 500 who come back with new SSRCs five times a day has no more in ten days.
pub const MAX_SENT_SSRCS: usize = 1 << 16;

const ESRTCP_WORD_LENGTH: usize = 4;
/// The part of an RTCP packet that SRTCP leaves in the clear: its first header and SSRC.
const RTCP_CLEAR_LENGTH: usize = 8;
const E_FLAG: u32 = 1 << 31;
