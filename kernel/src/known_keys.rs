//! Ed25519 verification for keys that sign again and again: multiples of a key are kept, so that a check adds points
//! and doubles none.
//!
//! The equation, the canonical forms that it asks for, and so every verdict are those of `signatures`: what is kept
//! are exact multiples of the negated key, also where that is of a small order, and the sum is compared as bytes.
//! Nothing here is secret.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use sha2::{Digest, Sha512};

use crate::signatures::Signed;

/// Keys that are remembered, with how often they were seen.
const KEYS_MAX: usize = 1024;
/// Keys whose multiples are kept: 220 kB each.
const TABLES_MAX: usize = 64;
/// So many checks pay for the multiples of a key.
const SEEN_MIN: u32 = 16;
/// Multiples that so many checks did not need make room for others.
const IDLE_CHECKS_MIN: u64 = 4096;
const KEY_BITS: usize = 6;
const BASE_BITS: usize = 7;

// --- multiples ----------------------------------------------------------------------------------

/// Multiples of one point: for each digit of a scalar, 1 to half of its range times the digit's weight.
struct Multiples {
    bits: usize,
    points: Vec<EdwardsPoint>,
}

impl Multiples {
    fn of(point: EdwardsPoint, bits: usize) -> Self {
        let (half, digits) = (1 << (bits - 1), 256_usize.div_ceil(bits));
        let mut points = Vec::with_capacity(half * digits);
        let mut weight = point;
        for _ in 0..digits {
            let mut multiple = weight;
            points.push(multiple);
            for _ in 1..half {
                multiple += weight;
                points.push(multiple);
            }
            weight = multiple + multiple;
        }
        Self { bits, points }
    }

    /// Returns the sum and `scalar` times the point.
    fn add_to(&self, mut sum: EdwardsPoint, scalar: &Scalar) -> EdwardsPoint {
        let half = 1_usize << (self.bits - 1);
        let bytes = scalar.as_bytes();
        let mut carry = 0;
        for (index, multiples) in self.points.chunks_exact(half).enumerate() {
            let digit = bits_at(bytes, index * self.bits, self.bits) + carry;
            carry = usize::from(digit > half);
            if carry == 1 {
                let negative = 2 * half - digit;
                if negative > 0 {
                    sum -= multiples[negative - 1];
                }
            } else if digit > 0 {
                sum += multiples[digit - 1];
            }
        }
        // A scalar is below 2^253, so that the last digit leaves nothing to carry.
        sum
    }
}

/// Returns some bits, at most eight, of a little-endian number.
fn bits_at(bytes: &[u8; 32], at: usize, count: usize) -> usize {
    let low = usize::from(bytes[at / 8]);
    let high = bytes.get(at / 8 + 1).map_or(0, |byte| usize::from(*byte));
    ((low | high << 8) >> (at % 8)) & ((1 << count) - 1)
}

fn base_multiples() -> &'static Multiples {
    static MULTIPLES: OnceLock<Multiples> = OnceLock::new();
    MULTIPLES.get_or_init(|| Multiples::of(ED25519_BASEPOINT_POINT, BASE_BITS))
}

/// Whether a signature holds, given multiples of the negated key.
fn holds(negated: &Multiples, signed: &Signed<'_>) -> bool {
    let Ok(signature) = <[u8; 64]>::try_from(signed.signature) else {
        return false;
    };
    let (commitment, response) = signature.split_at(32);
    let Ok(response) = <[u8; 32]>::try_from(response) else {
        return false;
    };
    let Some(response) = Option::<Scalar>::from(Scalar::from_canonical_bytes(response)) else {
        return false;
    };
    let challenge = Scalar::from_hash(
        Sha512::new()
            .chain_update(commitment)
            .chain_update(signed.public)
            .chain_update(signed.content),
    );
    let sum = negated.add_to(EdwardsPoint::identity(), &challenge);
    let sum = base_multiples().add_to(sum, &response);
    sum.compress().as_bytes() == commitment
}

// --- keys ---------------------------------------------------------------------------------------

struct Known {
    seen: u32,
    used: u64,
    negated: Option<Arc<Multiples>>,
}

#[derive(Default)]
struct Keys {
    known: HashMap<[u8; 32], Known>,
    table_count: usize,
    checks: u64,
}

/// Keys lately seen, and multiples of those that are seen often.
#[derive(Default)]
pub struct KnownKeys {
    keys: Mutex<Keys>,
}

impl KnownKeys {
    /// Whether a signature holds: the verdict of `Signed::is_genuine`, sooner for a key that was seen often.
    pub fn is_genuine(&self, signed: &Signed<'_>) -> bool {
        let Ok(public) = <[u8; 32]>::try_from(signed.public) else {
            return false;
        };
        match self.multiples(public) {
            Some(negated) => holds(&negated, signed),
            None => signed.is_genuine(),
        }
    }

    fn multiples(&self, public: [u8; 32]) -> Option<Arc<Multiples>> {
        {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = keys.look_up(public) {
                return found;
            }
        }
        // Others go on meanwhile; another thread may do the same, once.
        let point = CompressedEdwardsY(public).decompress()?;
        let made = Arc::new(Multiples::of(-point, KEY_BITS));
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.keep(public, Arc::clone(&made));
        Some(made)
    }
}

