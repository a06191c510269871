//! Plain functions that Python sees: hashing, LQ-IBE, and point conversion for tests.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use crate::bindings::{bad, key_length, random, scalar_from_be};
use crate::gt::{Gt, Miller};
use crate::hashes::{self, identity_point};
use crate::points::{G1, G2};
use crate::{cityhash, lqibe};

/// Data from this size on is hashed without the interpreter's lock.
const UNLOCK_BYTES_MIN: usize = 8192;

fn master32(master: &[u8]) -> PyResult<[u8; 32]> {
    master
        .try_into()
        .map_err(|_| bad("an IBE master key has 32 bytes"))
}

fn g1(data: &[u8]) -> PyResult<G1> {
    G1::from_compressed(data).map_err(|error| bad(error.text()))
}

fn g2(data: &[u8]) -> PyResult<G2> {
    G2::from_compressed(data).map_err(|error| bad(error.text()))
}

#[pyfunction]
fn keccak256<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyBytes> {
    let digest = if data.len() < UNLOCK_BYTES_MIN {
        hashes::keccak256(data)
    } else {
        py.detach(|| hashes::keccak256(data))
    };
    PyBytes::new(py, &digest)
}

#[pyfunction]
fn cityhash128(py: Python<'_>, data: &[u8]) -> (u64, u64) {
    if data.len() < UNLOCK_BYTES_MIN {
        cityhash::cityhash128(data)
    } else {
        py.detach(|| cityhash::cityhash128(data))
    }
}

/// HashToZp, as 32 bytes big-endian.
#[pyfunction]
fn hash_to_zp<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyBytes> {
    let mut value = hashes::hash_to_zp(data).0;
    value.reverse();
    PyBytes::new(py, &value)
}

/// Maps a 48-byte digest to a point of the curve outside the subgroup; for tests only.
#[pyfunction]
fn map_to_g1<'py>(py: Python<'py>, digest: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let digest: [u8; 48] = digest
        .try_into()
        .map_err(|_| bad("a digest for G1 has 48 bytes"))?;
    Ok(PyBytes::new(
        py,
        &hashes::map_to_g1(&digest).to_compressed(),
    ))
}

/// Maps a 96-byte digest to a point of the twist outside the subgroup; for tests only.
#[pyfunction]
fn map_to_g2<'py>(py: Python<'py>, digest: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let digest: [u8; 96] = digest
        .try_into()
        .map_err(|_| bad("a digest for G2 has 96 bytes"))?;
    Ok(PyBytes::new(
        py,
        &hashes::map_to_g2(&digest).to_compressed(),
    ))
}

#[pyfunction]
fn lq_identity_point<'py>(py: Python<'py>, identity: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &py.detach(|| identity_point(identity).to_compressed()))
}

/// Makes a new LQ-IBE system: parameters (192 bytes) and master key (32 bytes, little-endian).
#[pyfunction]
fn lq_setup<'py>(py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let (base, master) = (random()?, random()?);
    let p = G2::generator().mul(&base);
    let mut params = p.to_compressed().to_vec();
    params.extend_from_slice(&p.mul(&master).to_compressed());
    Ok((PyBytes::new(py, &params), PyBytes::new(py, &master.0)))
}

/// Checks LQ-IBE parameters.
#[pyfunction]
fn lq_check_params(data: &[u8]) -> PyResult<()> {
    lq_params(data).map(|_| ())
}

fn lq_params(data: &[u8]) -> PyResult<(G2, G2)> {
    if data.len() != 192 {
        return Err(bad("IBE parameters have 192 bytes"));
    }
    Ok((g2(&data[..96])?, g2(&data[96..])?))
}

#[pyfunction]
fn lq_extract<'py>(
    py: Python<'py>,
    master: &[u8],
    identity: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let master = master32(master)?;
    Ok(PyBytes::new(
        py,
        &py.detach(|| lqibe::extract(&master, &identity_point(identity)).to_compressed()),
    ))
}

fn encapsulated<'py>(
    py: Python<'py>,
    params: &[u8],
    identity: &[u8],
    rho: &crate::points::Scalar,
    length: usize,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let (p, sp) = lq_params(params)?;
    let mut key = Zeroizing::new(vec![0u8; key_length(length)?]);
    let ciphertext = py.detach(|| {
        lqibe::encapsulate(&p, &sp, &identity_point(identity), rho, &mut key).to_compressed()
    });
    Ok((PyBytes::new(py, &key), PyBytes::new(py, &ciphertext)))
}

