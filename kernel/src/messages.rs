//! Messages between Python's values and the wire: cutting requests, forming and signing messages.
//!
//! Mechanical only: who may publish what is decided elsewhere. The fields, their order and what is signed are those of
//! wavemq.md 4 and 6; what this does not know (an encrypted publish, a proof of the client's own) it leaves alone.

use std::collections::VecDeque;

use ed25519_dalek::hazmat::{raw_sign, ExpandedSecretKey};
use ed25519_dalek::{SigningKey, VerifyingKey};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};
use sha2::{Sha256, Sha512};
use sha3::{Digest, Sha3_256};
use zeroize::Zeroizing;

use crate::bindings::bad;
use crate::bulk::{in_parallel, locked, unlocked};
use crate::protobuf::{Field, Fields, Put};

const SIGNATURE_BYTES: usize = 64;
/// So many signatures take several times as long as a thread takes to begin.
const SIDE_BY_SIDE_MIN: usize = 32;

/// Who signs messages: keys, and the fields that all of them begin with.
#[pyclass(frozen)]
pub struct MessageSigner {
    key: ExpandedSecretKey,
    public: VerifyingKey,
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
        let key = SigningKey::from_bytes(&seed);
        let mut location = Vec::new();
        if !url.is_empty() {
            location.bytes_field(1, url.as_bytes());
        }
        // A negative number stands as one of 64 bits.
        location.varint_field(2, i64::from(version) as u64);
        Ok(Self {
            key: ExpandedSecretKey::from(key.as_bytes()),
            public: key.verifying_key(),
            source,
            location,
            origin_router: origin_router.into_bytes(),
            prefix,
        })
    }

    /// Returns the signature in DER, and the fields of a message from `tbs` to `encryptionPartition`.
    pub fn form(&self, draft: &Draft<'_>) -> (Vec<u8>, Vec<u8>) {
        let mut hash = Sha3_256::new();
        hash.update(&self.source);
        hash.update(draft.namespace);
        hash.update(draft.topic);
        for (schema, content) in &draft.payload {
            hash.update(schema);
            hash.update(content);
        }
        hash.update(&self.origin_router);
        let digest = hash.finalize();
        let raw = raw_sign::<Sha512>(&self.key, &digest, &self.public).to_bytes();
        let mut signature = Vec::with_capacity(self.prefix.len() + SIGNATURE_BYTES);
        signature.extend_from_slice(&self.prefix);
        signature.extend_from_slice(&raw);

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
        (signature, head)
    }
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
    let formed: Vec<_> = unlocked(py, || {
        if work.len() < SIDE_BY_SIDE_MIN {
            work.iter()
                .map(|(signer, draft)| signer.form(draft))
                .collect()
        } else {
            in_parallel(&work, |(signer, draft)| signer.form(draft))
        }
    })?;
    let to_python = |(signature, head): &(Vec<u8>, Vec<u8>)| {
        (PyBytes::new(py, signature), PyBytes::new(py, head))
    };
    locked(py, || formed.iter().map(to_python).collect())
}

// --- cutting ------------------------------------------------------------------------------------

/// Connections whose last perspective is remembered.
const PERSPECTIVES_MAX: usize = 256;
/// A perspective beyond that is not remembered, but read each time.
const PERSPECTIVE_BYTES_MAX: usize = 64 << 10;

struct Known {
    connection: u64,
    perspective: Zeroizing<Vec<u8>>,
    name: Py<PyBytes>,
}

/// Cuts publish requests; knows the last perspective of each connection by sight.
#[pyclass]
pub struct PublishCutter {
    known: VecDeque<Known>,
}

/// A request as far as it is plain: one perspective, a topic, contents. A frame of a stream has no perspective and no
/// namespace, and a sequence instead.
#[derive(Default)]
pub struct Cut<'a> {
    perspective: Option<&'a [u8]>,
    namespace: Option<&'a [u8]>,
    topic: Option<&'a str>,
    payload: Vec<(&'a str, &'a [u8])>,
    is_persisted: bool,
    sequence: u64,
}

impl<'a> Cut<'a> {
    /// Returns the parts; none where there is anything beside them, or anything twice.
    pub fn of(request: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::of(request);
        let mut cut = Self::default();
        while let Some((number, field)) = fields.next_field()? {
            match (number, field) {
                (1, Field::Bytes(content)) if cut.perspective.is_none() => {
                    cut.perspective = Some(content);
                }
                (2, Field::Bytes(content)) if cut.namespace.is_none() => {
                    cut.namespace = Some(content);
                }
                (3, Field::Bytes(content)) if cut.topic.is_none() => {
                    cut.topic = Some(std::str::from_utf8(content).ok()?);
                }
                (4, Field::Bytes(content)) => cut.payload.push(Self::object(content)?),
                (6, Field::Varint(value)) => cut.is_persisted = value != 0,
                (9, Field::Varint(value)) => cut.sequence = value,
                _ => return None,
            }
        }
        Some(cut)
    }

    /// Returns the contents, their size, and whether they are to be persisted, as Python's values.
    fn contents<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, usize, bool)> {
        let size = |(schema, content): &(&str, &[u8])| schema.len() + content.len();
        let objects = self.payload.iter().map(|(schema, content)| {
            (PyString::new(py, schema), PyBytes::new(py, content)).into_pyobject(py)
        });
        let objects: Vec<Bound<'py, PyTuple>> = objects.collect::<PyResult<_>>()?;
        let size = self.payload.iter().map(size).sum();
        Ok((PyTuple::new(py, objects)?, size, self.is_persisted))
    }

    fn object(content: &'a [u8]) -> Option<(&'a str, &'a [u8])> {
        let mut fields = Fields::of(content);
        let (mut schema, mut object) = ("", &[][..]);
        while let Some((number, field)) = fields.next_field()? {
            match (number, field) {
                (1, Field::Bytes(content)) => schema = std::str::from_utf8(content).ok()?,
                (2, Field::Bytes(content)) => object = content,
                _ => return None,
            }
        }
        Some((schema, object))
    }
}

