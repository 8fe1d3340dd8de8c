//! What a data folder keeps, refuses and tells.

use super::*;
use crate::config::Data;
use crate::on_trap::OnTrap;
use crate::scratch::Scratch;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

fn limits() -> Limits {
    Limits::default()
}

fn open(path: &Path) -> (DataDir, State) {
    DataDir::open(path, &limits()).expect("it opens")
}

#[track_caller]
fn refused(path: &Path) -> String {
    DataDir::open(path, &limits()).err().expect("it is refused").to_string()
}

/// A state in which `chat` has these versions, the last of them active.
fn state_of(versions: &[&str]) -> State {
    let pushed = |version: &&str| PushedVersion {
        version: (*version).to_owned(),
        pushed_ms: 1,
        bytes: 9,
        signed_by: Some("alice".into()),
        ..PushedVersion::default()
    };
    let chat = PluginState {
        versions: versions.iter().map(pushed).collect(),
        active: versions.last().map(|version| ActiveVersion { version: (*version).to_owned() }),
        previous: None,
        layout: None,
        releases: Vec::new(),
    };
    State { plugins: [("chat".to_owned(), chat)].into(), ..State::default() }
}

#[test]
fn what_was_saved_is_there_after_a_restart() {
    let scratch = Scratch::new();
    let path = scratch.path().join("deep/er/data");
    let (data, fresh) = open(&path);
    assert_eq!(fresh, State::default());
    let version = data.put_version(b"component", Some("c2ln")).unwrap();
    assert_eq!(version, version_of(b"component"));
    let mut state = state_of(&[&version]);
    state.routes = Some(vec![RouteState {
        topics: "chat.>".into(),
        plugin: "chat".into(),
        config: serde_json::json!({"rooms": 3}),
        on_trap: OnTrap::Previous,
    }]);
    data.save(&state).unwrap();
    drop(data);
    let (data, read) = open(&path);
    assert_eq!(read, state);
    assert_eq!(data.version(&version).unwrap(), b"component");
    assert_eq!(data.signature(&version).unwrap().as_deref(), Some("c2ln"));
    data.remove_version(&version).unwrap();
    assert!(data.version(&version).is_err());
    assert_eq!(data.signature(&version).unwrap(), None);
}

#[test]
fn nobody_else_can_read_it() {
    let scratch = Scratch::new();
    let path = scratch.path().join("data");
    let (data, _) = open(&path);
    let version = data.put_version(b"component", Some("c2ln")).unwrap();
    data.save(&state_of(&[&version])).unwrap();
    let mut folders = vec![path];
    while let Some(folder) = folders.pop() {
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700, "{}", folder.display());
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            match entry.metadata().unwrap() {
                data if data.is_dir() => folders.push(entry.path()),
                data => assert_eq!(data.mode() & 0o777, 0o600, "{}", entry.path().display()),
            }
        }
    }
}

#[test]
fn a_second_server_is_told_who_has_it() {
    let scratch = Scratch::new();
    let (data, _) = open(scratch.path());
    let words = refused(scratch.path());
    assert!(words.contains(&format!("process {}", std::process::id())) && words.contains("--data"), "{words}");
    assert!(matches!(DataDir::open(scratch.path(), &limits()), Err(NotOpened::Held(_))));
    drop(data);
    open(scratch.path());
}

#[test]
fn a_folder_of_a_newer_volley_is_refused_and_left_as_it_is() {
    let scratch = Scratch::new();
    fs::write(scratch.path().join("format"), "volley data 2\n").unwrap();
    fs::write(scratch.path().join("state.json.0.volley-new"), "of that version").unwrap();
    let words = refused(scratch.path());
    assert!(words.contains("volley data 2") && words.contains("--data"), "{words}");
    assert!(scratch.path().join("state.json.0.volley-new").exists());
}

#[test]
fn a_folder_that_says_something_else_is_refused() {
    let scratch = Scratch::new();
    fs::write(scratch.path().join("format"), "my notes").unwrap();
    assert!(refused(scratch.path()).contains("format"));
    fs::remove_file(scratch.path().join("format")).unwrap();
    fs::write(scratch.path().join("state.json"), "{}").unwrap();
    assert!(refused(scratch.path()).contains("format"));
}

