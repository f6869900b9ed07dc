//! Options of the linker on Linux. Process start is most of the cost of a `get`; these options reduce the work
//! of the dynamic linker. Each is used only if the tools of the compiler support it.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo passes the target to a build script in variables"
)]

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=.cargo/build.rs");
    let is = |name: &str, value: &str| {
        std::env::var(format!("CARGO_CFG_TARGET_{name}")).is_ok_and(|is| is == value)
    };
    if is("OS", "linux") && is("ENV", "musl") {
        // A bit map of the relative relocations instead of a table of 24 bytes for each: fewer pages to read and to change at
        // the start. musl reads it since 1.2.4; a linker that does not know the option ignores it.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    if !(is("OS", "linux") && is("ENV", "gnu")) {
        return;
    }
    // Links std's unwinder from the static archive of the compiler instead of libgcc_s.so: one library less to load and to
    // search for every symbol (47,000 instructions of 516,000). It precedes std's own request, so it is found first.
    if compiler(&["-print-file-name=libgcc_eh.a"])
        .is_some_and(|path| Path::new(&path).is_absolute())
    {
        println!("cargo:rustc-link-lib=gcc_eh");
    }
    // GNU ld creates one entry for a symbol that both Rust and C call, lld creates two: 40 lookups less (25,000 instructions
    // of 365,000). Only for release builds, since GNU ld is slow with debug information.
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    // The tests start thousands of debug builds, which have 96,000 relocations: without them a start takes 300 page faults
    // less, a third of its time.
    if !is_release {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
    if is_release && compiler(&["-fuse-ld=bfd", "-Wl,--version"]).is_some() {
        println!("cargo:rustc-link-arg-bins=-fuse-ld=bfd");
    }
}

/// The output of the C compiler; `None` if it fails.
fn compiler(question: &[&str]) -> Option<String> {
    let compiler = std::env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    let answer = Command::new(compiler)
        .args(question)
        .output()
        .ok()
        .filter(|answer| answer.status.success())?;
    Some(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}
