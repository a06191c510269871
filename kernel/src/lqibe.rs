//! LQ-IBE key encapsulation (crypto.md 4).

use crate::gt::Miller;
use crate::hashes::{reduce, shake256};
use crate::points::{Scalar, G1, G2};

fn derive_key(identity: &G1, ciphertext: &G2, pairing: &Miller, out: &mut [u8]) {
    shake256(
        &[
            &identity.to_compressed(),
            &ciphertext.to_compressed(),
            &pairing.finish().to_bytes(),
        ],
        out,
    );
}

/// Returns the ciphertext; fills `out` with key material.
pub fn encapsulate(p: &G2, sp: &G2, identity: &G1, rho: &Scalar, out: &mut [u8]) -> G2 {
    let ciphertext = p.mul(rho);
    derive_key(
        identity,
        &ciphertext,
        &Miller::of(&identity.mul(rho), sp),
        out,
    );
    ciphertext
}

pub fn decapsulate(secret: &G1, identity: &G1, ciphertext: &G2, out: &mut [u8]) {
    derive_key(identity, ciphertext, &Miller::of(secret, ciphertext), out);
}

/// The secret key of an identity. The master key may be r or more: it counts modulo r.
pub fn extract(master: &[u8; 32], identity: &G1) -> G1 {
    identity.mul(&reduce(*master))
}
