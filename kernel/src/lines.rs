//! The lines of a pairing's loop: computed once for a point of G2 that is paired often, and for one that came from
//! outside, since they also say whether it is in the group.

use std::sync::OnceLock;

use blst::*;

use crate::combs::Element;
use crate::gt::Miller;
use crate::points::{PointError, G1, G2};

/// Bits of |x| after the highest, and its other ones: a line for each.
const LINES: usize = 68;
/// |x| after its highest bit, the next bits first: 62 zeros and ones of 0xd201000000010000.
const X: u64 = 0xd201_0000_0001_0000;

/// Lines of one point of G2; 20 KiB.
pub struct Lines(Vec<blst_fp6>);

impl Lines {
    /// Takes a point of the group; None for infinity, whose pairings are one.
    pub fn of(q: &G2) -> Option<Self> {
        if q.is_infinity() {
            None
        } else {
            Some(Self::computed(&q.to_affine()))
        }
    }

    fn computed(q: &blst_p2_affine) -> Self {
        let mut lines = vec![blst_fp6::default(); LINES];
        // SAFETY: there is room for as many lines as are written; the point is finite and on the curve.
        unsafe { blst_precompute_lines(lines.as_mut_ptr(), q) };
        Self(lines)
    }

    /// Takes a finite point of the curve, which the caller has checked to be that, from outside.
    ///
    /// The loop adds and doubles its way to |x|*q. That is what the usual check of membership computes too, which then
    /// compares it with -psi(q) (Scott, "A note on group membership tests for G1, G2 and GT on BLS pairing-friendly
    /// curves", eprint 2021/1130). So the lines decide:
    ///
    /// The last one is the tangent at T, where 2T = |x|*q, and meets the curve in T, T and -|x|*q, nowhere else. Thus q is
    /// in the group if and only if psi(q) is that third point. psi(q) is on the curve since q is; with u the coordinate
    /// x of T, and w that of the third point, the line Y = l*X - m gives 2u + w = l^2 and u^2 + 2uw = 2lm. If psi(q) is on
    /// the line and its x is put for w in these, both hold for the third point, and for T only where T is the third
    /// point.
    ///
    /// The formulas of the loop are exact but where an addition meets q or -q. Then Z becomes zero and stays zero, and
    /// so is the last coefficient of the last line, which is Z times something else; there is no point of order two, for
    /// the order of the curve is odd. In the group nothing of the kind happens: |x| is far below its order.
    pub fn checked(q: &blst_p2_affine) -> Result<Self, PointError> {
        let lines = Self::computed(q);
        if lines.ends_at_negative(&psi(q)) {
            Ok(lines)
        } else {
            Err(PointError::NotInSubgroup)
        }
    }

    /// Whether the last line, the tangent at T, has `w` as its third point: whether w = -2T.
    fn ends_at_negative(&self, w: &blst_p2_affine) -> bool {
        // The line as blst scales it: Y * 2*c = X * 2*b - a, so that l = b/c and m = a/(2c).
        let [a, b, c] = self.0[LINES - 1].fp2;
        if c == blst_fp2::default() {
            return false;
        }
        let on_line = mul(&double(&c), &w.y) == sub(&mul(&double(&b), &w.x), &a);
        let cc = sqr(&c);
        let wcc = mul(&w.x, &cc);
        let double_u = sub(&sqr(&b), &wcc); // times c^2
        let four_uw = double(&double(&mul(&wcc, &double_u))); // times c^4
        let four_ab = double(&double(&mul(&mul(&a, &b), &cc)));
        on_line && add(&sqr(&double_u), &four_uw) == four_ab
    }
}

