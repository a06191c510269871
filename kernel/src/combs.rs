//! Multiples of one element by many secret scalars, in time that does not depend on them.
//!
//! A scalar is written with digits +1 and -1 alone, one for each of its places. TEETH places that stand SPACING apart make
//! one index into a table, so that a multiple is the sum of SPACING entries with STEPS - 1 doublings between them, as
//! there are TABLES tables. Signs halve the tables: an entry serves its own negation. Every look-up reads all entries
//! of its table, so that neither time nor cache tells the scalar.
//!
//! A comb takes as long to make as four products without one, and 12 KiB (G2: 24 KiB, GT: 72 KiB).

use blst::*;
use zeroize::Zeroizing;

use crate::hashes::R_LE;
use crate::points::{Scalar, G1, G2};

const TEETH: usize = 6;
const TABLES: usize = 4;
/// Doublings and one between the first and the last entries of a sum.
const STEPS: usize = 11;
/// Distance between teeth; also the entries of one sum.
const SPACING: usize = TABLES * STEPS;
/// Places of a recoded scalar, more than the 255 of r.
const PLACES: usize = TEETH * SPACING;
const ENTRIES: usize = 1 << (TEETH - 1);

/// An element of a group as the comb uses it, written additively; `W` words hold one entry.
pub trait Element<const W: usize>: Copy {
    fn identity() -> Self;
    fn is_identity(&self) -> bool;
    fn plus(&self, other: &Self) -> Self;
    fn twice(&self) -> Self;
    fn negative(&self) -> Self;
    /// The words of elements none of which is the identity.
    fn to_words(many: &[Self]) -> Vec<[u64; W]>;
    /// This and an entry, or less the entry; without a branch on which.
    fn plus_entry(&self, entry: &[u64; W], is_negative: bool) -> Self;
    /// The negation if asked for, without a branch on that.
    fn negative_if(&self, is_negative: bool) -> Self;
}

pub type Comb1 = Comb<G1, 12>;
pub type Comb2 = Comb<G2, 24>;

/// Multiples of one element.
#[derive(Clone)]
pub struct Comb<E, const W: usize> {
    /// TABLES times ENTRIES of them; none for the identity.
    entries: Vec<[u64; W]>,
    element: std::marker::PhantomData<E>,
}

impl<E: Element<W>, const W: usize> Comb<E, W> {
    /// Takes an element of the prime-order group.
    pub fn of(element: &E) -> Self {
        let made = if element.is_identity() {
            Vec::new()
        } else {
            E::to_words(&sums(element))
        };
        Self {
            entries: made,
            element: std::marker::PhantomData,
        }
    }

    /// The element times the scalar.
    pub fn mul(&self, scalar: &Scalar) -> E {
        let mut sum = E::identity();
        if self.entries.is_empty() {
            return sum;
        }
        let (places, is_negated) = recode(scalar);
        for step in (0..STEPS).rev() {
            if step + 1 < STEPS {
                sum = sum.twice();
            }
            for (table, entries) in self.entries.chunks_exact(ENTRIES).enumerate() {
                let column = table * STEPS + step;
                let index = (0..TEETH).fold(0u8, |index, tooth| {
                    index | (place(&*places, tooth * SPACING + column) << tooth)
                });
                // Where the highest digit is -1, the entry with all digits turned, negated.
                let is_negative = index >> (TEETH - 1) == 0;
                let turned = 0u8.wrapping_sub(u8::from(is_negative));
                let chosen = select(entries, (index ^ turned) & (ENTRIES as u8 - 1));
                sum = sum.plus_entry(&chosen, is_negative);
            }
        }
        sum.negative_if(is_negated)
    }
}

/// The entries of all tables: in each, the highest tooth with every choice of signs of the others.
fn sums<E: Element<W>, const W: usize>(element: &E) -> Vec<E> {
    let mut powers = Vec::with_capacity(PLACES);
    let mut power = *element;
    for _ in 0..PLACES {
        powers.push(power);
        power = power.twice();
    }
    let mut all = Vec::with_capacity(TABLES * ENTRIES);
    for table in 0..TABLES {
        let tooth = |number: usize| powers[number * SPACING + table * STEPS];
        let lowest = (0..TEETH - 1).fold(tooth(TEETH - 1), |sum, number| {
            sum.plus(&tooth(number).negative())
        });
        let mut entries = vec![lowest];
        for number in 0..TEETH - 1 {
            let step = tooth(number).twice();
            let more: Vec<E> = entries.iter().map(|entry| entry.plus(&step)).collect();
            entries.extend(more);
        }
        all.extend(entries);
    }
    all
}

/// Digits of the scalar, or of its negation where that is the odd one: a one for +1, a zero for -1.
///
/// An odd number k below 2^PLACES is the sum of (2 c_i - 1) 2^i where c = (k + 2^PLACES - 1) / 2.
fn recode(scalar: &Scalar) -> (Zeroizing<[u8; PLACES / 8]>, bool) {
    let is_even = scalar.0[0] & 1 == 0;
    let mask = std::hint::black_box(0u8.wrapping_sub(u8::from(is_even)));
    let mut odd = Scalar::default();
    let mut borrow = 0i16;
    for ((out, own), order) in odd.0.iter_mut().zip(scalar.0).zip(R_LE) {
        let difference = i16::from(order) - i16::from(own) - borrow;
        borrow = (difference >> 8) & 1;
        *out = (own & !mask) | (difference as u8 & mask);
    }
    let mut places = Zeroizing::new([0u8; PLACES / 8]);
    for (index, digits) in places.iter_mut().enumerate() {
        let at = |index: usize| odd.0.get(index).copied().unwrap_or(0);
        *digits = at(index) >> 1 | at(index + 1) << 7;
    }
    places[PLACES / 8 - 1] |= 0x80;
    (places, is_even)
}

