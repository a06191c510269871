//! Publish requests cut into their parts.
//!
//! Mechanical only: who may publish what is decided elsewhere. The fields are those of wavemq.md 4; what this does not
//! know (an encrypted publish, a proof of the client's own) it leaves alone.

use std::collections::VecDeque;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::bulk::locked;
use crate::protobuf::{Field, Fields};

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
    module.add_class::<PublishCutter>()?;
    module.add_function(wrap_pyfunction!(cut_frames, module)?)
}
