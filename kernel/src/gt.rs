//! The target group: pairings, one multiplication, and the byte form of crypto.md 1.5.

use std::sync::OnceLock;

use blst::*;

use crate::field::{fp_from_be, fp_to_be, FP_BYTES};
use crate::points::{Scalar, G1, G2};

pub const GT_BYTES: usize = 12 * FP_BYTES;

#[derive(Clone, Copy)]
pub struct Gt(pub blst_fp12);

/// A product of Miller loops, before the final exponentiation.
#[derive(Clone, Copy)]
pub struct Miller(blst_fp12);

impl Miller {
    /// One pair; an infinite input contributes the factor one.
    pub fn of(p: &G1, q: &G2) -> Self {
        if p.is_infinity() || q.is_infinity() {
            return Self(one());
        }
        let (p, q) = (p.to_affine(), q.to_affine());
        let mut out = blst_fp12::default();
        // SAFETY: both are valid affine points of their groups.
        unsafe { blst_miller_loop(&mut out, &q, &p) };
        Self(out)
    }

    pub fn times(&self, other: &Self) -> Self {
        Self(mul(&self.0, &other.0))
    }

    pub fn finish(&self) -> Gt {
        let mut out = blst_fp12::default();
        // SAFETY: the input is a valid element.
        unsafe { blst_final_exp(&mut out, &self.0) };
        Gt(out)
    }
}

fn one() -> blst_fp12 {
    // SAFETY: blst returns a pointer to a static element.
    unsafe { *blst_fp12_one() }
}

fn mul(a: &blst_fp12, b: &blst_fp12) -> blst_fp12 {
    let mut out = blst_fp12::default();
    // SAFETY: all are valid elements.
    unsafe { blst_fp12_mul(&mut out, a, b) };
    out
}

impl Gt {
    pub fn times(&self, other: &Self) -> Self {
        Self(mul(&self.0, &other.0))
    }

    pub fn to_bytes(self) -> [u8; GT_BYTES] {
        let mut out = [0u8; GT_BYTES];
        let mut place = 0;
        for w in [1, 0] {
            for v in [2, 1, 0] {
                for u in [1, 0] {
                    let part = fp_to_be(&self.0.fp6[w].fp2[v].fp[u]);
                    out[place..place + FP_BYTES].copy_from_slice(&part);
                    place += FP_BYTES;
                }
            }
        }
        out
    }

    /// Reads canonical bytes of an element of the prime-order subgroup.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != GT_BYTES {
            return None;
        }
        let mut value = blst_fp12::default();
        let mut parts = bytes.chunks_exact(FP_BYTES);
        for w in [1, 0] {
            for v in [2, 1, 0] {
                for u in [1, 0] {
                    let mut part = [0u8; FP_BYTES];
                    part.copy_from_slice(parts.next()?);
                    value.fp6[w].fp2[v].fp[u] = fp_from_be(&part)?;
                }
            }
        }
        // SAFETY: the element is valid.
        if unsafe { blst_fp12_in_group(&value) } {
            Some(Self(value))
        } else {
            None
        }
    }
}

/// Teeth of the comb; 2^TEETH elements are kept.
const TEETH: usize = 5;
/// Distance between teeth; TEETH * SPACING covers the 255 bits of a scalar.
const SPACING: usize = 51;
const WORDS: usize = size_of::<blst_fp12>() / 8;

type Words = [u64; WORDS];

fn to_words(value: &blst_fp12) -> Words {
    let mut words = [0u64; WORDS];
    let mut place = 0;
    for part in value
        .fp6
        .iter()
        .flat_map(|six| six.fp2.iter())
        .flat_map(|two| two.fp.iter())
    {
        words[place..place + 6].copy_from_slice(&part.l);
        place += 6;
    }
    words
}

fn from_words(words: &Words) -> blst_fp12 {
    let mut value = blst_fp12::default();
    let mut place = 0;
    for part in value
        .fp6
        .iter_mut()
        .flat_map(|six| six.fp2.iter_mut())
        .flat_map(|two| two.fp.iter_mut())
    {
        part.l.copy_from_slice(&words[place..place + 6]);
        place += 6;
    }
    value
}

fn square(value: &blst_fp12) -> blst_fp12 {
    let mut out = blst_fp12::default();
    // SAFETY: the input is in the cyclotomic subgroup, as all outputs of pairings are.
    unsafe { blst_fp12_cyclotomic_sqr(&mut out, value) };
    out
}

/// Powers of one base, by a table of 18 KiB. Each look-up reads the whole table, so that neither time
/// nor cache tells the scalar.
#[derive(Clone)]
pub struct Powers(Vec<Words>);

impl Powers {
    /// Entry i is the product of base^(2^(SPACING*t)) over the set bits t of i.
    pub fn of(base: &Gt) -> Self {
        let mut entries = vec![one()];
        let mut tooth = base.0;
        for place in 0..TEETH {
            let more: Vec<blst_fp12> = entries.iter().map(|entry| mul(entry, &tooth)).collect();
            entries.extend(more);
            if place + 1 < TEETH {
                for _ in 0..SPACING {
                    tooth = square(&tooth);
                }
            }
        }
        Self(entries.iter().map(to_words).collect())
    }

    pub fn power(&self, scalar: &Scalar) -> Gt {
        let bit = |place: usize| usize::from(scalar.0[place / 8] >> (place % 8) & 1);
        let mut power = one();
        for column in (0..SPACING).rev() {
            let index: usize = (0..TEETH)
                .map(|tooth| bit(tooth * SPACING + column) << tooth)
                .sum();
            let mut chosen = [0u64; WORDS];
            for (place, entry) in self.0.iter().enumerate() {
                let mask = 0u64.wrapping_sub(u64::from(std::hint::black_box(place) == index));
                for (word, candidate) in chosen.iter_mut().zip(entry) {
                    *word |= candidate & mask;
                }
            }
            power = mul(&square(&power), &from_words(&chosen));
        }
        Gt(power)
    }
}

/// e(G1, G2)^scalar, by a table that is made once.
pub fn generator_power(scalar: &Scalar) -> Gt {
    static POWERS: OnceLock<Powers> = OnceLock::new();
    POWERS
        .get_or_init(|| Powers::of(&Miller::of(&G1::generator(), &G2::generator()).finish()))
        .power(scalar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_the_generator_equal_pairings() {
        let mut largest = crate::hashes::R_LE;
        largest[0] -= 1;
        let pattern = std::array::from_fn(|place| (place as u8).wrapping_mul(53) % 0x73);
        for bytes in [[0u8; 32], [1; 32], pattern, largest] {
            let scalar = Scalar(bytes);
            let paired = Miller::of(&G1::generator().mul(&scalar), &G2::generator()).finish();
            assert_eq!(generator_power(&scalar).to_bytes(), paired.to_bytes());
        }
    }

    #[test]
    fn bytes_of_the_identity_and_back() {
        let identity = Gt(one());
        assert_eq!(identity.to_bytes()[..575], [0u8; 575]);
        assert!(Gt::from_bytes(&identity.to_bytes()).is_some());
        assert!(Gt::from_bytes(&[0u8; GT_BYTES]).is_none());
    }
}
