//! One guest that misbehaves, or uses the contract's every part, as the published JSON tells it.
//!
//! `{"do":NAME,…}`, with answers to the sender (to all subscribers when a back-end asked) as `{"ok":…}` or
//! `{"error":["system-limit","words"]}`:
//!
//! | do | with | what happens |
//! |---|---|---|
//! | `loop` | | never returns |
//! | `trap` | `words` | panics with these words |
//! | `recurse` | | overflows its stack |
//! | `alloc` | `mib` | takes and touches so much memory, then answers |
//! | `flood` | `mib`, `pids`, `deliveries`, `steps` | an answer that is too large in one or several of these ways |
//! | `bad-handle` | `which` | uses as a table what is none: `never-given` (when not given), `dropped` or `of-a-scope` |
//! | `bad-json` | `json` | delivers this as JSON, whatever it is |
//! | `text`, `binary` | `data` | delivers a text, or a list of numbers as bytes |
//! | `pids` | `to` | forwards to these numbers |
//! | `expr` | `steps` | forwards to a postfix expression of `{"pids":[…]}`, `{"members":[SCOPE,GROUP]}`, `{"subscribers":TOPIC}` (empty: this one), `"union"`, `"intersection"`, `"subtract"` |
//! | `remove` | `pids` | forwards to all, then ends these subscriptions (the sender's when not given) |
//! | `table` | `name`, `op`, … | see the head of `tables.rs` |
//! | `group` | `scope`, `op`, … | see the head of `groups.rs` |
//! | `timer` | `delay_ms`, `data`, `topic` | sets a timer, answers its number; on its event `data` is forwarded (and done, if it says `do`) |
//! | `cancel` | `timer` | cancels it |
//! | `spin` | `us` | works for so long by the host's clock, then forwards to all |
//! | `rand` | `count` | random numbers |
//! | `time` | | `{"system_ms":…,"monotonic_us":…}` |
//! | `event` | | the event's fields as the rule got them |
//! | `refuse`, `invalid` | `words` | refuses with these words |
//! | `log` | `level`, `message` | writes a line of the log |
//!
//! What has no `do` is forwarded to all subscribers. A join whose params are `{"refuse":"words"}` is refused, and with
//! `{"rounds":N}` it takes its time. Leaves and exits deliver nothing; with the config `{"announce":true}` they (and joins) deliver their fields to all subscribers.
//! `init` fails with the config `{"fail":"words"}`, and misbehaves with `{"init":"loop"}` and `{"init":"trap"}`.

mod faults;
mod groups;
mod request;
mod tables;

use request::Request;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use volley_plugin::bindings::volley::router::types::Error as WitError;
use volley_plugin::{
    Event, Info, Kind, Message, Outcome, Payload, Pid, Recipients, Refusal, Rule, config, export_rule, log,
    monotonic_time_us, rand, send_after, subscribers, system_time_ms,
};

