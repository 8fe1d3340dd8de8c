//! The README's rule: only back-ends publish.

use volley_plugin::{Event, Info, Kind, Outcome, Refusal, Rule, export_rule, subscribers};

struct Announcements;

impl Rule for Announcements {
    fn info() -> Info {
        Info { name: "announcements", version: "0.1.0", description: "only back-ends publish" }
    }
    fn init(_config: &str) -> Result<Self, String> {
        Ok(Self)
    }
    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        match (event.kind, event.sender) {
            (Kind::Publish, Some(_)) => Err(Refusal::refused("this topic is for reading")),
            (Kind::Publish, None) => Ok(Outcome::new().forward(subscribers())),
            _ => Ok(Outcome::new()),
        }
    }
}
export_rule!(Announcements);

#[cfg(test)]
mod tests {
    /// Whoever copies the rule from the README gets this one.
    #[test]
    fn the_readme_shows_this_very_rule() {
        let source = include_str!("lib.rs");
        let (_, rule) = source.split_once("\n\n").expect("a head, then the rule");
        let (rule, _) = rule.split_once("\n\n#[cfg(test)]").expect("the rule, then its test");
        assert!(include_str!("../../../README.md").contains(rule));
    }
}
