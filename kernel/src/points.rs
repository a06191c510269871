//! Points of both groups in WAVE's encodings (crypto.md 1.4), always checked when read.

use blst::*;
use zeroize::Zeroize;

use crate::field::{fp_from_be, fp_neg, fp_to_be, is_greater, is_greater2, FP_BYTES};

pub const G1_COMPRESSED: usize = 48;
pub const G2_COMPRESSED: usize = 96;
const FLAG_COMPRESSED: u8 = 0x80;
const FLAG_INFINITY: u8 = 0x40;
const FLAG_GREATER: u8 = 0x20;
const FLAGS: u8 = 0xe0;

/// Why bytes are not a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointError {
    Length,
    Flags,
    NotCanonical,
    NotOnCurve,
    NotInSubgroup,
}

impl PointError {
    pub fn text(self) -> &'static str {
        match self {
            PointError::Length => "a point has the wrong length",
            PointError::Flags => "a point has the wrong flags",
            PointError::NotCanonical => "a point is not canonically encoded",
            PointError::NotOnCurve => "a point is not on the curve",
            PointError::NotInSubgroup => "a point is not in the prime-order subgroup",
        }
    }
}

/// A scalar below r, little-endian; wiped when dropped.
#[derive(Clone, Default)]
pub struct Scalar(pub [u8; 32]);

impl Drop for Scalar {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

macro_rules! group {
    ($name:ident, $raw:ty, $affine:ty, $generator:ident, $mult:ident, $add:ident,
     $to_affine:ident, $from_affine:ident, $is_inf:ident, $equal:ident) => {
        /// A group element in projective coordinates.
        #[derive(Clone, Copy, Default)]
        pub struct $name(pub $raw);

        impl $name {
            pub fn generator() -> Self {
                // SAFETY: blst returns a pointer to a static, valid point.
                unsafe { Self(*$generator()) }
            }
            /// Scalar multiplication in time that does not depend on the scalar's value.
            pub fn mul(&self, scalar: &Scalar) -> Self {
                self.mul_bits(&scalar.0, 255)
            }
            /// Multiplication by a little-endian integer of `bits` bits.
            pub fn mul_bits(&self, scalar: &[u8], bits: usize) -> Self {
                assert!(scalar.len() * 8 >= bits);
                let mut out = <$raw>::default();
                // SAFETY: `scalar` holds at least `bits` bits, points are valid.
                unsafe { $mult(&mut out, &self.0, scalar.as_ptr(), bits) };
                Self(out)
            }
            pub fn add(&self, other: &Self) -> Self {
                let mut out = <$raw>::default();
                // SAFETY: all are valid points.
                unsafe { $add(&mut out, &self.0, &other.0) };
                Self(out)
            }
            pub fn to_affine(self) -> $affine {
                let mut out = <$affine>::default();
                // SAFETY: both are valid.
                unsafe { $to_affine(&mut out, &self.0) };
                out
            }
            pub fn from_affine(affine: &$affine) -> Self {
                let mut out = <$raw>::default();
                // SAFETY: both are valid.
                unsafe { $from_affine(&mut out, affine) };
                Self(out)
            }
            pub fn is_infinity(&self) -> bool {
                // SAFETY: the point is valid.
                unsafe { $is_inf(&self.0) }
            }
        }
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                // SAFETY: both points are valid.
                unsafe { $equal(&self.0, &other.0) }
            }
        }
    };
}

group!(
    G1,
    blst_p1,
    blst_p1_affine,
    blst_p1_generator,
    blst_p1_mult,
    blst_p1_add_or_double,
    blst_p1_to_affine,
    blst_p1_from_affine,
    blst_p1_is_inf,
    blst_p1_is_equal
);
group!(
    G2,
    blst_p2,
    blst_p2_affine,
    blst_p2_generator,
    blst_p2_mult,
    blst_p2_add_or_double,
    blst_p2_to_affine,
    blst_p2_from_affine,
    blst_p2_is_inf,
    blst_p2_is_equal
);

/// Brings points to the form that encodes without an inversion, by one inversion in all.
pub fn normalize(points: &mut [&mut G1]) {
    let mut finite: Vec<&mut &mut G1> = points
        .iter_mut()
        .filter(|point| !point.is_infinity())
        .collect();
    if finite.is_empty() {
        return;
    }
    let projective: Vec<blst_p1> = finite.iter().map(|point| point.0).collect();
    let mut affine = vec![blst_p1_affine::default(); projective.len()];
    let start: [*const blst_p1; 2] = [projective.as_ptr(), std::ptr::null()];
    // SAFETY: a null pointer after the first says that the points are contiguous; both arrays have
    // the length given; none is infinity.
    unsafe { blst_p1s_to_affine(affine.as_mut_ptr(), start.as_ptr(), projective.len()) };
    for (point, affine) in finite.iter_mut().zip(&affine) {
        ***point = G1::from_affine(affine);
    }
}

