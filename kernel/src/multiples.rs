//! Sums of scalar multiples of points that are used again and again (Straus' method).
//!
//! The scalars are hashes of names, not secrets, so the time may depend on them.

use blst::*;

use crate::points::{Scalar, G1};

/// Bits of one window; digits run from -16 to 16.
const WINDOW_BITS: usize = 5;
const ROW: usize = 1 << (WINDOW_BITS - 1);
/// Windows of a 255-bit scalar, and one for the last carry.
const WINDOWS: usize = 52;

/// The first multiples of each point; 30 KiB for 20 points.
#[derive(Clone)]
pub struct Multiples {
    rows: Vec<Option<[blst_p1_affine; ROW]>>,
}

impl Multiples {
    pub fn new(points: &[G1]) -> Self {
        let finite: Vec<&G1> = points.iter().filter(|point| !point.is_infinity()).collect();
        let mut made = rows(&finite).into_iter();
        Self {
            rows: points
                .iter()
                .map(|point| {
                    if point.is_infinity() {
                        None
                    } else {
                        made.next()
                    }
                })
                .collect(),
        }
    }

    /// Sum of `value * points[index]` over the terms.
    pub fn sum(&self, terms: &[(usize, Scalar)]) -> G1 {
        let digits: Vec<(&[blst_p1_affine; ROW], [i8; WINDOWS])> = terms
            .iter()
            .filter_map(|(index, value)| Some((self.rows[*index].as_ref()?, recode(value))))
            .collect();
        let mut sum = blst_p1::default();
        if digits.is_empty() {
            return G1(sum);
        }
        for window in (0..WINDOWS).rev() {
            for _ in 0..WINDOW_BITS {
                let before = sum;
                // SAFETY: both are valid points.
                unsafe { blst_p1_double(&mut sum, &before) };
            }
            for (row, digits) in &digits {
                let digit = digits[window];
                if digit == 0 {
                    continue;
                }
                let mut term = row[usize::from(digit.unsigned_abs()) - 1];
                let before = sum;
                // SAFETY: all are valid.
                unsafe {
                    let y = term.y;
                    blst_fp_cneg(&mut term.y, &y, digit < 0);
                    blst_p1_add_or_double_affine(&mut sum, &before, &term);
                }
            }
        }
        G1(sum)
    }
}

/// The multiples 1 to 16 of finite points of prime order, made affine by one inversion in all.
fn rows(points: &[&G1]) -> Vec<[blst_p1_affine; ROW]> {
    if points.is_empty() {
        return Vec::new();
    }
    let mut projective = Vec::with_capacity(points.len() * ROW);
    for point in points {
        let mut multiple = **point;
        projective.push(multiple.0);
        for _ in 1..ROW {
            multiple = multiple.add(point);
            projective.push(multiple.0);
        }
    }
    let mut rows = vec![[blst_p1_affine::default(); ROW]; points.len()];
    let start: [*const blst_p1; 2] = [projective.as_ptr(), std::ptr::null()];
    // SAFETY: a null pointer after the first says that the points are contiguous; both sides have
    // ROW elements for each point; none is infinity, since the order exceeds ROW.
    unsafe { blst_p1s_to_affine(rows.as_mut_ptr().cast(), start.as_ptr(), projective.len()) };
    rows
}

/// Signed digits of a scalar, least significant first.
fn recode(scalar: &Scalar) -> [i8; WINDOWS] {
    let mut digits = [0i8; WINDOWS];
    let mut carry = 0i16;
    for (window, digit) in digits.iter_mut().enumerate() {
        let bit = window * WINDOW_BITS;
        let low = u16::from(scalar.0.get(bit / 8).copied().unwrap_or(0));
        let high = u16::from(scalar.0.get(bit / 8 + 1).copied().unwrap_or(0));
        let chunk = ((low | (high << 8)) >> (bit % 8)) & ((1 << WINDOW_BITS) - 1);
        let mut value = chunk as i16 + carry;
        carry = 0;
        if value > ROW as i16 {
            value -= 1 << WINDOW_BITS;
            carry = 1;
        }
        *digit = value as i8;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_equal_the_sum_of_products() {
        let mut points = Vec::new();
        let mut terms = Vec::new();
        let mut expected = G1::default();
        for index in 0..7u8 {
            let point = G1::generator().mul(&Scalar([index + 1; 32].map(|byte| byte % 0x73)));
            let value = Scalar(std::array::from_fn(|place| {
                (place as u8)
                    .wrapping_mul(37)
                    .wrapping_add(index.wrapping_mul(91))
                    % 0x73
            }));
            expected = expected.add(&point.mul(&value));
            terms.push((points.len(), value));
            points.push(point);
        }
        assert!(Multiples::new(&points).sum(&terms) == expected);
    }

    #[test]
    fn extreme_scalars_and_infinity() {
        let mut largest = crate::hashes::R_LE;
        largest[0] -= 1;
        for value in [[0u8; 32], largest] {
            let mut one = [0u8; 32];
            one[0] = 1;
            let points = [G1::generator(), G1::default()];
            let terms = [(0, Scalar(value)), (1, Scalar(one))];
            let expected = G1::generator().mul(&Scalar(value));
            assert!(Multiples::new(&points).sum(&terms) == expected);
        }
        assert!(Multiples::new(&[]).sum(&[]) == G1::default());
    }
}
