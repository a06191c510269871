//! Keccak-256 of four messages at a time, one in each 64-bit lane of a 256-bit register.
//!
//! The scalar code needs a core for each message; this needs one core for four. Machines without
//! AVX2 take the scalar code of `hashes`.

use std::arch::x86_64::*;

pub const LANES: usize = 4;

const RATE_BYTES: usize = 136;
const RATE_WORDS: usize = RATE_BYTES / 8;
const ROUND_CONSTANTS: [u64; 24] = [
    0x0000000000000001,
    0x0000000000008082,
    0x800000000000808a,
    0x8000000080008000,
    0x000000000000808b,
    0x0000000080000001,
    0x8000000080008081,
    0x8000000000008009,
    0x000000000000008a,
    0x0000000000000088,
    0x0000000080008009,
    0x000000008000000a,
    0x000000008000808b,
    0x800000000000008b,
    0x8000000000008089,
    0x8000000000008003,
    0x8000000000008002,
    0x8000000000000080,
    0x000000000000800a,
    0x800000008000000a,
    0x8000000080008081,
    0x8000000000008080,
    0x0000000080000001,
    0x8000000080008008,
];

/// Whether this machine has the instructions.
pub fn is_supported() -> bool {
    is_x86_feature_detected!("avx2")
}

/// The digests of one to four messages, or None where the machine lacks the instructions.
pub fn keccak256_group(messages: &[&[u8]]) -> Option<Vec<[u8; 32]>> {
    if !is_supported() || messages.is_empty() || messages.len() > LANES {
        return None;
    }
    // SAFETY: the instructions are there.
    Some(unsafe { digests(messages) })
}

/// The number of rate-sized blocks of a message once it is padded.
fn block_count(message: &[u8]) -> usize {
    message.len() / RATE_BYTES + 1
}

/// Block `index` of the padded message as words; zeros after its end.
fn block(message: &[u8], index: usize) -> [u64; RATE_WORDS] {
    let mut bytes = [0u8; RATE_BYTES];
    let start = (index * RATE_BYTES).min(message.len());
    let rest = &message[start..(start + RATE_BYTES).min(message.len())];
    bytes[..rest.len()].copy_from_slice(rest);
    if index + 1 == block_count(message) {
        bytes[rest.len()] ^= 0x01;
        bytes[RATE_BYTES - 1] ^= 0x80;
    }
    let mut words = [0u64; RATE_WORDS];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        let mut raw = [0u8; 8];
        raw.copy_from_slice(chunk);
        *word = u64::from_le_bytes(raw);
    }
    words
}

#[target_feature(enable = "avx2")]
unsafe fn digests(messages: &[&[u8]]) -> Vec<[u8; 32]> {
    let mut found = vec![[0u8; 32]; messages.len()];
    let blocks = messages.iter().map(|one| block_count(one)).max();
    let mut state = [_mm256_setzero_si256(); 25];
    for index in 0..blocks.unwrap_or(0) {
        let mut words = [[0u64; RATE_WORDS]; LANES];
        for (lane, message) in words.iter_mut().zip(messages) {
            *lane = block(message, index);
        }
        for (position, word) in state.iter_mut().take(RATE_WORDS).enumerate() {
            let row = _mm256_set_epi64x(
                words[3][position] as i64,
                words[2][position] as i64,
                words[1][position] as i64,
                words[0][position] as i64,
            );
            *word = _mm256_xor_si256(*word, row);
        }
        permute(&mut state);
        for (lane, message) in messages.iter().enumerate() {
            if index + 1 == block_count(message) {
                found[lane] = digest(&state, lane);
            }
        }
    }
    found
}

#[target_feature(enable = "avx2")]
unsafe fn digest(state: &[__m256i; 25], lane: usize) -> [u8; 32] {
    let mut out = [0u8; 32];
    for (chunk, word) in out.chunks_exact_mut(8).zip(state) {
        let mut lanes = [0u64; LANES];
        _mm256_storeu_si256(lanes.as_mut_ptr().cast(), *word);
        chunk.copy_from_slice(&lanes[lane].to_le_bytes());
    }
    out
}

#[inline]
#[target_feature(enable = "avx2")]
unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(word: __m256i) -> __m256i {
    _mm256_or_si256(
        _mm256_slli_epi64::<LEFT>(word),
        _mm256_srli_epi64::<RIGHT>(word),
    )
}