fn check_infinity(bytes: &[u8], expected_flags: u8) -> Result<(), PointError> {
    if bytes[0] == expected_flags && bytes[1..].iter().all(|&byte| byte == 0) {
        Ok(())
    } else {
        Err(PointError::Flags)
    }
}

fn element(bytes: &[u8]) -> Result<blst_fp, PointError> {
    let mut copy = [0u8; FP_BYTES];
    copy.copy_from_slice(bytes);
    fp_from_be(&copy).ok_or(PointError::NotCanonical)
}

impl G1 {
    pub fn neg(&self) -> Self {
        let mut out = self.0;
        // SAFETY: `out` is a valid point.
        unsafe { blst_p1_cneg(&mut out, true) };
        Self(out)
    }

    pub fn from_compressed(bytes: &[u8]) -> Result<Self, PointError> {
        if bytes.len() != G1_COMPRESSED {
            return Err(PointError::Length);
        }
        let flags = bytes[0] & FLAGS;
        if flags & FLAG_COMPRESSED == 0 {
            return Err(PointError::Flags);
        }
        if flags & FLAG_INFINITY != 0 {
            check_infinity(bytes, FLAG_COMPRESSED | FLAG_INFINITY)?;
            return Ok(Self::default());
        }
        let mut plain = [0u8; G1_COMPRESSED];
        plain.copy_from_slice(bytes);
        plain[0] &= !FLAGS;
        element(&plain)?;
        plain[0] |= FLAG_COMPRESSED;
        let mut affine = blst_p1_affine::default();
        // SAFETY: `plain` has the 48 bytes that are read.
        if unsafe { blst_p1_uncompress(&mut affine, plain.as_ptr()) } != BLST_ERROR::BLST_SUCCESS {
            return Err(PointError::NotOnCurve);
        }
        if is_greater(&affine.y) != (flags & FLAG_GREATER != 0) {
            affine.y = fp_neg(&affine.y);
        }
        // SAFETY: the point is on the curve.
        if unsafe { !blst_p1_affine_in_g1(&affine) } {
            return Err(PointError::NotInSubgroup);
        }
        Ok(Self::from_affine(&affine))
    }

    pub fn from_uncompressed(bytes: &[u8]) -> Result<Self, PointError> {
        if bytes.len() != 2 * FP_BYTES {
            return Err(PointError::Length);
        }
        match bytes[0] & FLAGS {
            0 => {}
            FLAG_INFINITY => {
                check_infinity(bytes, FLAG_INFINITY)?;
                return Ok(Self::default());
            }
            _ => return Err(PointError::Flags),
        }
        let affine = blst_p1_affine {
            x: element(&bytes[..FP_BYTES])?,
            y: element(&bytes[FP_BYTES..])?,
        };
        // SAFETY: coordinates are canonical elements.
        unsafe {
            // All zeros is infinity to blst and counts as on the curve; here it lacks its flag.
            if blst_p1_affine_is_inf(&affine) || !blst_p1_affine_on_curve(&affine) {
                return Err(PointError::NotOnCurve);
            }
            if !blst_p1_affine_in_g1(&affine) {
                return Err(PointError::NotInSubgroup);
            }
        }
        Ok(Self::from_affine(&affine))
    }

    pub fn to_compressed(self) -> [u8; G1_COMPRESSED] {
        let mut out = [0u8; G1_COMPRESSED];
        if self.is_infinity() {
            out[0] = FLAG_COMPRESSED | FLAG_INFINITY;
            return out;
        }
        let affine = self.to_affine();
        out.copy_from_slice(&fp_to_be(&affine.x));
        out[0] |= FLAG_COMPRESSED
            | if is_greater(&affine.y) {
                FLAG_GREATER
            } else {
                0
            };
        out
    }

    pub fn to_uncompressed(self) -> [u8; 2 * FP_BYTES] {
        let mut out = [0u8; 2 * FP_BYTES];
        if self.is_infinity() {
            out[0] = FLAG_INFINITY;
            return out;
        }
        let affine = self.to_affine();
        out[..FP_BYTES].copy_from_slice(&fp_to_be(&affine.x));
        out[FP_BYTES..].copy_from_slice(&fp_to_be(&affine.y));
        out
    }
}