fn place(places: &[u8], number: usize) -> u8 {
    places[number / 8] >> (number % 8) & 1
}

/// Entry `index`; every entry is read.
fn select<const W: usize>(entries: &[[u64; W]], index: u8) -> [u64; W] {
    let mut chosen = [0u64; W];
    for (place, entry) in (0u8..).zip(entries) {
        let difference = u64::from(std::hint::black_box(place ^ index));
        let mask = 0u64.wrapping_sub(difference.wrapping_sub(1) >> 63);
        for (word, candidate) in chosen.iter_mut().zip(entry) {
            *word |= candidate & mask;
        }
    }
    chosen
}

fn put(words: &mut [u64], fields: &[&blst_fp]) {
    for (place, field) in words.chunks_exact_mut(6).zip(fields) {
        place.copy_from_slice(&field.l);
    }
}

pub fn field_of(words: &[u64], number: usize) -> blst_fp {
    let mut field = blst_fp::default();
    field.l.copy_from_slice(&words[6 * number..6 * number + 6]);
    field
}

macro_rules! point_element {
    ($point:ident, $words:literal, $affine:ty, $double:ident, $add:ident, $cneg:ident, $cneg_y:ident,
     $all_to_affine:ident, $from_words:ident, $put_words:ident) => {
        impl Element<$words> for $point {
            fn identity() -> Self {
                Self::default()
            }
            fn is_identity(&self) -> bool {
                self.is_infinity()
            }
            fn plus(&self, other: &Self) -> Self {
                self.add(other)
            }
            fn twice(&self) -> Self {
                let mut out = *self;
                // SAFETY: both are valid points.
                unsafe { $double(&mut out.0, &self.0) };
                out
            }
            fn negative(&self) -> Self {
                self.negative_if(true)
            }
            fn to_words(many: &[Self]) -> Vec<[u64; $words]> {
                let projective: Vec<_> = many.iter().map(|one| one.0).collect();
                let mut affine = vec![<$affine>::default(); projective.len()];
                let start = [projective.as_ptr(), std::ptr::null()];
                // SAFETY: a null pointer after the first says that the points are contiguous; both have the length
                // given; none is infinity.
                unsafe {
                    $all_to_affine(affine.as_mut_ptr(), start.as_ptr(), projective.len());
                }
                affine.iter().map($put_words).collect()
            }
            fn plus_entry(&self, entry: &[u64; $words], is_negative: bool) -> Self {
                let mut term = $from_words(entry);
                let mut out = *self;
                // SAFETY: all are valid.
                unsafe {
                    let y = term.y;
                    $cneg_y(&mut term.y, &y, is_negative);
                    $add(&mut out.0, &self.0, &term);
                }
                out
            }
            fn negative_if(&self, is_negative: bool) -> Self {
                let mut out = *self;
                // SAFETY: the point is valid.
                unsafe { $cneg(&mut out.0, is_negative) };
                out
            }
        }
    };
}

point_element!(
    G1,
    12,
    blst_p1_affine,
    blst_p1_double,
    blst_p1_add_or_double_affine,
    blst_p1_cneg,
    blst_fp_cneg,
    blst_p1s_to_affine,
    first_of_words,
    words_of_first
);
point_element!(
    G2,
    24,
    blst_p2_affine,
    blst_p2_double,
    blst_p2_add_or_double_affine,
    blst_p2_cneg,
    blst_fp2_cneg,
    blst_p2s_to_affine,
    second_of_words,
    words_of_second
);

fn first_of_words(words: &[u64; 12]) -> blst_p1_affine {
    blst_p1_affine {
        x: field_of(words, 0),
        y: field_of(words, 1),
    }
}

fn words_of_first(point: &blst_p1_affine) -> [u64; 12] {
    let mut words = [0u64; 12];
    put(&mut words, &[&point.x, &point.y]);
    words
}

fn second_of_words(words: &[u64; 24]) -> blst_p2_affine {
    let part = |number| blst_fp2 {
        fp: [field_of(words, number), field_of(words, number + 1)],
    };
    blst_p2_affine {
        x: part(0),
        y: part(2),
    }
}

fn words_of_second(point: &blst_p2_affine) -> [u64; 24] {
    let mut words = [0u64; 24];
    let (x, y) = (&point.x.fp, &point.y.fp);
    put(&mut words, &[&x[0], &x[1], &y[0], &y[1]]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gt::{Miller, PowerComb};
    use crate::hashes::random_scalar;

    fn scalars() -> Vec<Scalar> {
        let small = |value: u8| {
            let mut bytes = [0u8; 32];
            bytes[0] = value;
            Scalar(bytes)
        };
        let less = |value: u8| {
            let mut bytes = R_LE;
            bytes[0] -= value;
            Scalar(bytes)
        };
        let mut found: Vec<Scalar> = (0..20).map(small).collect();
        found.push(less(1));
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

    #[test]
    fn powers_equal_pairings_of_products() {
        let (p, q) = (G1::generator(), G2::generator());
        let comb = PowerComb::of(&Miller::of(&p, &q).finish());
        for scalar in scalars() {
            let paired = Miller::of(&p.mul(&scalar), &q).finish();
            assert_eq!(comb.mul(&scalar).to_bytes(), paired.to_bytes());
        }
    }

    #[test]
    fn no_entry_is_the_identity() {
        assert!(sums(&G1::generator()).iter().all(|one| !one.is_infinity()));
        assert!(sums(&G2::generator()).iter().all(|one| !one.is_infinity()));
    }
}
