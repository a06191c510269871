//! Checksums of databases: the running one of SQLite's write-ahead log (its file format, section 4.2), and CRCs of pages.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::bulk::in_parallel;

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

/// Bytes of a file that are read at a time: they stay in the processor's cache until they are summed.
const PIECE_BYTES: usize = 1 << 20;

/// The CRC-32 (IEEE) of each whole page of a file, in the order of this machine's bytes.
pub fn page_sums(path: &Path, page_bytes: usize) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let pages = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX) / page_bytes;
    let at_once = (PIECE_BYTES / page_bytes).max(1);
    let firsts: Vec<usize> = (0..pages).step_by(at_once).collect();
    let sums = in_parallel(&firsts, |first| {
        let count = at_once.min(pages - first);
        let mut piece = vec![0; count * page_bytes];
        file.read_exact_at(&mut piece, (first * page_bytes) as u64)?;
        Ok(piece
            .chunks_exact(page_bytes)
            .flat_map(|page| crc32fast::hash(page).to_ne_bytes())
            .collect::<Vec<u8>>())
    });
    let sums: std::io::Result<Vec<Vec<u8>>> = sums.into_iter().collect();
    Ok(sums?.concat())
}

#[cfg(test)]
mod tests {
    use super::{page_sums, wal_chain};

    #[test]
    fn each_page_has_its_sum() {
        let path = std::env::temp_dir().join(format!("page-sums-{}", std::process::id()));
        std::fs::write(&path, b"123456789123456789rest").expect("a temporary file");
        let sums = page_sums(&path, 9);
        std::fs::remove_file(&path).expect("it was there");
        assert_eq!(
            sums.expect("it was read"),
            [0xcbf4_3926_u32.to_ne_bytes(); 2].concat()
        );
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
