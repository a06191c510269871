//! What Python sees: bytes in, bytes out, and handles that keep decoded points.

use pyo3::create_exception;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use crate::bases::Bulk;
use crate::bulk::{in_parallel, locked, unlocked};
use crate::hashes::{self, hash_to_zp, random_scalar, shake256};
use crate::points::{Scalar, G1, G2};
use crate::wkdibe::{self, Attribute, Ciphertext};

create_exception!(
    _kernel,
    EncodingError,
    PyValueError,
    "Bytes are not a sound object."
);

/// Bytes of key material that one call may ask for.
const KEY_BYTES_MAX: usize = 1024;

pub fn bad(text: &str) -> PyErr {
    EncodingError::new_err(text.to_owned())
}

fn no_randomness(error: getrandom::Error) -> PyErr {
    PyRuntimeError::new_err(format!("the system gave no random bytes: {error}"))
}

pub fn random() -> PyResult<Scalar> {
    random_scalar().map_err(no_randomness)
}

pub fn scalar_from_be(bytes: &[u8]) -> PyResult<Scalar> {
    let mut value: [u8; 32] = bytes.try_into().map_err(|_| bad("a scalar has 32 bytes"))?;
    value.reverse();
    Ok(hashes::reduce(value))
}

pub fn key_length(length: usize) -> PyResult<usize> {
    if (1..=KEY_BYTES_MAX).contains(&length) {
        Ok(length)
    } else {
        Err(bad("key material must have 1 to 1024 bytes"))
    }
}

/// Hashes the fixed slots of a pattern; an empty component is a free slot.
pub fn attributes(slots: usize, pattern: &[Vec<u8>]) -> PyResult<Vec<Attribute>> {
    if pattern.len() != slots {
        return Err(bad("a pattern must have one component for each slot"));
    }
    Ok(pattern
        .iter()
        .enumerate()
        .filter(|(_, part)| !part.is_empty())
        .map(|(slot, part)| (slot, hash_to_zp(part)))
        .collect())
}

fn raw_attributes(slots: usize, given: Vec<(usize, Vec<u8>)>) -> PyResult<Vec<Attribute>> {
    let mut out = Vec::with_capacity(given.len());
    for (slot, value) in given {
        if slot >= slots {
            return Err(bad("a slot is out of range"));
        }
        out.push((slot, scalar_from_be(&value)?));
    }
    Ok(out)
}

/// Public parameters of one WKD-IBE system, decoded and checked.
#[pyclass(frozen, module = "wavemq._kernel")]
pub struct WkdParams(pub wkdibe::Params);

/// The master key of one WKD-IBE system.
#[pyclass(frozen, module = "wavemq._kernel")]
pub struct WkdMasterKey(pub wkdibe::MasterKey);

/// A WKD-IBE secret key, decoded and checked.
#[pyclass(frozen, module = "wavemq._kernel")]
pub struct WkdSecretKey(pub wkdibe::SecretKey);

#[pymethods]
impl WkdParams {
    #[staticmethod]
    #[pyo3(signature = (data, *, compressed = true))]
    fn from_bytes(py: Python<'_>, data: &[u8], compressed: bool) -> PyResult<Self> {
        unlocked(py, || wkdibe::Params::from_bytes(data, compressed))?
            .map(Self)
            .map_err(|error| bad(error.text()))
    }

    /// Makes a new system with `slots` slots and the signature extension.
    #[staticmethod]
    fn setup(py: Python<'_>, slots: usize) -> PyResult<(Self, WkdMasterKey)> {
        if !(1..=64).contains(&slots) {
            return Err(bad("a system has 1 to 64 slots"));
        }
        let made = unlocked(py, || -> Result<_, getrandom::Error> {
            let point =
                || -> Result<G1, getrandom::Error> { Ok(G1::generator().mul(&random_scalar()?)) };
            let h = (0..slots)
                .map(|_| point())
                .collect::<Result<Vec<G1>, _>>()?;
            let g = G2::generator().mul(&random_scalar()?);
            Ok(wkdibe::Params::from_scalars(
                &random_scalar()?,
                g,
                point()?,
                point()?,
                point()?,
                h,
            ))
        })?;
        let (params, master) = made.map_err(no_randomness)?;
        Ok((Self(params), WkdMasterKey(master)))
    }

