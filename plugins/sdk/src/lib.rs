//! Write routing rules for Volley, an HTTP long-poll pub/sub server.
//!
//! A rule is a small WebAssembly component that the server mounts on topics. For every event of a topic, somebody
//! publishing, joining, leaving, a session's end, a timer, it is asked one question: *who receives what?* It answers
//! with the complete list, and the server sends it all in one volley. Connections, sessions, tables and groups belong
//! to the server, so a rule can be replaced while all clients stay connected.
//!
//! # A first rule
//!
//! A crate of type `cdylib` with this crate as its dependency, one type, one trait, one line to export it:
//!
//! ```
//! use volley_plugin::{Event, Info, Kind, Outcome, Refusal, Rule, export_rule, subscribers};
//!
//! struct Announcements;
//!
//! impl Rule for Announcements {
//!     fn info() -> Info {
//!         Info { name: "announcements", version: env!("CARGO_PKG_VERSION"), description: "only back-ends publish" }
//!     }
//!
//!     fn init(_config: &str) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
//!         match (event.kind, event.sender) {
//!             (Kind::Publish, Some(_)) => Err(Refusal::refused("this topic is for reading")),
//!             (Kind::Publish, None) => Ok(Outcome::new().forward(subscribers())),
//!             _ => Ok(Outcome::new()),
//!         }
//!     }
//! }
//!
//! export_rule!(Announcements);
//! ```
//!
//! `volley plugin new` writes such a crate, `build` makes the component, `test` plays recorded events to it. Plain
//! `cargo test` runs it natively: [`testing`] is a small server in memory, and [`testing::recorded()`] plays the same files.
//!
//! # Who receives: sets and expressions
//!
//! [`Recipients`] are sets: [`subscribers`], the members of a group, PIDs, and what `-`, `|` and `&` make of them. They
//! are handed over as an expression and evaluated by the server, so no list is copied into the rule:
//!
//! ```
//! # use volley_plugin::{Event, Outcome, Scope, subscribers};
//! # fn example(scope: &Scope, event: &Event) -> Outcome {
//! Outcome::new().forward((subscribers() - scope.members("muted")) | scope.members("admins"))
//! # }
//! ```
//!
//! # What they receive: your own messages
//!
//! [`Event::json`] reads what was published, [`Outcome::send`] writes what is delivered, both through serde;
//! [`Outcome::forward`] passes the event's data on untouched, whatever it is.
//!
//! ```
//! # use volley_plugin::{Event, Outcome, Refusal, subscribers};
//! #[derive(serde::Deserialize)]
//! struct Move { from: String, to: String }
//!
//! #[derive(serde::Serialize)]
//! struct Moved<'a> { by: &'a str, to: &'a str }
//!
//! fn play(event: &Event) -> Result<Outcome, Refusal> {
//!     let Move { to, .. } = event.json()?; // or a 400 that names what is wrong
//!     let name = event.user_name().ok_or_else(|| Refusal::refused("only players move"))?;
//!     Ok(Outcome::new().send(subscribers(), &Moved { by: &name, to: &to }))
//! }
//! ```
//!
//! # What a rule remembers: tables and groups
//!
//! An instance of a rule may be thrown away at any time, and there are several of them, one for each lane. So a rule
//! keeps no state in itself, only the handles that `init` opened: [`Table`]s for values (and counters, which are a
//! [`Table`] of `i64`) and a [`Scope`] of groups for sessions. They outlive the rule's versions. Each call crosses into
//! the host; ask for several keys in one, where you can.
//!
//! ```
//! # use volley_plugin::{Event, Info, Kind, Options, Outcome, Reach, Refusal, Rule, Scope, Table, config, subscribers};
//! struct Auction { best: Table<str, i64>, bidders: Scope, least: i64 }
//!
//! #[derive(serde::Deserialize, Default)]
//! struct Config { least: i64 }
//!
//! impl Rule for Auction {
//! #   fn info() -> Info { Info { name: "auction", version: "0.1.0", description: "" } }
//!     fn init(text: &str) -> Result<Self, String> {
//!         let Config { least } = config(text)?;
//!         let best = Table::open("best", Options::set().durable())?;
//!         Ok(Self { best, bidders: Scope::open("bidders", Reach::Node)?, least })
//!     }
//!
//!     fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
//!         if event.kind != Kind::Publish {
//!             return Ok(Outcome::new());
//!         }
//!         let bid: i64 = event.json()?;
//!         if bid <= self.best.get(&event.topic)?.unwrap_or(self.least) {
//!             return Err(Refusal::refused("somebody bid more"));
//!         }
//!         self.best.insert(&event.topic, &bid)?;
//!         self.bidders.join(&event.topic, event.sender)?;
//!         Ok(Outcome::new().send(subscribers(), &bid))
//!     }
//! }
//! ```
//!
//! # Later: timers
//!
//! [`send_after`] routes an event of kind [`Kind::Timer`] when its time has come. Time and chance come from the server
//! as well: in there, `Instant::now` panics and `HashMap`s are seeded alike.
//!
//! # A new version
//!
//! A new version takes the place of the old one while all clients stay connected; what is in tables, groups and timers
//! stays, too. If the new version reads that as it is, there is nothing to do. If not, it is a [`Migration`]: the
//! server then stops routing this plugin for a moment, `upgrade` changes what the old version left, and everything
//! that it wrote is undone if it fails. With a [`Reversal`] besides, an operator can roll back; without it, a version
//! that migrates stays.
//!
//! ```
//! # use volley_plugin::{Event, Info, Migration, Options, Outcome, Refusal, Reversal, Rule, Table, export_rule};
//! /// Up to 0.1 a best bid was only a number.
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Bid { bid: i64, by: Option<String> }
//!
//! struct Auction { best: Table<[u8], Bid> }
//! # impl Rule for Auction {
//! #   fn info() -> Info { Info { name: "auction", version: "0.2.0", description: "" } }
//! #   fn init(_: &str) -> Result<Self, String> { Ok(Self { best: Table::open("best", Options::set())? }) }
//! #   fn route(&self, event: &Event) -> Result<Outcome, Refusal> { Ok(Outcome::new()) }
//! # }
//!
//! impl Migration for Auction {
//!     fn upgrade(&self, old_version: &str, _config: &str) -> Result<(), String> {
//!         if old_version != "0.1.0" {
//!             return Err(format!("there is no way from {old_version}"));
//!         }
//!         let old = Table::<[u8], i64>::open("best", Options::set())?; // the same table with its values as they were
//!         for object in old.iter("") {
//!             let (key, bid) = object?;
//!             self.best.insert(&key, &Bid { bid, by: None })?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! impl Reversal for Auction {
//!     fn downgrade(&self, to_version: &str) -> Result<(), String> {
//! #       if to_version != "0.1.0" {
//! #           return Err(format!("there is no way to {to_version}"));
//! #       }
//! #       let old = Table::<[u8], i64>::open("best", Options::set())?;
//! #       for object in self.best.iter("") {
//! #           let (key, bid) = object?;
//! #           old.insert(&key, &bid.bid)?;
//! #       }
//! #       Ok(())
//!         // … the same in the other direction
//!     }
//! }
//!
//! export_rule!(Auction, upgrade, downgrade);
//! # use volley_plugin::testing::Server;
//! # struct Old(Table<str, i64>);
//! # impl Rule for Old {
//! #   fn info() -> Info { Info { name: "auction", version: "0.1.0", description: "" } }
//! #   fn init(_: &str) -> Result<Self, String> { Ok(Self(Table::open("best", Options::set())?)) }
//! #   fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
//! #     self.0.insert("vase", &7)?;
//! #     Ok(Outcome::new())
//! #   }
//! # }
//! # let mut server = Server::<Old>::start("");
//! # server.publish("vase", None, "7").unwrap();
//! # let server = server.upgrade::<Auction>("").unwrap();
//! # assert_eq!(server.rule().best.get(b"vase").unwrap().unwrap().bid, 7);
//! # let server = server.upgrade::<Auction>("").unwrap(); // a repair of it, which finds the layout that it expects
//! # assert_eq!(server.rule().best.get(b"vase").unwrap().unwrap().bid, 7);
//! # let server = server.downgrade::<Old>("").unwrap();
//! # assert_eq!(server.rule().0.get("vase").unwrap(), Some(7));
//! ```
//!
//! - Versions are told apart by [`Info::version`], so raise it whenever the layout changes. Between two builds of the same
//!   version, such as one and its repair, neither `upgrade` nor `downgrade` is called.
//! - `upgrade` has to be done within a bound, as every call has; what can be changed a little at a time, when its key is
//!   met, should be. A long one delays this plugin's events, nobody else's, and no connection.
//! - `init` runs before `upgrade`, while the old version is still routing. It opens tables and looks at nothing.
//! - Timers that the old version set reach the new one. What their data means must stay, or be understood both ways.
//! - Test it: [`testing::Server::upgrade`] and [`testing::Server::downgrade`] run it in memory.
//!
//! # When something goes wrong
//!
//! - The client is wrong: return a [`Refusal`], its words reach the client (a 403 or a 400).
//! - The host could not do it: `?` turns an [`Error`] into a refusal and a line of the log.
//! - A new version is wrong: an `Err` from `init` or `upgrade` keeps the old one routing, and its words are the
//!   operator's.
//! - The rule is wrong: a panic fails this one event (a 502 to its publisher), the instance is thrown away and the next
//!   event gets a fresh one. Message and place stand in the server's log.

