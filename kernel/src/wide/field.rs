//! Integers modulo p = 2^255 - 19, eight at a time (RFC 8032, 5.1).
//!
//! An integer is five limbs of 51 bits, the lowest first. *Tight* limbs are below 2^51 + 2^14, *loose* ones below 2^52,
//! which is what a multiplier of 52 bits takes: `mul` and `square` take loose limbs and return tight ones. Sums and
//! differences are neither until `narrow` has them.

use std::arch::x86_64::*;

use super::LANES;

pub const LIMBS: usize = 5;
const BITS: u32 = 51;
const MASK: i64 = (1 << BITS) - 1;
/// Limbs of 2p: each is above every tight limb, and below 2^52.
const TWICE_P: [i64; LIMBS] = [
    (1 << 52) - 38,
    (1 << 52) - 2,
    (1 << 52) - 2,
    (1 << 52) - 2,
    (1 << 52) - 2,
];

/// Eight integers: limb `i` of all of them is register `i`.
#[derive(Clone, Copy)]
pub struct Elements(pub [__m512i; LIMBS]);

#[inline]
#[target_feature(enable = "avx512f")]
fn times_19(word: __m512i) -> __m512i {
    let (sixteen, two) = (_mm512_slli_epi64::<4>(word), _mm512_slli_epi64::<1>(word));
    _mm512_add_epi64(_mm512_add_epi64(sixteen, two), word)
}

/// Returns tight limbs of the same integers; takes limbs below 300 times 2^52.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn narrow(Elements(limbs): Elements) -> Elements {
    let mask = _mm512_set1_epi64(MASK);
    let mut out = limbs.map(|limb| _mm512_and_si512(limb, mask));
    for index in 1..LIMBS {
        let carry = _mm512_srli_epi64::<BITS>(limbs[index - 1]);
        out[index] = _mm512_add_epi64(out[index], carry);
    }
    let carry = _mm512_srli_epi64::<BITS>(limbs[LIMBS - 1]);
    out[0] = _mm512_madd52lo_epu64(out[0], carry, _mm512_set1_epi64(19));
    Elements(out)
}

/// Returns the sums, not narrowed.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn add(a: Elements, b: Elements) -> Elements {
    let mut out = a.0;
    for (limb, more) in out.iter_mut().zip(b.0) {
        *limb = _mm512_add_epi64(*limb, more);
    }
    Elements(out)
}

/// Returns the differences, not narrowed; the limbs of `b` are tight.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn sub(a: Elements, b: Elements) -> Elements {
    add(a, negated(b))
}

/// Returns loose limbs of the negated integers, whose limbs are tight.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn negated(a: Elements) -> Elements {
    let mut out = a.0;
    for (limb, from) in out.iter_mut().zip(TWICE_P) {
        *limb = _mm512_sub_epi64(_mm512_set1_epi64(from), *limb);
    }
    Elements(out)
}

/// Puts 2^255 = 19 in place of the upper half of a product; `low[k]` weighs 2^51k, `high[k]` twice 2^51(k+1).
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn folded(low: [__m512i; 9], high: [__m512i; 9]) -> Elements {
    let zero = _mm512_setzero_si512();
    let mut words = [zero; 2 * LIMBS];
    words[..9].copy_from_slice(&low);
    for (index, part) in high.into_iter().enumerate() {
        words[index + 1] = _mm512_add_epi64(words[index + 1], _mm512_add_epi64(part, part));
    }
    let mut out = [zero; LIMBS];
    for index in 0..LIMBS {
        // Words are below 15 times 2^52: five products of each kind, of which one kind counts twice.
        out[index] = _mm512_add_epi64(words[index], times_19(words[index + LIMBS]));
    }
    narrow(Elements(out))
}

