//! The rule of the benchmark: whoever joins is in one group; what is published goes to all of the group but the sender,
//! as a list that was copied into the rule and filtered there. (A real rule would return `members - sender` instead.)

use volley_plugin::{Event, Info, Kind, Outcome, Reach, Refusal, Rule, Scope, export_rule};

struct Filter {
    scope: Scope,
}

const GROUP: &str = "all";

impl Rule for Filter {
    fn info() -> Info {
        Info { name: "filter", version: env!("CARGO_PKG_VERSION"), description: "a list filtered in the guest" }
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Self { scope: Scope::open("bench", Reach::Node)? })
    }

    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        match event.kind {
            Kind::Join => {
                self.scope.join(GROUP, event.sender)?;
                Ok(Outcome::new())
            }
            Kind::Leave => {
                self.scope.leave(GROUP, event.sender);
                Ok(Outcome::new())
            }
            Kind::Publish => {
                let mut to = self.scope.get_members(GROUP);
                to.retain(|pid| Some(*pid) != event.sender);
                Ok(Outcome::new().forward(to))
            }
            Kind::Exit(_) | Kind::Timer => Ok(Outcome::new()),
        }
    }
}

export_rule!(Filter);
