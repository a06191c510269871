//! Multiples of the base point of Ed25519 (RFC 8032, 5.1), eight at a time: what signing consists of, mostly.
//!
//! A scalar is written in 64 digits from -8 to 8. For each digit's weight, 1 to 8 times the weighted base point are kept,
//! so that a multiple is a sum of 64 points without a doubling. The eight multiples of a weight stand in one register per
//! limb; a lane's digit picks its own by a permutation of the register, in the same time and from the same memory for
//! every digit. Scalars may be secret: digits are wiped.

use std::arch::x86_64::*;
use std::sync::OnceLock;

use zeroize::Zeroizing;

use super::field::{add, inverse, mul, narrow, negated, sub, to_bytes, Elements, LIMBS};
use super::LANES;

const DIGITS: usize = 64;
/// Bits of a digit.
const DIGIT_BITS: usize = 4;

const BASE_X: [i64; LIMBS] = [
    0x62d608f25d51a,
    0x412a4b4f6592a,
    0x75b7171a4b31d,
    0x1ff60527118fe,
    0x216936d3cd6e5,
];
const BASE_Y: [i64; LIMBS] = [
    0x6666666666658,
    0x4cccccccccccc,
    0x1999999999999,
    0x3333333333333,
    0x6666666666666,
];
const TWICE_D: [i64; LIMBS] = [
    0x69b9426b2f159,
    0x35050762add7a,
    0x3cf44c0038052,
    0x6738cc7407977,
    0x2406d9dc56dff,
];
const ONE: [i64; LIMBS] = [1, 0, 0, 0, 0];
const ZERO: [i64; LIMBS] = [0; LIMBS];

/// The same integer in all lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn all(limbs: [i64; LIMBS]) -> Elements {
    Elements([
        _mm512_set1_epi64(limbs[0]),
        _mm512_set1_epi64(limbs[1]),
        _mm512_set1_epi64(limbs[2]),
        _mm512_set1_epi64(limbs[3]),
        _mm512_set1_epi64(limbs[4]),
    ])
}

// --- points -------------------------------------------------------------------------------------

/// Points in extended coordinates: x = X/Z, y = Y/Z, xy = T/Z. All limbs are tight.
#[derive(Clone, Copy)]
struct Points {
    x: Elements,
    y: Elements,
    z: Elements,
    t: Elements,
}

/// Points with Z = 1, in the form in which they are added: y + x, y - x, 2dxy. All limbs are loose.
#[derive(Clone, Copy)]
struct Addends {
    sum: Elements,
    difference: Elements,
    product: Elements,
}

#[target_feature(enable = "avx512f")]
fn neutral() -> Points {
    Points {
        x: all(ZERO),
        y: all(ONE),
        z: all(ONE),
        t: all(ZERO),
    }
}

/// Adds points; complete, so that doublings and the neutral point need no case of their own (RFC 8032, 5.1.4).
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn plus(point: Points, other: Addends) -> Points {
    let a = mul(narrow(sub(point.y, point.x)), other.difference);
    let b = mul(narrow(add(point.y, point.x)), other.sum);
    let c = mul(point.t, other.product);
    let d = add(point.z, point.z);
    let (e, h) = (narrow(sub(b, a)), narrow(add(b, a)));
    let (f, g) = (narrow(sub(d, c)), narrow(add(d, c)));
    Points {
        x: mul(e, f),
        y: mul(g, h),
        z: mul(f, g),
        t: mul(e, h),
    }
}

/// Returns points in the form in which they are added, with tight limbs.
#[target_feature(enable = "avx512f,avx512ifma")]
fn addends(point: Points) -> Addends {
    let over = inverse(point.z);
    let (x, y) = (mul(point.x, over), mul(point.y, over));
    Addends {
        sum: narrow(add(y, x)),
        difference: narrow(sub(y, x)),
        product: mul(mul(x, y), all(TWICE_D)),
    }
}

// --- multiples ----------------------------------------------------------------------------------

/// One limb of one to eight times a weighted base point.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Register([i64; LANES]);

/// The multiples of one weight: limbs of sums, of differences, of products.
type Multiples = [[Register; LIMBS]; 3];

/// Makes the multiples of all weights, once.
#[target_feature(enable = "avx512f,avx512ifma")]
fn make_multiples() -> Vec<Multiples> {
    let mut made = vec![[[Register([0; LANES]); LIMBS]; 3]; DIGITS];
    let base = Points {
        x: all(BASE_X),
        y: all(BASE_Y),
        z: all(ONE),
        t: mul(all(BASE_X), all(BASE_Y)),
    };
    let mut weighted = addends(base);
    for multiples in &mut made {
        let mut point = neutral();
        for lane in 0..LANES {
            // All lanes hold the same point; the one that is its place in the register is taken.
            point = plus(point, weighted);
            let Addends {
                sum,
                difference,
                product,
            } = addends(point);
            for (registers, part) in multiples.iter_mut().zip([sum, difference, product]) {
                for (register, limb) in registers.iter_mut().zip(part.0) {
                    register.0[lane] = first(limb);
                }
            }
        }
        // Sixteen times the weight: what eight times the weight is, twice.
        weighted = addends(plus(point, addends(point)));
    }
    made
}

#[target_feature(enable = "avx512f")]
fn first(limb: __m512i) -> i64 {
    _mm_cvtsi128_si64(_mm512_castsi512_si128(limb))
}

