//! The command line of the account service. Decides nothing that the settings do not say.

mod serve;
mod tour;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The account service that the tests and the tour run against.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the service until it is stopped.
    Serve(serve::Arguments),
    /// Shows the helper at work against a service of its own, and leaves nothing behind.
    Tour(tour::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Tour(arguments) => tour::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
