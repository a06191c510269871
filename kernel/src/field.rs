//! Base-field helpers: canonical bytes, and the sign that the original computes on Montgomery form.

use blst::{blst_bendian_from_fp, blst_fp, blst_fp2, blst_fp_cneg, blst_fp_from_bendian};

pub const FP_BYTES: usize = 48;

/// The prime p, most significant byte first.
pub const P_BE: [u8; FP_BYTES] = [
    0x1a, 0x01, 0x11, 0xea, 0x39, 0x7f, 0xe6, 0x9a, 0x4b, 0x1b, 0xa7, 0xb6, 0x43, 0x4b, 0xac, 0xd7,
    0x64, 0x77, 0x4b, 0x84, 0xf3, 0x85, 0x12, 0xbf, 0x67, 0x30, 0xd2, 0xa0, 0xf6, 0xb0, 0xf6, 0x24,
    0x1e, 0xab, 0xff, 0xfe, 0xb1, 0x53, 0xff, 0xff, 0xb9, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xaa, 0xab,
];

/// (p + 1) / 2 as little-endian limbs: the smallest value that exceeds its own negation.
const HALF_UP: [u64; 6] = {
    // p = limbs; (p + 1) / 2 = (p >> 1) + 1, since p is odd.
    let p: [u64; 6] = [
        0xb9fe_ffff_ffff_aaab,
        0x1eab_fffe_b153_ffff,
        0x6730_d2a0_f6b0_f624,
        0x6477_4b84_f385_12bf,
        0x4b1b_a7b6_434b_acd7,
        0x1a01_11ea_397f_e69a,
    ];
    let mut half = [0u64; 6];
    let mut i = 0;
    while i < 6 {
        half[i] = (p[i] >> 1) | if i < 5 { p[i + 1] << 63 } else { 0 };
        i += 1;
    }
    half[0] += 1; // the low limb of p >> 1 is not all ones
    half
};

/// Whether bytes are a canonical field element, that is below p.
pub fn is_canonical(bytes: &[u8; FP_BYTES]) -> bool {
    bytes < &P_BE
}

/// Reads a canonical big-endian element.
pub fn fp_from_be(bytes: &[u8; FP_BYTES]) -> Option<blst_fp> {
    if !is_canonical(bytes) {
        return None;
    }
    let mut out = blst_fp::default();
    // SAFETY: `out` is a valid element and `bytes` has the 48 bytes that are read.
    unsafe { blst_fp_from_bendian(&mut out, bytes.as_ptr()) };
    Some(out)
}

/// Writes the canonical big-endian bytes of an element.
pub fn fp_to_be(value: &blst_fp) -> [u8; FP_BYTES] {
    let mut out = [0u8; FP_BYTES];
    // SAFETY: `out` has the 48 bytes that are written.
    unsafe { blst_bendian_from_fp(out.as_mut_ptr(), value) };
    out
}

fn limbs_are_zero(value: &blst_fp) -> bool {
    value.l.iter().all(|&limb| limb == 0)
}

/// `greater(a)` of crypto.md 1.4: compares Montgomery representations, which is what `l` holds.
pub fn is_greater(value: &blst_fp) -> bool {
    for i in (0..6).rev() {
        if value.l[i] != HALF_UP[i] {
            return value.l[i] > HALF_UP[i];
        }
    }
    true
}

/// `greater2` of crypto.md 1.4.
pub fn is_greater2(value: &blst_fp2) -> bool {
    if limbs_are_zero(&value.fp[1]) {
        is_greater(&value.fp[0])
    } else {
        is_greater(&value.fp[1])
    }
}

pub fn fp_neg(value: &blst_fp) -> blst_fp {
    let mut out = blst_fp::default();
    // SAFETY: both are valid elements.
    unsafe { blst_fp_cneg(&mut out, value, true) };
    out
}
