//! A breadth-first search over the states that a model reaches.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher as _};

/// What happened, in words.
pub(crate) type Label = (usize, &'static str);

pub(crate) trait Model: Clone + Hash {
    /// Every state that may follow, and what led to it.
    fn next(&self) -> Vec<(Label, Self)>;

    /// What is wrong with this state.
    fn violation(&self) -> Option<&'static str>;
}

#[derive(Debug)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    /// The first violation, and the shortest way to it.
    pub(crate) violation: Option<(&'static str, Vec<Label>)>,
}

/// Two hashes together: two states of a million collide with a probability of 10⁻²⁶.
fn fingerprint(state: &impl Hash) -> u128 {
    let mut hashers = [DefaultHasher::new(), DefaultHasher::new()];
    for (salt, hasher) in hashers.iter_mut().enumerate() {
        salt.hash(hasher);
        state.hash(hasher);
    }
    u128::from(hashers[0].finish()) << 64 | u128::from(hashers[1].finish())
}

/// Visits every state, up to `max`.
pub(crate) fn explore<M: Model>(first: M, max: usize) -> Explored {
    let mut seen = HashSet::from([fingerprint(&first)]);
    // The state before each one, and what led from there.
    let mut origins: Vec<(usize, Label)> = vec![(0, (0, "start"))];
    let mut queue = VecDeque::from([(0, first)]);
    while let Some((index, state)) = queue.pop_front() {
        if let Some(violation) = state.violation() {
            let trace = trace(&origins, index);
            return Explored { states: seen.len(), violation: Some((violation, trace)) };
        }
        for (label, next) in state.next() {
            if seen.insert(fingerprint(&next)) {
                assert!(seen.len() <= max, "more than {max} states");
                origins.push((index, label));
                queue.push_back((origins.len() - 1, next));
            }
        }
    }
    Explored { states: seen.len(), violation: None }
}

fn trace(origins: &[(usize, Label)], mut index: usize) -> Vec<Label> {
    let mut labels = Vec::new();
    while index != 0 {
        let (before, label) = origins[index];
        labels.push(label);
        index = before;
    }
    labels.reverse();
    labels
}
