//! Which code a rule runs that was compiled before, and which not.

use super::*;
use crate::data::DataDir;
use crate::router::{Guest, Mounted};
use crate::scratch::Scratch;
use crate::shared::Shared;
use crate::workers::Workers;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn bundled(name: &str) -> &'static [u8] {
    crate::bundled::component(name).expect("bundled")
}

/// What the rule calls itself once it runs.
fn name(rule: Rule) -> String {
    let shared = Arc::new(Shared::new(0, Limits::default(), Workers::new(1).0));
    let mounted = Arc::new(Mounted { plugin: "test".into(), config: "null".into(), rule: Arc::new(rule) });
    Guest::describe(&mounted, &shared).expect("it runs").name
}

fn only_file(folder: &Path) -> PathBuf {
    let mut files =
        std::fs::read_dir(folder.join("cache")).expect("a folder").map(|entry| entry.expect("a file").path());
    let file = files.next().expect("one file");
    assert!(files.next().is_none(), "not only one file");
    file
}

fn open(folder: &Path) -> DataDir {
    DataDir::open(folder, &Limits::default()).expect("it opens").0
}

/// Has the code kept as that of `topic`.
fn keep(engine: &Engine, folder: &Path, code: Vec<u8>) {
    open(folder).cache().put(&version_of(bundled("topic")), &compiler(&engine.engine), code);
}

/// The rule `topic`, with what is kept in the folder.
fn topic(engine: &Engine, folder: &Path) -> String {
    let rule = engine.load(bundled("topic"), Some(open(folder).cache())).expect("it fits");
    assert_eq!(rule.version, version_of(bundled("topic")));
    name(rule)
}

#[test]
fn code_that_was_kept_is_what_runs() {
    let (engine, scratch) = (Engine::new(&Limits::default()).unwrap(), Scratch::new());
    assert_eq!(topic(&engine, scratch.path()), "topic");
    let good = std::fs::read(only_file(scratch.path())).unwrap();
    // Were it compiled anew, this would not be noticed.
    let chat = engine.compile_component(bundled("chat")).unwrap().serialize().unwrap();
    keep(&engine, scratch.path(), chat);
    assert_eq!(topic(&engine, scratch.path()), "chat");
    assert_ne!(std::fs::read(only_file(scratch.path())).unwrap(), good);
}

#[test]
fn code_that_this_server_did_not_write_for_this_component_does_not_run() {
    let (engine, scratch) = (Engine::new(&Limits::default()).unwrap(), Scratch::new());
    assert_eq!(topic(&engine, scratch.path()), "topic");
    let file = only_file(scratch.path());
    let good = std::fs::read(&file).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let foreign = foreign_chat(&engine);
    let of_chat = {
        let other = Scratch::new();
        std::fs::copy(scratch.path().join("cache.key"), other.path().join("cache.key")).unwrap();
        engine.load(bundled("chat"), Some(open(other.path()).cache())).unwrap();
        std::fs::read(only_file(other.path())).unwrap()
    };
    for wrong in [&flipped, &good[..good.len() - 1], &good[..10], &[], &foreign[..], &of_chat] {
        std::fs::write(&file, wrong).unwrap();
        assert_eq!(topic(&engine, scratch.path()), "topic");
        assert_eq!(std::fs::read(&file).unwrap().len(), good.len(), "it was compiled anew and kept");
        assert_ne!(std::fs::read(&file).unwrap(), wrong);
    }
}

/// The rule `chat`, as another server has kept it for `topic`.
fn foreign_chat(engine: &Engine) -> Vec<u8> {
    let scratch = Scratch::new();
    let chat = engine.compile_component(bundled("chat")).unwrap().serialize().unwrap();
    keep(engine, scratch.path(), chat);
    std::fs::read(only_file(scratch.path())).unwrap()
}

#[test]
fn code_of_another_compiler_does_not_run() {
    let scratch = Scratch::new();
    let engine = Engine::new(&Limits::default()).unwrap();
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(false).concurrency_support(false);
    let other = wasmtime::Engine::new(&config).unwrap();
    assert_ne!(compiler(&other), compiler(&engine.engine));
    // Should the names be the same some day, wasmtime still looks.
    let foreign = Component::new(&other, bundled("topic")).unwrap().serialize().unwrap();
    for code in [foreign, b"no code at all".to_vec(), Vec::new()] {
        keep(&engine, scratch.path(), code.clone());
        let wrong = std::fs::read(only_file(scratch.path())).unwrap();
        assert_eq!(topic(&engine, scratch.path()), "topic");
        assert_ne!(std::fs::read(only_file(scratch.path())).unwrap(), wrong, "it was compiled anew and kept");
    }
}

#[test]
fn code_runs_whatever_the_limits_were_when_it_was_compiled() {
    let scratch = Scratch::new();
    for instance_bytes_max in [64 << 20, 2 << 20, 256 << 20] {
        let engine = Engine::new(&Limits { instance_bytes_max, ..Limits::default() }).unwrap();
        assert_eq!(topic(&engine, scratch.path()), "topic");
    }
    only_file(scratch.path());
}

#[test]
fn what_does_not_fit_is_told_and_not_kept() {
    let (engine, scratch) = (Engine::new(&Limits::default()).unwrap(), Scratch::new());
    let data = open(scratch.path());
    let empty_component = b"\0asm\x0d\0\x01\0";
    let told = engine.load(empty_component, Some(data.cache())).err().expect("no rule");
    assert_eq!(told, ["does not export volley:router/handler@0.1.0"]);
    assert_eq!(std::fs::read_dir(scratch.path().join("cache")).unwrap().count(), 0);
}