    #[pyo3(signature = (*, compressed = true))]
    fn to_bytes<'py>(&self, py: Python<'py>, compressed: bool) -> PyResult<Bound<'py, PyBytes>> {
        let encoded = unlocked(py, || self.0.to_bytes(compressed))?;
        Ok(PyBytes::new(py, &encoded))
    }

    #[getter]
    fn slots(&self) -> usize {
        self.0.h.len()
    }

    /// Returns `length` bytes of key material and the 720-byte ciphertext that carries it.
    fn encapsulate<'py>(
        &self,
        py: Python<'py>,
        pattern: Vec<Vec<u8>>,
        length: usize,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let mut key = Zeroizing::new(vec![0u8; key_length(length)?]);
        let ciphertext = unlocked(py, || -> PyResult<_> {
            let attributes = attributes(self.0.h.len(), &pattern)?;
            let (message, ciphertext) = self.0.encrypt(&attributes, &random()?, &random()?);
            shake256(&[&message.to_bytes()], &mut key);
            Ok(ciphertext.to_bytes())
        })??;
        Ok((PyBytes::new(py, &key), PyBytes::new(py, &ciphertext)))
    }

    /// For tests only: encryption with given scalars; returns the GT message and the ciphertext.
    fn encrypt_with_scalars<'py>(
        &self,
        py: Python<'py>,
        fixed: Vec<(usize, Vec<u8>)>,
        k: &[u8],
        s: &[u8],
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let (message, ciphertext) = unlocked(py, || -> PyResult<_> {
            let attributes = raw_attributes(self.0.h.len(), fixed)?;
            let (k, s) = (scalar_from_be(k)?, scalar_from_be(s)?);
            let (message, ciphertext) = self.0.encrypt(&attributes, &k, &s);
            Ok((message.to_bytes(), ciphertext.to_bytes()))
        })??;
        Ok((PyBytes::new(py, &message), PyBytes::new(py, &ciphertext)))
    }

    /// For tests only: whether a signature on `message` verifies (WAVE does not use it).
    fn verifies(
        &self,
        py: Python<'_>,
        fixed: Vec<(usize, Vec<u8>)>,
        message: &[u8],
        signature: &[u8],
    ) -> PyResult<bool> {
        if signature.len() != 144 {
            return Err(bad("a signature has 144 bytes"));
        }
        unlocked(py, || {
            let attributes = raw_attributes(self.0.h.len(), fixed)?;
            let a0 = G1::from_compressed(&signature[..48]).map_err(|error| bad(error.text()))?;
            let a1 = G2::from_compressed(&signature[48..]).map_err(|error| bad(error.text()))?;
            Ok(self.0.verify(&attributes, &hash_to_zp(message), &(a0, a1)))
        })?
    }

    fn __repr__(&self) -> String {
        format!("WkdParams(slots={})", self.0.h.len())
    }
}

#[pymethods]
impl WkdMasterKey {
    #[staticmethod]
    #[pyo3(signature = (data, *, compressed = true))]
    fn from_bytes(py: Python<'_>, data: &[u8], compressed: bool) -> PyResult<Self> {
        let point = locked(py, || {
            if compressed {
                G1::from_compressed(data)
            } else {
                G1::from_uncompressed(data)
            }
        })?;
        point
            .map(|point| Self(wkdibe::MasterKey(point)))
            .map_err(|error| bad(error.text()))
    }