/// Returns `length` bytes of key material and the 96-byte ciphertext.
#[pyfunction]
fn lq_encapsulate<'py>(
    py: Python<'py>,
    params: &[u8],
    identity: &[u8],
    length: usize,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    encapsulated(py, params, identity, &random()?, length)
}

/// For tests only: encapsulation with a given rho.
#[pyfunction]
fn lq_encapsulate_with_scalar<'py>(
    py: Python<'py>,
    params: &[u8],
    identity: &[u8],
    rho: &[u8],
    length: usize,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    encapsulated(py, params, identity, &scalar_from_be(rho)?, length)
}

/// Key material for the holder of `secret`; `identity_point` is the 48-byte point of its identity.
#[pyfunction]
fn lq_decapsulate<'py>(
    py: Python<'py>,
    secret: &[u8],
    identity_point: &[u8],
    ciphertext: &[u8],
    length: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut key = Zeroizing::new(vec![0u8; key_length(length)?]);
    let (secret, identity, ciphertext) = (g1(secret)?, g1(identity_point)?, g2(ciphertext)?);
    py.detach(|| lqibe::decapsulate(&secret, &identity, &ciphertext, &mut key));
    Ok(PyBytes::new(py, &key))
}

/// For tests only: re-encodes a point, `group` 1 or 2, compressed or not, after all checks.
#[pyfunction]
fn recode_point<'py>(
    py: Python<'py>,
    group: u8,
    data: &[u8],
    from_compressed: bool,
    to_compressed: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let error = |error: crate::points::PointError| bad(error.text());
    Ok(match group {
        1 => {
            let point = if from_compressed {
                G1::from_compressed(data)
            } else {
                G1::from_uncompressed(data)
            };
            let point = point.map_err(error)?;
            if to_compressed {
                PyBytes::new(py, &point.to_compressed())
            } else {
                PyBytes::new(py, &point.to_uncompressed())
            }
        }
        2 => {
            let point = if from_compressed {
                G2::from_compressed(data)
            } else {
                G2::from_uncompressed(data)
            };
            let point = point.map_err(error)?;
            if to_compressed {
                PyBytes::new(py, &point.to_compressed())
            } else {
                PyBytes::new(py, &point.to_uncompressed())
            }
        }
        _ => return Err(bad("a group is 1 or 2")),
    })
}

/// For tests only: `scalar` (32 bytes big-endian) times a generator, compressed.
#[pyfunction]
fn multiply_generator<'py>(
    py: Python<'py>,
    group: u8,
    scalar: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let scalar = scalar_from_be(scalar)?;
    match group {
        1 => Ok(PyBytes::new(
            py,
            &G1::generator().mul(&scalar).to_compressed(),
        )),
        2 => Ok(PyBytes::new(
            py,
            &G2::generator().mul(&scalar).to_compressed(),
        )),
        _ => Err(bad("a group is 1 or 2")),
    }
}

/// For tests only: the pairing of two compressed points, in its 576-byte form.
#[pyfunction]
fn pair<'py>(py: Python<'py>, p: &[u8], q: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(
        py,
        &Miller::of(&g1(p)?, &g2(q)?).finish().to_bytes(),
    ))
}

/// For tests only: checks and re-encodes an element of the target group.
#[pyfunction]
fn recode_gt<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let element = Gt::from_bytes(data).ok_or_else(|| bad("not an element of the target group"))?;
    Ok(PyBytes::new(py, &element.to_bytes()))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(keccak256, module)?)?;
    module.add_function(wrap_pyfunction!(cityhash128, module)?)?;
    module.add_function(wrap_pyfunction!(hash_to_zp, module)?)?;
    module.add_function(wrap_pyfunction!(map_to_g1, module)?)?;
    module.add_function(wrap_pyfunction!(map_to_g2, module)?)?;
    module.add_function(wrap_pyfunction!(lq_identity_point, module)?)?;
    module.add_function(wrap_pyfunction!(lq_setup, module)?)?;
    module.add_function(wrap_pyfunction!(lq_check_params, module)?)?;
    module.add_function(wrap_pyfunction!(lq_extract, module)?)?;
    module.add_function(wrap_pyfunction!(lq_encapsulate, module)?)?;
    module.add_function(wrap_pyfunction!(lq_encapsulate_with_scalar, module)?)?;
    module.add_function(wrap_pyfunction!(lq_decapsulate, module)?)?;
    module.add_function(wrap_pyfunction!(recode_point, module)?)?;
    module.add_function(wrap_pyfunction!(multiply_generator, module)?)?;
    module.add_function(wrap_pyfunction!(pair, module)?)?;
    module.add_function(wrap_pyfunction!(recode_gt, module)?)?;
    Ok(())
}
