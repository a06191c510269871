//! Key encapsulation for many messages: what does not change from one to the next is computed once.
//!
//! A target is whom one encrypts to: a pattern of a WKD-IBE system, or an identity of an LQ-IBE system. An opener is a key
//! of either as it opens ciphertexts. Both hold tables only; every encapsulation draws its own random scalars, and
//! powers by them take a time that does not depend on them. Ciphertexts come from anybody and are checked as everywhere.

use blst::blst_p2_affine;

use crate::combs::{Comb1, Comb2};
use crate::gt::{generator_power, Gt, Miller, PowerComb, GT_BYTES};
use crate::hashes::shake256;
use crate::lines::{miller, Lines};
use crate::points::{Scalar, G1, G1_COMPRESSED, G2, G2_COMPRESSED};
use crate::wkdibe::{wipe, Attribute, Ciphertext, DecodeError, MasterKey, Params, SecretKey};

/// Holders of keys that match a pattern of a WKD-IBE system.
pub struct PatternTarget(Comb1);

impl PatternTarget {
    pub fn new(params: &Params, attributes: &[Attribute]) -> Self {
        Self(Comb1::of(&params.q(attributes)))
    }

    /// Returns the ciphertext; fills `out` with key material.
    pub fn encapsulate(&self, params: &Params, k: &Scalar, s: &Scalar, out: &mut [u8]) -> Vec<u8> {
        let message = generator_power(k);
        let ciphertext = Ciphertext {
            a: params.powers().mul(s).times(&message),
            b: params.comb().mul(s),
            c: self.0.mul(s),
        };
        shake256(&[&message.to_bytes()], out);
        ciphertext.to_bytes()
    }
}

/// The holder of the key of an identity of an LQ-IBE system.
pub struct IdentityTarget {
    identity: [u8; G1_COMPRESSED],
    p: Comb2,
    /// Of e(Q_id, sP), of which an encapsulation needs the power rho.
    powers: PowerComb,
}

impl IdentityTarget {
    pub fn new(p: &G2, sp: &G2, identity: &G1) -> Self {
        Self {
            identity: identity.to_compressed(),
            p: Comb2::of(p),
            powers: PowerComb::of(&Miller::of(identity, sp).finish()),
        }
    }

    /// Returns the ciphertext; fills `out` with key material.
    pub fn encapsulate(&self, rho: &Scalar, out: &mut [u8]) -> Vec<u8> {
        let ciphertext = self.p.mul(rho).to_compressed();
        let pairing = self.powers.mul(rho).to_bytes();
        shake256(&[&self.identity, &ciphertext, &pairing], out);
        ciphertext.to_vec()
    }
}

/// A point of G2 from outside, with its lines; None for infinity, which is in the group.
fn checked_lines(bytes: &[u8]) -> Result<Option<Lines>, DecodeError> {
    let on_curve: Option<blst_p2_affine> = G2::on_curve_from_compressed(bytes)?;
    Ok(on_curve.as_ref().map(Lines::checked).transpose()?)
}

/// A WKD-IBE key as it opens ciphertexts for one pattern; wiped when dropped.
pub struct PatternOpener {
    /// -a0, or the negated master key.
    negative: G1,
    /// Of a1; a master key has none.
    lines: Option<Lines>,
}

impl Drop for PatternOpener {
    fn drop(&mut self) {
        wipe(&mut self.negative);
    }
}

impl PatternOpener {
    /// Takes a key whose fixed slots are among the attributes of the ciphertexts.
    pub fn of_secret(key: &SecretKey, attributes: &[Attribute]) -> Self {
        let exact = key.qualify_nondelegable(attributes);
        Self {
            negative: affine(&exact.a0.neg()),
            lines: Lines::of(&exact.a1),
        }
    }

    /// A master key opens all.
    pub fn of_master(key: &MasterKey) -> Self {
        Self {
            negative: affine(&key.0.neg()),
            lines: None,
        }
    }

    /// Fills `out` with the key material of a ciphertext.
    pub fn decapsulate(&self, ciphertext: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
        if ciphertext.len() != GT_BYTES + G2_COMPRESSED + G1_COMPRESSED {
            return Err(DecodeError::Length);
        }
        let (a, points) = ciphertext.split_at(GT_BYTES);
        let (b, c) = points.split_at(G2_COMPRESSED);
        let b = checked_lines(b)?;
        let c = G1::from_compressed(c)?;
        let a = Gt::from_bytes(a).ok_or(DecodeError::Target)?;
        let pairs = [(&self.negative, b.as_ref()), (&c, self.lines.as_ref())];
        let message = miller(&pairs).finish().times(&a);
        shake256(&[&message.to_bytes()], out);
        Ok(())
    }
}

/// The key of an identity of an LQ-IBE system as it opens ciphertexts; wiped when dropped.
pub struct IdentityOpener {
    secret: G1,
    identity: [u8; G1_COMPRESSED],
}

impl Drop for IdentityOpener {
    fn drop(&mut self) {
        wipe(&mut self.secret);
    }
}

impl IdentityOpener {
    pub fn new(secret: &G1, identity: &G1) -> Self {
        Self {
            secret: affine(secret),
            identity: identity.to_compressed(),
        }
    }

    /// Fills `out` with the key material of a ciphertext.
    pub fn decapsulate(&self, ciphertext: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
        // What decodes is canonical, so the bytes that are hashed are those that came.
        let lines = checked_lines(ciphertext)?;
        let pairing = miller(&[(&self.secret, lines.as_ref())]).finish();
        shake256(&[&self.identity, ciphertext, &pairing.to_bytes()], out);
        Ok(())
    }
}

/// The point in the form from which it becomes affine without an inversion.
fn affine(point: &G1) -> G1 {
    if point.is_infinity() {
        *point
    } else {
        G1::from_affine(&point.to_affine())
    }
}
