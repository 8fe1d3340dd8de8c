//! Each operation of a table, on the bindings themselves so that nothing stands between the test and the contract.
//!
//! `{"do":"table","name":NAME,"op":OP}`, with `kind` (`set`, `ordered_set`, `bag`), `cluster`, `durable`, `ttl_ms`,
//! `max_objects` and `max_bytes` as wanted. OP is one of `"open"`, `"size"`, `{"insert":[[KEY,VALUE],…]}`,
//! `{"insert_new":[…]}`, `{"lookup":[KEY,…]}`, `{"take":KEY}`, `{"delete":[KEY,…]}`, `{"delete_object":[[KEY,VALUE]]}`,
//! `{"update_counter":[{"key":KEY,"incr":1,"default":0,"threshold":[9,0]}]}`, `{"select_replace":[KEY,OLD,NEW]}` and
//! `{"select":{"prefix":KEY,"after":KEY,"limit":10}}`. Keys and values are texts.

use serde::Deserialize;
use serde_json::{Value, json};
use volley_plugin::bindings::volley::router::ets::{CounterOp, Kind, Object, Options, Table};
use volley_plugin::bindings::volley::router::types::{Error, Reach};

const OBJECTS_MAX: u64 = 100_000;
const BYTES_MAX: u64 = 64 << 20;

#[derive(Deserialize)]
pub(crate) struct Tables {
    name: String,
    op: Op,
    #[serde(default)]
    kind: KindName,
    #[serde(default)]
    cluster: bool,
    #[serde(default)]
    durable: bool,
    ttl_ms: Option<u64>,
    max_objects: Option<u64>,
    max_bytes: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum KindName {
    #[default]
    Set,
    OrderedSet,
    Bag,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Op {
    Open,
    Size,
    Insert(Vec<(String, String)>),
    InsertNew(Vec<(String, String)>),
    Lookup(Vec<String>),
    Take(String),
    Delete(Vec<String>),
    DeleteObject(Vec<(String, String)>),
    UpdateCounter(Vec<Counter>),
    SelectReplace(String, String, String),
    Select { prefix: String, after: Option<String>, limit: u32 },
}

#[derive(Deserialize)]
struct Counter {
    key: String,
    incr: i64,
    #[serde(default)]
    default: i64,
    threshold: Option<(i64, i64)>,
}

impl Tables {
    pub(crate) fn run(self) -> Result<Value, Error> {
        let options = Options {
            kind: match self.kind {
                KindName::Set => Kind::Set,
                KindName::OrderedSet => Kind::OrderedSet,
                KindName::Bag => Kind::Bag,
            },
            reach: if self.cluster { Reach::Cluster } else { Reach::Node },
            durable: self.durable,
            ttl_ms: self.ttl_ms,
            max_objects: self.max_objects.unwrap_or(OBJECTS_MAX),
            max_bytes: self.max_bytes.unwrap_or(BYTES_MAX),
        };
        self.op.run(&Table::open(&self.name, options)?)
    }
}

impl Op {
    fn run(self, table: &Table) -> Result<Value, Error> {
        Ok(match self {
            Self::Open => Value::Null,
            Self::Size => json!(table.size()),
            Self::Insert(list) => json!(table.insert(&objects(list))?),
            Self::InsertNew(list) => json!(table.insert_new(&objects(list))?),
            Self::Lookup(keys) => {
                let found = table.lookup(&terms(keys))?;
                json!(found.into_iter().map(texts).collect::<Vec<_>>())
            }
            Self::Take(key) => json!(texts(table.take(key.as_bytes())?)),
            Self::Delete(keys) => json!(table.delete(&terms(keys))?),
            Self::DeleteObject(list) => json!(table.delete_object(&objects(list))?),
            Self::UpdateCounter(counters) => {
                let op = |Counter { key, incr, default, threshold }| CounterOp {
                    key: key.into_bytes(),
                    incr,
                    default,
                    threshold,
                };
                json!(table.update_counter(&counters.into_iter().map(op).collect::<Vec<_>>())?)
            }
            Self::SelectReplace(key, old, new) => {
                json!(table.select_replace(key.as_bytes(), old.as_bytes(), new.as_bytes())?)
            }
            Self::Select { prefix, after, limit } => {
                let page = table.select(prefix.as_bytes(), after.as_deref().map(str::as_bytes), limit)?;
                let pairs: Vec<_> =
                    page.objects.into_iter().map(|object| texts(vec![object.key, object.value])).collect();
                json!({"objects": pairs, "continuation": page.continuation.map(|key| texts(vec![key]).concat())})
            }
        })
    }
}

fn objects(pairs: Vec<(String, String)>) -> Vec<Object> {
    let object = |(key, value): (String, String)| Object { key: key.into_bytes(), value: value.into_bytes() };
    pairs.into_iter().map(object).collect()
}

fn terms(texts: Vec<String>) -> Vec<Vec<u8>> {
    texts.into_iter().map(String::into_bytes).collect()
}

fn texts(terms: Vec<Vec<u8>>) -> Vec<String> {
    terms.into_iter().map(|term| String::from_utf8_lossy(&term).into_owned()).collect()
}