mod erlang;
mod error;
mod event;
mod host;
mod key;
pub mod log;
mod outcome;
mod pid;
mod recipients;
mod scope;
mod table;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod glue;

pub use bindings::volley::router::types::{ExitReason, Payload, Reach};
pub use erlang::{Timer, monotonic_time_us, rand, send_after, system_time_ms};
pub use error::Error;
pub use event::{Event, Kind};
pub use key::Key;
pub use outcome::{Delivery, Message, Outcome, Refusal};
pub use pid::Pid;
pub use recipients::{Recipients, subscribers, subscribers_of};
pub use scope::Scope;
pub use table::{Options, Page, Table};

/// A routing rule: the one trait to implement. Export it with [`export_rule!`].
pub trait Rule: Sized + 'static {
    /// What the rule is called, for operators.
    fn info() -> Info;

    /// Makes an instance, before any event. `config` is the route's config as JSON; see [`config`]. Opens tables and
    /// scopes, writes none. An `Err` keeps this version from being activated and says why.
    fn init(config: &str) -> Result<Self, String>;

    /// Who receives what for this event; nobody else will.
    fn route(&self, event: &Event) -> Result<Outcome, Refusal>;
}

/// A rule that changes what its earlier versions left in tables, groups and timers.
///
/// It runs once, while nothing of the plugin is routed, on an instance of its own that `init` has made. All that it
/// writes counts together or not at all. Export it with `export_rule!(Chat, upgrade)`.
pub trait Migration: Rule {
    /// Changes what `old_version` left, as its [`Info::version`] was, to what this version expects. `config` is what
    /// `init` got. An `Err` undoes all that was written, keeps the old version routing and tells the operator why: so
    /// refuse an old version that is not known. Not called when the old version is this one's own: the layout is.
    fn upgrade(&self, old_version: &str, config: &str) -> Result<(), String>;
}