    #[pyo3(signature = (*, compressed = true))]
    fn to_bytes<'py>(&self, py: Python<'py>, compressed: bool) -> PyResult<Bound<'py, PyBytes>> {
        let point = self.0 .0;
        locked(py, || {
            if compressed {
                PyBytes::new(py, &point.to_compressed())
            } else {
                PyBytes::new(py, &point.to_uncompressed())
            }
        })
    }

    /// A delegable, freshly randomised key for the pattern.
    fn derive(
        &self,
        py: Python<'_>,
        params: &WkdParams,
        pattern: Vec<Vec<u8>>,
    ) -> PyResult<WkdSecretKey> {
        unlocked(py, || {
            let attributes = attributes(params.0.h.len(), &pattern)?;
            let derived = self.0.derive(&params.0, &attributes, &random()?);
            Ok(WkdSecretKey(derived))
        })?
    }

    /// Serialized delegable keys for many patterns, made on all cores.
    fn derive_many<'py>(
        &self,
        py: Python<'py>,
        params: &WkdParams,
        patterns: Vec<Vec<Vec<u8>>>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let keys = unlocked(py, || -> PyResult<_> {
            let jobs = jobs(params, &patterns)?;
            let bulk = Bulk::of(&params.0, jobs.len());
            Ok(in_parallel(&jobs, |(attributes, rho)| {
                Zeroizing::new(self.0.derive_in(&bulk, attributes, rho).to_bytes(true))
            }))
        })??;
        Ok(keys.iter().map(|key| PyBytes::new(py, key)).collect())
    }

    fn decapsulate<'py>(
        &self,
        py: Python<'py>,
        ciphertext: &[u8],
        length: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut key = Zeroizing::new(vec![0u8; key_length(length)?]);
        let parsed = unlocked(py, || -> Result<(), wkdibe::DecodeError> {
            let ciphertext = Ciphertext::from_bytes(ciphertext)?;
            shake256(&[&self.0.decrypt(&ciphertext).to_bytes()], &mut key);
            Ok(())
        })?;
        parsed.map_err(|error| bad(error.text()))?;
        Ok(PyBytes::new(py, &key))
    }

    /// For tests only: KeyGen with given rho; `None` is NonDelegableKeyGen.
    #[pyo3(signature = (params, fixed, rho = None))]
    fn derive_with_scalar(
        &self,
        py: Python<'_>,
        params: &WkdParams,
        fixed: Vec<(usize, Vec<u8>)>,
        rho: Option<&[u8]>,
    ) -> PyResult<WkdSecretKey> {
        unlocked(py, || {
            let attributes = raw_attributes(params.0.h.len(), fixed)?;
            Ok(WkdSecretKey(match rho {
                Some(rho) => self.0.derive(&params.0, &attributes, &scalar_from_be(rho)?),
                None => self.0.derive_nondelegable(&params.0, &attributes),
            }))
        })?
    }

    #[allow(clippy::unused_self)]
    fn __repr__(&self) -> &'static str {
        "WkdMasterKey(...)"
    }
}

impl WkdSecretKey {
    fn require_within(&self, params: &WkdParams, attributes: &[Attribute]) -> PyResult<()> {
        if self.0.is_within(&params.0, attributes) {
            Ok(())
        } else {
            Err(bad("the pattern leaves a slot free that the key has fixed"))
        }
    }
}

fn jobs(params: &WkdParams, patterns: &[Vec<Vec<u8>>]) -> PyResult<Vec<(Vec<Attribute>, Scalar)>> {
    patterns
        .iter()
        .map(|pattern| Ok((attributes(params.0.h.len(), pattern)?, random()?)))
        .collect()
}

#[pymethods]
impl WkdSecretKey {
    #[staticmethod]
    #[pyo3(signature = (data, *, compressed = true))]
    fn from_bytes(py: Python<'_>, data: &[u8], compressed: bool) -> PyResult<Self> {
        unlocked(py, || wkdibe::SecretKey::from_bytes(data, compressed))?
            .map(Self)
            .map_err(|error| bad(error.text()))
    }

