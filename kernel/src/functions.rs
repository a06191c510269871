//! Plain functions that Python sees: hashing, LQ-IBE, and point conversion for tests.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use crate::bindings::{bad, key_length, random, scalar_from_be};
use crate::bulk::{in_parallel, locked, unlocked};
use crate::gt::{Gt, Miller};
use crate::hashes::{self, identity_point};
use crate::points::{PointError, Scalar, G1, G2};
use crate::signatures::Signed;
use crate::{append, chain, cityhash, decimals, lqibe};

/// Data from this size on is hashed without the interpreter's lock.
const UNLOCK_BYTES_MIN: usize = 8192;

fn master32(master: &[u8]) -> PyResult<[u8; 32]> {
    master
        .try_into()
        .map_err(|_| bad("an IBE master key has 32 bytes"))
}

pub fn g1(data: &[u8]) -> PyResult<G1> {
    G1::from_compressed(data).map_err(|error| bad(error.text()))
}

fn g2(data: &[u8]) -> PyResult<G2> {
    G2::from_compressed(data).map_err(|error| bad(error.text()))
}

#[pyfunction]
fn keccak256<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let digest = if data.len() < UNLOCK_BYTES_MIN {
        locked(py, || hashes::keccak256(data))?
    } else {
        unlocked(py, || hashes::keccak256(data))?
    };
    Ok(PyBytes::new(py, &digest))
}

/// The digests of many contents, in their order; made on all cores.
#[pyfunction]
fn keccak256_many<'py>(
    py: Python<'py>,
    contents: Vec<Bound<'py, PyBytes>>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let contents: Vec<&[u8]> = contents.iter().map(|one| one.as_bytes()).collect();
    let digests = unlocked(py, || hashes::keccak256_many(&contents))?;
    Ok(digests.iter().map(|one| PyBytes::new(py, one)).collect())
}

/// For each (public key, signature, content) whether the signature holds; on all cores.
#[pyfunction]
fn ed25519_verify_many(
    py: Python<'_>,
    signed: Vec<(Bound<'_, PyBytes>, Bound<'_, PyBytes>, Bound<'_, PyBytes>)>,
) -> PyResult<Vec<bool>> {
    let signed: Vec<Signed> = signed
        .iter()
        .map(|(public, signature, content)| Signed {
            public: public.as_bytes(),
            signature: signature.as_bytes(),
            content: content.as_bytes(),
        })
        .collect();
    unlocked(py, || in_parallel(&signed, Signed::is_genuine))
}

/// Whether one signature holds.
#[pyfunction]
fn ed25519_verify(
    py: Python<'_>,
    public: &[u8],
    signature: &[u8],
    content: &[u8],
) -> PyResult<bool> {
    let signed = Signed {
        public,
        signature,
        content,
    };
    unlocked(py, || signed.is_genuine())
}

#[pyfunction]
fn cityhash128(py: Python<'_>, data: &[u8]) -> PyResult<(u64, u64)> {
    if data.len() < UNLOCK_BYTES_MIN {
        locked(py, || cityhash::cityhash128(data))
    } else {
        unlocked(py, || cityhash::cityhash128(data))
    }
}

/// The running checksum of SQLite's write-ahead log after some bytes, given that before them.
#[pyfunction]
fn wal_chain(
    py: Python<'_>,
    data: &[u8],
    is_big_endian: bool,
    sums: (u32, u32),
) -> PyResult<(u32, u32)> {
    locked(py, || chain::wal_chain(data, is_big_endian, sums.0, sums.1))
}

/// The bit of so many bytes that alone changes their CRC-32 by `change`.
#[pyfunction]
fn flipped_bit(py: Python<'_>, size_bytes: usize, change: u32) -> PyResult<Option<usize>> {
    unlocked(py, || append::flipped_bit(size_bytes, change))
}

/// The CRC-32 of each page of a file, four bytes each in this machine's order.
#[pyfunction]
fn page_sums(py: Python<'_>, path: PathBuf, page_bytes: usize) -> PyResult<Bound<'_, PyBytes>> {
    if page_bytes == 0 {
        return Err(bad("a page has at least one byte"));
    }
    let sums = unlocked(py, || chain::page_sums(&path, page_bytes))??;
    Ok(PyBytes::new(py, &sums))
}

/// The numbers of `1,-20,3` as an array of signed 64-bit (`width` 8) or unsigned 32-bit (4) numbers of this machine.
#[pyfunction]
fn parse_integers<'py>(py: Python<'py>, text: &str, width: usize) -> PyResult<Bound<'py, PyBytes>> {
    let text = text.as_bytes();
    let found = match width {
        8 => unlocked(py, || decimals::integers(text, decimals::signed64))?,
        4 => unlocked(py, || decimals::integers(text, decimals::unsigned32))?,
        _ => return Err(bad("numbers have 4 or 8 bytes")),
    };
    match found {
        Some(bytes) => Ok(PyBytes::new(py, &bytes)),
        None => Err(bad("this is no list of numbers of that size")),
    }
}

