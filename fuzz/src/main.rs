//! One target, named by HALFKEY_FUZZ_TARGET, under libFuzzer; or its seeds, into the folder that
//! HALFKEY_FUZZ_SEEDS names.
#![no_main]

mod bytes;
mod targets;

use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use targets::{TARGETS, Target};

static CHOSEN: OnceLock<&Target> = OnceLock::new();

fn choose() -> &'static Target {
    let name = std::env::var("HALFKEY_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("HALFKEY_FUZZ_TARGET names no target; name one of {names:?}");
        exit(2);
    };
    target
}

/// Writes a target's seeds; it must take one of them for valid, or it is fuzzed from the outside.
fn write_seeds(target: &Target, folder: &Path) {
    let seeds = (target.seeds)();
    assert!(
        seeds.iter().any(|seed| (target.run)(seed)),
        "no seed reaches what lies behind the parser"
    );
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed).expect("a folder to write to");
    }
}

fuzz_target!(
    init: {
        let target = *CHOSEN.get_or_init(choose);
        if let Some(folder) = std::env::var_os("HALFKEY_FUZZ_SEEDS") {
            write_seeds(target, Path::new(&folder));
            exit(0);
        }
    },
    |data: &[u8]| {
        (CHOSEN.get_or_init(choose).run)(data);
    }
);
