//! Ed25519 verification (RFC 8032, without cofactor, as Go and OpenSSL do it).

use ed25519_dalek::{Signature, Verifier, VerifyingKey};

/// What one signature is about.
pub struct Signed<'a> {
    pub public: &'a [u8],
    pub signature: &'a [u8],
    pub content: &'a [u8],
}

impl Signed<'_> {
    /// Whether the signature holds; a wrong length, a bad point or a large scalar does not.
    pub fn is_genuine(&self) -> bool {
        let (Ok(public), Ok(signature)) = (
            <[u8; 32]>::try_from(self.public),
            <[u8; 64]>::try_from(self.signature),
        ) else {
            return false;
        };
        VerifyingKey::from_bytes(&public).is_ok_and(|key| {
            key.verify(self.content, &Signature::from_bytes(&signature))
                .is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8032, 7.1, test 1 and test 2.
    const EMPTY: (&str, &str) = (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    );

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
            .collect()
    }

    #[test]
    fn the_vector_of_the_standard_holds_and_its_neighbours_do_not() {
        let (public, signature) = (bytes(EMPTY.0), bytes(EMPTY.1));
        let holds = |public: &[u8], signature: &[u8], content: &[u8]| {
            Signed {
                public,
                signature,
                content,
            }
            .is_genuine()
        };
        assert!(holds(&public, &signature, b""));
        assert!(!holds(&public, &signature, b"x"));
        assert!(!holds(&public[..31], &signature, b""));
        assert!(!holds(&public, &signature[..63], b""));
        for bit in 0..512 {
            let mut changed = signature.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&public, &changed, b""), "bit {bit}");
        }
    }
}
