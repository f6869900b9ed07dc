//! Selects the credential for a request, refreshes sessions, and changes stored credentials.

mod accounts;
mod engine;
pub mod fleet;
mod identity;
mod operations;
mod refresh;
mod resolve;
mod service_call;

use crate::error::Error;
use crate::model::{Attempt, Outcome, attempts_line};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use engine::{Engine, with_engine};

/// Why no credential was returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetError {
    /// Boxed, since it is ten times as large as a result.
    pub error: Box<Error>,
    /// Everything that was searched, in order.
    pub attempts: Vec<Attempt>,
}

impl GetError {
    fn new(error: Error, attempts: Vec<Attempt>) -> Self {
        Self { error: Box::new(error), attempts }
    }
}

impl From<GetError> for Error {
    /// The error with its attempts as text.
    fn from(GetError { error, attempts }: GetError) -> Self {
        let line = |attempts: &[Attempt]| (!attempts.is_empty()).then(|| attempts_line(attempts));
        let mut withheld = attempts.clone();
        withheld.retain(|attempt| matches!(attempt.outcome, Outcome::Withheld { .. }));
        Self { tried: line(&attempts), withheld: line(&withheld), ..*error }
    }
}

impl From<Error> for GetError {
    fn from(error: Error) -> Self {
        Self::new(error, Vec::new())
    }
}
