//! The rules of `tests/fuzz` on seeds that are changed at random: short by default, `MY_TEST_FUZZ` says how many inputs
//! a rule gets. `MY_TEST_SEED` repeats a run; `MY_TEST_WRITE_SEEDS` names a folder that libFuzzer is to begin with.

#[path = "../../../fuzz/mod.rs"]
mod properties;

pub(crate) mod mutation;
mod seeds;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::support::seed::number;
use mutation::Random;
use properties::{ALL, Property};

/// Longer than any input takes, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs a rule on one input; says what is wrong.
fn run(Property { name, check }: &Property, data: &[u8]) -> Result<(), String> {
    let begun = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| check(data)));
    let input = || format!("{name}: {:?}", String::from_utf8_lossy(data));
    outcome.map_err(|_| input())?;
    if begun.elapsed() < PATIENCE {
        Ok(())
    } else {
        Err(format!("it takes {:?}: {}", begun.elapsed(), input()))
    }
}

#[test]
fn every_rule_holds_for_its_seeds() {
    for property in ALL {
        let seeds = seeds::of(property.name);
        assert!(!seeds.is_empty(), "{} has no seed", property.name);
        for seed in seeds {
            run(property, &seed).unwrap();
        }
    }
}

#[test]
fn every_rule_holds_for_random_mutations() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (seed, count) = (number("MY_TEST_SEED", now), number("MY_TEST_FUZZ", 500));
    println!("MY_TEST_SEED={seed}");
    let wrong = ALL.iter().filter_map(|property| {
        let (seeds, mut random) = (seeds::of(property.name), Random::new(seed));
        (0..count).find_map(|_| run(property, &mutation::changed(&seeds, &mut random)).err())
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "seed {seed}:\n{}", wrong.join("\n"));
}

#[test]
fn the_seeds_are_written_for_the_fuzzer() {
    let Some(folder) = std::env::var_os("MY_TEST_WRITE_SEEDS").map(std::path::PathBuf::from) else {
        return;
    };
    for Property { name, .. } in ALL {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds::of(name).iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
        }
    }
}
