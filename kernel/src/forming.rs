//! Messages formed: what is signed is hashed, signed and encoded.
//!
//! Mechanical only: who may publish what is decided elsewhere. The fields, their order and what is signed are those of
//! wavemq.md 4 and 6.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use sha3::{Digest, Sha3_256};
use zeroize::Zeroizing;

use crate::bindings::bad;
use crate::bulk::{in_parallel, locked, unlocked};
use crate::protobuf::Put;
use crate::signing::{sign_many, SecretKey, GROUP, SIGNATURE_BYTES};

/// So many messages take several times as long as a thread takes to begin.
const SIDE_BY_SIDE_MIN: usize = 48;

/// Who signs messages: keys, and the fields that all of them begin with.
#[pyclass(frozen)]
pub struct MessageSigner {
    key: SecretKey,
    source: Vec<u8>,
    location: Vec<u8>,
    origin_router: Vec<u8>,
    /// What stands before the 64 bytes of a signature in DER.
    prefix: Vec<u8>,
}

#[pymethods]
impl MessageSigner {
    /// Takes the seed of the key, the entity's hash, its location (URL, version), the router's id, and the
    /// beginning of each signature in DER.
    #[new]
    fn new(
        py: Python<'_>,
        seed: &[u8],
        source: Vec<u8>,
        location: (String, i32),
        origin_router: String,
        prefix: Vec<u8>,
    ) -> PyResult<Self> {
        unlocked(py, || {
            Self::of(seed, source, location, origin_router, prefix)
        })?
    }
}

impl MessageSigner {
    pub fn of(
        seed: &[u8],
        source: Vec<u8>,
        (url, version): (String, i32),
        origin_router: String,
        prefix: Vec<u8>,
    ) -> PyResult<Self> {
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(
            seed.try_into()
                .map_err(|_| bad("the seed of a key has 32 bytes"))?,
        );
        let mut location = Vec::new();
        if !url.is_empty() {
            location.bytes_field(1, url.as_bytes());
        }
        // A negative number stands as one of 64 bits.
        location.varint_field(2, i64::from(version) as u64);
        Ok(Self {
            key: SecretKey::from_seed(&seed),
            source,
            location,
            origin_router: origin_router.into_bytes(),
            prefix,
        })
    }

    /// Returns the digest that is signed.
    fn digest(&self, draft: &Draft<'_>) -> [u8; 32] {
        let mut hash = Sha3_256::new();
        hash.update(&self.source);
        hash.update(draft.namespace);
        hash.update(draft.topic);
        for (schema, content) in &draft.payload {
            hash.update(schema);
            hash.update(content);
        }
        hash.update(&self.origin_router);
        hash.finalize().into()
    }

    fn formed(&self, draft: &Draft<'_>, signature: &[u8; SIGNATURE_BYTES]) -> Formed {
        let signature = [&self.prefix[..], signature].concat();
        let payload_bytes: usize = draft
            .payload
            .iter()
            .map(|(schema, content)| schema.len() + content.len() + 24)
            .sum();
        let mut tbs = Vec::with_capacity(192 + draft.topic.len() + payload_bytes);
        tbs.bytes_field(1, &self.source);
        tbs.bytes_field(2, &self.location);
        tbs.bytes_field(3, draft.namespace);
        tbs.bytes_field(4, draft.topic);
        for (schema, content) in &draft.payload {
            let mut object = Vec::with_capacity(schema.len() + content.len() + 16);
            if !schema.is_empty() {
                object.bytes_field(1, schema);
            }
            if !content.is_empty() {
                object.bytes_field(2, content);
            }
            tbs.bytes_field(5, &object);
        }
        if !self.origin_router.is_empty() {
            tbs.bytes_field(6, &self.origin_router);
        }
        let mut head = Vec::with_capacity(tbs.len() + signature.len() + 16);
        head.bytes_field(3, &tbs);
        head.bytes_field(4, &signature);
        Formed { signature, head }
    }
}

/// A signature in DER, and the fields of a message from `tbs` to `encryptionPartition`.
pub struct Formed {
    signature: Vec<u8>,
    pub head: Vec<u8>,
}

/// Signs drafts, each for its signer.
pub fn form_many(drafts: &[(&MessageSigner, Draft<'_>)]) -> Vec<Formed> {
    let digest = |(signer, draft): &(&MessageSigner, Draft<'_>)| signer.digest(draft);
    let digests: Vec<_> = drafts.iter().map(digest).collect();
    let contents = drafts.iter().zip(&digests);
    let contents: Vec<_> = contents
        .map(|((signer, _), digest)| (&signer.key, digest.as_slice()))
        .collect();
    let signatures = sign_many(&contents);
    let drafts = drafts.iter().zip(&signatures);
    drafts
        .map(|((signer, draft), signature)| signer.formed(draft, signature))
        .collect()
}

/// What is signed, beside what its signer adds.
pub struct Draft<'a> {
    pub namespace: &'a [u8],
    pub topic: &'a [u8],
    pub payload: Vec<(&'a [u8], &'a [u8])>,
}

type DraftIn<'py> = (
    PyRef<'py, MessageSigner>,
    Bound<'py, PyBytes>,
    Bound<'py, PyString>,
    Vec<(Bound<'py, PyString>, Bound<'py, PyBytes>)>,
);

/// Signs messages (signer, namespace, topic, payload); of each returns the signature in DER and the fields of the
/// message from `tbs` on.
#[pyfunction]
fn form_messages<'py>(
    py: Python<'py>,
    drafts: Vec<DraftIn<'py>>,
) -> PyResult<Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>> {
    let mut work = Vec::with_capacity(drafts.len());
    for (signer, namespace, topic, payload) in &drafts {
        let mut objects = Vec::with_capacity(payload.len());
        for (schema, content) in payload {
            objects.push((schema.to_str()?.as_bytes(), content.as_bytes()));
        }
        let draft = Draft {
            namespace: namespace.as_bytes(),
            topic: topic.to_str()?.as_bytes(),
            payload: objects,
        };
        work.push((&**signer, draft));
    }
    let formed = unlocked(py, || {
        if work.len() < SIDE_BY_SIDE_MIN {
            return form_many(&work);
        }
        let groups: Vec<_> = work.chunks(GROUP).collect();
        let formed = in_parallel(&groups, |group| form_many(group));
        formed.into_iter().flatten().collect()
    })?;
    let to_python = |one: &Formed| {
        (
            PyBytes::new(py, &one.signature),
            PyBytes::new(py, &one.head),
        )
    };
    locked(py, || formed.iter().map(to_python).collect())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<MessageSigner>()?;
    module.add_function(wrap_pyfunction!(form_messages, module)?)
}
