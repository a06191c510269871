//! The target group: pairings, one multiplication, and the byte form of crypto.md 1.5.

use blst::*;

use crate::field::{fp_from_be, fp_to_be, FP_BYTES};
use crate::points::{G1, G2};

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
