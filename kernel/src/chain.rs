//! Checksums of databases: the running one of SQLite's write-ahead log (its file format, section 4.2), and CRCs of pages.

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

/// The CRC-32 (IEEE) of each page, in the order of this machine's bytes; what is left at the end is ignored.
pub fn page_sums(data: &[u8], page_bytes: usize) -> Vec<u8> {
    data.chunks_exact(page_bytes)
        .flat_map(|page| crc32fast::hash(page).to_ne_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{page_sums, wal_chain};

    #[test]
    fn each_page_has_its_sum() {
        let sums = page_sums(b"123456789123456789rest", 9);
        assert_eq!(sums, [0xcbf4_3926_u32.to_ne_bytes(); 2].concat());
    }

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
