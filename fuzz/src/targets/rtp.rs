//! A packet is refused, or its parts are parts of it; its elements lie in the extension.

use halfkey_media::rtp::RtpView;

use crate::bytes::rtp;

pub fn run(data: &[u8]) -> bool {
    let Ok(view) = RtpView::parse(data) else {
        return false;
    };
    assert_eq!([view.header(), view.payload()].concat(), data);
    assert!(view.fixed_length() <= view.header_length());
    assert_eq!(12 + 4 * view.csrcs().count(), view.fixed_length());
    let extension = view.header_length() - view.fixed_length();
    assert_eq!(view.has_extension(), extension != 0);
    let elements: usize = view.extensions().map(|(_, data)| 1 + data.len()).sum();
    assert!(
        elements <= extension,
        "elements are longer than what holds them"
    );
    assert!(view.extension_is_known() || view.extensions().next().is_none());
    let fields = view.changeable_fields();
    assert_eq!(fields.marker_and_payload_type(), data[1]);
    assert_eq!(fields.sequence_number.to_be_bytes(), data[2..4]);
    true
}

pub fn seeds() -> Vec<Vec<u8>> {
    let plain = rtp(9, 96, 1, b"payload");
    let extended = |form: [u8; 2], elements: &[u8]| {
        let mut packet = plain[..12].to_vec();
        packet[0] |= 0x10;
        packet.extend(form);
        packet.extend((elements.len() as u16 / 4).to_be_bytes());
        packet.extend(elements);
        packet.extend(b"payload");
        packet
    };
    let mut with_csrcs = plain.clone();
    with_csrcs[0] |= 2;
    vec![
        extended([0xbe, 0xde], b"\x30a\x00\x41bc\x00"),
        extended([0x10, 0x00], b"\x03\x01a\x00\x04\x02bc"),
        extended([0xab, 0xcd], b"what"),
        with_csrcs,
        plain,
    ]
}
