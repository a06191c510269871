//! Says whether the compiler has the instructions of `src/wide`, which came to it later than the oldest one supported.

use std::env;
use std::process::Command;

/// The first minor version of Rust 1 whose AVX-512 is stable.
const WIDE_SINCE: u32 = 89;

fn minor_version() -> Option<u32> {
    let compiler = env::var_os("RUSTC")?;
    let said = Command::new(compiler).arg("--version").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    // "rustc 1.89.0 (29483883e 2025-08-04)"
    said.split_whitespace()
        .nth(1)?
        .split('.')
        .nth(1)?
        .parse()
        .ok()
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(wide)");
    let is_x86_64 = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|name| name == "x86_64");
    if is_x86_64 && minor_version().is_some_and(|minor| minor >= WIDE_SINCE) {
        println!("cargo::rustc-cfg=wide");
    }
}
