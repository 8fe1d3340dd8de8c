//! Another version of the rule takes over, as on the real server: sessions, tables, groups and timers stay.

use std::fmt;

use super::{Server, memory};
use crate::{Migration, Reversal, Rule};

/// A change of versions that failed. Everything is as it was before.
pub struct Failed<R> {
    /// The server, with the version that it had.
    pub server: Server<R>,
    /// The rule's words, which would be the operator's.
    pub words: String,
}

/// Its words, so that a test that unwraps one shows them.
impl<R> fmt::Debug for Failed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failed").field("words", &self.words).finish_non_exhaustive()
    }
}

impl<R: Rule> Server<R> {
    /// Activates a version that reads what this one left as it is.
    pub fn replace<N: Rule>(self, config: &str) -> Result<Server<N>, Failed<R>> {
        self.change(config, |_, _| Ok(()))
    }

    /// Activates a version that migrates what this one left. The old version can be as much of it as the test needs: its
    /// `info`, and a `route` that writes what it wrote.
    ///
    /// ```
    /// use volley_plugin::testing::Server;
    /// # use volley_plugin::{Event, Info, Migration, Options, Outcome, Refusal, Rule, Table};
    /// # struct Old(Table<str, u8>);
    /// # impl Rule for Old {
    /// #   fn info() -> Info { Info { name: "n", version: "0.1.0", description: "" } }
    /// #   fn init(_: &str) -> Result<Self, String> { Ok(Self(Table::open("n", Options::set())?)) }
    /// #   fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
    /// #     self.0.insert(&event.topic, &7)?;
    /// #     Ok(Outcome::new())
    /// #   }
    /// # }
    /// # struct New(Table<str, String>);
    /// # impl Rule for New {
    /// #   fn info() -> Info { Info { name: "n", version: "0.2.0", description: "" } }
    /// #   fn init(_: &str) -> Result<Self, String> { Ok(Self(Table::open("n", Options::set())?)) }
    /// #   fn route(&self, _: &Event) -> Result<Outcome, Refusal> { Ok(Outcome::new()) }
    /// # }
    /// # impl Migration for New {
    /// #   fn upgrade(&self, _: &str, config: &str) -> Result<(), String> {
    /// #     self.0.insert("a", &"seven".into())?;
    /// #     if config == "fail" { Err("told to".into()) } else { Ok(()) }
    /// #   }
    /// # }
    ///
    /// let mut server = Server::<Old>::start("");
    /// server.publish("a", None, "null").unwrap();
    ///
    /// let failed = server.upgrade::<New>("fail").unwrap_err();
    /// assert_eq!(failed.words, "told to");
    /// assert_eq!(failed.server.rule().0.get("a").unwrap(), Some(7), "what it had written is undone");
    ///
    /// let server = failed.server.upgrade::<New>("").unwrap();
    /// assert_eq!(server.rule().0.get("a").unwrap().as_deref(), Some("seven"));
    /// ```
    pub fn upgrade<N: Migration>(self, config: &str) -> Result<Server<N>, Failed<R>> {
        let old = R::info().version;
        self.change(config, |_, new: &N| if old == N::info().version { Ok(()) } else { new.upgrade(old, config) })
    }

    /// Rolls back to a version whose layout this one knows.
    pub fn downgrade<O: Rule>(self, config: &str) -> Result<Server<O>, Failed<R>>
    where
        R: Reversal,
    {
        let to = O::info().version;
        self.change(config, |new, _| if to == R::info().version { Ok(()) } else { new.downgrade(to) })
    }

    fn change<N: Rule>(
        self,
        config: &str,
        migrate: impl FnOnce(&R, &N) -> Result<(), String>,
    ) -> Result<Server<N>, Failed<R>> {
        let before = memory::with(|memory| memory.clone());
        let changed = N::init(config).and_then(|rule| migrate(&self.rule, &rule).map(|()| rule));
        match changed {
            Ok(rule) => {
                let Self { rule: _, sessions, subscribers, events, sessions_opened } = self;
                Ok(Server { rule, sessions, subscribers, events, sessions_opened })
            }
            Err(words) => {
                memory::with(|memory| *memory = before);
                Err(Failed { server: self, words })
            }
        }
    }
}
