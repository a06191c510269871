//! What routers send one another: cut into fields without building objects, checked in bulk, composed.
//!
//! Mechanical only. A message is plain when its fields are the usual ones, each where it stands in canonical bytes and
//! within its limits; its unchanging fields (its head) are then kept as the bytes they came in. Anything else is left
//! to protobuf, which has the last word.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use crate::bulk::{in_parallel, locked, unlocked};
use crate::composing::{compose, MessageIn};
use crate::known_keys::KnownKeys;
use crate::protobuf::{Field, Fields, Put};
use crate::signatures::Signed;
use crate::signed_fields::SignedFields;

/// So many checks take several times as long as a thread takes to begin.
const SIDE_BY_SIDE_MIN: usize = 32;
const REFERENCE_BYTES: usize = 16;
const SIGNATURE_BYTES: usize = 64;

// --- fields -------------------------------------------------------------------------------------

/// A message as far as it is plain.
#[derive(Default)]
pub struct Cut<'a> {
    proof: &'a [u8],
    reference: &'a [u8],
    signed: SignedFields<'a>,
    signature: &'a [u8],
    partition: Vec<&'a [u8]>,
    timestamps: Vec<i64>,
    drops: Vec<i64>,
    is_persisted: bool,
    /// From the signed fields to the partition.
    head: &'a [u8],
}

/// Adds the numbers of a repeated field, which may come in one piece or one by one.
fn numbers(field: Field<'_>, found: &mut Vec<i64>) -> Option<()> {
    match field {
        Field::Varint(value) => found.push(value as i64),
        Field::Bytes(content) => {
            let mut packed = Fields::of(content);
            while packed.rest_bytes() > 0 {
                found.push(packed.varint()? as i64);
            }
        }
        Field::Other => return None,
    }
    Some(())
}

impl<'a> Cut<'a> {
    /// Returns the fields of a message; none where there is anything beside them, or one is not where it belongs.
    pub fn of(content: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::of(content);
        let mut cut = Self::default();
        let (mut tbs, mut begin, mut end, mut last) = (None, 0, 0, 0);
        loop {
            let start = content.len() - fields.rest_bytes();
            let Some((number, field)) = fields.next_field()? else {
                break;
            };
            let is_again = number == last;
            if number < last || (is_again && !matches!(number, 5..=7)) {
                return None;
            }
            last = number;
            match (number, field) {
                (2, Field::Bytes(proof)) => cut.proof = proof,
                (3, Field::Bytes(inner)) => (tbs, begin) = (Some(inner), start),
                (4, Field::Bytes(signature)) => cut.signature = signature,
                (5, Field::Bytes(element)) => cut.partition.push(element),
                (6, field) => numbers(field, &mut cut.timestamps)?,
                (7, field) => numbers(field, &mut cut.drops)?,
                (8, Field::Varint(value)) => cut.is_persisted = value != 0,
                (9, Field::Bytes(reference)) => cut.reference = reference,
                _ => return None,
            }
            if matches!(number, 3..=5) {
                end = content.len() - fields.rest_bytes();
            }
        }
        let tbs = tbs?;
        cut.signed = SignedFields::of(tbs)?;
        cut.head = content.get(begin..end)?;
        (cut.composed_head(tbs)? == cut.head).then_some(cut)
    }

    fn composed_head(&self, tbs: &[u8]) -> Option<Vec<u8>> {
        let signed = self.signed.compose(tbs.len())?;
        let mut head = Vec::with_capacity(self.head.len());
        head.bytes_field(3, &signed);
        head.text_field(4, self.signature);
        for element in &self.partition {
            head.bytes_field(5, element);
        }
        Some(head)
    }
}

// --- cutting ------------------------------------------------------------------------------------

/// Cuts messages of peers that keep to some limits.
#[pyclass(frozen)]
pub struct MessageCutter {
    message_bytes_max: usize,
    payload_objects_max: usize,
    proof_bytes_max: usize,
    signature_bytes_max: usize,
    router_bytes_max: usize,
    hops_max: usize,
    partition_elements_max: usize,
    partition_bytes_max: usize,
}

/// What stands before the payload; contents; origin router; JEDI timestamp; partition; signature; timestamps; drops;
/// whether persisted; proof; its reference; head.
type MessageOut<'py> = Bound<'py, PyTuple>;
/// Sequence, whether it resumes, bytes, the message if it is plain.
type FrameOut<'py> = (u64, bool, usize, Option<MessageOut<'py>>);
/// Index, the message if it is plain.
type DeliveryOut<'py> = (u64, Option<MessageOut<'py>>);

