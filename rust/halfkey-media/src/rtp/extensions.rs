//! RTP header extensions in the one-byte and the two-byte form (RFC 8285 sections 4.2 and 4.3).

use crate::error::SealError;

/// An extension element: its local identifier and its data.
pub type Element<'a> = (u8, &'a [u8]);

/// The length of the head of a header extension: what defines its form, and its length in words.
pub(super) const HEAD_LENGTH: usize = 4;

const ONE_BYTE_FORM: u16 = 0xBEDE;
const TWO_BYTE_FORM: u16 = 0x1000;
const MAX_ONE_BYTE_ID: u8 = 14;
const MAX_ONE_BYTE_LENGTH: usize = 16;

/// Whether an extension has the two-byte form, or the one-byte form; `None` for any other.
fn form(extension: &[u8]) -> Option<bool> {
    let (head, _) = extension.split_first_chunk()?;
    match u16::from_be_bytes(*head) {
        ONE_BYTE_FORM => Some(false),
        // The low four bits are appbits.
        form if form & 0xfff0 == TWO_BYTE_FORM => Some(true),
        _ => None,
    }
}

pub(super) fn is_known_form(extension: &[u8]) -> bool {
    form(extension).is_some()
}

/// The elements of a header extension. Ends early at one that is cut off.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extensions<'a> {
    rest: &'a [u8],
    two_byte: bool,
}

impl<'a> Extensions<'a> {
    /// `extension`: with its four-byte head.
    pub(super) fn new(extension: &'a [u8]) -> Self {
        let rest = extension.get(HEAD_LENGTH..).unwrap_or_default();
        match form(extension) {
            Some(two_byte) => Self { rest, two_byte },
            None => Self::default(),
        }
    }

    /// Splits an element's head off: identifier, length, what follows. `None`: there is no more.
    fn head(&self) -> Option<(u8, usize, &'a [u8])> {
        match (self.two_byte, self.rest) {
            // Identifier 15, and 0 with a length, end the whole extension (section 4.2).
            (false, [head, rest @ ..]) if (1..=MAX_ONE_BYTE_ID).contains(&(head >> 4)) => {
                Some((head >> 4, usize::from(head & 0x0f) + 1, rest))
            }
            (true, [id, length, rest @ ..]) => Some((*id, usize::from(*length), rest)),
            _ => None,
        }
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        while let [0, rest @ ..] = self.rest {
            self.rest = rest; // padding is a single zero byte, in both forms
        }
        let (id, length, rest) = self.head()?;
        let Some((data, rest)) = rest.split_at_checked(length) else {
            self.rest = &[];
            return None;
        };
        self.rest = rest;
        Some((id, data))
    }
}

/// Writes a header extension with these elements: nothing if there are none, the two-byte form if
/// an element needs it. Returns its length.
pub(super) fn write_extension<'a>(
    output: &mut [u8],
    elements: impl Iterator<Item = Element<'a>> + Clone,
) -> Result<usize, SealError> {
    let mut count = 0;
    let mut data_length = 0;
    let mut two_byte = false;
    for (id, data) in elements.clone() {
        count += 1;
        data_length += data.len();
        two_byte |= id > MAX_ONE_BYTE_ID || !(1..=MAX_ONE_BYTE_LENGTH).contains(&data.len());
    }
    if count == 0 {
        return Ok(0);
    }
    let written = data_length + count * if two_byte { 2 } else { 1 };
    let words = written.div_ceil(4);
    let length = HEAD_LENGTH + 4 * words;
    let extension = output.get_mut(..length).ok_or(SealError::BufferTooSmall)?;
    let form = if two_byte {
        TWO_BYTE_FORM
    } else {
        ONE_BYTE_FORM
    };
    extension[..2].copy_from_slice(&form.to_be_bytes());
    let words = u16::try_from(words).map_err(|_| SealError::NotAPacket)?;
    extension[2..4].copy_from_slice(&words.to_be_bytes());
    write_elements(&mut extension[HEAD_LENGTH..], elements, two_byte)?;
    Ok(length)
}

fn write_elements<'a>(
    output: &mut [u8],
    elements: impl Iterator<Item = Element<'a>>,
    two_byte: bool,
) -> Result<(), SealError> {
    let mut at = 0;
    for (id, data) in elements {
        let length = u8::try_from(data.len()).map_err(|_| SealError::NotAPacket)?;
        if two_byte {
            output[at..at + 2].copy_from_slice(&[id, length]);
            at += 2;
        } else {
            output[at] = id << 4 | (length - 1);
            at += 1;
        }
        output[at..at + data.len()].copy_from_slice(data);
        at += data.len();
    }
    output[at..].fill(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::hex;

    fn elements(extension: &str) -> Vec<(u8, Vec<u8>)> {
        let bytes = hex(extension);
        Extensions::new(&bytes)
            .map(|(id, data)| (id, data.to_vec()))
            .collect()
    }

    #[test]
    fn one_byte_form() {
        let expected = [(1, vec![0xaa]), (2, vec![1, 2, 3])];
        assert_eq!(elements("bede0002 10aa00 22010203 00"), expected);
        assert_eq!(elements("bede0002 10aa f0ff 22010203"), expected[..1]);
        assert_eq!(elements("bede0002 10aa 01ffff 22010203"), expected[..1]);
        assert_eq!(elements("bede0001 10aa 2201"), expected[..1]);
    }

    #[test]
    fn two_byte_form_with_any_appbits() {
        let expected = [(1, vec![]), (200, vec![7, 8])];
        for form in ["1000", "1007", "100f"] {
            assert_eq!(
                elements(&format!("{form}0002 0100 00 c8020708 00")),
                expected
            );
        }
        assert_eq!(elements("10000001 0100 c802"), expected[..1]);
    }

    #[test]
    fn other_forms_have_no_elements() {
        assert_eq!(elements("abcd0001 10aa0000"), []);
        assert_eq!(elements("bede0000"), []);
        assert_eq!(elements("bede"), []);
    }

    #[test]
    fn written_in_the_shortest_form_that_holds_them() {
        let long = [7; 17];
        let cases: [(&[Element<'_>], usize); 6] = [
            (&[], 0),
            (&[(1, &[1, 2, 3])], 8),
            (&[(14, &[9; 16]), (3, &[1])], 24),
            (&[(15, &[1])], 8),
            (&[(1, &[])], 8),
            (&[(1, &long), (2, &[1])], 28),
        ];
        for (elements, length) in cases {
            let mut output = [0xff; 64];
            assert_eq!(
                write_extension(&mut output, elements.iter().copied()),
                Ok(length)
            );
            let read: Vec<_> = Extensions::new(&output[..length]).collect();
            assert_eq!(read, elements);
            if length > 0 {
                let short = &mut output[..length - 1];
                let error = Err(SealError::BufferTooSmall);
                assert_eq!(write_extension(short, elements.iter().copied()), error);
            }
        }
    }
}
