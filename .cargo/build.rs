//! How the program is linked on Linux with glibc, where starting it costs most of a `get`: what the dynamic linker has
//! to do is made less. Each trick goes away where the compiler's tools cannot do it.

#![expect(clippy::disallowed_methods, reason = "a build script is told by variables")]

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=.cargo/build.rs");
    let is = |name: &str, value: &str| {
        std::env::var(format!("CARGO_CFG_TARGET_{name}")).is_ok_and(|is| is == value)
    };
    if !(is("OS", "linux") && is("ENV", "gnu")) {
        return;
    }
    // std's unwinder out of the compiler's archive instead of libgcc_s.so: a library less to look for, to map and to look
    // through for every symbol (47,000 instructions of 516,000). It stands before std's own request, and is found first.
    if compiler(&["-print-file-name=libgcc_eh.a"])
        .is_some_and(|path| Path::new(&path).is_absolute())
    {
        println!("cargo:rustc-link-lib=gcc_eh");
    }
    // GNU ld makes one entry of a symbol that both Rust and C call, where lld makes two: 40 look-ups less (25,000
    // instructions of 365,000). It takes its time over one with debug information.
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if is_release && compiler(&["-fuse-ld=bfd", "-Wl,--version"]).is_some() {
        println!("cargo:rustc-link-arg-bins=-fuse-ld=bfd");
    }
}

/// What the C compiler answers, where it can do what it is asked.
fn compiler(question: &[&str]) -> Option<String> {
    let compiler = std::env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    let answer = Command::new(compiler)
        .args(question)
        .output()
        .ok()
        .filter(|answer| answer.status.success())?;
    Some(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}