/// Returns the products.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn mul(Elements(a): Elements, Elements(b): Elements) -> Elements {
    let zero = _mm512_setzero_si512();
    let (mut low, mut high) = ([zero; 9], [zero; 9]);
    for i in 0..LIMBS {
        for j in 0..LIMBS {
            low[i + j] = _mm512_madd52lo_epu64(low[i + j], a[i], b[j]);
            high[i + j] = _mm512_madd52hi_epu64(high[i + j], a[i], b[j]);
        }
    }
    folded(low, high)
}

/// Returns the squares.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn square(Elements(a): Elements) -> Elements {
    let zero = _mm512_setzero_si512();
    let (mut low, mut high) = ([zero; 9], [zero; 9]);
    for i in 0..LIMBS {
        for j in i + 1..LIMBS {
            low[i + j] = _mm512_madd52lo_epu64(low[i + j], a[i], a[j]);
            high[i + j] = _mm512_madd52hi_epu64(high[i + j], a[i], a[j]);
        }
    }
    for index in 0..9 {
        low[index] = _mm512_add_epi64(low[index], low[index]);
        high[index] = _mm512_add_epi64(high[index], high[index]);
    }
    for i in 0..LIMBS {
        low[2 * i] = _mm512_madd52lo_epu64(low[2 * i], a[i], a[i]);
        high[2 * i] = _mm512_madd52hi_epu64(high[2 * i], a[i], a[i]);
    }
    folded(low, high)
}

/// Squares `count` times.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn squared(mut a: Elements, count: usize) -> Elements {
    for _ in 0..count {
        a = square(a);
    }
    a
}

/// Returns a^(p-2), the inverse of everything but 0, whose is 0.
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn inverse(a: Elements) -> Elements {
    // `ones(n)` is a^(2^n - 1).
    let two = square(a);
    let nine = mul(squared(two, 2), a);
    let eleven = mul(nine, two);
    let ones_5 = mul(square(eleven), nine);
    let ones_10 = mul(squared(ones_5, 5), ones_5);
    let ones_20 = mul(squared(ones_10, 10), ones_10);
    let ones_40 = mul(squared(ones_20, 20), ones_20);
    let ones_50 = mul(squared(ones_40, 10), ones_10);
    let ones_100 = mul(squared(ones_50, 50), ones_50);
    let ones_200 = mul(squared(ones_100, 100), ones_100);
    let ones_250 = mul(squared(ones_200, 50), ones_50);
    // p - 2 = 2^255 - 21 = (2^250 - 1) 2^5 + 11
    mul(squared(ones_250, 5), eleven)
}

/// Returns the integers as 32 bytes each, below p; their limbs are tight.
#[target_feature(enable = "avx512f")]
pub fn to_bytes(a: Elements) -> [[u8; 32]; LANES] {
    let mut lanes = [[0u64; LANES]; LIMBS];
    for (words, limb) in lanes.iter_mut().zip(a.0) {
        // SAFETY: eight words are written to where eight words are.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), limb) };
    }
    let mut out = [[0; 32]; LANES];
    for (lane, bytes) in out.iter_mut().enumerate() {
        *bytes = encoded(lanes.map(|words| words[lane]));
    }
    out
}