#[inline]
#[target_feature(enable = "avx2")]
unsafe fn parity(state: &[__m256i; 25], x: usize) -> __m256i {
    let upper = _mm256_xor_si256(state[x], state[x + 5]);
    let middle = _mm256_xor_si256(state[x + 10], state[x + 15]);
    _mm256_xor_si256(_mm256_xor_si256(upper, middle), state[x + 20])
}

/// Keccak-f[1600] of FIPS 202, theta to iota, on all lanes.
#[target_feature(enable = "avx2")]
unsafe fn permute(state: &mut [__m256i; 25]) {
    /// One lane of rho and pi: word `from` with the column's theta, rotated.
    macro_rules! moved {
        ($state:ident, $theta:ident, $from:literal, 0) => {
            _mm256_xor_si256($state[$from], $theta[$from % 5])
        };
        ($state:ident, $theta:ident, $from:literal, $by:literal) => {
            rotate::<$by, { 64 - $by }>(_mm256_xor_si256($state[$from], $theta[$from % 5]))
        };
    }
    for constant in ROUND_CONSTANTS {
        let c = [
            parity(state, 0),
            parity(state, 1),
            parity(state, 2),
            parity(state, 3),
            parity(state, 4),
        ];
        let theta = [
            _mm256_xor_si256(c[4], rotate::<1, 63>(c[1])),
            _mm256_xor_si256(c[0], rotate::<1, 63>(c[2])),
            _mm256_xor_si256(c[1], rotate::<1, 63>(c[3])),
            _mm256_xor_si256(c[2], rotate::<1, 63>(c[4])),
            _mm256_xor_si256(c[3], rotate::<1, 63>(c[0])),
        ];
        let rows = [
            [
                moved!(state, theta, 0, 0),
                moved!(state, theta, 6, 44),
                moved!(state, theta, 12, 43),
                moved!(state, theta, 18, 21),
                moved!(state, theta, 24, 14),
            ],
            [
                moved!(state, theta, 3, 28),
                moved!(state, theta, 9, 20),
                moved!(state, theta, 10, 3),
                moved!(state, theta, 16, 45),
                moved!(state, theta, 22, 61),
            ],
            [
                moved!(state, theta, 1, 1),
                moved!(state, theta, 7, 6),
                moved!(state, theta, 13, 25),
                moved!(state, theta, 19, 8),
                moved!(state, theta, 20, 18),
            ],
            [
                moved!(state, theta, 4, 27),
                moved!(state, theta, 5, 36),
                moved!(state, theta, 11, 10),
                moved!(state, theta, 17, 15),
                moved!(state, theta, 23, 56),
            ],
            [
                moved!(state, theta, 2, 62),
                moved!(state, theta, 8, 55),
                moved!(state, theta, 14, 39),
                moved!(state, theta, 15, 41),
                moved!(state, theta, 21, 2),
            ],
        ];
        for (y, row) in rows.iter().enumerate() {
            for x in 0..5 {
                let others = _mm256_andnot_si256(row[(x + 1) % 5], row[(x + 2) % 5]);
                state[5 * y + x] = _mm256_xor_si256(row[x], others);
            }
        }
        state[0] = _mm256_xor_si256(state[0], _mm256_set1_epi64x(constant as i64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashes::keccak256;

    #[test]
    fn lanes_agree_with_the_scalar_code_at_every_length() {
        if !is_supported() {
            return;
        }
        let noise: Vec<u8> = (0..1000u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        for length in 0..=600 {
            let messages = [
                &noise[..length],
                &noise[length..],
                &noise[length / 2..length],
                &noise[..length / 3],
            ];
            for count in 1..=LANES {
                let found = keccak256_group(&messages[..count]).expect("AVX2 is there");
                let expected: Vec<_> = messages[..count].iter().map(|one| keccak256(one)).collect();
                assert_eq!(found, expected, "length {length}, {count} lanes");
            }
        }
    }

    #[test]
    fn no_messages_and_too_many_are_nobodys_group() {
        assert!(keccak256_group(&[]).is_none());
        assert!(keccak256_group(&[b"", b"", b"", b"", b""]).is_none());
    }
}
