//! The target group: pairings, one multiplication, and the byte form of crypto.md 1.5.

use std::sync::OnceLock;

use blst::*;

use crate::combs::{field_of, Comb, Element};
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

    pub fn one() -> Self {
        Self(one())
    }

    pub fn square(&mut self) {
        let before = self.0;
        // SAFETY: both are valid elements.
        unsafe { blst_fp12_sqr(&mut self.0, &before) };
    }

    /// Multiplies it by a line, whose three coefficients stand where blst puts them.
    pub fn times_line(&mut self, line: &blst_fp6) {
        let before = self.0;
        // SAFETY: all are valid elements.
        unsafe { blst_fp12_mul_by_xy00z0(&mut self.0, &before, line) };
    }

    pub fn conjugate(&mut self) {
        // SAFETY: the element is valid.
        unsafe { blst_fp12_conjugate(&mut self.0) };
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

const WORDS: usize = size_of::<blst_fp12>() / 8;

/// Powers of one element.
pub type PowerComb = Comb<Gt, WORDS>;

fn fields(value: &blst_fp12) -> impl Iterator<Item = &blst_fp> {
    value
        .fp6
        .iter()
        .flat_map(|six| six.fp2.iter())
        .flat_map(|two| two.fp.iter())
}

/// The group is written multiplicatively, the trait additively.
impl Element<WORDS> for Gt {
    fn identity() -> Self {
        Self(one())
    }
    fn is_identity(&self) -> bool {
        // SAFETY: the element is valid.
        unsafe { blst_fp12_is_one(&self.0) }
    }
    fn plus(&self, other: &Self) -> Self {
        self.times(other)
    }
    fn twice(&self) -> Self {
        let mut out = blst_fp12::default();
        // SAFETY: the input is in the cyclotomic subgroup, as all outputs of pairings are.
        unsafe { blst_fp12_cyclotomic_sqr(&mut out, &self.0) };
        Self(out)
    }
    fn negative(&self) -> Self {
        self.negative_if(true)
    }
    fn to_words(many: &[Self]) -> Vec<[u64; WORDS]> {
        many.iter()
            .map(|one| {
                let mut words = [0u64; WORDS];
                for (place, field) in words.chunks_exact_mut(6).zip(fields(&one.0)) {
                    place.copy_from_slice(&field.l);
                }
                words
            })
            .collect()
    }
    fn plus_entry(&self, entry: &[u64; WORDS], is_negative: bool) -> Self {
        let mut factor = blst_fp12::default();
        for (number, field) in factor
            .fp6
            .iter_mut()
            .flat_map(|six| six.fp2.iter_mut())
            .flat_map(|two| two.fp.iter_mut())
            .enumerate()
        {
            *field = field_of(entry, number);
        }
        self.times(&Self(factor).negative_if(is_negative))
    }
    fn negative_if(&self, is_negative: bool) -> Self {
        let mut out = *self;
        // The inverse is the conjugate.
        for (to, from) in out.0.fp6[1].fp2.iter_mut().zip(&self.0.fp6[1].fp2) {
            // SAFETY: all are valid elements.
            unsafe { blst_fp2_cneg(to, from, is_negative) };
        }
        out
    }
}

/// e(G1, G2)^scalar, by a table that is made once.
pub fn generator_power(scalar: &Scalar) -> Gt {
    static POWERS: OnceLock<PowerComb> = OnceLock::new();
    POWERS
        .get_or_init(|| PowerComb::of(&Miller::of(&G1::generator(), &G2::generator()).finish()))
        .mul(scalar)
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
