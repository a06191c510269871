//! The running checksum of SQLite's write-ahead log (its file format, section 4.2).

/// Carries the two sums on over 32-bit words; what is left of the last eight bytes is ignored.
pub fn wal_chain(data: &[u8], is_big_endian: bool, mut first: u32, mut second: u32) -> (u32, u32) {
    let word = |bytes: &[u8]| {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if is_big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    };
    for pair in data.chunks_exact(8) {
        first = first.wrapping_add(word(&pair[..4])).wrapping_add(second);
        second = second.wrapping_add(word(&pair[4..])).wrapping_add(first);
    }
    (first, second)
}

#[cfg(test)]
mod tests {
    use super::wal_chain;

    #[test]
    fn words_are_added_in_turn() {
        let data = [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 3];
        assert_eq!(wal_chain(&data, false, 0, 0), (1, 3));
        assert_eq!(
            wal_chain(&data[..8], true, 5, 7),
            (0x0100_000c, 0x0300_0013)
        );
    }
}