#[pymethods]
impl MessageCutter {
    #[new]
    #[pyo3(signature = (*, message_bytes_max, payload_objects_max, proof_bytes_max, signature_bytes_max,
                        router_bytes_max, hops_max, partition_elements_max, partition_bytes_max))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        message_bytes_max: usize,
        payload_objects_max: usize,
        proof_bytes_max: usize,
        signature_bytes_max: usize,
        router_bytes_max: usize,
        hops_max: usize,
        partition_elements_max: usize,
        partition_bytes_max: usize,
    ) -> Self {
        Self {
            message_bytes_max,
            payload_objects_max,
            proof_bytes_max,
            signature_bytes_max,
            router_bytes_max,
            hops_max,
            partition_elements_max,
            partition_bytes_max,
        }
    }

    /// Cuts a `PeerPublishFrames` into its frames (sequence, whether it resumes, bytes, the message if it is plain);
    /// None where protobuf must say whether that is one.
    fn cut_frames<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
    ) -> PyResult<Option<Vec<FrameOut<'py>>>> {
        locked(py, || {
            let mut frames = Vec::new();
            let mut fields = Fields::of(request);
            loop {
                let content = match fields.next_field() {
                    Some(None) => return Ok(Some(frames)),
                    Some(Some((1, Field::Bytes(content)))) => content,
                    _ => return Ok(None),
                };
                let Some([sequence, resumes]) = numbers_beside(content, 3) else {
                    return Ok(None);
                };
                let message = self.plain(content);
                let message = message.map(|cut| cut_out(py, &cut)).transpose()?;
                frames.push((sequence, resumes != 0, content.len(), message));
            }
        })?
    }

    /// Cuts a `ConsumeResponse` without an error into its deliveries (index, the message if it is plain); None where
    /// protobuf must say what it is.
    fn cut_deliveries<'py>(
        &self,
        py: Python<'py>,
        response: &[u8],
    ) -> PyResult<Option<Vec<DeliveryOut<'py>>>> {
        locked(py, || {
            let mut deliveries = Vec::new();
            let mut fields = Fields::of(response);
            loop {
                let content = match fields.next_field() {
                    Some(None) => return Ok(Some(deliveries)),
                    Some(Some((2, Field::Bytes(content)))) => content,
                    _ => return Ok(None),
                };
                let Some([index, _]) = numbers_beside(content, 3) else {
                    return Ok(None);
                };
                let message = self.plain(content);
                let message = message.map(|cut| cut_out(py, &cut)).transpose()?;
                deliveries.push((index, message));
            }
        })?
    }
}

/// Returns the numbers 1 and 2 of a message that has nothing else but one other, embedded message.
fn numbers_beside(content: &[u8], embedded: u64) -> Option<[u64; 2]> {
    let mut found = [0, 0];
    let mut fields = Fields::of(content);
    let mut last = 0;
    while let Some((number, field)) = fields.next_field()? {
        match (number, field) {
            (1, Field::Varint(value)) if last < 1 => found[0] = value,
            (2, Field::Varint(value)) if last < 2 => found[1] = value,
            (number, Field::Bytes(_)) if number == embedded && last < number => {}
            _ => return None,
        }
        last = number;
    }
    Some(found)
}

impl MessageCutter {
    /// Returns the message that is field 3 of a frame or a delivery, if it is plain and keeps the limits.
    fn plain<'a>(&self, content: &'a [u8]) -> Option<Cut<'a>> {
        let mut fields = Fields::of(content);
        while let Some((number, field)) = fields.next_field()? {
            if let (3, Field::Bytes(message)) = (number, field) {
                return Cut::of(message).filter(|cut| self.keeps_limits(cut));
            }
        }
        None
    }

    fn keeps_limits(&self, cut: &Cut<'_>) -> bool {
        let object_bytes = |(schema, content): &(&str, &[u8])| schema.len() + content.len();
        let partition_bytes: usize = cut.partition.iter().map(|one| one.len()).sum();
        let message_bytes =
            cut.signed.payload.iter().map(object_bytes).sum::<usize>() + partition_bytes;
        message_bytes <= self.message_bytes_max
            && cut.signed.payload.len() <= self.payload_objects_max
            && cut.proof.len() <= self.proof_bytes_max
            && (cut.reference.is_empty() || cut.reference.len() == REFERENCE_BYTES)
            && cut.signature.len() <= self.signature_bytes_max
            && cut.signed.origin_router.len() <= self.router_bytes_max
            && cut.timestamps.len() <= self.hops_max
            && cut.drops.len() <= self.hops_max
            && cut.drops.iter().all(|drops| *drops >= 0)
            && cut.partition.len() <= self.partition_elements_max
            && partition_bytes <= self.partition_bytes_max
    }
}

