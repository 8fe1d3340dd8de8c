//! What a sender may do: the topics that its token or its key allows, and for a session until when, how often, and
//! whose place it takes. An anonymous session without limits has none of it.

use crate::auth::claims::Claims;
use crate::event::{Happening, Unrouted};
use crate::rates::{Bucket, Slow};
use crate::tally::Place;
use crate::topic::{Pattern, Topic};
use std::sync::Arc;

/// The topics that somebody may join and publish to.
#[derive(Debug, PartialEq)]
pub struct Grant {
    /// The name of a back-end's key; none for a session.
    pub key: Option<Arc<str>>,
    join: Box<[Pattern]>,
    publish: Box<[Pattern]>,
}

impl Grant {
    /// What a token allows.
    pub fn of_token(claims: &Claims) -> Self {
        Self { key: None, join: claims.join.clone(), publish: claims.publish.clone() }
    }

    /// What a key of that name allows: publishing.
    pub fn of_key(name: &str, publish: Box<[Pattern]>) -> Self {
        Self { key: Some(name.into()), join: Box::default(), publish }
    }

    /// Whether this may happen; if not, what its sender is told.
    pub fn check(&self, what: &Happening, topic: &Topic) -> Result<(), Unrouted> {
        let (patterns, verb) = match what {
            Happening::Publish(_) => (&self.publish, "publish to"),
            Happening::Join { .. } => (&self.join, "join"),
            Happening::Leave | Happening::Exit(_) | Happening::Timer(_) => return Ok(()),
        };
        if patterns.iter().any(|pattern| pattern.matches(topic)) {
            return Ok(());
        }
        let whose = if self.key.is_some() { "key" } else { "token" };
        Err(Unrouted::Refused(format!("this {whose} does not allow its holder to {verb} {topic}")))
    }

    /// Whether its holder may be subscribed to that topic.
    pub fn allows_joining(&self, topic: &Topic) -> bool {
        self.join.iter().any(|pattern| pattern.matches(topic))
    }

    /// What it weighs, about.
    pub fn bytes(&self) -> u64 {
        let text = |pattern: &Pattern| pattern.to_string().len() + size_of::<Pattern>() + 32;
        self.join.iter().chain(&self.publish).map(text).sum::<usize>() as u64
    }
}

/// What a session's calls are held against.
#[derive(Debug)]
pub struct Guard {
    /// What its token allows; everything when it came without one.
    pub grant: Option<Arc<Grant>>,
    /// When its token expires, on the clock of the process.
    pub expires_ms: u64,
    /// How often it may call.
    pub bucket: Option<Bucket>,
    /// Its place among the sessions of its user.
    pub place: Option<Place<Arc<str>>>,
}

impl Default for Guard {
    fn default() -> Self {
        Self { grant: None, expires_ms: u64::MAX, bucket: None, place: None }
    }
}

impl Guard {
    /// None when there is nothing to be held against.
    pub fn unless_idle(self) -> Option<Box<Self>> {
        let is_idle = self.grant.is_none() && self.bucket.is_none() && self.place.is_none();
        (!is_idle).then(|| Box::new(self))
    }

    /// Notes a call, unless it comes too soon.
    pub fn note(&self) -> Result<(), Slow> {
        self.bucket.as_ref().map_or(Ok(()), Bucket::note)
    }

    /// What it weighs, about.
    pub fn bytes(&self) -> u64 {
        size_of::<Self>() as u64 + self.grant.as_ref().map_or(0, |grant| grant.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Payload;

    #[test]
    fn a_grant_is_for_its_topics_and_a_key_joins_nothing() {
        let claims = r#"{"exp":1,"volley":{"join":["chat.>"],"publish":["chat.lobby"]}}"#;
        let grant = Grant::of_token(&Claims::parse(claims).unwrap());
        let publish = Happening::Publish(Payload::Json("1".into()));
        let join = Happening::Join { params: None };
        let topic = |text: &str| text.parse::<Topic>().unwrap();
        assert_eq!(grant.check(&join, &topic("chat.side")), Ok(()));
        assert_eq!(grant.check(&publish, &topic("chat.lobby")), Ok(()));
        assert!(
            matches!(grant.check(&publish, &topic("chat.side")), Err(Unrouted::Refused(words)) if words.contains("chat.side"))
        );
        assert!(grant.check(&join, &topic("news")).is_err());
        assert_eq!(grant.check(&Happening::Leave, &topic("news")), Ok(()));
        let key = Grant::of_key("shop", Box::from([">".parse().unwrap()]));
        assert_eq!(key.check(&publish, &topic("news")), Ok(()));
        assert!(key.check(&join, &topic("news")).is_err());
    }

    #[test]
    fn nothing_to_be_held_against_is_no_guard() {
        assert!(Guard::default().unless_idle().is_none());
        assert_eq!(size_of::<Option<Box<Guard>>>(), size_of::<usize>());
    }
}