/// A rule that can change its tables back, so that it can be rolled back after it has migrated them.
///
/// Export it with `export_rule!(Chat, upgrade, downgrade)`.
pub trait Reversal: Migration {
    /// Changes what this version left to what `to_version` expects, under the same terms as
    /// [`upgrade`](Migration::upgrade). An `Err` keeps this version routing.
    fn downgrade(&self, to_version: &str) -> Result<(), String>;
}

/// What a rule is called, for operators.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// A short word, such as `chat`.
    pub name: &'static str,
    /// The release, usually `env!("CARGO_PKG_VERSION")`. It names the layout of the tables to other versions.
    pub version: &'static str,
    /// One line.
    pub description: &'static str,
}

/// The route's config as your own type; `T::default()` if there is none. Words for the operator when it doesn't fit.
///
/// ```
/// #[derive(serde::Deserialize, Default)]
/// #[serde(default, deny_unknown_fields)]
/// struct Config { members_max: Option<u32> }
///
/// let config: Config = volley_plugin::config(r#"{"members_max":10}"#).unwrap();
/// assert_eq!(config.members_max, Some(10));
/// assert!(volley_plugin::config::<Config>("null").unwrap().members_max.is_none());
/// ```
pub fn config<T: serde::de::DeserializeOwned + Default>(config: &str) -> Result<T, String> {
    match config.trim() {
        "" | "null" => Ok(T::default()),
        json => serde_json::from_str(json).map_err(|wrong| format!("the config does not fit: {wrong}")),
    }
}