/// The loops of several pairs in one: their product before the final exponentiation.
///
/// An infinite point, as None for its lines, contributes the factor one.
pub fn miller(pairs: &[(&G1, Option<&Lines>)]) -> Miller {
    let pairs: Vec<(blst_p1_affine, &[blst_fp6])> = pairs
        .iter()
        .filter_map(|(p, lines)| {
            let lines = lines.as_ref()?;
            (!p.is_infinity()).then(|| (scaled(&p.to_affine()), lines.0.as_slice()))
        })
        .collect();
    let mut product = Miller::one();
    if pairs.is_empty() {
        return product;
    }
    let mut next = 0;
    let mut absorb = |product: &mut Miller| {
        for (p, lines) in &pairs {
            product.times_line(&at(&lines[next], p));
        }
        next += 1;
    };
    for bit in (0..63).rev() {
        if bit != 62 {
            product.square();
        }
        absorb(&mut product);
        if X >> bit & 1 == 1 {
            absorb(&mut product);
        }
    }
    product.conjugate(); // x is negative
    product
}

/// The point as lines are evaluated at it: (-2x, 2y).
fn scaled(p: &blst_p1_affine) -> blst_p1_affine {
    let mut out = *p;
    // SAFETY: all are valid elements.
    unsafe {
        blst_fp_add(&mut out.x, &p.x, &p.x);
        let doubled = out.x;
        blst_fp_cneg(&mut out.x, &doubled, true);
        blst_fp_add(&mut out.y, &p.y, &p.y);
    }
    out
}

fn at(line: &blst_fp6, p: &blst_p1_affine) -> blst_fp6 {
    let mut out = *line;
    for part in 0..2 {
        // SAFETY: all are valid elements.
        unsafe {
            blst_fp_mul(&mut out.fp2[1].fp[part], &line.fp2[1].fp[part], &p.x);
            blst_fp_mul(&mut out.fp2[2].fp[part], &line.fp2[2].fp[part], &p.y);
        }
    }
    out
}

/// The endomorphism that multiplies points of the group by x: conjugates coordinates and multiplies them by constants.
fn psi(q: &blst_p2_affine) -> blst_p2_affine {
    static FACTORS: OnceLock<(blst_fp2, blst_fp2)> = OnceLock::new();
    // The generator is in the group and tells the constants.
    let (x, y) = FACTORS.get_or_init(|| {
        let one = G2::generator();
        let image = one.mul_bits(&X.to_le_bytes(), 64).negative().to_affine();
        let one = one.to_affine();
        (
            mul(&image.x, &inverse(&conjugate(&one.x))),
            mul(&image.y, &inverse(&conjugate(&one.y))),
        )
    });
    blst_p2_affine {
        x: mul(&conjugate(&q.x), x),
        y: mul(&conjugate(&q.y), y),
    }
}

macro_rules! operation {
    ($name:ident, $function:ident, $($argument:ident),+) => {
        fn $name($($argument: &blst_fp2),+) -> blst_fp2 {
            let mut out = blst_fp2::default();
            // SAFETY: all are valid elements.
            unsafe { $function(&mut out, $($argument),+) };
            out
        }
    };
}

operation!(add, blst_fp2_add, a, b);
operation!(sub, blst_fp2_sub, a, b);
operation!(mul, blst_fp2_mul, a, b);
operation!(sqr, blst_fp2_sqr, a);
operation!(inverse, blst_fp2_inverse, a);

fn double(a: &blst_fp2) -> blst_fp2 {
    add(a, a)
}

