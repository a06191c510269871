//! Messages composed of parts that were encoded once.
//!
//! Mechanical only: what goes into a message, and in which form, is decided elsewhere (wavemq.md 4).

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::bulk::locked;
use crate::protobuf::Put;

/// A message to compose: head, timestamps, drops, whether it is persisted, proof, proof reference.
pub type MessageIn<'py> = (
    Bound<'py, PyBytes>,
    Vec<i64>,
    Vec<i64>,
    bool,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
);

pub fn compose(
    (head, timestamps, drops, is_persisted, proof, reference): &MessageIn<'_>,
) -> Vec<u8> {
    let stamps = (&timestamps[..], &drops[..]);
    compose_parts(
        head.as_bytes(),
        stamps,
        *is_persisted,
        proof.as_bytes(),
        reference.as_bytes(),
    )
}

/// Composes a message of its parts; timestamps and drops go together.
pub fn compose_parts(
    head: &[u8],
    (timestamps, drops): (&[i64], &[i64]),
    is_persisted: bool,
    proof: &[u8],
    reference: &[u8],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len() + proof.len() + 64);
    if !proof.is_empty() {
        out.bytes_field(2, proof);
    }
    out.extend_from_slice(head);
    let unsigned = |values: &[i64]| values.iter().map(|value| *value as u64).collect::<Vec<_>>();
    out.packed_field(6, &unsigned(timestamps));
    out.packed_field(7, &unsigned(drops));
    out.varint_field(8, u64::from(is_persisted));
    if !reference.is_empty() {
        out.bytes_field(9, reference);
    }
    out
}

/// Returns a message as it stands on the wire.
#[pyfunction]
fn encode_message<'py>(py: Python<'py>, message: MessageIn<'py>) -> PyResult<Bound<'py, PyBytes>> {
    locked(py, || PyBytes::new(py, &compose(&message)))
}

/// Returns each message as it stands on the wire, behind other bytes.
#[pyfunction]
fn encode_behind<'py>(
    py: Python<'py>,
    messages: Vec<(Bound<'py, PyBytes>, MessageIn<'py>)>,
) -> PyResult<Bound<'py, PyList>> {
    let behind = |(before, message): &(Bound<'py, PyBytes>, MessageIn<'py>)| {
        PyBytes::new(py, &[before.as_bytes(), &compose(message)].concat())
    };
    locked(py, || PyList::new(py, messages.iter().map(behind)))?
}

/// Returns each message as the only field of another one, under a number: what streams of deliveries consist of.
#[pyfunction]
fn encode_wrapped<'py>(
    py: Python<'py>,
    number: u32,
    messages: Vec<MessageIn<'py>>,
) -> PyResult<Bound<'py, PyList>> {
    let wrap = |message| {
        let content = compose(message);
        let mut out = Vec::with_capacity(content.len() + 8);
        out.bytes_field(number, &content);
        PyBytes::new(py, &out)
    };
    locked(py, || PyList::new(py, messages.iter().map(wrap)))?
}

/// Returns a `ConsumeResponse` of deliveries: index, attempt, message.
#[pyfunction]
fn encode_deliveries<'py>(
    py: Python<'py>,
    deliveries: Vec<(u64, u64, MessageIn<'py>)>,
) -> PyResult<Bound<'py, PyBytes>> {
    locked(py, || {
        let mut out = Vec::new();
        for (index, attempt, message) in &deliveries {
            let message = compose(message);
            let mut delivery = Vec::with_capacity(message.len() + 24);
            delivery.varint_field(1, *index);
            delivery.varint_field(2, *attempt);
            delivery.bytes_field(3, &message);
            out.bytes_field(2, &delivery);
        }
        PyBytes::new(py, &out)
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(encode_message, module)?)?;
    module.add_function(wrap_pyfunction!(encode_behind, module)?)?;
    module.add_function(wrap_pyfunction!(encode_wrapped, module)?)?;
    module.add_function(wrap_pyfunction!(encode_deliveries, module)?)
}
