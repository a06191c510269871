//! The kernel: mechanical work in bulk, decided elsewhere.
//!
//! It owns HTTP/2 with TLS and the framing of gRPC, cutting, signing and composing messages, appending to the log of a
//! journal, BLS12-381 arithmetic in WAVE's encodings, WKD-IBE, LQ-IBE, Ed25519, hash functions that the standard library
//! lacks, the checksum of SQLite's log, and reading numbers in bulk. It holds no policy. Bytes from outside are checked to
//! be canonical, on the curve and in the subgroup before any arithmetic; errors are values.

#[cfg(target_os = "linux")]
mod alarm;
mod append;
mod bases;
mod bindings;
mod bulk;
mod chain;
mod cityhash;
mod combs;
mod composing;
mod cutting;
mod decimals;
mod field;
mod forming;
mod frames;
mod functions;
mod gt;
mod hashes;
mod http2;
mod kem;
mod kem_bindings;
mod known_keys;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod lines;
mod log_writer;
mod lqibe;
pub mod measured;
mod multiples;
mod points;
mod protobuf;
mod signatures;
mod signed_fields;
mod signing;
#[cfg(wide)]
mod wide;
mod wkdibe;

use pyo3::prelude::*;

#[pymodule]
fn _kernel(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add(
        "EncodingError",
        module.py().get_type::<bindings::EncodingError>(),
    )?;
    #[cfg(target_os = "linux")]
    module.add_class::<alarm::Alarm>()?;
    module.add_class::<log_writer::LogWriter>()?;
    module.add_class::<http2::Http2>()?;
    module.add_class::<http2::ServerTls>()?;
    module.add_class::<bindings::WkdParams>()?;
    module.add_class::<bindings::WkdMasterKey>()?;
    module.add_class::<bindings::WkdSecretKey>()?;
    kem_bindings::register(module)?;
    composing::register(module)?;
    cutting::register(module)?;
    forming::register(module)?;
    frames::register(module)?;
    functions::register(module)
}
