//! Work on eight things at once, one in each 64-bit lane of a 512-bit register.
//!
//! Built where the compiler has the instructions (`build.rs`), and used where the machine has them; elsewhere callers take
//! the same results one by one. What is secret decides neither where memory is read nor which way the code takes.

// `build.rs` leaves this out where the compiler is too old for it.
#![allow(clippy::incompatible_msrv)]

pub mod base;
mod field;

/// How many things are done at once.
pub const LANES: usize = 8;

/// Whether this machine has the instructions.
pub fn is_supported() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512ifma")
}
