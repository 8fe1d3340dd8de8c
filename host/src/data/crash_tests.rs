//! A deploy is whole or has not happened, wherever it ends: a process that kills itself before and within every step, one
//! that is killed at any moment, and all that a disk may have kept when the power failed.

use super::steps::Step;
use super::*;
use crate::scratch::Scratch;
use crate::tables::{Batch, Changes, Kind, TableChanges};
use rand::Rng as _;
use std::cell::RefCell;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};

type Observer = Box<dyn FnMut(&Step<'_>)>;

thread_local! {
    static OBSERVER: RefCell<Option<Observer>> = const { RefCell::new(None) };
}

/// Every step of this thread is told here first.
pub(super) fn about_to(step: &Step<'_>) {
    OBSERVER.with_borrow_mut(|observer| observer.iter_mut().for_each(|observer| observer(step)));
}

fn observe(observer: impl FnMut(&Step<'_>) + 'static) {
    OBSERVER.set(Some(Box::new(observer)));
}

/// The component of deploy number n, of some size.
fn component(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(50)
}

fn signature(n: u64) -> String {
    format!("signature-{n}")
}

/// What is saved in deploy n: that version, and the one before.
fn state(n: u64) -> State {
    let numbers = n.saturating_sub(1).max(1)..=n;
    let pushed = |n| PushedVersion {
        version: version_of(&component(n)),
        pushed_ms: n,
        bytes: component(n).len() as u64,
        ..PushedVersion::default()
    };
    let plugin = PluginState {
        versions: numbers.map(pushed).collect(),
        active: Some(ActiveVersion { version: version_of(&component(n)) }),
        previous: None,
        layout: None,
        releases: Vec::new(),
    };
    if n == 0 {
        State::default()
    } else {
        State { plugins: [("chat".to_owned(), plugin)].into(), stage: n, ..State::default() }
    }
}

fn number(state: &State) -> u64 {
    state.plugins.values().flat_map(|plugin| &plugin.versions).map(|pushed| pushed.pushed_ms).max().unwrap_or(0)
}

/// What the code change of deploy n makes of the tables.
fn layout(n: u64) -> Changes {
    let keys = [("layout", n), (["even", "odd"][n as usize % 2], n)];
    let keys = keys.map(|(key, n)| (key.into(), vec![(u64::MAX, n.to_string().into_bytes())]));
    let table = TableChanges { owner: "chat".into(), kind: Kind::Set, anew: n % 2 == 1, keys: keys.into() };
    [("chat:rooms".into(), table)].into()
}

/// Deploy n, as the lifecycle does it.
fn deploy(data: &DataDir, n: u64) {
    data.put_version(&component(n), Some(&signature(n))).expect("a version is put");
    data.tables().stage(n, &layout(n)).expect("tables are staged");
    data.save(&state(n)).expect("a state is saved");
    let batch = Batch { changes: layout(n), ends_stage: true, ..Batch::default() };
    data.tables().write(&batch).expect("tables are written");
    if n > 2 {
        data.remove_version(&version_of(&component(n - 2))).expect("an old version is removed");
    }
}

/// What a server finds that starts there: exactly one deploy, with all that belongs to it and nothing else. Its number.
fn found(path: &Path) -> u64 {
    let (data, read) = DataDir::open(path, &Limits::default()).expect("it opens");
    let n = number(&read);
    assert_eq!(read, state(n));
    for pushed in read.plugins.values().flat_map(|plugin| &plugin.versions) {
        let component = component(pushed.pushed_ms);
        assert_eq!(data.version(&pushed.version).expect("it is whole"), component);
        assert_eq!(data.signature(&pushed.version).expect("it is there"), Some(signature(pushed.pushed_ms)));
    }
    assert_eq!(names(&path.join("versions")).len(), 2 * read.pushed().len());
    for name in ["", "versions", "cache"].iter().flat_map(|folder| names(&path.join(folder))) {
        assert!(!name.ends_with("volley-new"), "{name} is left over");
    }
    n
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
}

/// The tables have the layout of the deploy that has happened.
fn has_its_tables(path: &Path, n: u64) {
    let (data, read) = DataDir::open(path, &Limits::default()).expect("it opens");
    let kept = data.tables().load(read.stage).expect("tables are read");
    let mut expected = layout(n);
    if n == 0 {
        expected = Changes::new();
    } else if n.is_multiple_of(2) {
        let odd = layout(n - 1).remove("chat:rooms").expect("it is there").keys.remove(&b"odd"[..]).expect("a value");
        expected.get_mut("chat:rooms").expect("it is there").keys.insert("odd".into(), odd);
    }
    for table in expected.values_mut() {
        table.anew = false;
    }
    assert_eq!(kept, expected, "of deploy {n}");
}

/// Then the next deploy works.
fn goes_on(path: &Path, n: u64) {
    let (data, _) = DataDir::open(path, &Limits::default()).expect("it opens");
    deploy(&data, n + 1);
    drop(data);
    assert_eq!(found(path), n + 1);
}

const CHILD: &str = "data::crash_tests::process_that_is_killed";
const FOLDER: &str = "VOLLEY_TEST_CRASH_FOLDER";
/// Before which of its steps it kills itself, counted from 0.
const BEFORE: &str = "VOLLEY_TEST_CRASH_BEFORE";
/// In the midst of which, when half of a file is written.
const WITHIN: &str = "VOLLEY_TEST_CRASH_WITHIN";

/// Deploys in that folder, on from where it is, until it is killed.
#[test]
#[ignore = "no test: the process that the tests below start and kill"]
fn process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let number_in = |name| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let (before, within): (Option<usize>, Option<usize>) = (number_in(BEFORE), number_in(WITHIN));
    let mut steps = 0..;
    observe(move |step| {
        let at = steps.next();
        if at == before {
            die();
        }
        if let Step::Write(path, content) = step
            && at == within
        {
            fs::write(path, &content[..content.len() / 2]).expect("half a file");
            die();
        }
    });
    let (data, read) = DataDir::open(Path::new(&folder), &Limits::default()).expect("it opens");
    for n in number(&read) + 1.. {
        deploy(&data, n);
        println!("saved");
    }
}

fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}

