//! The kernel: mechanical work in bulk, decided elsewhere.
use pyo3::prelude::*;

#[pymodule]
fn _kernel(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