fn cut_out<'py>(py: Python<'py>, cut: &Cut<'_>) -> PyResult<MessageOut<'py>> {
    let signed = &cut.signed;
    let objects = signed.payload.iter().map(|(schema, content)| {
        (PyString::new(py, schema), PyBytes::new(py, content)).into_pyobject(py)
    });
    let objects: Vec<Bound<'py, PyTuple>> = objects.collect::<PyResult<_>>()?;
    let partition = cut.partition.iter().map(|one| PyBytes::new(py, one));
    (
        PyBytes::new(py, signed.stem),
        PyTuple::new(py, objects)?,
        PyString::new(py, signed.origin_router),
        signed.jedi_timestamp,
        PyTuple::new(py, partition)?,
        PyBytes::new(py, cut.signature),
        PyTuple::new(py, &cut.timestamps)?,
        PyTuple::new(py, &cut.drops)?,
        cut.is_persisted,
        PyBytes::new(py, cut.proof),
        PyBytes::new(py, cut.reference),
        PyBytes::new(py, cut.head),
    )
        .into_pyobject(py)
}

// --- checking -----------------------------------------------------------------------------------

/// Checks messages by the signatures in their heads; knows the keys that it sees often.
#[pyclass(frozen)]
pub struct MessageVerifier {
    /// What stands before the 64 bytes of a signature in DER.
    prefix: Vec<u8>,
    keys: KnownKeys,
}

#[pymethods]
impl MessageVerifier {
    #[new]
    fn new(prefix: Vec<u8>) -> Self {
        Self {
            prefix,
            keys: KnownKeys::default(),
        }
    }

    /// For each (public key, head of a message) whether the message is signed by the key; None where that is to be
    /// found out otherwise. Each by itself, on all cores.
    fn verify(
        &self,
        py: Python<'_>,
        signed: Vec<(Bound<'_, PyBytes>, Bound<'_, PyBytes>)>,
    ) -> PyResult<Vec<Option<bool>>> {
        let work: Vec<(&[u8], &[u8])> = signed
            .iter()
            .map(|(public, head)| (public.as_bytes(), head.as_bytes()))
            .collect();
        let check = |(public, head): &(&[u8], &[u8])| self.is_genuine(public, head);
        unlocked(py, || {
            if work.len() < SIDE_BY_SIDE_MIN {
                work.iter().map(check).collect()
            } else {
                in_parallel(&work, check)
            }
        })
    }
}

impl MessageVerifier {
    /// Returns whether the signature in a head is by the key; none where the head or the form of the signature is not
    /// the usual one.
    fn is_genuine(&self, public: &[u8], head: &[u8]) -> Option<bool> {
        let mut fields = Fields::of(head);
        let (Some((3, Field::Bytes(tbs))), Some((4, Field::Bytes(signature)))) =
            (fields.next_field()?, fields.next_field()?)
        else {
            return None;
        };
        let signature = signature.strip_prefix(self.prefix.as_slice())?;
        if signature.len() != SIGNATURE_BYTES {
            return None;
        }
        let digest = SignedFields::of(tbs)?.digest();
        Some(self.keys.is_genuine(&Signed {
            public,
            signature,
            content: &digest,
        }))
    }
}

// --- composing ----------------------------------------------------------------------------------

/// Returns a frame (sequence, whether it resumes, message) as it stands in a `PeerPublishFrames`.
#[pyfunction]
fn encode_frame<'py>(
    py: Python<'py>,
    sequence: u64,
    resumes: bool,
    message: MessageIn<'py>,
) -> PyResult<Bound<'py, PyBytes>> {
    locked(py, || {
        let message = compose(&message);
        let mut frame = Vec::with_capacity(message.len() + 24);
        frame.varint_field(1, sequence);
        frame.varint_field(2, u64::from(resumes));
        frame.bytes_field(3, &message);
        let mut out = Vec::with_capacity(frame.len() + 8);
        out.bytes_field(1, &frame);
        PyBytes::new(py, &out)
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<MessageCutter>()?;
    module.add_class::<MessageVerifier>()?;
    module.add_function(wrap_pyfunction!(encode_frame, module)?)
}