/// HashToZp, as 32 bytes big-endian.
#[pyfunction]
fn hash_to_zp<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let mut value = if data.len() < UNLOCK_BYTES_MIN {
        locked(py, || hashes::hash_to_zp(data).0)?
    } else {
        unlocked(py, || hashes::hash_to_zp(data).0)?
    };
    value.reverse();
    Ok(PyBytes::new(py, &value))
}

/// Maps a 48-byte digest to a point of the curve outside the subgroup; for tests only.
#[pyfunction]
fn map_to_g1<'py>(py: Python<'py>, digest: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let digest: [u8; 48] = digest
        .try_into()
        .map_err(|_| bad("a digest for G1 has 48 bytes"))?;
    let point = unlocked(py, || hashes::map_to_g1(&digest).to_compressed())?;
    Ok(PyBytes::new(py, &point))
}

/// Maps a 96-byte digest to a point of the twist outside the subgroup; for tests only.
#[pyfunction]
fn map_to_g2<'py>(py: Python<'py>, digest: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let digest: [u8; 96] = digest
        .try_into()
        .map_err(|_| bad("a digest for G2 has 96 bytes"))?;
    let point = unlocked(py, || hashes::map_to_g2(&digest).to_compressed())?;
    Ok(PyBytes::new(py, &point))
}

#[pyfunction]
fn lq_identity_point<'py>(py: Python<'py>, identity: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let point = unlocked(py, || identity_point(identity).to_compressed())?;
    Ok(PyBytes::new(py, &point))
}

/// Makes a new LQ-IBE system: parameters (192 bytes) and master key (32 bytes, little-endian).
#[pyfunction]
fn lq_setup<'py>(py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let (params, master) = unlocked(py, || -> PyResult<_> {
        let (base, master) = (random()?, random()?);
        let p = G2::generator().mul(&base);
        let params = [p.to_compressed(), p.mul(&master).to_compressed()].concat();
        Ok((params, master))
    })??;
    Ok((PyBytes::new(py, &params), PyBytes::new(py, &master.0)))
}

/// Checks LQ-IBE parameters.
#[pyfunction]
fn lq_check_params(py: Python<'_>, data: &[u8]) -> PyResult<()> {
    locked(py, || lq_params(data).map(|_| ()))?
}

pub fn lq_params(data: &[u8]) -> PyResult<(G2, G2)> {
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
        &unlocked(py, || {
            lqibe::extract(&master, &identity_point(identity)).to_compressed()
        })?,
    ))
}