/// Makes a [`Rule`] the one that this component exports. Once in a crate.
///
/// `export_rule!(Chat)` for a rule, `export_rule!(Chat, upgrade)` if it is a [`Migration`] as well, and
/// `export_rule!(Chat, upgrade, downgrade)` if it is a [`Reversal`], too. Only what is named here is exported, and what
/// a component exports is how the server knows what it can do.
#[macro_export]
macro_rules! export_rule {
    ($rule:ty $(,)?) => {
        const _: () = {
            $crate::export_rule! { @handler $rule }
        };
    };
    ($rule:ty, upgrade $(,)?) => {
        const _: () = {
            $crate::export_rule! { @handler $rule }
            $crate::export_rule! { @migration $rule }
        };
    };
    ($rule:ty, upgrade, downgrade $(,)?) => {
        const _: () = {
            $crate::export_rule! { @handler $rule }
            $crate::export_rule! { @migration $rule }
            $crate::export_rule! { @reversal $rule }
        };
    };
    (@handler $rule:ty) => {
        // Wasm has one thread. Natively nothing is exported, only checked: a linker trips over such names.
        ::std::thread_local! {
            static RULE: $crate::glue::OnceCell<$rule> = const { $crate::glue::OnceCell::new() };
        }
        #[allow(dead_code)]
        struct Exported;

        impl $crate::glue::Guest for Exported {
            fn info() -> $crate::glue::PluginInfo {
                $crate::glue::info::<$rule>()
            }
            fn init(config: ::std::string::String) -> ::std::result::Result<(), ::std::string::String> {
                RULE.with(|rule| $crate::glue::init(rule, &config))
            }
            fn route(
                event: $crate::glue::Event,
            ) -> ::std::result::Result<$crate::glue::Outcome, $crate::glue::Refusal> {
                RULE.with(|rule| $crate::glue::route(rule, event))
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::bindings::export! { Exported with_types_in $crate::bindings }
        #[cfg(not(target_family = "wasm"))]
        const _: fn(&str) -> ::std::result::Result<$rule, ::std::string::String> = <$rule as $crate::Rule>::init;
    };
    (@migration $rule:ty) => {
        impl $crate::glue::GuestMigration for Exported {
            fn upgrade(
                old_version: ::std::string::String,
                config: ::std::string::String,
            ) -> ::std::result::Result<(), ::std::string::String> {
                RULE.with(|rule| $crate::glue::upgrade(rule, &old_version, &config))
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::bindings::migration::export_migration! { Exported with_types_in $crate::bindings::migration }
    };
    (@reversal $rule:ty) => {
        impl $crate::glue::GuestReversal for Exported {
            fn downgrade(to_version: ::std::string::String) -> ::std::result::Result<(), ::std::string::String> {
                RULE.with(|rule| $crate::glue::downgrade(rule, &to_version))
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::bindings::reversal::export_reversal! { Exported with_types_in $crate::bindings::reversal }
    };
}