struct Probe {
    announce: bool,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Config {
    announce: bool,
    fail: Option<String>,
    init: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Params {
    refuse: Option<String>,
    /// How often it does nothing first: a join that takes time, without looking at a clock.
    rounds: u64,
}

impl Rule for Probe {
    fn info() -> Info {
        Info { name: "probe", version: env!("CARGO_PKG_VERSION"), description: "misbehaves as it is told" }
    }

    fn init(text: &str) -> Result<Self, String> {
        let Config { announce, fail, init } = config(text)?;
        match init.as_deref() {
            Some("loop") => faults::run_forever(),
            Some(words) => panic!("told to {words} in init"),
            None => fail.map_or(Ok(Self { announce }), Err),
        }
    }

    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        match event.kind {
            Kind::Publish | Kind::Timer => match event.json() {
                Ok(request) => obey(request, event),
                Err(wrong) if event.json().is_ok_and(|json: Value| json.get("do").is_some()) => Err(wrong),
                Err(_) => Ok(Outcome::new().forward(subscribers())),
            },
            Kind::Join => match event.params()? {
                Params { refuse: Some(words), .. } => Err(Refusal::refused(words)),
                Params { refuse: None, rounds } => {
                    faults::work(rounds);
                    Ok(self.announced(event))
                }
            },
            Kind::Leave | Kind::Exit(_) => Ok(self.announced(event)),
        }
    }
}

impl Probe {
    fn announced(&self, event: &Event) -> Outcome {
        if self.announce { Outcome::new().send(subscribers(), &fields(event)) } else { Outcome::new() }
    }
}

fn obey(request: Request, event: &Event) -> Result<Outcome, Refusal> {
    let forward = |to: Recipients| Outcome::new().forward(to);
    let deliver = |data| Outcome::new().deliver(asker(event), Message::Data(data));
    Ok(match request {
        Request::Loop => faults::run_forever(),
        Request::Trap { words } => panic!("{words}"),
        Request::Recurse => answer(event, &Ok(json!(faults::recurse(0)))),
        Request::Alloc { mib } => answer(event, &Ok(json!(faults::allocate(mib)))),
        Request::Flood(flood) => faults::flood(&flood),
        Request::BadHandle(bad) => answer(event, &faults::use_bad_handle(&bad).map(|size| json!(size))),
        Request::BadJson { json } => deliver(Payload::Json(json.into_bytes())),
        Request::Text { data } => deliver(Payload::Text(data)),
        Request::Binary { data } => deliver(Payload::Binary(data)),
        Request::Pids { to } => forward(to.into()),
        Request::Expr { steps } => forward(request::recipients(steps)),
        Request::Remove { pids } => {
            let pids = pids.unwrap_or_else(|| event.sender.into_iter().collect());
            Outcome::new().forward(subscribers()).remove(pids)
        }
        Request::Table(call) => answer(event, &call.run()),
        Request::Group(call) => answer(event, &call.run()),
        Request::Timer { delay_ms, data, topic } => {
            let topic = topic.as_ref().unwrap_or(&event.topic);
            let timer = send_after(std::time::Duration::from_millis(delay_ms), topic, &data)?;
            answer(event, &Ok(json!(timer)))
        }
        Request::Cancel { timer } => answer(event, &Ok(json!(timer.cancel()))),
        Request::Spin { us } => {
            faults::spin(us);
            forward(subscribers())
        }
        Request::Rand { count } => answer(event, &Ok(json!(rand(count)))),
        Request::Time => {
            let time = json!({"system_ms": system_time_ms(), "monotonic_us": monotonic_time_us()});
            answer(event, &Ok(time))
        }
        Request::Event => answer(event, &Ok(fields(event))),
        Request::Refuse { words } => return Err(Refusal::refused(words)),
        Request::Invalid { words } => return Err(Refusal::invalid(words)),
        Request::Log { level, message } => {
            log::write(request::level(&level), format_args!("{message}"));
            answer(event, &Ok(Value::Null))
        }
    })
}

fn asker(event: &Event) -> Recipients {
    event.sender.map_or_else(subscribers, Recipients::from)
}

fn answer(event: &Event, result: &Result<Value, WitError>) -> Outcome {
    let answer = match result {
        Ok(value) => json!({"ok": value}),
        Err(WitError::Badarg(what)) => json!({"error": ["badarg", what]}),
        Err(WitError::NotOwner) => json!({"error": ["not-owner"]}),
        Err(WitError::SystemLimit(which)) => json!({"error": ["system-limit", which]}),
        Err(WitError::Unavailable) => json!({"error": ["unavailable"]}),
    };
    Outcome::new().send(asker(event), &answer)
}

fn fields(event: &Event) -> Value {
    #[derive(Serialize)]
    struct Fields<'a> {
        id: u64,
        topic: &'a str,
        kind: String,
        sender: Option<Pid>,
        user: Option<&'a str>,
        time_ms: u64,
        data: String,
        params: Option<&'a str>,
    }
    json!(Fields {
        id: event.id,
        topic: &event.topic,
        kind: format!("{:?}", event.kind),
        sender: event.sender,
        user: event.user.as_deref(),
        time_ms: event.time_ms,
        data: match &event.data {
            Payload::Json(json) => String::from_utf8_lossy(json).into_owned(),
            Payload::Text(text) => text.clone(),
            Payload::Binary(bytes) => format!("{bytes:?}"),
        },
        params: event.params.as_deref(),
    })
}

export_rule!(Probe);
