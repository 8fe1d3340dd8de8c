//! What versions keep, in two layouts. In the first a topic's count is a counter and the enlisted are the group
//! `enlisted`; in the second the count is `{"count":N}` and the group is `listed`. A code change from one to the other
//! also sets every timer anew, so that it writes to all that a rule can write to.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::time::Duration;
use volley_plugin::{Error, Options, Pid, Reach, Recipients, Scope, Table, Timer, send_after};

const COUNTS: &str = "counts";
const OPTIONS: Options = Options::ordered_set();
/// Small, so that a table of a few objects has several pages.
const PAGE: u32 = 3;

pub(crate) struct Layout {
    number: u8,
    first: Table<str, i64>,
    second: Table<str, Count>,
    reminders: Table<str, Reminder>,
    notes: Table<str, Value>,
    scope: Scope,
}

#[derive(Serialize, Deserialize)]
struct Count {
    count: i64,
}

#[derive(Serialize, Deserialize)]
struct Reminder {
    timer: Timer,
    ms: u64,
}

impl Layout {
    pub(crate) fn open(number: u8) -> Result<Self, Error> {
        Ok(Self {
            number,
            first: Table::open(COUNTS, OPTIONS)?,
            second: Table::open(COUNTS, OPTIONS)?,
            reminders: Table::open("reminders", OPTIONS)?,
            notes: Table::open("notes", OPTIONS)?,
            scope: Scope::open("versions", Reach::Node)?,
        })
    }

    /// How many events of the topic were counted before.
    pub(crate) fn count(&self, topic: &str) -> Result<i64, Error> {
        if self.number == 1 {
            return Ok(self.first.update_counter(topic, 1)? - 1);
        }
        let count = self.second.get(topic)?.map_or(0, |known| known.count);
        self.second.insert(topic, &Count { count: count + 1 })?;
        Ok(count)
    }

    fn group(number: u8) -> &'static str {
        if number == 1 { "enlisted" } else { "listed" }
    }

    pub(crate) fn enlist(&self, pid: Option<Pid>) -> Result<(), Error> {
        self.scope.join(Self::group(self.number), pid).map(drop)
    }

    pub(crate) fn enlisted(&self) -> Recipients {
        self.scope.members(Self::group(self.number))
    }

    pub(crate) fn remind(&self, topic: &str, ms: u64, by: &str) -> Result<(), Error> {
        let timer = send_after(Duration::from_millis(ms), topic, &json!({"set_by": by}))?;
        self.reminders.insert(topic, &Reminder { timer, ms })
    }

    pub(crate) fn forget_reminder(&self, topic: &str) -> Result<(), Error> {
        self.reminders.delete(topic).map(drop)
    }

    /// What an operator can look up afterwards.
    pub(crate) fn note(&self, what: &str, words: &Value) -> Result<(), Error> {
        self.notes.insert(what, words)
    }

    pub(crate) fn upgrade(&self, by: &str) -> Result<(), Error> {
        rewrite(|count| Count { count })?;
        self.change_all_else(1, 2, by)
    }

    pub(crate) fn downgrade(&self, by: &str) -> Result<(), Error> {
        rewrite(|Count { count }| count)?;
        self.change_all_else(2, 1, by)
    }

    fn change_all_else(&self, from: u8, to: u8, by: &str) -> Result<(), Error> {
        let (from, to) = (Self::group(from), Self::group(to));
        let members = self.scope.get_members(from);
        self.scope.join(to, members.iter().copied())?;
        self.scope.leave(from, members);
        for (topic, reminder) in all(&Table::<[u8], Reminder>::open("reminders", OPTIONS)?)? {
            let topic = String::from_utf8(topic).map_err(|_| Error::BadValue("a topic that is not UTF-8".into()))?;
            reminder.timer.cancel();
            self.reminders.delete(&topic)?;
            self.remind(&topic, reminder.ms, by)?;
        }
        Ok(())
    }
}

/// Writes every count anew.
fn rewrite<Old, New>(change: impl Fn(Old) -> New) -> Result<(), Error>
where
    Old: Serialize + DeserializeOwned,
    New: Serialize + DeserializeOwned,
{
    let new = Table::<[u8], New>::open(COUNTS, OPTIONS)?;
    for (topic, old) in all(&Table::<[u8], Old>::open(COUNTS, OPTIONS)?)? {
        new.delete(&topic)?;
        new.insert(&topic, &change(old))?;
    }
    Ok(())
}

/// All that is there before anything is changed.
fn all<V: Serialize + DeserializeOwned>(table: &Table<[u8], V>) -> Result<Vec<(Vec<u8>, V)>, Error> {
    let mut page = table.select("", PAGE)?;
    let mut objects = std::mem::take(&mut page.objects);
    while let Some(mut next) = table.select_next("", &page, PAGE)? {
        objects.append(&mut next.objects);
        page = next;
    }
    Ok(objects)
}