fn encapsulated<'py>(
    py: Python<'py>,
    params: &[u8],
    identity: &[u8],
    rho: impl FnOnce() -> PyResult<Scalar> + Send,
    length: usize,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let mut key = Zeroizing::new(vec![0u8; key_length(length)?]);
    let ciphertext = unlocked(py, || -> PyResult<_> {
        let (p, sp) = lq_params(params)?;
        let identity = identity_point(identity);
        Ok(lqibe::encapsulate(&p, &sp, &identity, &rho()?, &mut key).to_compressed())
    })??;
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
    encapsulated(py, params, identity, random, length)
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
    encapsulated(py, params, identity, || scalar_from_be(rho), length)
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
    unlocked(py, || -> PyResult<()> {
        let (secret, identity) = (g1(secret)?, g1(identity_point)?);
        lqibe::decapsulate(&secret, &identity, &g2(ciphertext)?, &mut key);
        Ok(())
    })??;
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
    let recoded = unlocked(py, || match group {
        1 => recoded_g1(data, from_compressed, to_compressed).map_err(|error| bad(error.text())),
        2 => recoded_g2(data, from_compressed, to_compressed).map_err(|error| bad(error.text())),
        _ => Err(bad("a group is 1 or 2")),
    })??;
    Ok(PyBytes::new(py, &recoded))
}

fn recoded_g1(
    data: &[u8],
    is_compressed: bool,
    to_compressed: bool,
) -> Result<Vec<u8>, PointError> {
    let point = if is_compressed {
        G1::from_compressed(data)?
    } else {
        G1::from_uncompressed(data)?
    };
    Ok(if to_compressed {
        point.to_compressed().to_vec()
    } else {
        point.to_uncompressed().to_vec()
    })
}

fn recoded_g2(
    data: &[u8],
    is_compressed: bool,
    to_compressed: bool,
) -> Result<Vec<u8>, PointError> {
    let point = if is_compressed {
        G2::from_compressed(data)?
    } else {
        G2::from_uncompressed(data)?
    };
    Ok(if to_compressed {
        point.to_compressed().to_vec()
    } else {
        point.to_uncompressed().to_vec()
    })
}

/// For tests only: `scalar` (32 bytes big-endian) times a generator, compressed.
#[pyfunction]
fn multiply_generator<'py>(
    py: Python<'py>,
    group: u8,
    scalar: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let point = unlocked(py, || -> PyResult<_> {
        let scalar = scalar_from_be(scalar)?;
        match group {
            1 => Ok(G1::generator().mul(&scalar).to_compressed().to_vec()),
            2 => Ok(G2::generator().mul(&scalar).to_compressed().to_vec()),
            _ => Err(bad("a group is 1 or 2")),
        }
    })??;
    Ok(PyBytes::new(py, &point))
}

/// For tests only: the pairing of two compressed points, in its 576-byte form.
#[pyfunction]
fn pair<'py>(py: Python<'py>, p: &[u8], q: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let paired = unlocked(py, || -> PyResult<_> {
        Ok(Miller::of(&g1(p)?, &g2(q)?).finish().to_bytes())
    })??;
    Ok(PyBytes::new(py, &paired))
}

/// For tests only: checks and re-encodes an element of the target group.
#[pyfunction]
fn recode_gt<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let element = unlocked(py, || {
        Gt::from_bytes(data).map(|element| element.to_bytes())
    })?
    .ok_or_else(|| bad("not an element of the target group"))?;
    Ok(PyBytes::new(py, &element))
}

/// For tests only: fails as a defect of the kernel would.
#[pyfunction]
fn panic_for_test(py: Python<'_>) -> PyResult<()> {
    unlocked(py, || panic!("asked to"))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(keccak256, module)?)?;
    module.add_function(wrap_pyfunction!(keccak256_many, module)?)?;
    module.add_function(wrap_pyfunction!(ed25519_verify, module)?)?;
    module.add_function(wrap_pyfunction!(ed25519_verify_many, module)?)?;
    module.add_function(wrap_pyfunction!(panic_for_test, module)?)?;
    module.add_function(wrap_pyfunction!(cityhash128, module)?)?;
    module.add_function(wrap_pyfunction!(wal_chain, module)?)?;
    module.add_function(wrap_pyfunction!(page_sums, module)?)?;
    module.add_function(wrap_pyfunction!(flipped_bit, module)?)?;
    module.add_function(wrap_pyfunction!(parse_integers, module)?)?;
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