fn start(folder: &Path, die: Option<(&str, usize)>) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", CHILD, "--ignored", "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
    command.envs(die.map(|(how, step)| (how, step.to_string())));
    command.stdout(Stdio::piped()).spawn().expect("it starts")
}

#[test]
fn a_process_that_dies_at_any_step_leaves_the_old_state_or_the_new_one() {
    let mut steps = recording();
    steps.retain(|step| !matches!(step, Recorded::Deployed));
    let (mut old, mut new) = (0, 0);
    for (at, step) in steps.iter().enumerate() {
        let deaths: &[&str] = if matches!(step, Recorded::Write(..)) { &[BEFORE, WITHIN] } else { &[BEFORE] };
        for how in deaths {
            let scratch = Scratch::new();
            let ended = start(scratch.path(), Some((how, at))).wait_with_output().expect("it ends");
            assert_eq!(ended.status.signal(), Some(9), "{how} {at}: {ended:?}");
            let saved = String::from_utf8_lossy(&ended.stdout).matches("saved").count() as u64;
            let n = found(scratch.path());
            assert!(n == saved || n == saved + 1, "{n} after {saved} deploys, {how} {at}");
            has_its_tables(scratch.path(), n);
            *if n == saved { &mut old } else { &mut new } += 1;
            goes_on(scratch.path(), n);
        }
    }
    assert!(old > 20 && new > 6, "{old} deaths before a save, {new} after it, {} steps", steps.len());
}

#[test]
fn a_process_that_is_killed_at_any_moment_leaves_the_old_state_or_the_new_one() {
    let scratch = Scratch::new();
    let mut n = 0;
    for _ in 0..20 {
        let mut child = start(scratch.path(), None);
        let mut said = BufReader::new(child.stdout.take().expect("piped")).lines();
        let saved = |line: std::io::Result<String>| u64::from(line.expect("text").contains("saved"));
        let wanted = n + rand::rng().random_range(1..4);
        while n < wanted {
            n += saved(said.next().expect("it deploys until it is killed"));
        }
        for _ in 0..rand::rng().random_range(0..200_000) {
            std::hint::spin_loop();
        }
        child.kill().expect("it is killed");
        child.wait().expect("it has ended");
        n += said.map(saved).sum::<u64>();
        let found = found(scratch.path());
        assert!(found == n || found == n + 1, "{found} after {n} deploys");
        has_its_tables(scratch.path(), found);
        n = found;
    }
    assert!(n >= 20, "it got to deploy: {n}");
}

