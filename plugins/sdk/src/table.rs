//! Typed tables, in the manner of Erlang's ETS: they belong to the host and outlive the versions of a rule.

use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::volley::router::ets as wit;
use crate::{Error, Key, Reach, host};

/// A table of values, kept as JSON so that an operator can read them, under keys of one type.
///
/// Open it in [`Rule::init`](crate::Rule::init) and keep it in the rule. Every call crosses into the host once and is
/// atomic: nobody sees half of it. Calls that take several keys or objects are the way to make a rule fast.
///
/// ```
/// use volley_plugin::{Error, Options, Table};
///
/// fn example() -> Result<(), Error> {
///     let best: Table<str, u32> = Table::open("best", Options::set())?;
///     best.insert("ann", &7)?;
///     assert_eq!(best.get("ann")?, Some(7));
///     let [ann, bob] = best.get_each(["ann", "bob"])?;
///     assert_eq!((ann, bob), (Some(7), None));
///     Ok(())
/// }
/// # example().unwrap();
/// ```
#[derive(Debug)]
pub struct Table<K: ?Sized, V> {
    table: host::Table,
    /// Covariant in both, so that a table which a rule keeps takes keys and values that borrow from an event.
    types: PhantomData<fn() -> (*const K, V)>,
}

/// What kind of table it is, how far it reaches and how large it may get.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Options(wit::Options);

/// Some of a table's objects, in the order of their keys' bytes.
#[derive(Clone, Debug)]
pub struct Page<V> {
    /// The keys' bytes and the values.
    pub objects: Vec<(Vec<u8>, V)>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<Vec<u8>>,
}

/// Objects in one call of [`Table::iter`]: a tenth of what the host allows, so one call is short.
const PAGE: u32 = 1_000;
/// Arbitrary; a rule that means to hold more says so.
const OBJECTS_MAX: u64 = 1_000_000;
/// Arbitrary; a rule that means to hold more says so.
const BYTES_MAX: u64 = 64 << 20;

impl Options {
    /// One value a key.
    pub const fn set() -> Self {
        Self::of(wit::Kind::Set)
    }

    /// One value a key, walked in the order of the keys' bytes.
    pub const fn ordered_set() -> Self {
        Self::of(wit::Kind::OrderedSet)
    }

    /// Several different values a key.
    pub const fn bag() -> Self {
        Self::of(wit::Kind::Bag)
    }

    const fn of(kind: wit::Kind) -> Self {
        Self(wit::Options {
            kind,
            reach: Reach::Node,
            durable: false,
            ttl_ms: None,
            max_objects: OBJECTS_MAX,
            max_bytes: BYTES_MAX,
        })
    }

    /// Shared by all nodes. The default is this node's own.
    pub const fn cluster(mut self) -> Self {
        self.0.reach = Reach::Cluster;
        self
    }

    /// Kept across restarts of the host.
    pub const fn durable(mut self) -> Self {
        self.0.durable = true;
        self
    }

    /// An object is gone this long after its last write.
    pub const fn ttl(mut self, after: Duration) -> Self {
        self.0.ttl_ms = Some(after.as_millis() as u64);
        self
    }

    /// Writes beyond this many objects are an [`Error::SystemLimit`]; 1,000,000 unless told.
    pub const fn max_objects(mut self, objects: u64) -> Self {
        self.0.max_objects = objects;
        self
    }

    /// Writes beyond this many bytes of keys and values are an [`Error::SystemLimit`]; 64 MiB unless told.
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.0.max_bytes = bytes;
        self
    }
}

impl<K: Key + ?Sized, V: Serialize + DeserializeOwned> Table<K, V> {
    /// Opens the table, and makes it at the first time. The name is this rule's own, but for `shared:NAME`: such a
    /// table belongs to the plugin that opened it first and can be read by all.
    pub fn open(name: &str, options: Options) -> Result<Self, Error> {
        Ok(Self { table: host::Table::open(name, options.0)?, types: PhantomData })
    }

    /// The value under a key; of a bag, one of them.
    pub fn get(&self, key: &K) -> Result<Option<V>, Error> {
        let [value] = self.get_each([key])?;
        Ok(value)
    }