/// Returns what each lane's digit picks of a weight's multiples.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn picked(multiples: &Multiples, digits: &[i8; LANES]) -> Addends {
    let digits = _mm512_cvtepi8_epi64(_mm_set1_epi64x(i64::from_le_bytes(
        digits.map(|digit| digit as u8),
    )));
    let is_some = _mm512_test_epi64_mask(digits, digits);
    let is_negative = _mm512_movepi64_mask(digits);
    let place = _mm512_sub_epi64(_mm512_abs_epi64(digits), _mm512_set1_epi64(1));
    let pick = |part: usize, otherwise: [i64; LIMBS]| {
        let mut limbs = all(otherwise).0;
        for (limb, register) in limbs.iter_mut().zip(&multiples[part]) {
            // SAFETY: a register is 64 bytes, aligned to 64.
            let register = unsafe { _mm512_load_si512(register.0.as_ptr().cast()) };
            *limb = _mm512_mask_permutexvar_epi64(*limb, is_some, place, register);
        }
        Elements(limbs)
    };
    // The neutral point where the digit is 0.
    let (sum, difference, product) = (pick(0, ONE), pick(1, ONE), pick(2, ZERO));
    let other = negated(product);
    let mut out = Addends {
        sum,
        difference,
        product,
    };
    for index in 0..LIMBS {
        out.sum.0[index] = _mm512_mask_blend_epi64(is_negative, sum.0[index], difference.0[index]);
        out.difference.0[index] =
            _mm512_mask_blend_epi64(is_negative, difference.0[index], sum.0[index]);
        out.product.0[index] =
            _mm512_mask_blend_epi64(is_negative, product.0[index], other.0[index]);
    }
    out
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn sums(multiples: &[Multiples], digits: &[[i8; LANES]; DIGITS]) -> [[u8; 32]; LANES] {
    let mut point = neutral();
    for (multiples, digits) in multiples.iter().zip(digits) {
        point = plus(point, picked(multiples, digits));
    }
    let over = inverse(point.z);
    let (xs, mut ys) = (to_bytes(mul(point.x, over)), to_bytes(mul(point.y, over)));
    for (y, x) in ys.iter_mut().zip(&xs) {
        y[31] |= x[0] << 7;
    }
    ys
}

/// Writes a scalar below 2^253 as digits from -8 to 8, one lane of `digits`.
fn write_digits(digits: &mut [[i8; LANES]; DIGITS], lane: usize, scalar: &[u8; 32]) {
    let mut carry = 0;
    for (index, place) in digits.iter_mut().enumerate() {
        let half = scalar[index / 2] >> (DIGIT_BITS * (index % 2)) & 15;
        let digit = half as i8 + carry;
        carry = (digit + 8) >> 4;
        place[lane] = digit - (carry << 4);
    }
    // A scalar is below 2^253: the last digit is at most 2, and leaves nothing to carry.
}

/// Returns the multiples of the base point by up to eight scalars below 2^253, little-endian, as RFC 8032 encodes
/// points; None where the machine lacks the instructions.
pub fn multiples(scalars: &[&[u8; 32]]) -> Option<Vec<[u8; 32]>> {
    static MULTIPLES: OnceLock<Vec<Multiples>> = OnceLock::new();
    if !super::is_supported() || scalars.len() > LANES {
        return None;
    }
    // SAFETY: the instructions are there.
    let multiples = MULTIPLES.get_or_init(|| unsafe { make_multiples() });
    let mut digits = Zeroizing::new([[0; LANES]; DIGITS]);
    for (lane, scalar) in scalars.iter().enumerate() {
        write_digits(&mut digits, lane, scalar);
    }
    // SAFETY: the instructions are there.
    let mut found = unsafe { sums(multiples, &digits) }.to_vec();
    found.truncate(scalars.len());
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::edwards::EdwardsPoint;
    use curve25519_dalek::scalar::Scalar;
    use sha2::{Digest, Sha512};

    fn expected(scalar: &[u8; 32]) -> [u8; 32] {
        EdwardsPoint::mul_base(&Scalar::from_bytes_mod_order(*scalar))
            .compress()
            .to_bytes()
    }

    fn assert_agrees(scalars: &[[u8; 32]]) {
        let scalars: Vec<&[u8; 32]> = scalars.iter().collect();
        for group in scalars.chunks(LANES) {
            if let Some(found) = multiples(group) {
                let expected: Vec<_> = group.iter().map(|scalar| expected(scalar)).collect();
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn lanes_agree_with_the_library() {
        let random = |number: u32| Scalar::from_hash(Sha512::new_with_prefix(number.to_le_bytes()));
        let scalars: Vec<_> = (0..4_000).map(|number| random(number).to_bytes()).collect();
        assert_agrees(&scalars);
    }

    #[test]
    fn lanes_agree_at_the_edges_of_digits() {
        let mut scalars = vec![[0; 32], (-Scalar::ONE).to_bytes()];
        for digit in 0..DIGITS - 1 {
            for value in 1..16 {
                let mut scalar = [0; 32];
                scalar[digit / 2] = value << (DIGIT_BITS * (digit % 2));
                scalars.push(scalar);
            }
        }
        for repeated in [0x11, 0x77, 0x78, 0x87, 0x88, 0x89, 0x98, 0xf8, 0xff] {
            let mut scalar = [repeated; 32];
            scalar[31] = 0x0f;
            scalars.push(scalar);
        }
        assert_agrees(&scalars);
    }

    #[test]
    fn groups_of_every_size_are_answered() {
        let scalars: Vec<_> = (1..=9)
            .map(|value| Scalar::from(value as u64).to_bytes())
            .collect();
        let scalars: Vec<_> = scalars.iter().collect();
        for count in 0..=LANES {
            if let Some(found) = multiples(&scalars[..count]) {
                assert_eq!(found.len(), count);
            }
        }
        assert!(multiples(&scalars).is_none());
    }
}
