//! The hot paths as pure work with fixed inputs, for counting instructions (`bench/instructions.py`).
//!
//! Each work does its preparation once and its own part as often as asked, so that a difference of two counts is what
//! one repetition costs. Nothing here reads a clock or draws a number.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use ed25519_dalek::{Signer, SigningKey};

use crate::composing::compose_parts;
use crate::cutting::Cut;
use crate::forming::{form_many, Draft, MessageSigner};
use crate::frames;
use crate::hashes::{hash_to_zp, keccak256};
use crate::http2::framing::{put, Cutter, Encoding};
use crate::kem::{PatternOpener, PatternTarget};
use crate::known_keys::KnownKeys;
use crate::points::{Scalar, G1, G2};
use crate::protobuf::{Fields, Put};
use crate::signatures::Signed;
use crate::signing::{sign_many, SecretKey};
use crate::wkdibe::{Attribute, MasterKey, Params};

const PAYLOAD_BYTES: usize = 128;
const PERSPECTIVE_BYTES: usize = 5600;
const MESSAGE_BYTES_MAX: usize = 15 << 20;
const SLOTS: usize = 20;

/// A work: its name, and what does it so many times.
pub type Work = (&'static str, fn(usize));

pub const WORKS: [Work; 12] = [
    ("cut a publish request", cut_publish),
    ("cut a message of a peer", cut_message),
    ("read fields of protobuf", read_fields),
    ("cut 8 messages out of gRPC", cut_grpc),
    ("form and sign a message", form_message),
    ("compose a delivery", compose_delivery),
    ("Keccak-256 of 1 kB", digest),
    ("sign with Ed25519", sign),
    ("verify with Ed25519", verify),
    ("verify with a known key", verify_known),
    ("encapsulate a key to a pattern", encapsulate),
    ("decapsulate a key", decapsulate),
];

/// Returns the features of the processor by which code is chosen, as far as they are here.
pub fn processor_features() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let found = [
            ("avx2", std::is_x86_feature_detected!("avx2")),
            ("bmi2", std::is_x86_feature_detected!("bmi2")),
            ("adx", std::is_x86_feature_detected!("adx")),
            ("sha", std::is_x86_feature_detected!("sha")),
            ("avx512f", std::is_x86_feature_detected!("avx512f")),
            ("avx512ifma", std::is_x86_feature_detected!("avx512ifma")),
        ];
        let here = found.iter().filter(|(_, is_here)| *is_here);
        let names: Vec<_> = here.map(|(name, _)| *name).collect();
        format!("x86_64 {}", names.join(" "))
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::env::consts::ARCH.to_owned()
}

fn hash(of: u8) -> Vec<u8> {
    let mut bytes = vec![0x1b, 0x20];
    bytes.extend_from_slice(&keccak256(&[of]));
    bytes
}

fn object() -> Vec<u8> {
    let mut object = Vec::new();
    object.bytes_field(1, b"1.1.0.0");
    object.bytes_field(2, &[7; PAYLOAD_BYTES]);
    object
}

fn publish_request() -> Vec<u8> {
    let mut perspective = Vec::new();
    perspective.bytes_field(1, &[5; PERSPECTIVE_BYTES]);
    let mut request = Vec::new();
    request.bytes_field(1, &perspective);
    request.bytes_field(2, &hash(1));
    request.bytes_field(3, b"site/building/floor/room/sensor");
    request.bytes_field(4, &object());
    request
}

fn signer() -> Option<MessageSigner> {
    let location = ("https://storage.example".to_owned(), 1);
    MessageSigner::of(&[3; 32], hash(2), location, "router".into(), vec![0x30; 16]).ok()
}

fn formed() -> Vec<u8> {
    let Some(signer) = signer() else {
        return Vec::new();
    };
    let namespace = hash(1);
    let draft = Draft {
        namespace: &namespace,
        topic: b"site/building/floor/room/sensor",
        payload: vec![(b"1.1.0.0", &[7; PAYLOAD_BYTES])],
    };
    form_many(&[(&signer, draft)]).swap_remove(0).head
}

fn message() -> Vec<u8> {
    compose_parts(
        &formed(),
        (
            &[1_800_000_000_000_000_000, 1_800_000_000_000_100_000],
            &[0, 0],
        ),
        false,
        &[],
        &[9; 16],
    )
}

fn cut_publish(count: usize) {
    let request = publish_request();
    for _ in 0..count {
        black_box(Cut::of(black_box(&request)));
    }
}

fn cut_message(count: usize) {
    let message = message();
    for _ in 0..count {
        black_box(frames::Cut::of(black_box(&message)));
    }
}

