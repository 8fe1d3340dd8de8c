//! Every committed seed, and so every former find, put to its oracle.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use volley_fuzz::oracles;

#[test]
fn every_seed_passes_its_oracle() {
    let mut failed = Vec::new();
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (name, check) in oracles::ALL {
        let mut files: Vec<_> = fs::read_dir(seeds.join(name)).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no seeds");
        for file in files {
            let seed = fs::read(&file).unwrap();
            if catch_unwind(|| check(&seed)).is_err() {
                failed.push(file);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_oracle_has_a_target_and_every_folder_an_oracle() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: &str| {
        let mut names: Vec<_> = fs::read_dir(here.join(folder))
            .unwrap()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let mut known: Vec<_> = oracles::ALL.map(|(name, _)| name).into();
    known.sort_unstable();
    assert_eq!(names("fuzz_targets"), known);
    assert_eq!(names("seeds"), known);
}
