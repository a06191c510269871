//! The append log of a journal: frames composed, summed and written durably in one go, without the interpreter's lock.
//!
//! A frame is a header of 64 bytes and a body: numbers that mean nothing here (`meta`), a table with length and CRC of
//! each blob, and the blobs. `wavemq.storage.log_frames` reads what is written here.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

pub const HEADER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"wmqframe";
const TABLE_ROW_BYTES: usize = 8;
/// The reversed polynomial of CRC-32 (IEEE).
const POLYNOMIAL: u32 = 0xedb8_8320;

/// Where a frame belongs, and the numbers that follow the highest ever used.
#[derive(Clone, Copy)]
pub struct Place {
    pub salt: u64,
    pub sequence: u64,
    pub next_queue: u64,
    pub next_record: u64,
}

impl Place {
    fn bytes(&self) -> [u8; 32] {
        let mut out = [0; 32];
        for (to, value) in out.chunks_exact_mut(8).zip([
            self.salt,
            self.sequence,
            self.next_queue,
            self.next_record,
        ]) {
            to.copy_from_slice(&value.to_le_bytes());
        }
        out
    }

    /// What is written beside the log when the frame is on disk.
    pub fn mark(&self) -> [u8; 36] {
        let mut out = [0; 36];
        out[..32].copy_from_slice(&self.bytes());
        let sum = crc32fast::hash(&out[..32]);
        out[32..].copy_from_slice(&sum.to_le_bytes());
        out
    }
}

/// A whole frame; None if its body has 4 GiB or more.
pub fn frame(place: &Place, meta: &[u8], blobs: &[&[u8]]) -> Option<Vec<u8>> {
    let table_bytes = TABLE_ROW_BYTES * blobs.len();
    let content_bytes: usize = blobs.iter().map(|one| one.len()).sum();
    let body_bytes = meta.len() + table_bytes + content_bytes;
    let lengths = [body_bytes, meta.len(), blobs.len()].map(|one| u32::try_from(one).ok());
    let mut out = Vec::with_capacity(HEADER_BYTES + body_bytes);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&place.bytes());
    for length in lengths {
        out.extend_from_slice(&length?.to_le_bytes());
    }
    out.resize(HEADER_BYTES, 0);
    out.extend_from_slice(meta);
    for blob in blobs {
        out.extend_from_slice(&(blob.len() as u32).to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(blob).to_le_bytes());
    }
    for blob in blobs {
        out.extend_from_slice(blob);
    }
    let body = crc32fast::hash(&out[HEADER_BYTES..]);
    let outline = crc32fast::hash(&out[HEADER_BYTES..HEADER_BYTES + meta.len() + table_bytes]);
    out[52..56].copy_from_slice(&body.to_le_bytes());
    out[56..60].copy_from_slice(&outline.to_le_bytes());
    let header = crc32fast::hash(&out[..60]);
    out[60..64].copy_from_slice(&header.to_le_bytes());
    Some(out)
}

/// Writes bytes to an open file and has them on disk when it returns; then the mark, which does not wait for the disk
/// and whose failure costs nothing.
pub fn write_durably(
    log: i32,
    offset: u64,
    content: &[u8],
    mark_file: i32,
    mark: &[u8],
) -> io::Result<()> {
    // SAFETY: the caller has both files open during the call, and they are not closed here.
    let (log, mark_file) = unsafe {
        (
            ManuallyDrop::new(File::from_raw_fd(log)),
            ManuallyDrop::new(File::from_raw_fd(mark_file)),
        )
    };
    log.write_all_at(content, offset)?;
    log.sync_data()?;
    let _ = mark_file.write_all_at(mark, 0);
    Ok(())
}

/// The bit of so many bytes, counted from the first byte's lowest, that alone changes their CRC by `change`.
pub fn flipped_bit(size_bytes: usize, change: u32) -> Option<usize> {
    let bits = size_bytes.checked_mul(8)?;
    // The last bit that goes into a CRC is the highest of the last byte; each further bit carries a change on.
    let mut effect = POLYNOMIAL;
    for back in 0..bits {
        if effect == change {
            let index = bits - 1 - back;
            return Some(index);
        }
        effect = (effect >> 1) ^ if effect & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{flipped_bit, frame, Place, HEADER_BYTES};

    const PLACE: Place = Place {
        salt: 1,
        sequence: 2,
        next_queue: 3,
        next_record: 4,
    };

    #[test]
    fn frame_has_header_meta_table_and_blobs() {
        let out = frame(&PLACE, b"12345678", &[b"one", b""]).expect("it is small");
        assert_eq!(out.len(), HEADER_BYTES + 8 + 16 + 3);
        assert_eq!(out[40..52], [27, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(
            out[60..64],
            crc32fast::hash(&out[..60]).to_le_bytes(),
            "the header has a sum of its own"
        );
        assert_eq!(out[out.len() - 3..], *b"one");
    }

    #[test]
    fn every_flipped_bit_is_told_from_every_other() {
        let content: Vec<u8> = (0..100).collect();
        for bit in 0..800 {
            let mut damaged = content.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let change = crc32fast::hash(&content) ^ crc32fast::hash(&damaged);
            assert_eq!(flipped_bit(100, change), Some(bit));
        }
        assert_eq!(flipped_bit(100, 0), None);
    }
}