#[test]
fn what_was_there_before_stays() {
    let scratch = Scratch::new();
    for name in ["admin.token", "letter.new"] {
        fs::write(scratch.path().join(name), name).unwrap();
    }
    open(scratch.path());
    for name in ["admin.token", "letter.new"] {
        assert_eq!(fs::read_to_string(scratch.path().join(name)).unwrap(), name);
    }
}

#[test]
fn a_damaged_component_is_told_and_not_used_and_a_push_puts_it_right() {
    let scratch = Scratch::new();
    let (data, _) = open(scratch.path());
    let version = data.put_version(b"component", None).unwrap();
    let file = scratch.path().join("versions").join(format!("{}.wasm", version.strip_prefix("sha256:").unwrap()));
    for damaged in [&b"components"[..], b"componenu", b"compo", b""] {
        fs::write(&file, damaged).unwrap();
        let words = data.version(&version).unwrap_err().to_string();
        assert!(words.contains("damaged") && words.contains(file.to_str().unwrap()), "{words}");
    }
    data.put_version(b"component", None).unwrap();
    assert_eq!(data.version(&version).unwrap(), b"component");
}

#[test]
fn what_is_no_version_reaches_no_file() {
    let scratch = Scratch::new();
    let (data, _) = open(&scratch.path().join("data"));
    fs::write(scratch.path().join("secret.wasm"), "").unwrap();
    for wrong in
        ["", "sha256:", "secret", "sha256:../../secret", &"0".repeat(64), &format!("sha256:{}", "A".repeat(64))]
    {
        let words = data.version(wrong).unwrap_err().to_string();
        assert!(words.contains("is no version"), "{words}");
        assert!(data.remove_version(wrong).is_err() && data.signature(wrong).is_err());
    }
}

#[test]
fn what_no_plugin_names_is_removed_at_the_next_start() {
    let scratch = Scratch::new();
    let (data, _) = open(scratch.path());
    let kept = data.put_version(b"kept", Some("c2ln")).unwrap();
    let lost = data.put_version(b"lost", Some("c2ln")).unwrap();
    data.save(&state_of(&[&kept])).unwrap();
    assert!(data.version(&lost).is_ok());
    drop(data);
    let (data, _) = open(scratch.path());
    assert_eq!(data.version(&kept).unwrap(), b"kept");
    assert!(data.version(&lost).is_err());
    assert_eq!(fs::read_dir(scratch.path().join("versions")).unwrap().count(), 2);
}

#[test]
fn more_versions_than_there_is_room_for_are_refused() {
    let scratch = Scratch::new();
    let limits = Limits { versions_bytes_max: 10, ..limits() };
    let (data, _) = DataDir::open(scratch.path(), &limits).unwrap();
    data.put_version(b"12345", None).unwrap();
    data.put_version(b"12345", None).expect("it is there already");
    let second = data.put_version(b"67890", None).unwrap();
    let words = data.put_version(b"1", None).unwrap_err().to_string();
    assert!(words.contains("versions_bytes_max") && words.contains("purge"), "{words}");
    data.remove_version(&second).unwrap();
    data.put_version(b"1", None).unwrap();
}

#[test]
fn a_damaged_state_is_told_and_nothing_is_removed() {
    let scratch = Scratch::new();
    let (data, _) = open(scratch.path());
    let version = data.put_version(b"component", None).unwrap();
    data.save(&state_of(&[&version])).unwrap();
    drop(data);
    let file = scratch.path().join("state.json");
    let good = fs::read_to_string(&file).unwrap();
    for (damaged, word) in [
        (good[..good.len() / 2].to_owned(), "line"),
        (String::new(), "EOF"),
        (good.replace("pushed_ms", "pushed_at"), "pushed_at"),
        (good.replace("sha256:", "sha512:"), "no version"),
    ] {
        fs::write(&file, damaged).unwrap();
        let words = refused(scratch.path());
        assert!(words.contains(word) && words.contains(file.to_str().unwrap()), "{words}");
    }
    fs::write(&file, good).unwrap();
    assert_eq!(open(scratch.path()).0.version(&version).unwrap(), b"component");
}

#[test]
fn a_users_own_folder_is_made_when_there_is_something_to_keep() {
    let scratch = Scratch::new();
    let path = scratch.path().join("volley");
    let (disk, state) = Disk::open(&Data::PerUser(path.clone()), &limits()).unwrap();
    assert!(state == State::default() && disk.opened().is_none() && !path.exists());
    let folder = disk.folder().unwrap().expect("a folder");
    assert_eq!(folder.path(), path);
    assert!(Arc::ptr_eq(&folder, &disk.opened().expect("it is open")));
}

