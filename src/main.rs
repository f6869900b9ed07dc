//! The binary: dispatches a call, and returns the exit status.

#![cfg_attr(all(target_os = "linux", target_env = "gnu"), no_main)]

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod start;

use std::ffi::OsString;
use std::path::Path;

use my_credential_helper::auth::with_engine;
use my_credential_helper::cli;
use my_credential_helper::config::Context;
use my_credential_helper::protocols::run;
use my_credential_helper::sys::hardening;

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn main() -> std::process::ExitCode {
    answer().into()
}

/// Answers the call, and returns the exit status. Does not build the command line for people, which takes 0.2 ms.
fn answer() -> u8 {
    hardening::protect_memory();
    let arguments: Vec<_> = std::env::args_os().collect();
    // The path of the program need not be UTF-8; its file name and the other arguments of a tool have to be.
    let program =
        arguments.first().and_then(|path| Path::new(path).file_name()).unwrap_or_default();
    let texts: Option<Vec<String>> = std::iter::once(program)
        .chain(arguments.iter().skip(1).map(OsString::as_os_str))
        .map(|argument| argument.to_str().map(str::to_owned))
        .collect();
    match texts.as_deref().and_then(run::dispatch) {
        Some((tool, overrides, rest)) => {
            let context = Context::from_env(overrides);
            let output = with_engine(&context, |engine| run::run(engine, tool, rest));
            run::write(&output.with_warnings(context.paths.warning().as_slice()))
        }
        None => cli::run(&arguments),
    }
}
