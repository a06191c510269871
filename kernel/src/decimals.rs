//! Lists of numbers in decimal text, as a database gives them in one piece.

/// The numbers of a text such as `1,-20,3`, each in the machine's order of bytes; None if it is no such text, or a
/// number does not fit. An empty text has no numbers.
pub fn integers<const WIDTH: usize>(
    text: &[u8],
    place: fn(i64) -> Option<[u8; WIDTH]>,
) -> Option<Vec<u8>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut found = Vec::with_capacity(text.len() / 4 * WIDTH);
    for part in text.split(|&byte| byte == b',') {
        found.extend_from_slice(&place(integer(part)?)?);
    }
    Some(found)
}

/// Eight bytes with a sign.
pub fn signed64(value: i64) -> Option<[u8; 8]> {
    Some(value.to_ne_bytes())
}

/// Four bytes without a sign.
pub fn unsigned32(value: i64) -> Option<[u8; 4]> {
    u32::try_from(value).ok().map(u32::to_ne_bytes)
}

/// Strict: no sign but `-`, no space, nothing beyond 64 bits.
fn integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    // Downward, since the least number has no positive counterpart.
    let mut value: i64 = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(digit))?;
    }
    if is_negative {
        Some(value)
    } else {
        value.checked_neg()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(text: &str) -> Option<Vec<i64>> {
        let bytes = integers(text.as_bytes(), signed64)?;
        let parts = bytes.chunks_exact(8);
        Some(
            parts
                .map(|one| i64::from_ne_bytes(one.try_into().expect("eight bytes")))
                .collect(),
        )
    }

    #[test]
    fn whole_range_is_read() {
        let text = "0,-1,9223372036854775807,-9223372036854775808";
        assert_eq!(signed(text), Some(vec![0, -1, i64::MAX, i64::MIN]));
        assert_eq!(signed(""), Some(vec![]));
        assert_eq!(
            integers(b"4294967295,0", unsigned32),
            Some([u32::MAX.to_ne_bytes(), [0; 4]].concat())
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            ",",
            "1,",
            ",1",
            "-",
            "+1",
            " 1",
            "1.0",
            "1e3",
            "0x1",
            "--1",
            "1-",
            "9223372036854775808",
            "-9223372036854775809",
            "é",
        ] {
            assert_eq!(signed(text), None, "{text}");
        }
        assert_eq!(integers(b"4294967296", unsigned32), None);
        assert_eq!(integers(b"-1", unsigned32), None);
    }
}
