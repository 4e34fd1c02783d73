//! Base64 as Go reads it: line breaks are skipped, bits that are left over do not matter.

/// The byte at which a text stops being Base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Illegal(pub usize);

/// Reads Base64.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, Illegal> {
    let letters: Vec<(usize, u8)> =
        text.bytes().enumerate().filter(|(_, letter)| !matches!(letter, b'\n' | b'\r')).collect();
    let mut bytes = Vec::with_capacity(letters.len() / 4 * 3);
    let mut groups = letters.chunks(4).peekable();
    while let Some(group) = groups.next() {
        let mut bits = 0_u32;
        let mut count = 0;
        for (at, letter) in group {
            match value(*letter) {
                Some(six) => bits = bits << 6 | six,
                None if *letter == b'=' && count >= 2 => break,
                None => return Err(Illegal(*at)),
            }
            count += 1;
        }
        if count < 4 {
            // What is too short is said to be wrong where its group began; after one `=` comes another, and then nothing.
            match (count, group.get(count..)) {
                (_, None | Some([])) => return Err(Illegal(text.len().saturating_sub(count))),
                (2, Some([_])) => return Err(Illegal(text.len())),
                (2, Some([(first, _), (_, second)])) if *second != b'=' => return Err(Illegal(*first)),
                _ => {}
            }
            if let Some(rest) = groups.peek().and_then(|rest| rest.first()) {
                return Err(Illegal(rest.0));
            }
        }
        let whole = (bits << (6 * (4 - count))).to_be_bytes();
        bytes.extend_from_slice(&whole[1..count]);
    }
    Ok(bytes)
}

fn value(letter: u8) -> Option<u32> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_leniently_and_refused_at_the_byte_that_go_names() {
        for (text, read) in [
            ("", Ok("")),
            ("aQ==", Ok("i")),
            ("aa==", Ok("i")),
            ("aGk=", Ok("hi")),
            ("aGV5", Ok("hey")),
            ("a\nQ==\n", Ok("i")),
            ("aQ", Err(Illegal(0))),
            ("aGV5aQ", Err(Illegal(4))),
            ("aQ=", Err(Illegal(3))),
            ("a===", Err(Illegal(1))),
            ("aa=a", Err(Illegal(2))),
            ("!", Err(Illegal(0))),
            ("aaaa!", Err(Illegal(4))),
            ("aa-_", Err(Illegal(2))),
            ("aQ==aQ==", Err(Illegal(4))),
        ] {
            assert_eq!(decode(text), read.map(|read: &str| read.as_bytes().to_vec()), "{text:?}");
        }
    }
}