/// A step that was recorded, with paths in the folder.
enum Recorded {
    MakeFolder(PathBuf),
    Write(PathBuf, Vec<u8>),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncFolder(PathBuf),
    Commit,
    /// A deploy returned here.
    Deployed,
}

impl Recorded {
    fn of(step: &Step<'_>, root: &Path) -> Self {
        let within = |path: &Path| path.strip_prefix(root).unwrap_or(Path::new("..")).to_owned();
        match step {
            Step::MakeFolder(path) => Self::MakeFolder(within(path)),
            Step::Write(path, content) => Self::Write(within(path), content.to_vec()),
            Step::Rename(from, to) => Self::Rename(within(from), within(to)),
            Step::Remove(path) => Self::Remove(within(path)),
            Step::SyncFolder(path) => Self::SyncFolder(within(path)),
            Step::Commit => Self::Commit,
        }
    }

    /// The folder that has to be synced before this is sure to be on the disk.
    fn needs_sync_of(&self) -> Option<&Path> {
        match self {
            Self::MakeFolder(path) | Self::Rename(_, path) | Self::Remove(path) => path.parent(),
            Self::Write(..) | Self::SyncFolder(_) | Self::Commit | Self::Deployed => None,
        }
    }

    /// Does it again in another folder. What is in a folder that the disk lost is lost with it.
    fn repeat(&self, root: &Path) {
        let _ = match self {
            Self::MakeFolder(path) => fs::create_dir(root.join(path)),
            Self::Write(path, content) => fs::write(root.join(path), content),
            Self::Rename(from, to) => fs::rename(root.join(from), root.join(to)),
            Self::Remove(path) => fs::remove_file(root.join(path)),
            Self::SyncFolder(_) | Self::Commit | Self::Deployed => Ok(()),
        };
    }
}

/// A first start and three deploys.
fn recording() -> Vec<Recorded> {
    let scratch = Scratch::new();
    let steps = std::rc::Rc::new(RefCell::new(Vec::new()));
    let (recorded, root) = (steps.clone(), scratch.path().to_owned());
    observe(move |step| recorded.borrow_mut().push(Recorded::of(step, &root)));
    let (data, _) = DataDir::open(scratch.path(), &Limits::default()).expect("it opens");
    for n in 1..=3 {
        deploy(&data, n);
        steps.borrow_mut().push(Recorded::Deployed);
    }
    OBSERVER.set(None);
    steps.take()
}

#[test]
fn whatever_a_disk_kept_when_the_power_failed_is_the_old_state_or_the_new_one() {
    let steps = recording();
    let mut cases = 0;
    for end in 0..=steps.len() {
        let (done, next) = steps.split_at(end);
        let saved = done.iter().filter(|step| matches!(step, Recorded::Deployed)).count() as u64;
        let unsure: Vec<usize> = (0..end).filter(|at| is_unsure(&done[*at], &done[at + 1..])).collect();
        for kept in 0..1_u32 << unsure.len() {
            let scratch = Scratch::new();
            for (at, step) in done.iter().enumerate() {
                let lost = unsure.iter().position(|unsure| *unsure == at).is_some_and(|bit| kept >> bit & 1 == 0);
                if !lost {
                    step.repeat(scratch.path());
                }
            }
            if let Some(Recorded::Write(path, content)) = next.first() {
                Recorded::Write(path.clone(), content[..content.len() / 2].to_vec()).repeat(scratch.path());
            }
            let n = found(scratch.path());
            assert!(
                n == saved || n == saved + 1,
                "{n} after {saved} deploys and {end} steps, of {unsure:?} kept {kept:b}"
            );
            cases += 1;
        }
    }
    assert!(cases > steps.len(), "{cases} cases, {} steps", steps.len());
}

/// It may be on the disk, or not.
fn is_unsure(step: &Recorded, later: &[Recorded]) -> bool {
    let synced = |folder: &Path| later.iter().any(|step| matches!(step, Recorded::SyncFolder(path) if path == folder));
    step.needs_sync_of().is_some_and(|folder| !synced(folder))
}
