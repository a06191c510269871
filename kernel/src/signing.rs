//! Ed25519 signatures (RFC 8032, 5.1.6) in bulk: each by itself, of the same bytes however many are made at once.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::hazmat::ExpandedSecretKey;
use ed25519_dalek::{SigningKey, VerifyingKey};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

#[cfg(wide)]
use crate::wide;

pub const SIGNATURE_BYTES: usize = 64;
/// So many are signed in one go.
pub const GROUP: usize = 8;
/// Fewer at once are made sooner one by one.
#[cfg(wide)]
const WIDE_MIN: usize = 3;

/// A key that signs.
pub struct SecretKey {
    expanded: ExpandedSecretKey,
    public: VerifyingKey,
}

impl SecretKey {
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        Self {
            expanded: ExpandedSecretKey::from(key.as_bytes()),
            public: key.verifying_key(),
        }
    }

    /// Returns the secret number that only this content, signed with this key, has.
    fn nonce(&self, content: &[u8]) -> Zeroizing<Scalar> {
        let hash = Sha512::new()
            .chain_update(self.expanded.hash_prefix)
            .chain_update(content);
        Zeroizing::new(Scalar::from_hash(hash))
    }

    fn signature(
        &self,
        content: &[u8],
        nonce: &Scalar,
        commitment: &[u8; 32],
    ) -> [u8; SIGNATURE_BYTES] {
        let challenge = Scalar::from_hash(
            Sha512::new()
                .chain_update(commitment)
                .chain_update(self.public.as_bytes())
                .chain_update(content),
        );
        let response = challenge * self.expanded.scalar + nonce;
        let mut signature = [0; SIGNATURE_BYTES];
        signature[..32].copy_from_slice(commitment);
        signature[32..].copy_from_slice(response.as_bytes());
        signature
    }
}

/// Returns the signature of each content with its key, in their order.
pub fn sign_many(items: &[(&SecretKey, &[u8])]) -> Vec<[u8; SIGNATURE_BYTES]> {
    items.chunks(GROUP).flat_map(sign_group).collect()
}

fn sign_group(items: &[(&SecretKey, &[u8])]) -> Vec<[u8; SIGNATURE_BYTES]> {
    let nonces: Vec<_> = items
        .iter()
        .map(|(key, content)| key.nonce(content))
        .collect();
    items
        .iter()
        .zip(&nonces)
        .zip(commitments(&nonces))
        .map(|(((key, content), nonce), commitment)| key.signature(content, nonce, &commitment))
        .collect()
}

/// Returns the base point times each nonce, encoded.
fn commitments(nonces: &[Zeroizing<Scalar>]) -> Vec<[u8; 32]> {
    #[cfg(wide)]
    if nonces.len() >= WIDE_MIN {
        let scalars: Vec<_> = nonces.iter().map(|nonce| nonce.as_bytes()).collect();
        if let Some(found) = wide::base::multiples(&scalars) {
            return found;
        }
    }
    let commitment =
        |nonce: &Zeroizing<Scalar>| EdwardsPoint::mul_base(nonce).compress().to_bytes();
    nonces.iter().map(commitment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::Signer;

    #[test]
    fn signatures_are_those_of_the_library_however_many_are_made_at_once() {
        let seeds: Vec<[u8; 32]> = (0..5).map(|seed| [seed; 32]).collect();
        let keys: Vec<_> = seeds.iter().map(SecretKey::from_seed).collect();
        let contents: Vec<Vec<u8>> = (0..150).map(|size| vec![size as u8; size]).collect();
        for count in (0..=20).chain([63, 64, 65, 150]) {
            let contents = &contents[contents.len() - count..];
            let items: Vec<_> = contents
                .iter()
                .enumerate()
                .map(|(index, content)| (&keys[index % keys.len()], content.as_slice()))
                .collect();
            let expected: Vec<_> = contents
                .iter()
                .enumerate()
                .map(|(index, content)| {
                    let key = SigningKey::from_bytes(&seeds[index % seeds.len()]);
                    key.sign(content).to_bytes()
                })
                .collect();
            assert_eq!(sign_many(&items), expected, "{count} at once");
        }
    }
}