    #[pyo3(signature = (*, compressed = true))]
    fn to_bytes<'py>(&self, py: Python<'py>, compressed: bool) -> PyResult<Bound<'py, PyBytes>> {
        let encoded = Zeroizing::new(unlocked(py, || self.0.to_bytes(compressed))?);
        Ok(PyBytes::new(py, &encoded))
    }

    #[getter]
    fn free_slots(&self) -> Vec<u32> {
        self.0.free.iter().map(|(slot, _)| *slot).collect()
    }

    /// A delegable, freshly randomised key for a pattern that fixes at least what this one fixes.
    fn qualify(
        &self,
        py: Python<'_>,
        params: &WkdParams,
        pattern: Vec<Vec<u8>>,
    ) -> PyResult<WkdSecretKey> {
        unlocked(py, || {
            let attributes = attributes(params.0.h.len(), &pattern)?;
            self.require_within(params, &attributes)?;
            let qualified = self.0.qualify(&params.0, &attributes, &random()?);
            Ok(WkdSecretKey(qualified))
        })?
    }

    /// Serialized qualified keys for many patterns, made on all cores.
    fn qualify_many<'py>(
        &self,
        py: Python<'py>,
        params: &WkdParams,
        patterns: Vec<Vec<Vec<u8>>>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let keys = unlocked(py, || -> PyResult<_> {
            let jobs = jobs(params, &patterns)?;
            for (attributes, _) in &jobs {
                self.require_within(params, attributes)?;
            }
            let bulk = Bulk::of(&params.0, jobs.len());
            Ok(in_parallel(&jobs, |(attributes, t)| {
                Zeroizing::new(self.0.qualify_in(&bulk, attributes, t).to_bytes(true))
            }))
        })??;
        Ok(keys.iter().map(|key| PyBytes::new(py, key)).collect())
    }

    /// Key material of a ciphertext for exactly `pattern`, which this key may still have to fix.
    fn decapsulate<'py>(
        &self,
        py: Python<'py>,
        slots: usize,
        pattern: Vec<Vec<u8>>,
        ciphertext: &[u8],
        length: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut key = Zeroizing::new(vec![0u8; key_length(length)?]);
        unlocked(py, || -> PyResult<()> {
            let attributes = attributes(slots, &pattern)?;
            let ciphertext =
                Ciphertext::from_bytes(ciphertext).map_err(|error| bad(error.text()))?;
            let exact = self.0.qualify_nondelegable(&attributes);
            shake256(&[&exact.decrypt(&ciphertext).to_bytes()], &mut key);
            Ok(())
        })??;
        Ok(PyBytes::new(py, &key))
    }

    /// For tests only: QualifyKey with given t; `None` is NonDelegableQualifyKey.
    #[pyo3(signature = (params, fixed, t = None))]
    fn qualify_with_scalar(
        &self,
        py: Python<'_>,
        params: &WkdParams,
        fixed: Vec<(usize, Vec<u8>)>,
        t: Option<&[u8]>,
    ) -> PyResult<WkdSecretKey> {
        unlocked(py, || {
            let attributes = raw_attributes(params.0.h.len(), fixed)?;
            Ok(WkdSecretKey(match t {
                Some(t) => {
                    self.require_within(params, &attributes)?;
                    self.0.qualify(&params.0, &attributes, &scalar_from_be(t)?)
                }
                None => self.0.qualify_nondelegable(&attributes),
            }))
        })?
    }

    /// For tests only: the signature on `message` with given s (WAVE does not use it).
    fn sign_with_scalar<'py>(
        &self,
        py: Python<'py>,
        params: &WkdParams,
        fixed: Vec<(usize, Vec<u8>)>,
        message: &[u8],
        s: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let signature = unlocked(py, || -> PyResult<_> {
            let attributes = raw_attributes(params.0.h.len(), fixed)?;
            let (digest, s) = (hash_to_zp(message), scalar_from_be(s)?);
            let (a0, a1) = self
                .0
                .sign(&params.0, &attributes, &digest, &s)
                .ok_or_else(|| bad("this system has no signatures"))?;
            let mut out = a0.to_compressed().to_vec();
            out.extend_from_slice(&a1.to_compressed());
            Ok(out)
        })??;
        Ok(PyBytes::new(py, &signature))
    }

    #[allow(clippy::unused_self)]
    fn __repr__(&self) -> &'static str {
        "WkdSecretKey(...)"
    }
}
