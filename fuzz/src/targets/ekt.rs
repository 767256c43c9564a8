//! An Endpoint refuses a packet and gives nothing, or gives the packet of an SSRC whose key it has;
//! whoever holds the hop's keys and the EKT key can do no more than that.

use aws_lc_rs::key_wrap::{AES_128, AesKek, KeyWrapPadded};
use halfkey_media::double::{DoubleReceiver, DoubleSender};
use halfkey_media::ekt::full_ekt_field;
use halfkey_media::rtp::RtpView;
use halfkey_media::{
    DoubleProfile, HopProfile, HopReceiveContext, HopSendContext, ekt_field_length,
};

use crate::bytes::{part, rtp, take};

const PROFILE: DoubleProfile = DoubleProfile::DoubleAeadAes128Gcm;
const HOP: HopProfile = HopProfile::AeadAes128Gcm;
const KEY: [u8; 16] = [1; 16];
const EKT_KEY: [u8; 16] = [2; 16];
const INNER_KEY: [u8; 16] = [3; 16];
const SALT: [u8; 12] = [4; 12];
const SPI: u16 = 7;
const SSRC: u32 = 9;
const LARGEST: usize = 2048;

/// Parts by turns: a packet, which is sealed for the hop, and an EKT Field. A field that begins with
/// a zero is the plaintext of a Full EKT Field, which is wrapped; any other comes as it is.
pub fn run(mut data: &[u8]) -> bool {
    let mut receiver = DoubleReceiver::new(PROFILE, &KEY, &SALT).expect("lengths fit");
    receiver
        .add_ekt_parameter_set(SPI, &EKT_KEY, &SALT)
        .expect("lengths fit");
    let mut hop = HopSendContext::new(HOP, &KEY, &SALT).expect("lengths fit");
    let mut output = Vec::new();
    let mut opened = 0;
    while let (Some(packet), Some(field)) = (take(&mut data), take(&mut data)) {
        let mut sent = packet[..packet.len().min(LARGEST)].to_vec();
        let length = sent.len();
        sent.resize(length + 16, 0);
        // Raw, if it is no packet or a repetition.
        let _ = hop.seal_rtp(&mut sent, length);
        sent.extend(ekt_field(field));
        if let Ok(length) = ekt_field_length(&sent) {
            assert!((1..=sent.len()).contains(&length));
        }
        match receiver.unprotect(&sent, &mut output) {
            Ok(unprotected) => {
                let view = RtpView::parse(&output).expect("a packet");
                assert_eq!(view.ssrc(), unprotected.ssrc);
                assert!(output.len() < sent.len());
                assert_eq!(unprotected.ekt_spi, SPI);
                opened += 1;
            }
            Err(_) => assert!(output.is_empty(), "a refused packet gives something"),
        }
        assert!(
            receiver.unprotect(&sent, &mut output).is_err(),
            "taken twice"
        );
        for refused in [
            receiver.unprotect_repair(&sent, &mut output).is_err(),
            receiver.unprotect_rtcp(&sent, &mut output).is_err(),
        ] {
            assert!(!refused || output.len() <= sent.len());
        }
    }
    opened > 0
}

fn ekt_field(field: &[u8]) -> Vec<u8> {
    let Some((0, plaintext)) = field.split_first() else {
        return field.to_vec();
    };
    let plaintext = &plaintext[..plaintext.len().min(251)];
    if plaintext.is_empty() {
        return vec![0];
    }
    let mut wrapped = [0; 300];
    let kek = AesKek::new(&AES_128, &EKT_KEY).expect("length fits");
    let wrapped: &[u8] = kek
        .wrap_with_padding(plaintext, &mut wrapped)
        .expect("has room");
    let length = (wrapped.len() as u16 + 7).to_be_bytes();
    [wrapped, &SPI.to_be_bytes(), &[0, 0], &length, &[2]].concat()
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut sender = DoubleSender::new(PROFILE, &KEY, &SALT).expect("lengths fit");
    sender
        .set_inner_key(SSRC, &INNER_KEY, &SALT)
        .expect("lengths fit");
    let mut hop = HopReceiveContext::new(HOP, &KEY, &SALT).expect("lengths fit");
    let mut packet = |number| {
        let mut sealed = Vec::new();
        let plain = rtp(SSRC, 96, number, b"some media");
        sender.protect(&plain, &[0], &mut sealed).expect("fresh");
        sealed.pop();
        let opened = hop.open_rtp(&mut sealed).expect("authentic");
        sealed.truncate(opened.length());
        part(&sealed)
    };
    let tail = [&SSRC.to_be_bytes()[..], &[0; 4]].concat();
    let plaintext = [&[0, 16][..], &INNER_KEY, &tail].concat();
    let made = full_ekt_field(&EKT_KEY, SPI, 0, SSRC, 0, &INNER_KEY).expect("lengths fit");
    vec![
        [packet(1), part(&plaintext), packet(2), part(&[0])].concat(),
        [packet(3), part(&made), packet(4), part(&[1, 2, 0, 5, 3])].concat(),
        [packet(5), part(&[0, 0, 9, 2])].concat(),
    ]
}