#[pymethods]
impl PublishCutter {
    #[new]
    fn new() -> Self {
        Self {
            known: VecDeque::new(),
        }
    }

    /// Cuts requests (connection, bytes). Of a plain one returns the SHA-256 of its perspective, namespace, topic,
    /// contents, their size, and whether it is to be persisted; of any other, None.
    fn cut<'py>(
        &mut self,
        py: Python<'py>,
        requests: Vec<(u64, Bound<'py, PyBytes>)>,
    ) -> PyResult<Vec<Option<Bound<'py, PyTuple>>>> {
        let cut = |(connection, request): &(u64, Bound<'py, PyBytes>)| {
            let cut = Cut::of(request.as_bytes()).filter(|cut| cut.sequence == 0);
            let parts =
                cut.and_then(|cut| Some((cut.perspective?, cut.namespace?, cut.topic?, cut)));
            let Some((perspective, namespace, topic, cut)) = parts else {
                return Ok(None);
            };
            let name = self.name(py, *connection, perspective);
            let (payload, size, is_persisted) = cut.contents(py)?;
            let (namespace, topic) = (PyBytes::new(py, namespace), PyString::new(py, topic));
            let parts = (name, namespace, topic, payload, size, is_persisted);
            parts.into_pyobject(py).map(Some)
        };
        locked(py, || requests.iter().map(cut).collect())?
    }

    /// Returns the SHA-256 of the perspective in the opening of a stream, and the namespace; None where there is
    /// more in it, or less.
    fn cut_opening<'py>(
        &self,
        py: Python<'py>,
        opening: &[u8],
    ) -> PyResult<Option<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>> {
        locked(py, || {
            let cut = Cut::of(opening)?;
            let is_plain = cut.topic.is_none() && cut.payload.is_empty() && !cut.is_persisted;
            let (perspective, namespace) = (cut.perspective?, cut.namespace?);
            is_plain.then(|| {
                let name = Sha256::digest(perspective);
                (PyBytes::new(py, &name), PyBytes::new(py, namespace))
            })
        })
    }
}

/// Where a frame stands in its request, and its parts if it is plain: topic, contents, their size, whether persisted.
type FrameOut<'py> = (
    u64,
    usize,
    usize,
    Option<(Bound<'py, PyString>, Bound<'py, PyTuple>, usize, bool)>,
);

/// The opening of a stream, if a request has one, and its frames.
type RequestOut<'py> = (Option<Bound<'py, PyBytes>>, Vec<FrameOut<'py>>);

/// Cuts a request of a stream: the opening, if it has one, and its frames (sequence, begin, end, parts); None where the
/// bytes are no such request.
#[pyfunction]
fn cut_frames<'py>(py: Python<'py>, request: &[u8]) -> PyResult<Option<RequestOut<'py>>> {
    locked(py, || {
        let mut fields = Fields::of(request);
        let mut opening = None;
        let mut frames = Vec::new();
        loop {
            let content = match fields.next_field() {
                Some(None) => return Ok(Some((opening, frames))),
                Some(Some((1, Field::Bytes(content)))) => {
                    opening = Some(PyBytes::new(py, content));
                    continue;
                }
                Some(Some((2, Field::Bytes(content)))) => content,
                _ => return Ok(None),
            };
            let end = request.len() - fields.rest_bytes();
            let begin = end - content.len();
            let plain =
                Cut::of(content).filter(|cut| cut.perspective.is_none() && cut.namespace.is_none());
            let parts = match plain.as_ref().and_then(|cut| Some((cut.topic?, cut))) {
                None => None,
                Some((topic, cut)) => {
                    let (payload, size, is_persisted) = cut.contents(py)?;
                    Some((PyString::new(py, topic), payload, size, is_persisted))
                }
            };
            frames.push((sequence_of(content), begin, end, parts));
        }
    })?
}

/// Returns the sequence of a frame, also of one that is not plain; 0 where it has none.
fn sequence_of(frame: &[u8]) -> u64 {
    let mut fields = Fields::of(frame);
    let mut sequence = 0;
    while let Some(Some((number, field))) = fields.next_field() {
        if let (9, Field::Varint(value)) = (number, field) {
            sequence = value;
        }
    }
    sequence
}

impl PublishCutter {
    /// Returns the name of a perspective, hashed only if it is not the connection's last.
    fn name(&mut self, py: Python<'_>, connection: u64, perspective: &[u8]) -> Py<PyBytes> {
        let found = self
            .known
            .iter()
            .position(|known| known.connection == connection);
        if let Some(index) = found {
            if self.known[index].perspective.as_slice() == perspective {
                return self.known[index].name.clone_ref(py);
            }
            self.known.remove(index);
        }
        let name = PyBytes::new(py, &Sha256::digest(perspective)).unbind();
        if perspective.len() <= PERSPECTIVE_BYTES_MAX {
            if self.known.len() >= PERSPECTIVES_MAX {
                self.known.pop_front();
            }
            self.known.push_back(Known {
                connection,
                perspective: Zeroizing::new(perspective.to_vec()),
                name: name.clone_ref(py),
            });
        }
        name
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<MessageSigner>()?;
    module.add_class::<PublishCutter>()?;
    module.add_function(wrap_pyfunction!(form_messages, module)?)?;
    module.add_function(wrap_pyfunction!(cut_frames, module)?)
}
