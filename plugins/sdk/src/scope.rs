//! Groups of sessions, in the manner of Erlang's `pg`.

use crate::{Error, Key, Pid, Reach, Recipients, host};

/// A scope of groups. Sessions that end leave all their groups by themselves, before their exits are routed, so a
/// count after an exit counts the living. A group is there once somebody joins it and gone when nobody is left.
///
/// ```
/// use volley_plugin::{Error, Event, Outcome, Reach, Scope};
///
/// fn admins_only(scope: &Scope, event: &Event) -> Result<Outcome, Error> {
///     scope.join("admins", event.sender)?;
///     Ok(Outcome::new().forward(scope.members("admins") - event.sender))
/// }
/// ```
#[derive(Debug)]
pub struct Scope {
    name: String,
    scope: host::Scope,
}

impl Scope {
    /// Opens the scope, and makes it at the first time. Its name is this rule's own.
    pub fn open(name: &str, reach: Reach) -> Result<Self, Error> {
        Ok(Self { name: name.to_owned(), scope: host::Scope::open(name, reach)? })
    }

    /// How many of the sessions were not in the group before; dead ones do not join.
    pub fn join(&self, group: &(impl Key + ?Sized), pids: impl IntoIterator<Item = Pid>) -> Result<u64, Error> {
        Ok(self.scope.join(&group.to_bytes(), &bits(pids))?)
    }

    /// How many of the sessions were in the group.
    pub fn leave(&self, group: &(impl Key + ?Sized), pids: impl IntoIterator<Item = Pid>) -> u64 {
        self.scope.leave(&group.to_bytes(), &bits(pids))
    }

    /// The group as a set to send to. Nothing is copied: the host looks it up when `route` has returned.
    pub fn members(&self, group: &(impl Key + ?Sized)) -> Recipients {
        Recipients::members(&self.name, group.to_bytes())
    }

    /// The group's sessions, copied into the rule, in ascending order. To send to them, take [`Scope::members`].
    pub fn get_members(&self, group: &(impl Key + ?Sized)) -> Vec<Pid> {
        crate::pid::from_bits(self.scope.get_members(&group.to_bytes()))
    }

    /// The groups that a session is in, as bytes.
    pub fn which_groups(&self, pid: Pid) -> Vec<Vec<u8>> {
        self.scope.which_groups(pid.to_bits())
    }

    /// How many sessions are in the group.
    pub fn count(&self, group: &(impl Key + ?Sized)) -> u64 {
        let [count] = self.count_each([group]);
        count
    }

    /// How many sessions are in each of the groups, in one call.
    pub fn count_each<const N: usize, G: Key + ?Sized>(&self, groups: [&G; N]) -> [u64; N] {
        let counts = self.scope.count(&groups.map(G::to_bytes));
        std::array::from_fn(|group| counts.get(group).copied().unwrap_or(0))
    }
}

fn bits(pids: impl IntoIterator<Item = Pid>) -> Vec<u64> {
    pids.into_iter().map(Pid::to_bits).collect()
}
