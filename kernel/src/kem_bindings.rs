//! What Python sees of key encapsulation in bulk: on all cores, without the interpreter's lock.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use crate::bindings::{attributes, key_length, random, WkdMasterKey, WkdParams, WkdSecretKey};
use crate::bulk::{in_parallel, locked, unlocked};
use crate::functions::{g1, lq_params};
use crate::hashes::identity_point;
use crate::kem::{IdentityOpener, IdentityTarget, PatternOpener, PatternTarget};
use crate::points::Scalar;

/// Holders of keys that match one pattern of one WKD-IBE system, as one encrypts to them.
#[pyclass(frozen, module = "wavemq._kernel")]
pub struct WkdTarget {
    params: Py<WkdParams>,
    target: PatternTarget,
}

#[pymethods]
impl WkdTarget {
    #[new]
    fn new(py: Python<'_>, params: Py<WkdParams>, pattern: Vec<Vec<u8>>) -> PyResult<Self> {
        let target = {
            let params = &params.get().0;
            unlocked(py, || -> PyResult<_> {
                let attributes = attributes(params.h.len(), &pattern)?;
                Ok(PatternTarget::new(params, &attributes))
            })??
        };
        Ok(Self { params, target })
    }
}

/// One identity of one LQ-IBE system, as one encrypts to it.
#[pyclass(frozen, module = "wavemq._kernel")]
pub struct LqTarget(IdentityTarget);

#[pymethods]
impl LqTarget {
    #[new]
    fn new(py: Python<'_>, params: &[u8], identity: &[u8]) -> PyResult<Self> {
        unlocked(py, || {
            let (p, sp) = lq_params(params)?;
            let identity = identity_point(identity);
            Ok(Self(IdentityTarget::new(&p, &sp, &identity)))
        })?
    }
}

/// A WKD-IBE key as it opens ciphertexts for one pattern.
#[pyclass(frozen, module = "wavemq._kernel")]
pub struct WkdOpener(PatternOpener);

#[pymethods]
impl WkdOpener {
    /// Of a key whose pattern the given one contains.
    #[staticmethod]
    fn of_secret(
        py: Python<'_>,
        key: &WkdSecretKey,
        slots: usize,
        pattern: Vec<Vec<u8>>,
    ) -> PyResult<Self> {
        unlocked(py, || {
            let attributes = attributes(slots, &pattern)?;
            Ok(Self(PatternOpener::of_secret(&key.0, &attributes)))
        })?
    }

    /// Of a master key, for all patterns.
    #[staticmethod]
    fn of_master(py: Python<'_>, key: &WkdMasterKey) -> PyResult<Self> {
        locked(py, || Self(PatternOpener::of_master(&key.0)))
    }

    #[allow(clippy::unused_self)]
    fn __repr__(&self) -> &'static str {
        "WkdOpener(...)"
    }
}

/// The key of one identity of an LQ-IBE system as it opens ciphertexts.
#[pyclass(frozen, module = "wavemq._kernel")]
pub struct LqOpener(IdentityOpener);

#[pymethods]
impl LqOpener {
    /// Takes the key, and the 48-byte point of its identity.
    #[new]
    fn new(py: Python<'_>, secret: &[u8], identity_point: &[u8]) -> PyResult<Self> {
        unlocked(py, || {
            let (secret, identity) = (g1(secret)?, g1(identity_point)?);
            Ok(Self(IdentityOpener::new(&secret, &identity)))
        })?
    }

    #[allow(clippy::unused_self)]
    fn __repr__(&self) -> &'static str {
        "LqOpener(...)"
    }
}

#[derive(FromPyObject)]
enum Target<'py> {
    Pattern(PyRef<'py, WkdTarget>),
    Identity(PyRef<'py, LqTarget>),
}

/// An encapsulation to make, with the scalars drawn for it alone.
enum Sealing<'a> {
    Pattern(&'a WkdTarget, Scalar, Scalar),
    Identity(&'a LqTarget, Scalar),
}

type Sealed<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// Returns for each target fresh key material of `length` bytes and the ciphertext that carries it.
#[pyfunction]
fn encapsulate_many<'py>(
    py: Python<'py>,
    targets: Vec<Target<'py>>,
    length: usize,
) -> PyResult<Vec<Sealed<'py>>> {
    let length = key_length(length)?;
    let jobs = locked(py, || {
        targets
            .iter()
            .map(|target| {
                Ok(match target {
                    Target::Pattern(to) => Sealing::Pattern(to, random()?, random()?),
                    Target::Identity(to) => Sealing::Identity(to, random()?),
                })
            })
            .collect::<PyResult<Vec<_>>>()
    })??;
    let made = unlocked(py, || {
        in_parallel(&jobs, |job| {
            let mut key = Zeroizing::new(vec![0u8; length]);
            let ciphertext = match job {
                Sealing::Pattern(to, k, s) => {
                    let params = &to.params.get().0;
                    to.target.encapsulate(params, k, s, &mut key)
                }
                Sealing::Identity(to, rho) => to.0.encapsulate(rho, &mut key),
            };
            (key, ciphertext)
        })
    })?;
    let to_python = |(key, ciphertext): &(Zeroizing<Vec<u8>>, Vec<u8>)| {
        (PyBytes::new(py, key), PyBytes::new(py, ciphertext))
    };
    Ok(made.iter().map(to_python).collect())
}

#[derive(FromPyObject)]
enum Opener<'py> {
    Pattern(PyRef<'py, WkdOpener>),
    Identity(PyRef<'py, LqOpener>),
}

enum Opening<'a> {
    Pattern(&'a PatternOpener),
    Identity(&'a IdentityOpener),
}

/// Returns the key material of each ciphertext, or None for one that is unsound; an opener that does not fit gives a
/// wrong one.
#[pyfunction]
fn decapsulate_many<'py>(
    py: Python<'py>,
    ciphertexts: Vec<(Opener<'py>, Bound<'py, PyBytes>)>,
    length: usize,
) -> PyResult<Vec<Option<Bound<'py, PyBytes>>>> {
    let length = key_length(length)?;
    let jobs: Vec<(Opening<'_>, &[u8])> = ciphertexts
        .iter()
        .map(|(opener, ciphertext)| {
            let opening = match opener {
                Opener::Pattern(opener) => Opening::Pattern(&opener.0),
                Opener::Identity(opener) => Opening::Identity(&opener.0),
            };
            (opening, ciphertext.as_bytes())
        })
        .collect();
    let opened = unlocked(py, || {
        in_parallel(&jobs, |(opening, ciphertext)| {
            let mut key = Zeroizing::new(vec![0u8; length]);
            let done = match opening {
                Opening::Pattern(opener) => opener.decapsulate(ciphertext, &mut key),
                Opening::Identity(opener) => opener.decapsulate(ciphertext, &mut key),
            };
            done.is_ok().then_some(key)
        })
    })?;
    let to_python =
        |key: &Option<Zeroizing<Vec<u8>>>| key.as_ref().map(|key| PyBytes::new(py, key));
    Ok(opened.iter().map(to_python).collect())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<WkdTarget>()?;
    module.add_class::<LqTarget>()?;
    module.add_class::<WkdOpener>()?;
    module.add_class::<LqOpener>()?;
    module.add_function(wrap_pyfunction!(encapsulate_many, module)?)?;
    module.add_function(wrap_pyfunction!(decapsulate_many, module)?)
}
