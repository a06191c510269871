//! Hash functions into the algebra (crypto.md 2), and Keccak-256 with its legacy padding.

use blst::*;
use sha3::digest::{Digest, ExtendableOutput, Update, XofReader};
use sha3::{Keccak256, Shake256};

use crate::bulk::in_parallel;
use crate::field::{fp_neg, is_greater, is_greater2, FP_BYTES, P_BE};
#[cfg(target_arch = "x86_64")]
use crate::lanes;
use crate::points::{Scalar, G1, G2};

/// The group order r, little-endian.
pub const R_LE: [u8; 32] = [
    0x01, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xfe, 0x5b, 0xfe, 0xff, 0x02, 0xa4, 0xbd, 0x53,
    0x05, 0xd8, 0xa1, 0x09, 0x08, 0xd8, 0x39, 0x33, 0x48, 0x7d, 0x9d, 0x29, 0x53, 0xa7, 0xed, 0x73,
];

/// The full G1 cofactor h1, little-endian, 126 bits.
const H1_LE: [u8; 16] = [
    0xab, 0xaa, 0x00, 0x00, 0xab, 0xaa, 0x00, 0x8c, 0x56, 0xe1, 0x55, 0x55, 0x00, 0x8c, 0x6c, 0x39,
];

pub fn keccak256(data: &[u8]) -> [u8; 32] {
    Keccak256::digest(data).into()
}

/// The digests of many messages, in their order; on all cores, and where possible in wide lanes.
pub fn keccak256_many(messages: &[&[u8]]) -> Vec<[u8; 32]> {
    #[cfg(target_arch = "x86_64")]
    if lanes::is_supported() {
        return in_lanes(messages);
    }
    in_parallel(messages, |one| keccak256(one))
}

/// Digests in groups of like length, since a group takes as long as its longest message.
#[cfg(target_arch = "x86_64")]
fn in_lanes(messages: &[&[u8]]) -> Vec<[u8; 32]> {
    let mut order: Vec<usize> = (0..messages.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(messages[*index].len()));
    let groups: Vec<&[usize]> = order.chunks(lanes::LANES).collect();
    let done = in_parallel(&groups, |group| {
        let members: Vec<&[u8]> = group.iter().map(|index| messages[*index]).collect();
        lanes::keccak256_group(&members)
            .unwrap_or_else(|| members.iter().map(|one| keccak256(one)).collect())
    });
    let mut digests = vec![[0u8; 32]; messages.len()];
    for (index, digest) in order.iter().zip(done.iter().flatten()) {
        digests[*index] = *digest;
    }
    digests
}

pub fn shake256(parts: &[&[u8]], out: &mut [u8]) {
    let mut hasher = Shake256::default();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize_xof().read(out);
}

/// Whether a is below b, both little-endian.
fn is_below(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

fn subtract_r(value: &mut [u8; 32]) {
    let mut borrow = 0i16;
    for (byte, order) in value.iter_mut().zip(R_LE) {
        let difference = i16::from(*byte) - i16::from(order) - borrow;
        borrow = i16::from(difference < 0);
        *byte = difference.rem_euclid(256) as u8;
    }
}

/// A 256-bit little-endian integer modulo r.
pub fn reduce(mut value: [u8; 32]) -> Scalar {
    while !is_below(&value, &R_LE) {
        subtract_r(&mut value);
    }
    Scalar(value)
}

/// HashToZp of crypto.md 2.1.
pub fn hash_to_zp(data: &[u8]) -> Scalar {
    let mut digest = [0u8; 32];
    shake256(&[data], &mut digest);
    digest.reverse();
    digest[31] &= 0x7f;
    reduce(digest)
}

/// A uniformly random scalar, never zero.
pub fn random_scalar() -> Result<Scalar, getrandom::Error> {
    loop {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes)?;
        bytes[31] &= 0x7f;
        if is_below(&bytes, &R_LE) && bytes != [0; 32] {
            return Ok(Scalar(bytes));
        }
    }
}

/// Maps a 48-byte digest onto the curve, not into the subgroup (crypto.md 2.2).
pub fn map_to_g1(digest: &[u8; FP_BYTES]) -> G1 {
    let mut x = reduced(digest);
    let (one, four) = (small(1), small(4));
    loop {
        let (mut square, mut cube, mut t, mut y) = (
            blst_fp::default(),
            blst_fp::default(),
            blst_fp::default(),
            blst_fp::default(),
        );
        // SAFETY: every argument is a valid element.
        let is_square = unsafe {
            blst_fp_sqr(&mut square, &x);
            blst_fp_mul(&mut cube, &square, &x);
            blst_fp_add(&mut t, &cube, &four);
            blst_fp_sqrt(&mut y, &t)
        };
        if is_square {
            if is_greater(&y) {
                y = fp_neg(&y);
            }
            return G1::from_affine(&blst_p1_affine { x, y });
        }
        let previous = x;
        // SAFETY: every argument is a valid element.
        unsafe { blst_fp_add(&mut x, &previous, &one) };
    }
}

/// The LQ-IBE identity point of crypto.md 2.3.
pub fn identity_point(identity: &[u8]) -> G1 {
    let mut digest = [0u8; FP_BYTES];
    shake256(&[identity], &mut digest);
    map_to_g1(&digest).mul_bits(&H1_LE, 126)
}

fn reduced(digest: &[u8]) -> blst_fp {
    let mut masked = [0u8; FP_BYTES];
    masked.copy_from_slice(digest);
    masked[0] &= 0x1f;
    if masked >= P_BE {
        let mut borrow = 0i16;
        for index in (0..FP_BYTES).rev() {
            let difference = i16::from(masked[index]) - i16::from(P_BE[index]) - borrow;
            borrow = i16::from(difference < 0);
            masked[index] = difference.rem_euclid(256) as u8;
        }
    }
    let mut out = blst_fp::default();
    // SAFETY: `masked` has the 48 bytes that are read.
    unsafe { blst_fp_from_bendian(&mut out, masked.as_ptr()) };
    out
}

fn small(value: u8) -> blst_fp {
    let mut bytes = [0u8; FP_BYTES];
    bytes[FP_BYTES - 1] = value;
    reduced(&bytes)
}

/// Maps a 96-byte digest onto the twist, not into the subgroup (crypto.md 2.2).
pub fn map_to_g2(digest: &[u8; 2 * FP_BYTES]) -> G2 {
    let mut x = blst_fp2 {
        fp: [reduced(&digest[FP_BYTES..]), reduced(&digest[..FP_BYTES])],
    };
    let b = blst_fp2 {
        fp: [small(4), small(4)],
    };
    let one = small(1);
    loop {
        let (mut square, mut cube, mut t, mut y) = (
            blst_fp2::default(),
            blst_fp2::default(),
            blst_fp2::default(),
            blst_fp2::default(),
        );
        // SAFETY: every argument is a valid element.
        let is_square = unsafe {
            blst_fp2_sqr(&mut square, &x);
            blst_fp2_mul(&mut cube, &square, &x);
            blst_fp2_add(&mut t, &cube, &b);
            blst_fp2_sqrt(&mut y, &t)
        };
        if is_square {
            if is_greater2(&y) {
                y.fp = [fp_neg(&y.fp[0]), fp_neg(&y.fp[1])];
            }
            return G2::from_affine(&blst_p2_affine { x, y });
        }
        let previous = x.fp[0];
        // SAFETY: every argument is a valid element.
        unsafe { blst_fp_add(&mut x.fp[0], &previous, &one) };
    }
}
