//! Multiplication of one point by many secret scalars, in time that does not depend on them.
//!
//! A comb holds 1 to 8 times every 16th power of two of its point, so that a product is a sum of 64
//! entries without a doubling. It takes as long to make as five products by `mul`, and 50 KiB (G2:
//! 100 KiB); it is made for a bulk of keys and dropped with it.

use blst::*;

use crate::points::{Scalar, G1, G2};

const WINDOW_BITS: usize = 4;
const ROW: usize = 1 << (WINDOW_BITS - 1);
/// Windows of a 256-bit scalar; the last digit of a scalar below r leaves no carry.
const WINDOWS: usize = 64;

/// Signed digits from -7 to 8, least significant first, without branches.
fn recode(scalar: &Scalar) -> [i8; WINDOWS] {
    let mut digits = [0i8; WINDOWS];
    let mut carry = 0i8;
    for (window, digit) in digits.iter_mut().enumerate() {
        let nibble = (scalar.0[window / 2] >> (WINDOW_BITS * (window % 2))) & 0x0f;
        let value = nibble as i8 + carry;
        carry = ((ROW as i8 - value) >> 7) & 1; // 1 where the value is above 8
        *digit = value - (carry << WINDOW_BITS);
    }
    digits
}

/// All ones where both are equal, else zero.
fn mask_if_equal(one: u8, other: u8) -> u64 {
    let difference = u64::from(one ^ other);
    0u64.wrapping_sub(difference.wrapping_sub(1) >> 63)
}

macro_rules! comb {
    ($name:ident, $point:ident, $affine:ty, $cneg:ident, $add_affine:ident,
     $all_to_affine:ident, $select:ident) => {
        /// Multiples of one point.
        pub struct $name {
            rows: Vec<[$affine; ROW]>,
        }

        impl $name {
            pub fn of(point: &$point) -> Self {
                if point.is_infinity() {
                    return Self { rows: Vec::new() };
                }
                let mut projective = Vec::with_capacity(WINDOWS * ROW);
                let mut base = *point;
                for _ in 0..WINDOWS {
                    let mut multiple = base;
                    projective.push(multiple.0);
                    for _ in 1..ROW {
                        multiple = multiple.add(&base);
                        projective.push(multiple.0);
                    }
                    base = multiple.add(&multiple);
                }
                let mut rows = vec![[<$affine>::default(); ROW]; WINDOWS];
                let start = [projective.as_ptr(), std::ptr::null()];
                // SAFETY: a null pointer after the first says that the points are contiguous; both
                // sides have ROW elements for each window; none is infinity, since the order of
                // the point is prime and greater than any factor here.
                unsafe {
                    $all_to_affine(rows.as_mut_ptr().cast(), start.as_ptr(), projective.len())
                };
                Self { rows }
            }

            /// The point times the scalar.
            pub fn mul(&self, scalar: &Scalar) -> $point {
                let mut sum = $point::default();
                for (row, digit) in self.rows.iter().zip(recode(scalar)) {
                    let sign = digit >> 7;
                    let mut term = $select(row, ((digit ^ sign) - sign) as u8);
                    let before = sum;
                    // SAFETY: all are valid; an entry of zeros is infinity to this function.
                    unsafe {
                        let y = term.y;
                        $cneg(&mut term.y, &y, sign != 0);
                        $add_affine(&mut sum.0, &before.0, &term);
                    }
                }
                sum
            }
        }
    };
}

fn mix(into: &mut blst_fp, from: &blst_fp, mask: u64) {
    for (limb, other) in into.l.iter_mut().zip(&from.l) {
        *limb |= other & mask;
    }
}

/// Entry `index`, counted from 1, or zeros for 0; every entry is read.
fn select_g1(row: &[blst_p1_affine; ROW], index: u8) -> blst_p1_affine {
    let mut chosen = blst_p1_affine::default();
    for (place, entry) in (1u8..).zip(row) {
        let mask = mask_if_equal(place, index);
        mix(&mut chosen.x, &entry.x, mask);
        mix(&mut chosen.y, &entry.y, mask);
    }
    chosen
}

/// The same in the other group.
fn select_g2(row: &[blst_p2_affine; ROW], index: u8) -> blst_p2_affine {
    let mut chosen = blst_p2_affine::default();
    for (place, entry) in (1u8..).zip(row) {
        let mask = mask_if_equal(place, index);
        for part in 0..2 {
            mix(&mut chosen.x.fp[part], &entry.x.fp[part], mask);
            mix(&mut chosen.y.fp[part], &entry.y.fp[part], mask);
        }
    }
    chosen
}

comb!(
    Comb1,
    G1,
    blst_p1_affine,
    blst_fp_cneg,
    blst_p1_add_or_double_affine,
    blst_p1s_to_affine,
    select_g1
);
comb!(
    Comb2,
    G2,
    blst_p2_affine,
    blst_fp2_cneg,
    blst_p2_add_or_double_affine,
    blst_p2s_to_affine,
    select_g2
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashes::{random_scalar, R_LE};

    fn scalars() -> Vec<Scalar> {
        let small = |value: u8| {
            let mut bytes = [0u8; 32];
            bytes[0] = value;
            Scalar(bytes)
        };
        let mut largest = R_LE;
        largest[0] -= 1;
        let mut found: Vec<Scalar> = (0..20).map(small).collect();
        found.push(Scalar(largest));
        found.push(Scalar([0x88; 32].map(|byte| byte & 0x73)));
        found.push(Scalar(std::array::from_fn(|place| {
            if place == 31 {
                0x70
            } else {
                0x88
            }
        })));
        found.extend((0..50).map(|_| random_scalar().expect("the system has random bytes")));
        found
    }

    #[test]
    fn products_equal_those_without_a_comb() {
        let some = random_scalar().expect("the system has random bytes");
        for first in [G1::generator(), G1::generator().mul(&some), G1::default()] {
            let comb = Comb1::of(&first);
            for scalar in scalars() {
                assert!(comb.mul(&scalar) == first.mul(&scalar));
            }
        }
        for second in [G2::generator(), G2::generator().mul(&some), G2::default()] {
            let comb = Comb2::of(&second);
            for scalar in scalars() {
                assert!(comb.mul(&scalar) == second.mul(&scalar));
            }
        }
    }
}
