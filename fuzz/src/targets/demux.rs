//! A datagram goes one way, by its first byte, and what goes to the queue fits there.

use halfkey_media::rtcp::is_rtcp;
use halfkey_media::rtp::RtpView;

use crate::bytes::rtp;

// The switch's own file: it is no part of what that crate shows to others.
#[allow(dead_code, unreachable_pub)]
#[path = "../../../rust/halfkey-switch/src/demux.rs"]
mod demux;

use demux::{Protocol, classify, media_ssrc};

const STUN_MAX_LENGTH: usize = 1500;

pub fn run(data: &[u8]) -> bool {
    let first = data.first().copied();
    match classify(data) {
        Ok(Protocol::Stun) => {
            assert!(matches!(first, Some(0..=3)));
            assert!((20..=STUN_MAX_LENGTH).contains(&data.len()) && data.len() % 4 == 0);
            true
        }
        Ok(Protocol::Dtls) => {
            assert!(matches!(first, Some(20..=63)) && data.len() >= 13);
            true
        }
        Ok(Protocol::Media) => {
            assert!(matches!(first, Some(128..=191)));
            let view = RtpView::parse(data).ok().filter(|_| !is_rtcp(data));
            assert!(view.is_none_or(|view| media_ssrc(data) == Some(view.ssrc())));
            true
        }
        Err(reason) => {
            assert!(!reason.name().is_empty());
            assert!(
                !matches!(first, Some(128..=191)),
                "media is refused later, by its content"
            );
            false
        }
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut stun = vec![0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
    stun.resize(28, 7);
    let mut dtls = vec![22, 0xfe, 0xfd];
    dtls.resize(40, 0);
    let mut receiver_report = vec![0x80, 201, 0, 1];
    receiver_report.resize(40, 0);
    vec![stun, dtls, rtp(9, 96, 1, b""), receiver_report]
}
