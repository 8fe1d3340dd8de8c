//! A scope against a simple model.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Join(u8, Vec<usize>),
    Leave(u8, Vec<usize>),
    Exit(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pids = || prop::collection::vec(0..8usize, 0..4);
    let step = prop_oneof![
        4 => (0..3u8, pids()).prop_map(|(group, pids)| Step::Join(group, pids)),
        2 => (0..3u8, pids()).prop_map(|(group, pids)| Step::Leave(group, pids)),
        1 => (0..8usize).prop_map(Step::Exit),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn a_scope_is_a_set_of_pairs_of_which_the_dead_are_gone(steps in steps()) {
        let limits = Arc::new(Limits { group_members_max: 9, ..Limits::default() });
        let sessions = Arc::new(Sessions::new(0, limits.clone()));
        let pids: Vec<Pid> = (0..8).map(|_| sessions.open(None, None).unwrap().pid).collect();
        let groups = Groups::new(limits, sessions.clone(), Arc::default());
        let by = Caller::of("plugin");
        let scope = groups.open(&by, "scope").unwrap();
        let (mut model, mut dead) = (BTreeSet::new(), BTreeSet::new());
        let bits = |indices: &[usize]| indices.iter().map(|index| pids[*index].to_bits()).collect::<Vec<_>>();
        for step in steps {
            match step {
                Step::Join(group, who) => {
                    let mut joined: BTreeSet<_> =
                        who.iter().filter(|pid| !dead.contains(*pid)).map(|pid| (group, *pid)).collect();
                    joined = &joined - &model;
                    let fits = model.len() + joined.len() <= 9;
                    let expected = if fits { Ok(joined.len() as u64) } else { Err(Denied::Limit("group_members_max")) };
                    prop_assert_eq!(scope.join(&by, &[group], &bits(&who), &mut Vec::new()), expected);
                    if fits {
                        model.append(&mut joined);
                    }
                }
                Step::Leave(group, who) => {
                    let left = who.iter().filter(|pid| model.remove(&(group, **pid))).count() as u64;
                    prop_assert_eq!(scope.leave(&by, &[group], &bits(&who)), Ok(left));
                }
                Step::Exit(pid) => {
                    sessions.end(pids[pid]);
                    groups.exit(pids[pid]);
                    dead.insert(pid);
                    model.retain(|(_, member)| *member != pid);
                }
            }
            prop_assert_eq!(groups.memberships(), model.len() as u64);
        }
        for group in 0..3u8 {
            let mut expected: Vec<u64> =
                model.iter().filter(|(of, _)| *of == group).map(|(_, pid)| pids[*pid].to_bits()).collect();
            expected.sort_unstable();
            prop_assert_eq!(scope.count(&by, &[vec![group]]), vec![expected.len() as u64]);
            prop_assert_eq!(scope.members(&by, &[group]), expected);
        }
        for (index, pid) in pids.iter().enumerate() {
            let expected: Vec<Vec<u8>> =
                model.iter().filter(|(_, member)| *member == index).map(|(group, _)| vec![*group]).collect();
            prop_assert_eq!(scope.groups_of(&by, pid.to_bits()), expected);
        }
    }
}