fn read_fields(count: usize) {
    let message = message();
    for _ in 0..count {
        let mut fields = Fields::of(black_box(&message));
        while let Some(Some(field)) = fields.next_field() {
            black_box(field);
        }
    }
}

fn cut_grpc(count: usize) {
    let mut framed = BytesMut::new();
    for _ in 0..8 {
        put(&mut framed, &message(), Encoding::Identity);
    }
    let framed = framed.freeze();
    for _ in 0..count {
        let mut cutter = Cutter::new(Encoding::Identity, MESSAGE_BYTES_MAX);
        let taken = cutter.take(black_box(framed.clone()), |one: Bytes| {
            black_box(one);
        });
        black_box(taken.is_ok());
    }
}

fn form_message(count: usize) {
    let Some(signer) = signer() else { return };
    let namespace = hash(1);
    for _ in 0..count {
        let draft = Draft {
            namespace: &namespace,
            topic: black_box(b"site/building/floor/room/sensor"),
            payload: vec![(b"1.1.0.0", &[7; PAYLOAD_BYTES])],
        };
        black_box(form_many(&[(&signer, draft)]));
    }
}

fn compose_delivery(count: usize) {
    let head = formed();
    for _ in 0..count {
        let stamps: (&[i64], &[i64]) = (&[1_800_000_000_000_000_000], &[0]);
        black_box(compose_parts(
            black_box(&head),
            stamps,
            false,
            &[],
            &[9; 16],
        ));
    }
}

fn digest(count: usize) {
    let content = [1; 1024];
    for _ in 0..count {
        black_box(keccak256(black_box(&content)));
    }
}

fn sign(count: usize) {
    let key = SecretKey::from_seed(&[3; 32]);
    for _ in 0..count {
        black_box(sign_many(&[(&key, black_box(&[4; 32]))]));
    }
}

fn verify(count: usize) {
    let key = SigningKey::from_bytes(&[3; 32]);
    let (public, signature) = (
        key.verifying_key().to_bytes(),
        key.sign(&[4; 32]).to_bytes(),
    );
    for _ in 0..count {
        let signed = Signed {
            public: &public,
            signature: &signature,
            content: black_box(&[4; 32]),
        };
        assert!(signed.is_genuine());
    }
}

fn verify_known(count: usize) {
    let key = SigningKey::from_bytes(&[3; 32]);
    let (public, signature) = (
        key.verifying_key().to_bytes(),
        key.sign(&[4; 32]).to_bytes(),
    );
    let known = KnownKeys::default();
    let signed = Signed {
        public: &public,
        signature: &signature,
        content: &[4; 32],
    };
    for _ in 0..64 {
        assert!(known.is_genuine(&signed)); // until its multiples are kept
    }
    for _ in 0..count {
        assert!(known.is_genuine(black_box(&signed)));
    }
}

fn scalar(of: u8) -> Scalar {
    hash_to_zp(&[of])
}

fn system() -> (Params, MasterKey, Vec<Attribute>) {
    let g1 = |of: u8| G1::generator().mul(&scalar(of));
    let slots = (0..SLOTS).map(|slot| g1(100 + slot as u8)).collect();
    let g = G2::generator().mul(&scalar(1));
    let (params, master) = Params::from_scalars(&scalar(2), g, g1(3), g1(4), g1(5), slots);
    let attributes = (0..6).map(|slot| (slot, scalar(50 + slot as u8))).collect();
    (params, master, attributes)
}

fn encapsulate(count: usize) {
    let (params, _, attributes) = system();
    let target = PatternTarget::new(&params, &attributes);
    let mut out = [0; 32];
    black_box(target.encapsulate(&params, &scalar(7), &scalar(8), &mut out)); // tables are made
    for _ in 0..count {
        black_box(target.encapsulate(&params, black_box(&scalar(7)), &scalar(8), &mut out));
    }
}

fn decapsulate(count: usize) {
    let (params, master, attributes) = system();
    let (mut sent, mut found) = ([0; 32], [0; 32]);
    let target = PatternTarget::new(&params, &attributes);
    let ciphertext = target.encapsulate(&params, &scalar(7), &scalar(8), &mut sent);
    let key = master.derive(&params, &attributes, &scalar(9));
    let opener = PatternOpener::of_secret(&key, &attributes);
    for _ in 0..count {
        let opened = opener.decapsulate(black_box(&ciphertext), &mut found);
        assert!(opened.is_ok() && found == sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_do_what_they_are_named_for() {
        assert!(Cut::of(&publish_request()).is_some());
        assert!(frames::Cut::of(&message()).is_some());
        for (_, work) in WORKS {
            work(1);
        }
    }
}