impl G2 {
    pub fn from_compressed(bytes: &[u8]) -> Result<Self, PointError> {
        let Some(affine) = Self::on_curve_from_compressed(bytes)? else {
            return Ok(Self::default());
        };
        // SAFETY: the point is on the curve.
        if unsafe { !blst_p2_affine_in_g2(&affine) } {
            return Err(PointError::NotInSubgroup);
        }
        Ok(Self::from_affine(&affine))
    }

    /// A point that is on the curve, but may be outside of the group; None for infinity.
    pub fn on_curve_from_compressed(bytes: &[u8]) -> Result<Option<blst_p2_affine>, PointError> {
        if bytes.len() != G2_COMPRESSED {
            return Err(PointError::Length);
        }
        let flags = bytes[0] & FLAGS;
        if flags & FLAG_COMPRESSED == 0 {
            return Err(PointError::Flags);
        }
        if flags & FLAG_INFINITY != 0 {
            check_infinity(bytes, FLAG_COMPRESSED | FLAG_INFINITY)?;
            return Ok(None);
        }
        let mut plain = [0u8; G2_COMPRESSED];
        plain.copy_from_slice(bytes);
        plain[0] &= !FLAGS;
        element(&plain[..FP_BYTES])?;
        element(&plain[FP_BYTES..])?;
        plain[0] |= FLAG_COMPRESSED;
        let mut affine = blst_p2_affine::default();
        // SAFETY: `plain` has the 96 bytes that are read.
        if unsafe { blst_p2_uncompress(&mut affine, plain.as_ptr()) } != BLST_ERROR::BLST_SUCCESS {
            return Err(PointError::NotOnCurve);
        }
        if is_greater2(&affine.y) != (flags & FLAG_GREATER != 0) {
            affine.y.fp = [fp_neg(&affine.y.fp[0]), fp_neg(&affine.y.fp[1])];
        }
        Ok(Some(affine))
    }

    pub fn from_uncompressed(bytes: &[u8]) -> Result<Self, PointError> {
        if bytes.len() != 4 * FP_BYTES {
            return Err(PointError::Length);
        }
        match bytes[0] & FLAGS {
            0 => {}
            FLAG_INFINITY => {
                check_infinity(bytes, FLAG_INFINITY)?;
                return Ok(Self::default());
            }
            _ => return Err(PointError::Flags),
        }
        let part = |index: usize| element(&bytes[index * FP_BYTES..(index + 1) * FP_BYTES]);
        let affine = blst_p2_affine {
            x: blst_fp2 {
                fp: [part(1)?, part(0)?],
            },
            y: blst_fp2 {
                fp: [part(3)?, part(2)?],
            },
        };
        // SAFETY: coordinates are canonical elements.
        unsafe {
            // All zeros is infinity to blst and counts as on the curve; here it lacks its flag.
            if blst_p2_affine_is_inf(&affine) || !blst_p2_affine_on_curve(&affine) {
                return Err(PointError::NotOnCurve);
            }
            if !blst_p2_affine_in_g2(&affine) {
                return Err(PointError::NotInSubgroup);
            }
        }
        Ok(Self::from_affine(&affine))
    }

    pub fn to_compressed(self) -> [u8; G2_COMPRESSED] {
        let mut out = [0u8; G2_COMPRESSED];
        if self.is_infinity() {
            out[0] = FLAG_COMPRESSED | FLAG_INFINITY;
            return out;
        }
        let affine = self.to_affine();
        out[..FP_BYTES].copy_from_slice(&fp_to_be(&affine.x.fp[1]));
        out[FP_BYTES..].copy_from_slice(&fp_to_be(&affine.x.fp[0]));
        out[0] |= FLAG_COMPRESSED
            | if is_greater2(&affine.y) {
                FLAG_GREATER
            } else {
                0
            };
        out
    }

    pub fn to_uncompressed(self) -> [u8; 4 * FP_BYTES] {
        let mut out = [0u8; 4 * FP_BYTES];
        if self.is_infinity() {
            out[0] = FLAG_INFINITY;
            return out;
        }
        let affine = self.to_affine();
        let parts = [
            affine.x.fp[1],
            affine.x.fp[0],
            affine.y.fp[1],
            affine.y.fp[0],
        ];
        for (index, part) in parts.iter().enumerate() {
            out[index * FP_BYTES..(index + 1) * FP_BYTES].copy_from_slice(&fp_to_be(part));
        }
        out
    }
}