fn encoded(mut limbs: [u64; LIMBS]) -> [u8; 32] {
    let mask = MASK as u64;
    // Whether p fits in once: what the carry of the integer and 19 is. Tight limbs hold less than 2p.
    let mut carry = 19;
    for limb in limbs {
        carry = (limb + carry) >> BITS;
    }
    carry *= 19;
    for limb in &mut limbs {
        let sum = *limb + carry;
        (*limb, carry) = (sum & mask, sum >> BITS);
    }
    let [a, b, c, d, e] = limbs;
    let words = [
        a | b << 51,
        b >> 13 | c << 38,
        c >> 26 | d << 25,
        d >> 39 | e << 12,
    ];
    let mut out = [0; 32];
    for (bytes, word) in out.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wide::is_supported;

    /// A number of 512 bits modulo p, by doubling and subtracting.
    fn product(a: [u64; LIMBS], b: [u64; LIMBS]) -> [u8; 32] {
        let mut columns = [0u128; 2 * LIMBS - 1];
        for (i, left) in a.into_iter().enumerate() {
            for (j, right) in b.into_iter().enumerate() {
                columns[i + j] += u128::from(left) * u128::from(right);
            }
        }
        let mut limbs = [0u128; LIMBS];
        for (index, column) in columns.into_iter().enumerate() {
            // 2^255 is 19.
            limbs[index % LIMBS] += if index < LIMBS { column } else { 19 * column };
        }
        for _ in 0..3 {
            let mut carry = 0;
            for limb in &mut limbs {
                let sum = *limb + carry;
                (*limb, carry) = (sum & MASK as u128, sum >> BITS);
            }
            limbs[0] += 19 * carry;
        }
        encoded(limbs.map(|limb| limb as u64))
    }

    fn lanes(limbs: [[u64; LIMBS]; LANES]) -> [[u64; LANES]; LIMBS] {
        std::array::from_fn(|limb| std::array::from_fn(|lane| limbs[lane][limb]))
    }

    #[target_feature(enable = "avx512f")]
    fn loaded(limbs: [[u64; LIMBS]; LANES]) -> Elements {
        // SAFETY: eight words are read from where eight words are.
        Elements(lanes(limbs).map(|words| unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }))
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn products(a: [[u64; LIMBS]; LANES], b: [[u64; LIMBS]; LANES]) -> [[u8; 32]; LANES] {
        to_bytes(mul(loaded(a), loaded(b)))
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn squares(a: [[u64; LIMBS]; LANES]) -> [[u8; 32]; LANES] {
        to_bytes(square(loaded(a)))
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn quotients(a: [[u64; LIMBS]; LANES]) -> [[u8; 32]; LANES] {
        to_bytes(mul(inverse(loaded(a)), loaded(a)))
    }

    /// Loose limbs at the ends of their range, in all mixtures that eight lanes and a few rounds hold.
    fn extremes(round: u64) -> [[u64; LIMBS]; LANES] {
        let ends = [
            0,
            1,
            19,
            (1 << 51) - 19,
            (1 << 51) - 1,
            1 << 51,
            (1 << 52) - 1,
        ];
        let mut state = round.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        [[(); LIMBS]; LANES].map(|lane| {
            lane.map(|()| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                ends[(state >> 40) as usize % ends.len()]
            })
        })
    }

    #[test]
    fn products_and_squares_are_right_up_to_the_largest_limbs() {
        if !is_supported() {
            return;
        }
        let largest = [[(1 << 52) - 1; LIMBS]; LANES];
        for round in 0..2_000 {
            let (a, b) = match round {
                0 => (largest, largest),
                _ => (extremes(round), extremes(round + 5_000)),
            };
            // SAFETY: the instructions are there.
            let (found, squared) = unsafe { (products(a, b), squares(a)) };
            for lane in 0..LANES {
                assert_eq!(
                    found[lane],
                    product(a[lane], b[lane]),
                    "{:x?} {:x?}",
                    a[lane],
                    b[lane]
                );
                assert_eq!(squared[lane], product(a[lane], a[lane]), "{:x?}", a[lane]);
            }
        }
    }

    #[test]
    fn inverses_give_one_except_that_of_nothing() {
        if !is_supported() {
            return;
        }
        let mut one = [0; 32];
        one[0] = 1;
        for round in 0..50 {
            let mut a = extremes(round);
            a[3] = [0; LIMBS];
            // p itself, which is 0 too.
            a[4] = [
                (1 << 51) - 19,
                (1 << 51) - 1,
                (1 << 51) - 1,
                (1 << 51) - 1,
                (1 << 51) - 1,
            ];
            // SAFETY: the instructions are there.
            let found = unsafe { quotients(a) };
            for lane in 0..LANES {
                let is_zero = product(a[lane], [1, 0, 0, 0, 0]) == [0; 32];
                let expected = if is_zero { [0; 32] } else { one };
                assert_eq!(found[lane], expected, "{:x?}", a[lane]);
            }
        }
    }
}
