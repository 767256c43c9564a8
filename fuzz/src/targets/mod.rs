//! The targets: each takes bytes, and panics if its invariant doesn't hold.

mod demux;
mod ekt;
mod forwarder;
mod relay;
mod rtcp;
mod rtp;

/// A target.
pub struct Target {
    pub name: &'static str,
    /// Whether the input was taken for valid.
    pub run: fn(&[u8]) -> bool,
    pub seeds: fn() -> Vec<Vec<u8>>,
}

pub const TARGETS: &[Target] = &[
    Target {
        name: "rtp",
        run: rtp::run,
        seeds: rtp::seeds,
    },
    Target {
        name: "rtcp",
        run: rtcp::run,
        seeds: rtcp::seeds,
    },
    Target {
        name: "relay",
        run: relay::run,
        seeds: relay::seeds,
    },
    Target {
        name: "ekt",
        run: ekt::run,
        seeds: ekt::seeds,
    },
    Target {
        name: "demux",
        run: demux::run,
        seeds: demux::seeds,
    },
    Target {
        name: "forwarder",
        run: forwarder::run,
        seeds: forwarder::seeds,
    },
    Target {
        name: "planted",
        run: planted,
        seeds: || vec![b"ok".to_vec()],
    },
];

// Broken on purpose, for the test that a finding is seen.
fn planted(data: &[u8]) -> bool {
    assert!(data.len() < 3, "found");
    true
}