#[test]
fn a_users_own_folder_is_done_without_when_another_server_has_it() {
    let scratch = Scratch::new();
    let path = scratch.path().join("volley");
    let (late, _) = Disk::open(&Data::PerUser(path.clone()), &limits()).unwrap();
    let (holder, _) = open(&path);
    let (disk, _) = Disk::open(&Data::PerUser(path.clone()), &limits()).unwrap();
    assert!(disk.folder().unwrap().is_none());
    assert!(late.folder().unwrap().is_none());
    let words = Disk::open(&Data::Explicit(path), &limits()).err().expect("it was asked for").to_string();
    assert!(words.contains(&std::process::id().to_string()), "{words}");
    drop(holder);
    assert!(late.folder().unwrap().is_none(), "once it is done without, it stays so");
}

#[test]
fn what_another_server_kept_meanwhile_is_not_overwritten() {
    let scratch = Scratch::new();
    let path = scratch.path().join("volley");
    let (late, _) = Disk::open(&Data::PerUser(path.clone()), &limits()).unwrap();
    let (other, _) = open(&path);
    let version = other.put_version(b"component", None).unwrap();
    other.save(&state_of(&[&version])).unwrap();
    drop(other);
    assert!(late.folder().unwrap().is_none());
    assert_eq!(open(&path).1, state_of(&[&version]));
}

#[test]
fn nothing_is_kept_when_nothing_is_to_be() {
    let (disk, state) = Disk::open(&Data::Off, &limits()).unwrap();
    assert!(state == State::default() && disk.folder().unwrap().is_none() && disk.opened().is_none());
}

prop_compose! {
    fn versions()(seeds in prop::collection::vec(any::<u8>(), 0..4)) -> Vec<String> {
        seeds.iter().map(|seed| version_of(&[*seed])).collect()
    }
}

prop_compose! {
    fn states()(
        plugins in prop::collection::btree_map("[a-z]{1,8}", (versions(), any::<u64>(), any::<Option<String>>()), 0..4),
        routes in prop::option::of(prop::collection::vec((".{0,9}", ".{0,9}", any::<i64>(), 0..3_usize), 0..4)),
        stage in any::<u64>(),
    ) -> State {
        let plugin = |(versions, number, text): (Vec<String>, u64, Option<String>)| PluginState {
            active: versions.first().map(|version| ActiveVersion { version: version.clone() }),
            previous: versions.last().map(|version| PreviousVersion {
                version: version.clone(),
                configs: [(text.clone().unwrap_or_default(), serde_json::json!({ "number": number }))].into(),
                back: CodeChange::Down,
            }),
            layout: text.clone(),
            releases: Vec::new(),
            versions: versions.into_iter().map(|version| PushedVersion {
                version,
                pushed_ms: number,
                bytes: number / 2,
                signed_by: text.clone(),
                migrates: number % 2 == 0,
                ..PushedVersion::default()
            }).collect(),
        };
        let route = |(topics, plugin, number, on_trap): (String, String, i64, usize)| RouteState {
            topics,
            plugin,
            config: serde_json::json!([number, null, "text"]),
            on_trap: [OnTrap::Fail, OnTrap::Subscribers, OnTrap::Previous][on_trap],
        };
        State {
            plugins: plugins.into_iter().map(|(name, it)| (name, plugin(it))).collect(),
            routes: routes.map(|routes| routes.into_iter().map(route).collect()),
            stage,
        }
    }
}

proptest! {
    #[test]
    fn a_state_is_read_as_it_was_written(state in states()) {
        prop_assert_eq!(State::from_json(&state.to_json()), Ok(state));
    }

    /// Whatever can be read has no version that could not be a file's name.
    #[test]
    fn a_state_that_was_cut_or_changed_is_read_or_refused(
        state in states(), at in any::<prop::sample::Index>(), byte: u8, cut: bool,
    ) {
        let mut text = state.to_json();
        let at = at.index(text.len());
        if cut { text.truncate(at) } else { text[at] = byte }
        match State::from_json(&text) {
            Ok(read) => prop_assert!(!cut || at == text.len() && read == state, "cut at {}", at),
            Err(words) => prop_assert!(!words.is_empty()),
        }
        if let Ok(read) = State::from_json(&text) {
            prop_assert!(read.pushed().iter().all(|version| versions::hex(version).is_some()));
        }
    }
}
