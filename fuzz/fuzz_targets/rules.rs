//! Checks the property of `tests/fuzz` that `MY_FUZZ` names, with inputs from libFuzzer.

#![no_main]

#[path = "../../tests/fuzz/mod.rs"]
mod properties;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static CHECK: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("MY_FUZZ").unwrap_or_default();
    let names: Vec<_> = properties::ALL.iter().map(|property| property.name).collect();
    let property = properties::ALL.iter().find(|property| property.name == name);
    property.unwrap_or_else(|| panic!("MY_FUZZ is one of {}", names.join(", "))).check
});

fuzz_target!(|data: &[u8]| CHECK(data));