    /// The values under several keys, in one call.
    pub fn get_each<const N: usize>(&self, keys: [&K; N]) -> Result<[Option<V>; N], Error> {
        let mut found = self.table.lookup(&keys.map(K::to_bytes))?.into_iter();
        let mut values = [const { None }; N];
        for value in &mut values {
            *value = found.next().and_then(|mut of_key| of_key.pop()).map(decode).transpose()?;
        }
        Ok(values)
    }

    /// All values under a key of a bag.
    pub fn values(&self, key: &K) -> Result<Vec<V>, Error> {
        let found = self.table.lookup(&[key.to_bytes()])?;
        found.into_iter().flatten().map(decode).collect()
    }

    /// Puts a value under a key, in place of the one that was there; into a bag, beside those that are there.
    pub fn insert(&self, key: &K, value: &V) -> Result<(), Error> {
        self.insert_all([(key, value)])
    }

    /// Puts several objects in at once: all or, on an error, none.
    pub fn insert_all<'a>(&self, objects: impl IntoIterator<Item = (&'a K, &'a V)>) -> Result<(), Error>
    where
        K: 'a,
        V: 'a,
    {
        let objects: Result<Vec<_>, _> = objects.into_iter().map(|(key, value)| encode(key, value)).collect();
        Ok(self.table.insert(&objects?)?)
    }

    /// Puts a value under a key only if none is there; whether it did.
    pub fn insert_new(&self, key: &K, value: &V) -> Result<bool, Error> {
        Ok(self.table.insert_new(&[encode(key, value)?])?)
    }

    /// Looks up a value and deletes it, so that of many takers only one gets it; of a bag, one of those deleted.
    pub fn take(&self, key: &K) -> Result<Option<V>, Error> {
        self.table.take(&key.to_bytes())?.pop().map(decode).transpose()
    }

    /// Deletes what is under a key; whether there was something.
    pub fn delete(&self, key: &K) -> Result<bool, Error> {
        Ok(self.table.delete(&[key.to_bytes()])? > 0)
    }

    /// Deletes what is under the keys, given as bytes as [`Table::select`] finds them; how many objects are gone.
    pub fn delete_all(&self, keys: impl IntoIterator<Item = Vec<u8>>) -> Result<u64, Error> {
        let keys: Vec<_> = keys.into_iter().collect();
        if keys.is_empty() { Ok(0) } else { Ok(self.table.delete(&keys)?) }
    }

    /// Deletes one of a bag's objects; whether it was there.
    pub fn delete_object(&self, key: &K, value: &V) -> Result<bool, Error> {
        Ok(self.table.delete_object(&[encode(key, value)?])? > 0)
    }

    /// Compare and swap: puts the new value in only if the old one is there, written in the same bytes; whether it did.
    pub fn select_replace(&self, key: &K, old: &V, new: &V) -> Result<bool, Error> {
        let (old, new) = (encode(key, old)?, encode(key, new)?);
        Ok(self.table.select_replace(&old.key, &old.value, &new.value)?)
    }

    /// The first objects whose keys start with the prefix.
    pub fn select(&self, prefix: &(impl Key + ?Sized), limit: u32) -> Result<Page<V>, Error> {
        self.select_page(prefix, None, limit)
    }

    /// The next objects whose keys start with the prefix, from where the page before it ended.
    pub fn select_next(
        &self,
        prefix: &(impl Key + ?Sized),
        page: &Page<V>,
        limit: u32,
    ) -> Result<Option<Page<V>>, Error> {
        page.next.as_deref().map(|next| self.select_page(prefix, Some(next), limit)).transpose()
    }