fn conjugate(a: &blst_fp2) -> blst_fp2 {
    blst_fp2 {
        fp: [a.fp[0], crate::field::fp_neg(&a.fp[1])],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashes::{map_to_g2, random_scalar, shake256};

    fn some1() -> G1 {
        G1::generator().mul(&random_scalar().expect("the system has random bytes"))
    }

    fn some2() -> G2 {
        G2::generator().mul(&random_scalar().expect("the system has random bytes"))
    }

    fn on_curve(number: u8) -> G2 {
        let mut digest = [0u8; 96];
        shake256(&[&[number]], &mut digest);
        map_to_g2(&digest)
    }

    /// The number of points of the curve, h2 * r, over a small factor of h2; little-endian.
    fn order_over(factor: u64) -> Vec<u8> {
        // h2 * r, most significant byte first.
        let mut number: Vec<u8> = Vec::new();
        let h2 = "5d543a95414e7f1091d50792876a202cd91de4547085abaa68a205b2e5a7ddfa\
                  628f1cb4d9e82ef21537e293a6691ae1616ec6e786f0c70cf1c38e31c7238e5";
        let h2 = format!("0{h2}");
        let h2: Vec<u64> = (0..h2.len())
            .step_by(2)
            .map(|at| u64::from_str_radix(&h2[at..at + 2], 16).expect("digits"))
            .rev()
            .collect();
        let mut product = vec![0u64; h2.len() + 32];
        for (left, one) in h2.iter().enumerate() {
            for (right, other) in crate::hashes::R_LE.iter().enumerate() {
                product[left + right] += one * u64::from(*other);
            }
        }
        let mut carry = 0;
        for place in &mut product {
            let sum = *place + carry;
            *place = sum & 0xff;
            carry = sum >> 8;
        }
        let mut rest = 0;
        for place in product.iter().rev() {
            let dividend = rest << 8 | place;
            number.push((dividend / factor) as u8);
            rest = dividend % factor;
        }
        assert_eq!(rest, 0, "no factor");
        number.reverse();
        number
    }

    #[test]
    fn products_of_loops_equal_those_of_single_ones() {
        let (p, q, r, s) = (some1(), some2(), some1(), some2());
        let (of_q, of_s) = (Lines::of(&q), Lines::of(&s));
        let both = miller(&[(&p, of_q.as_ref()), (&r, of_s.as_ref())]).finish();
        let each = Miller::of(&p, &q).times(&Miller::of(&r, &s)).finish();
        assert_eq!(both.to_bytes(), each.to_bytes());
        let with_infinite = miller(&[
            (&p, of_q.as_ref()),
            (&r, Lines::of(&G2::default()).as_ref()),
            (&G1::default(), of_s.as_ref()),
        ]);
        let alone = Miller::of(&p, &q).finish();
        assert_eq!(with_infinite.finish().to_bytes(), alone.to_bytes());
        assert_eq!(
            miller(&[]).finish().to_bytes(),
            Miller::of(&p, &G2::default()).finish().to_bytes()
        );
    }

    #[test]
    fn members_of_the_group_are_members_by_their_lines() {
        for _ in 0..20 {
            assert!(Lines::checked(&some2().to_affine()).is_ok());
        }
        assert!(Lines::checked(&G2::generator().to_affine()).is_ok());
    }

    #[test]
    fn points_outside_of_the_group_are_refused_by_their_lines() {
        let refused = |point: &G2| {
            let affine = point.to_affine();
            // SAFETY: the point is on the curve.
            assert!(unsafe { blst_p2_affine_on_curve(&affine) && !blst_p2_affine_in_g2(&affine) });
            assert!(Lines::checked(&affine).is_err());
        };
        for number in 0..20 {
            refused(&on_curve(number));
        }
        // Points of small order, and members with one of these added: the loop meets infinity on their way.
        for factor in [13 * 13, 23 * 23, 2713, 11953, 262069] {
            let cofactor = order_over(factor);
            let small = (0..20)
                .map(|number| on_curve(number).mul_bits(&cofactor, cofactor.len() * 8))
                .find(|point| !point.is_infinity())
                .expect("most points have a part of that order");
            let mut multiple = small;
            for _ in 0..30 {
                if multiple.is_infinity() {
                    break;
                }
                refused(&multiple);
                refused(&multiple.add(&some2()));
                multiple = multiple.add(&small);
            }
        }
    }

    #[test]
    fn a_tangent_whose_third_point_is_another_is_refused() {
        let lines = Lines::computed(&some2().to_affine());
        assert!(!lines.ends_at_negative(&some2().to_affine()));
        // The point at which the line touches the curve is on the line, and not the third one.
        let q = some2();
        let half = q.mul_bits(&(X / 2).to_le_bytes(), 64).to_affine();
        assert!(!Lines::computed(&q.to_affine()).ends_at_negative(&half));
    }
}
