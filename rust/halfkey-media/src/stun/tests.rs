//! The test vectors of RFC 5769, and what is done to requests on their way.

use super::*;

/// RFC 5769 section 2.1: a request with USERNAME "evtj:h6vY", and padding of spaces.
const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae\
    80220010535455 4e207465737420636c69656e74\
    002400046e0001ff80290008932ff9b151263b36\
    000600096576746a3a68367659202020\
    000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2\
    80280004e57a3bcf";
/// Section 2.2 and 2.3: the responses to it, here without SOFTWARE, are made of the same parts.
const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";
const V4: &str = "192.0.2.1:32853";
const V6: &str = "[2001:db8:1234:5678:11:2233:4455:6677]:32853";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).expect("ASCII"), 16);
    digits
        .chunks(2)
        .map(|pair| byte(pair).expect("hex"))
        .collect()
}

fn checked(message: &[u8], password: &str) -> Result<(), StunRejection> {
    let check = Check::parse(message)?.expect("a request");
    check.verify(&Password::new(password))
}

#[test]
fn the_request_of_rfc_5769_is_authentic() {
    let message = bytes(REQUEST);
    let check = Check::parse(&message).expect("STUN").expect("a request");
    assert_eq!(check.username(), Some((&b"evtj"[..], &b"h6vY"[..])));
    assert!(check.is_controlled() && !check.nominates());
    assert_eq!(check.verify(&Password::new(PASSWORD)), Ok(()));
    let other = Password::new("VOkJxbRl1RmTxUk/WvJxBT");
    assert_eq!(check.verify(&other), Err(StunRejection::Authentication));
}

#[test]
fn addresses_are_masked_as_in_rfc_5769() {
    let message = bytes(REQUEST);
    let check = Check::parse(&message).expect("STUN").expect("a request");
    let password = Password::new(PASSWORD);
    // The attributes of sections 2.2 and 2.3.
    let expected = [
        (V4, "00200008 0001 a147 e112a643"),
        (V6, "00200014 0002 a147 0113a9faa5d3f179bc25f4b5bed2b9d9"),
        ("[::ffff:192.0.2.1]:32853", "00200008 0001 a147 e112a643"),
    ];
    for (from, attribute) in expected {
        let mut buffer = [0xee; ANSWER_LENGTH];
        let length = check.answer(from.parse().expect("an address"), &password, &mut buffer);
        let (answer, attribute) = (&buffer[..length], bytes(attribute));
        assert_eq!(answer[..2], [1, 1]);
        assert_eq!(usize::from(number(answer, 2)), length - HEADER_LENGTH);
        assert_eq!(answer[4..20], message[4..20]);
        assert_eq!(answer[20..20 + attribute.len()], attribute);
        let at = length - 8 - 24;
        assert_eq!(answer[at..at + 4], [0, 8, 0, 20]);
        assert_eq!(
            &answer[at + 4..length - 8],
            password.integrity(&answer[..at]).as_ref()
        );
        assert_eq!(answer[length - 8..length - 4], [0x80, 0x28, 0, 4]);
        assert_eq!(answer[length - 4..], fingerprint(&answer[..length - 8]));
    }
}

/// Section 2.2 whole, which has SOFTWARE first: its proofs are those that we would make.
#[test]
fn the_proofs_of_the_response_of_rfc_5769_are_ours() {
    let response = bytes(
        "0101003c2112a442b7e7a701bc34d686fa87dfae\
         8022000b7465737420766563746f7220\
         002000080001a147e112a643\
         000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7\
         80280004c07d4c96",
    );
    let at = response.len() - 8 - 24;
    let tag = Password::new(PASSWORD).integrity(&response[..at]);
    assert_eq!(tag.as_ref(), &response[at + 4..at + 24]);
    assert_eq!(fingerprint(&response[..at + 24]), response[at + 28..]);
}

#[test]
fn every_damaged_byte_and_every_cut_is_noticed() {
    let whole = bytes(REQUEST);
    assert_eq!(checked(&whole, PASSWORD), Ok(()));
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        let indication_or_other = Check::parse(&damaged).map(|found| found.is_none());
        assert!(
            indication_or_other == Ok(true) || checked(&damaged, PASSWORD).is_err(),
            "byte {at}"
        );
        let cut = Check::parse(&whole[..at]).map(|_| ());
        assert_eq!(cut, Err(StunRejection::Malformed), "{at} bytes");
    }
}

fn request(attributes: &[(u16, &[u8])], behind: &[(u16, &[u8])]) -> Vec<u8> {
    sealed(&[7; 12], attributes, behind, &Password::new(PASSWORD))
}

#[test]
fn what_stands_behind_the_proof_means_nothing() {
    let name = (USERNAME, &b"a:b"[..]);
    let proved = request(&[name, (USE_CANDIDATE, b"")], &[]);
    let forged = request(&[name], &[(USE_CANDIDATE, b""), (USERNAME, b"c:d")]);
    for (message, nominates) in [(proved, true), (forged, false)] {
        let check = Check::parse(&message).expect("STUN").expect("a request");
        assert_eq!(check.verify(&Password::new(PASSWORD)), Ok(()));
        assert_eq!(check.nominates(), nominates);
        assert_eq!(check.username(), Some((&b"a"[..], &b"b"[..])));
    }
}

#[test]
fn other_messages_get_a_reason() {
    let mut other = bytes(REQUEST);
    for (first, expected) in [
        ([0, 0x11], Ok(true)),
        ([1, 1], Err(StunRejection::Unsupported)),
        ([0, 3], Err(StunRejection::Unsupported)),
    ] {
        other[..2].copy_from_slice(&first);
        assert_eq!(Check::parse(&other).map(|found| found.is_none()), expected);
    }
    let long = request(&[(0x8022, &[0; 600])], &[]);
    assert_eq!(
        Check::parse(&long).map(|_| ()),
        Err(StunRejection::Malformed)
    );
    let mut doubled = request(&[(USERNAME, b"a:b")], &[]);
    let again = doubled[doubled.len() - 8..].to_vec();
    doubled.extend(again);
    let body = (doubled.len() - HEADER_LENGTH) as u16;
    doubled[2..4].copy_from_slice(&body.to_be_bytes());
    assert_eq!(
        Check::parse(&doubled).map(|_| ()),
        Err(StunRejection::Malformed)
    );
}

#[test]
fn a_request_that_is_made_here_is_authentic() {
    for nominates in [false, true] {
        let message = super::request(&[9; 12], "a:b", nominates, &Password::new(PASSWORD));
        assert_eq!(checked(&message, PASSWORD), Ok(()));
        assert_eq!(
            checked(&message, "another"),
            Err(StunRejection::Authentication)
        );
        let check = Check::parse(&message).expect("STUN").expect("a request");
        assert_eq!(check.nominates(), nominates);
        assert!(!check.is_controlled());
    }
}
