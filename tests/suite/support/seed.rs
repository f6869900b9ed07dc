//! Repeatable randomness: every test that uses it prints `MY_TEST_SEED`, which repeats the run.

/// A sequence of numbers.
pub(crate) struct Seed {
    /// What it began with.
    pub(crate) number: u64,
    state: u64,
}

impl Seed {
    pub(crate) fn new(number: u64) -> Self {
        Self { number, state: number }
    }

    /// From `MY_TEST_SEED`, or from the clock.
    pub(crate) fn from_environment() -> Self {
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let number = number("MY_TEST_SEED", now);
        println!("MY_TEST_SEED={number}");
        Self::new(number)
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(next(&mut self.state)).unwrap() % end
    }

    /// As many of these, drawn at random and in their order; all of them where there are no more.
    pub(crate) fn sample<T>(&mut self, mut from: Vec<T>, count: usize) -> Vec<T> {
        while from.len() > count {
            from.remove(self.below(from.len()));
        }
        from
    }
}

/// The next of a sequence that the seed repeats (Knuth's MMIX).
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// A number from the environment, by which a test is made longer.
pub(crate) fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