    /// All objects whose keys start with the prefix, in the order of the keys' bytes, a call to the host for each 1,000 of
    /// them. What is written meanwhile may be met or not. After an error there is nothing more.
    ///
    /// ```
    /// # use volley_plugin::{Error, Table};
    /// # fn example(bids: &Table<str, i64>) -> Result<(), Error> {
    /// for object in bids.iter("vase/") {
    ///     let (key, bid) = object?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn iter<'a, P: Key + ?Sized>(
        &'a self,
        prefix: &P,
    ) -> impl Iterator<Item = Result<(Vec<u8>, V), Error>> + use<'a, K, V, P> {
        let prefix = prefix.to_bytes();
        let mut page = Vec::new().into_iter();
        let mut next = Some(None);
        std::iter::from_fn(move || {
            loop {
                let met: Result<_, Error> = match page.next() {
                    Some(wit::Object { key, value }) => decode(value).map(|value| (key, value)),
                    None => match self.table.select(&prefix, next.take()?.as_deref(), PAGE) {
                        Ok(some) => {
                            page = some.objects.into_iter();
                            next = some.continuation.map(Some);
                            continue;
                        }
                        Err(error) => Err(error.into()),
                    },
                };
                if met.is_err() {
                    (page, next) = (Vec::new().into_iter(), None);
                }
                return Some(met);
            }
        })
    }

    fn select_page(&self, prefix: &(impl Key + ?Sized), after: Option<&[u8]>, limit: u32) -> Result<Page<V>, Error> {
        let page = self.table.select(&prefix.to_bytes(), after, limit)?;
        let objects = page.objects.into_iter().map(|object| Ok((object.key, decode(object.value)?)));
        Ok(Page { objects: objects.collect::<Result<_, Error>>()?, next: page.continuation })
    }

    /// How many objects the table holds.
    pub fn size(&self) -> u64 {
        self.table.size()
    }
}

/// A table of counters.
impl<K: Key + ?Sized> Table<K, i64> {
    /// Adds to a counter, which starts at 0, and returns its new value. Nothing another rule does comes between.
    pub fn update_counter(&self, key: &K, incr: i64) -> Result<i64, Error> {
        self.counter(wit::CounterOp { key: key.to_bytes(), incr, default: 0, threshold: None })
    }

    /// The same; a result past the threshold, in the direction of `incr`, becomes `restart`.
    pub fn update_counter_until(&self, key: &K, incr: i64, threshold: i64, restart: i64) -> Result<i64, Error> {
        self.counter(wit::CounterOp { key: key.to_bytes(), incr, default: 0, threshold: Some((threshold, restart)) })
    }

    fn counter(&self, operation: wit::CounterOp) -> Result<i64, Error> {
        let values = self.table.update_counter(&[operation])?;
        values.first().copied().ok_or_else(|| Error::BadValue("no value came back".to_owned()))
    }
}

fn encode<K: Key + ?Sized, V: Serialize>(key: &K, value: &V) -> Result<wit::Object, Error> {
    let value = serde_json::to_vec(value).map_err(|wrong| Error::BadArg(wrong.to_string()))?;
    Ok(wit::Object { key: key.to_bytes(), value })
}

fn decode<V: DeserializeOwned>(value: impl AsRef<[u8]>) -> Result<V, Error> {
    serde_json::from_slice(value.as_ref()).map_err(|wrong| Error::BadValue(wrong.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_objects_of_a_prefix_are_met_once_in_order() {
        let table: Table<str, u32> = Table::open("walked", Options::ordered_set()).unwrap();
        for number in (0..=2 * PAGE).rev() {
            table.insert(&format!("a{number:05}"), &number).unwrap();
            table.insert(&format!("b{number:05}"), &number).unwrap();
        }
        let met: Vec<_> = table.iter("b").map(|object| object.unwrap().1).collect();
        assert_eq!(met, (0..=2 * PAGE).collect::<Vec<_>>());
        assert_eq!(table.iter("c").count(), 0);
    }

    #[test]
    fn a_value_that_does_not_fit_ends_the_walk() {
        let numbers: Table<str, u32> = Table::open("mixed", Options::ordered_set()).unwrap();
        let texts: Table<str, String> = Table::open("mixed", Options::ordered_set()).unwrap();
        numbers.insert("a", &1).unwrap();
        texts.insert("b", &"text".to_owned()).unwrap();
        numbers.insert("c", &3).unwrap();
        let mut walk = numbers.iter("");
        assert_eq!(walk.next(), Some(Ok((b"a".to_vec(), 1))));
        assert!(matches!(walk.next(), Some(Err(Error::BadValue(_)))) && walk.next().is_none());
    }
}