impl Keys {
    /// Returns the multiples of a key, if there are any; none at all where they are to be made now.
    fn look_up(&mut self, public: [u8; 32]) -> Option<Option<Arc<Multiples>>> {
        self.checks += 1;
        let checks = self.checks;
        if !self.known.contains_key(&public) {
            if self.known.len() >= KEYS_MAX {
                self.forget_idle();
            }
            if self.known.len() >= KEYS_MAX {
                return Some(None);
            }
        }
        let known = self.known.entry(public).or_insert(Known {
            seen: 0,
            used: checks,
            negated: None,
        });
        known.seen = known.seen.saturating_add(1);
        known.used = checks;
        if known.negated.is_some() || known.seen < SEEN_MIN {
            return Some(known.negated.clone());
        }
        if self.table_count < TABLES_MAX || self.drop_idle_table() {
            return None;
        }
        Some(None)
    }

    fn keep(&mut self, public: [u8; 32], made: Arc<Multiples>) {
        if self.table_count >= TABLES_MAX {
            return;
        }
        if let Some(known) = self.known.get_mut(&public) {
            if known.negated.replace(made).is_none() {
                self.table_count += 1;
            }
        }
    }

    /// Drops the multiples that were not needed for longest, if that is long.
    fn drop_idle_table(&mut self) -> bool {
        let checks = self.checks;
        let idle = self
            .known
            .values_mut()
            .filter(|known| known.negated.is_some() && known.used + IDLE_CHECKS_MIN <= checks)
            .min_by_key(|known| known.used);
        let Some(known) = idle else {
            return false;
        };
        (known.negated, known.seen) = (None, 0);
        self.table_count -= 1;
        true
    }

    /// Forgets the keys that were not seen lately.
    fn forget_idle(&mut self) {
        let checks = self.checks;
        self.known
            .retain(|_, known| known.negated.is_some() || known.used + IDLE_CHECKS_MIN > checks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    /// Points of order 8 and 2, and the neutral one, as RFC 8032 encodes them.
    fn small_order() -> Vec<[u8; 32]> {
        let mut minus_one = [0xff; 32];
        (minus_one[0], minus_one[31]) = (0xec, 0x7f);
        let mut one = [0; 32];
        one[0] = 1;
        let eighth: Vec<u8> = (0..64)
            .step_by(2)
            .map(|at| {
                let hex = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
                u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")
            })
            .collect();
        vec![minus_one, one, eighth.try_into().expect("32 bytes")]
    }

    fn both(keys: &KnownKeys, signed: &Signed<'_>) -> bool {
        let expected = signed.is_genuine();
        for _ in 0..=SEEN_MIN {
            assert_eq!(keys.is_genuine(signed), expected);
        }
        expected
    }

    #[test]
    fn verdicts_are_those_of_a_single_check() {
        let keys = KnownKeys::default();
        for seed in 0..3u8 {
            let key = SigningKey::from_bytes(&[seed; 32]);
            let public = key.verifying_key();
            let content = [seed; 40];
            let signature = key.sign(&content).to_bytes();
            let is_genuine = |signature: &[u8], content: &[u8]| {
                both(
                    &keys,
                    &Signed {
                        public: public.as_bytes(),
                        signature,
                        content,
                    },
                )
            };
            assert!(is_genuine(&signature, &content));
            assert!(!is_genuine(&signature, b"other"));
            assert!(!is_genuine(&signature[..63], &content));
            for bit in (0..512).step_by(7) {
                let mut changed = signature;
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(!is_genuine(&changed, &content), "bit {bit}");
            }
        }
    }

    #[test]
    fn keys_of_a_small_order_get_the_same_verdicts() {
        let keys = KnownKeys::default();
        let mut accepted = 0;
        for public in small_order() {
            for commitment in small_order() {
                for number in 0..16u8 {
                    let mut signature = [0; 64];
                    signature[..32].copy_from_slice(&commitment);
                    let signed = Signed {
                        public: &public,
                        signature: &signature,
                        content: &[number],
                    };
                    accepted += u32::from(both(&keys, &signed));
                }
            }
        }
        assert!(accepted > 0, "single checks accept some of these");
    }

    #[test]
    fn response_that_is_not_canonical_is_refused() {
        let keys = KnownKeys::default();
        let key = SigningKey::from_bytes(&[9; 32]);
        let mut signature = key.sign(b"x").to_bytes();
        // The order of the group, added once.
        let order = Scalar::ZERO - Scalar::ONE;
        let mut carry = 1;
        for (byte, more) in signature[32..].iter_mut().zip(order.as_bytes()) {
            let sum = u16::from(*byte) + u16::from(*more) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        let public = key.verifying_key();
        assert!(!both(
            &keys,
            &Signed {
                public: public.as_bytes(),
                signature: &signature,
                content: b"x",
            }
        ));
    }

    #[test]
    fn multiples_are_bounded_and_those_in_use_stay() {
        let keys = KnownKeys::default();
        for number in 0..2 * KEYS_MAX as u32 {
            let mut public = [0; 32];
            public[..4].copy_from_slice(&number.to_le_bytes());
            for _ in 0..2 {
                keys.keys.lock().expect("no panic").look_up(public);
            }
        }
        let key = SigningKey::from_bytes(&[1; 32]);
        let signature = key.sign(b"x").to_bytes();
        for seed in 0..=TABLES_MAX as u8 {
            let other = SigningKey::from_bytes(&[seed; 32]).verifying_key();
            let signed = Signed {
                public: other.as_bytes(),
                signature: &signature,
                content: b"x",
            };
            both(&keys, &signed);
        }
        let kept = keys.keys.lock().expect("no panic");
        assert!(kept.known.len() <= KEYS_MAX);
        assert_eq!(kept.table_count, TABLES_MAX);
        let tables = kept.known.values().filter(|one| one.negated.is_some());
        assert_eq!(tables.count(), TABLES_MAX);
    }
}
