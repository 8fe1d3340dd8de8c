//! What a code change did is undone, whatever it was; and what a candidate may do.

use super::calls_tests::{HOUR_MS, Instance, Step, live, open_scope, open_table, options, shared, steps};
use super::*;
use crate::limits::Limits;
use crate::router::contract::volley::router::{erlang, ets, pg};
use erlang::Host as _;
use ets::HostTable as _;
use pg::HostScope as _;
use proptest::prelude::*;
use wasmtime::component::Resource;

proptest! {
    #[test]
    fn what_a_code_change_did_is_undone(before in steps(HOUR_MS, 40), during in steps(HOUR_MS, 40), bytes_max in 0..20_000u64) {
        let mut instance = Instance::new(Limits { tables_max: 5, scopes_max: 3, timers_max: 6, ..Limits::default() });
        for step in before {
            instance.take(step);
        }
        let journal = Arc::new(Journal::new(bytes_max));
        let as_it_was = instance.dump();
        instance.state.begin_code_change(&journal);
        for step in &during {
            instance.take(step.clone());
        }
        instance.state.end_code_change();
        journal.undo();
        // Who has ended meanwhile does not come back.
        let ended = |step: &Step| if let Step::Exit(index) = step { Some(*index) } else { None };
        let dead: Vec<u64> = during.iter().filter_map(ended).map(|index| instance.pids[index].to_bits()).collect();
        let lives = |line: &String| !dead.iter().any(|pid| {
            line.ends_with(&format!(" has {pid}")) || line.contains(&format!(" {pid} is in "))
        });
        let counted = |line: &String| dead.is_empty() || !line.contains(" memberships");
        let keep = |lines: Vec<String>| lines.into_iter().filter(lives).filter(counted).collect::<Vec<_>>();
        let now = instance.dump();
        prop_assert!(now.iter().all(lives), "the dead stay away");
        prop_assert_eq!(keep(now), keep(as_it_was));
    }
}

#[test]
fn what_has_expired_meanwhile_stays_away() {
    let mut instance = Instance::new(Limits::default());
    let soon = ets::Options { ttl_ms: Some(1), ..options(ets::Kind::Set, None, 5) };
    open_table(&mut instance.state, "set".into(), soon).unwrap();
    instance.take(Step::Insert(0, vec![(1, 1)]));
    let journal = Arc::new(Journal::new(u64::MAX));
    instance.state.begin_code_change(&journal);
    instance.take(Step::Take(0, 1));
    instance.take(Step::Insert(0, vec![(2, 2)]));
    let taken_ms = crate::clock::now_ms();
    while crate::clock::now_ms() <= taken_ms + 1 {
        std::hint::spin_loop();
    }
    journal.undo();
    assert_eq!(instance.state.size(Resource::new_borrow(instance.tables[0])).unwrap(), 0);
}

#[test]
fn a_code_change_that_outgrows_its_undo_is_told_so() {
    let mut instance = Instance::new(Limits::default());
    let journal = Arc::new(Journal::new(1000));
    instance.state.begin_code_change(&journal);
    let mut insert = |key: u8| {
        let object = ets::Object { key: vec![key; 100], value: vec![] };
        instance.state.insert(Resource::new_borrow(instance.tables[0]), vec![object]).unwrap()
    };
    let first_denied = (0..5).find_map(|key| insert(key).err());
    assert!(matches!(first_denied, Some(types::Error::SystemLimit(which)) if which == "undo_bytes_max"));
    journal.undo();
    assert_eq!(instance.shared.tables.bytes(), 0);
}

#[test]
fn a_candidate_changes_nothing_before_it_goes_live() {
    let shared = shared(Limits { tables_max: 2, ..Limits::default() });
    let mut old = live(&shared);
    let kept = open_table(&mut old, "kept".into(), options(ets::Kind::Set, None, 3)).unwrap();
    let object = ets::Object { key: vec![1], value: vec![2] };
    old.insert(Resource::new_borrow(kept), vec![object.clone()]).unwrap().unwrap();
    let timer = old.send_after(HOUR_MS, "a.b".into(), types::PayloadResult::Text(String::new())).unwrap().unwrap();
    let before = (shared.tables.dump(), shared.groups.dump(), shared.timers.dump());

    let mut candidate = HostState::new("me".into(), "v2".into(), &shared);
    let kept = open_table(&mut candidate, "kept".into(), options(ets::Kind::Set, Some(HOUR_MS), 9)).unwrap();
    let fresh = open_table(&mut candidate, "fresh".into(), options(ets::Kind::Set, None, 9)).unwrap();
    let scope = open_scope(&mut candidate, "scope".into()).unwrap();
    assert!(matches!(
        open_table(&mut candidate, "kept".into(), options(ets::Kind::Bag, None, 9)),
        Err(types::Error::Badarg(_))
    ));
    let table = |rep| Resource::new_borrow(rep);
    assert_eq!(candidate.lookup(table(kept), vec![vec![1]]).unwrap().unwrap(), [[vec![2]]], "it reads what there is");
    for rep in [kept, fresh] {
        let denied = candidate.insert(table(rep), vec![object.clone()]).unwrap().unwrap_err();
        assert!(matches!(denied, types::Error::Badarg(words) if words == "init writes no tables"));
    }
    let pid = shared.sessions.open(None, None).unwrap().pid.to_bits();
    let in_scope = || Resource::new_borrow(scope);
    assert!(matches!(candidate.join(in_scope(), vec![1], vec![pid]), Ok(Err(types::Error::Badarg(_)))));
    assert!(candidate.leave(in_scope(), vec![1], vec![pid]).is_err());
    let data = types::PayloadResult::Text(String::new());
    assert!(matches!(candidate.send_after(HOUR_MS, "a.b".into(), data), Ok(Err(types::Error::Badarg(_)))));
    assert!(candidate.cancel_timer(timer).is_err());
    let now = || (shared.tables.dump(), shared.groups.dump(), shared.timers.dump());
    assert_eq!(now(), before);

    let journal = Arc::new(Journal::new(u64::MAX));
    candidate.go_live(Some(&journal)).unwrap();
    assert_ne!(now(), before);
    candidate.insert(table(fresh), vec![object]).unwrap().unwrap();
    candidate.join(in_scope(), vec![1], vec![pid]).unwrap().unwrap();
    assert_eq!((shared.tables.get("me:fresh").unwrap().size().0, shared.groups.memberships()), (1, 1));
    candidate.leave(in_scope(), vec![1], vec![pid]).unwrap();
    let fresh = shared.tables.get("me:fresh").unwrap();
    drop(fresh.take(&Caller::of("me"), &[1]).unwrap());
    journal.undo();
    assert_eq!(now(), before);

    let mut one_too_many = HostState::new("me".into(), "v3".into(), &shared);
    for name in ["one", "two"] {
        open_table(&mut one_too_many, name.into(), options(ets::Kind::Set, None, 9)).unwrap();
    }
    assert_eq!(one_too_many.go_live(None), Err("the table two can't be opened: tables_max is reached".into()));
}
