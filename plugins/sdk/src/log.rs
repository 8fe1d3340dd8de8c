//! The server's log.
//!
//! A line is tagged by the host with the plugin, its version, topic and event, so a rule writes what it alone knows.
//!
//! ```
//! use volley_plugin::log;
//!
//! let room = "chat.lobby";
//! log::info!("{room} is empty");
//! ```

use std::borrow::Cow;
use std::fmt;

pub use crate::bindings::volley::router::logger::Level;
#[doc(inline)]
pub use crate::{__log_debug as debug, __log_error as error, __log_info as info, __log_warning as warning};

/// Writes one line; the macros do it more shortly.
pub fn write(level: Level, line: fmt::Arguments<'_>) {
    let line = line.as_str().map_or_else(|| Cow::Owned(line.to_string()), Cow::Borrowed);
    crate::host::log(level, &line);
}

/// Something failed that must not fail. Takes what `format!` takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_error {
    ($($line:tt)+) => { $crate::log::write($crate::log::Level::Error, ::core::format_args!($($line)+)) };
}

/// Something an operator should look at. Takes what `format!` takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_warning {
    ($($line:tt)+) => { $crate::log::write($crate::log::Level::Warning, ::core::format_args!($($line)+)) };
}

/// Something worth knowing. Takes what `format!` takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_info {
    ($($line:tt)+) => { $crate::log::write($crate::log::Level::Info, ::core::format_args!($($line)+)) };
}

/// Something for whoever debugs the rule. Takes what `format!` takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_debug {
    ($($line:tt)+) => { $crate::log::write($crate::log::Level::Debug, ::core::format_args!($($line)+)) };
}
