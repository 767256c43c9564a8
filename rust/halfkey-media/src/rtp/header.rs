//! Writing a relayed packet's header.

use super::extensions::write_extension;
use super::{ChangeableFields, Element, RtpView};
use crate::error::SealError;

/// Writes `source`'s header with other changeable fields and other extension elements. V, P, CSRCs,
/// timestamp and SSRC, which nobody may change (RFC 8723 section 4), are copied.
///
/// Returns the header's length.
///
/// # Errors
/// `BufferTooSmall`, or `NotAPacket` if an element is longer than 255 bytes.
pub fn write_header<'a>(
    output: &mut [u8],
    source: &RtpView<'_>,
    fields: ChangeableFields,
    elements: impl Iterator<Item = Element<'a>> + Clone,
) -> Result<usize, SealError> {
    let (fixed, rest) = output
        .split_at_mut_checked(source.fixed_length())
        .ok_or(SealError::BufferTooSmall)?;
    fixed.copy_from_slice(&source.bytes()[..source.fixed_length()]);
    fields.write(fixed);
    let extension_length = write_extension(rest, elements)?;
    if extension_length > 0 {
        fixed[0] |= 0x10;
    } else {
        fixed[0] &= !0x10;
    }
    Ok(fixed.len() + extension_length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::hex;

    #[test]
    fn replaces_fields_and_extension_only() {
        let source = hex("b1 e0 1234 01020304 deadbeef 00000001 bede0001 10ff0000 aabb");
        let view = RtpView::parse(&source).expect("well-formed");
        let fields = ChangeableFields {
            payload_type: 97,
            sequence_number: 7,
            marker: false,
        };
        let mut output = [0; 64];
        let length = write_header(&mut output, &view, fields, [(3, &b"ab"[..])].into_iter());
        let expected = hex("b1 61 0007 01020304 deadbeef 00000001 bede0001 31616200");
        assert_eq!(&output[..length.expect("has room")], expected);

        let length = write_header(&mut output, &view, fields, [].into_iter());
        let expected = hex("a1 61 0007 01020304 deadbeef 00000001");
        assert_eq!(&output[..length.expect("has room")], expected);

        let short = &mut output[..15];
        let error = Err(SealError::BufferTooSmall);
        assert_eq!(write_header(short, &view, fields, [].into_iter()), error);
    }
}
