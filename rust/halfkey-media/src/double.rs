//! Double (RFC 8723): an end-to-end layer of AES-GCM inside the hop-by-hop one. Endpoints only.

mod hop_keys;
mod inner;
mod keys;
mod receiver;
mod sender;

pub use inner::InnerMasterKey;
pub use receiver::{DoubleReceiver, Unprotected};
pub use sender::DoubleSender;

/// The most SSRCs for which end-to-end state is kept.
pub const MAX_INNER_SSRCS: usize = 1024;

/// The most end-to-end keys kept for one SSRC: the one in use, the next, and old ones.
pub const MAX_KEYS_PER_SSRC: usize = 4;

/// The most EKT parameter sets kept.
pub const MAX_PARAMETER_SETS: usize = 64;

/// The most replaced hop keys that are remembered, so that none is taken into use again.
pub const MAX_RETIRED_HOP_KEYS: usize = 64;

/// Runs `write`; what it leaves behind when it fails is no packet, and may be a plain one.
fn or_empty<T, E>(
    output: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
) -> Result<T, E> {
    output.clear();
    let result = write(output);
    if result.is_err() {
        output.clear();
    }
    result
}

#[cfg(test)]
mod tests;
