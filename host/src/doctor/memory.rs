//! Memory that a process may use: the machine's, and its cgroup's, of version 1 or 2.

use crate::doctor::tree::{Reading, Tree, Unread};

/// What there is.
pub(super) struct Memory {
    /// Of the machine, in bytes.
    pub(super) total: Reading<u64>,
    /// Of the cgroup; none where nothing bounds it.
    pub(super) cgroup: Reading<Option<Bound>>,
}

/// The least of the bounds on the way up from the process's cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) bytes: u64,
    /// Where it stands.
    pub(super) file: String,
}

/// A version's file of the bound, and the folders where its tree may be mounted.
struct Version {
    file: &'static str,
    mounts: &'static [&'static str],
}

const V1: Version = Version { file: "memory.limit_in_bytes", mounts: &["sys/fs/cgroup/memory"] };
const V2: Version = Version { file: "memory.max", mounts: &["sys/fs/cgroup", "sys/fs/cgroup/unified"] };

impl Memory {
    pub(super) fn read(tree: &Tree, process: &str) -> Self {
        Self { total: total(tree), cgroup: cgroup(tree, process) }
    }
}

fn total(tree: &Tree) -> Reading<u64> {
    let text = tree.text("proc/meminfo")?;
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.map(|kib: u64| kib << 10).ok_or_else(|| Unread::of("/proc/meminfo has no line \"MemTotal\""))
}

/// `0::/system.slice/volley.service` is version 2, `4:memory:/docker/0123` is version 1. Within a container the path may be
/// the host's and lead nowhere; then what is mounted is the container's own.
fn cgroup(tree: &Tree, process: &str) -> Reading<Option<Bound>> {
    let text = match tree.text(&format!("proc/{process}/cgroup")) {
        Ok(text) => text,
        // A kernel without cgroups.
        Err(unread) if unread.is_missing && tree.has(&format!("proc/{process}")) => return Ok(None),
        Err(unread) => return Err(unread),
    };
    let is_in_one = text.lines().any(|line| !line.ends_with(":/"));
    if is_in_one && !tree.has("sys/fs/cgroup") {
        return Err(Unread::of(format!("/proc/{process}/cgroup names a cgroup, and /sys/fs/cgroup is not mounted")));
    }
    let mut bounds = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let version = match controllers {
            "" => &V2,
            _ if controllers.split(',').any(|controller| controller == "memory") => &V1,
            _ => continue,
        };
        for mount in version.mounts {
            for folder in upwards(path) {
                bounds.extend(bound(tree, &format!("{mount}{folder}/{}", version.file))?);
            }
        }
    }
    Ok(bounds.into_iter().min_by_key(|bound| bound.bytes))
}

/// `/a/b`, `/a`, and nothing.
fn upwards(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path.trim_end_matches('/')), |path| path.rfind('/').map(|end| &path[..end]))
}

/// None where there is no such file, as at the root of version 2, and where it says `max`.
fn bound(tree: &Tree, file: &str) -> Reading<Option<Bound>> {
    match tree.text(file) {
        Ok(text) if text.trim() == "max" => Ok(None),
        Ok(_) => tree.number(file).map(|bytes| Some(Bound { bytes, file: format!("/{file}") })),
        Err(unread) if unread.is_missing => Ok(None),
        Err(unread) => Err(unread),
    }
}
