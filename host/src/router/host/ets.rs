//! The contract's `ets`: handles to the node's tables.

use super::candidate::Opening;
use super::overlay::Touched;
use super::{HostState, error};
use crate::caller::Caller;
use crate::denied::Allowed;
use crate::router::contract::volley::router::ets::{
    CounterOp, Error, Host, HostTable, Kind, Object, Options, Page, Term,
};
use crate::router::handles::OpenTable;
use crate::tables::{self, Table};
use std::sync::Arc;
use wasmtime::component::Resource;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl HostState {
    /// Makes a call on the table behind a handle; a wrong handle is a trap.
    fn on_table<T>(
        &mut self,
        handle: &Resource<OpenTable>,
        touched: Option<Touched>,
        call: impl FnOnce(&Arc<Table>, &Caller) -> Allowed<T>,
    ) -> Answer<T> {
        let table = self.handles.get(handle)?.0.clone();
        Ok(self.call_table(&table, touched, call).map_err(error))
    }

    /// The same for a call that writes.
    fn writes<T>(
        &mut self,
        handle: &Resource<OpenTable>,
        touched: Option<Touched>,
        call: impl FnOnce(&Arc<Table>, &Caller) -> Allowed<T>,
    ) -> Answer<T> {
        let table = self.handles.get(handle)?.0.clone();
        let may = self.unless_initialising("writes no tables");
        Ok(may.and_then(|()| self.call_table(&table, touched, call)).map_err(error))
    }
}

impl Host for HostState {}

impl HostTable for HostState {
    fn open(&mut self, name: String, options: Options) -> Answer<Resource<OpenTable>> {
        let options = tables::Options {
            kind: match options.kind {
                Kind::Set => tables::Kind::Set,
                Kind::OrderedSet => tables::Kind::OrderedSet,
                Kind::Bag => tables::Kind::Bag,
            },
            durable: options.durable,
            ttl_ms: options.ttl_ms,
            max_objects: options.max_objects,
            max_bytes: options.max_bytes,
        };
        let opened = self.find_table(&name, &options);
        match opened {
            Ok(table) => {
                let handle = self.handles.push(OpenTable(table))?;
                self.opens_later(handle.rep(), Opening::Table(name, options))?;
                Ok(Ok(handle))
            }
            Err(denied) => Ok(Err(error(denied))),
        }
    }

    fn insert(&mut self, table: Resource<OpenTable>, objects: Vec<Object>) -> Answer<()> {
        let touched = self.touching("insert", true, || keys_of(&objects));
        self.writes(&table, touched, |table, by| table.insert(by, lift(objects)))
    }

    fn insert_new(&mut self, table: Resource<OpenTable>, objects: Vec<Object>) -> Answer<bool> {
        let touched = self.touching("insert-new", true, || keys_of(&objects));
        self.writes(&table, touched, |table, by| table.insert_new(by, lift(objects)))
    }

    fn lookup(&mut self, table: Resource<OpenTable>, keys: Vec<Term>) -> Answer<Vec<Vec<Term>>> {
        let touched = self.touching("lookup", false, || keys.clone());
        self.on_table(&table, touched, |table, by| table.lookup(by, &keys))
    }

    fn take(&mut self, table: Resource<OpenTable>, key: Term) -> Answer<Vec<Term>> {
        let touched = self.touching("take", true, || vec![key.clone()]);
        self.writes(&table, touched, |table, by| table.take(by, &key))
    }

    fn delete(&mut self, table: Resource<OpenTable>, keys: Vec<Term>) -> Answer<u64> {
        let touched = self.touching("delete", true, || keys.clone());
        self.writes(&table, touched, |table, by| table.delete(by, &keys))
    }

    fn delete_object(&mut self, table: Resource<OpenTable>, objects: Vec<Object>) -> Answer<u64> {
        let touched = self.touching("delete-object", true, || keys_of(&objects));
        self.writes(&table, touched, |table, by| table.delete_object(by, &lift(objects)))
    }

    fn update_counter(&mut self, table: Resource<OpenTable>, ops: Vec<CounterOp>) -> Answer<Vec<i64>> {
        let lift = |op: CounterOp| tables::CounterOp {
            key: op.key,
            incr: op.incr,
            default: op.default,
            threshold: op.threshold,
        };
        let ops: Vec<_> = ops.into_iter().map(lift).collect();
        let touched = self.touching("update-counter", true, || ops.iter().map(|op| op.key.clone()).collect());
        self.writes(&table, touched, |table, by| table.update_counter(by, &ops))
    }

    fn select_replace(&mut self, table: Resource<OpenTable>, key: Term, old: Term, new: Term) -> Answer<bool> {
        let touched = self.touching("select-replace", true, || vec![key.clone()]);
        self.writes(&table, touched, |table, by| table.select_replace(by, &key, &old, new))
    }

    fn select(&mut self, table: Resource<OpenTable>, prefix: Term, after: Option<Term>, limit: u32) -> Answer<Page> {
        let after = after.as_deref();
        let touched = self.touching_page(&prefix, after, limit);
        let page = self.on_table(&table, touched, |table, by| table.select(by, &prefix, after, limit))?;
        let lower = |object: tables::Object| Object { key: object.key, value: object.value };
        Ok(page.map(|page| Page {
            objects: page.objects.into_iter().map(lower).collect(),
            continuation: page.continuation,
        }))
    }

    fn size(&mut self, table: Resource<OpenTable>) -> wasmtime::Result<u64> {
        let table = self.handles.get(&table)?.0.clone();
        Ok(self.count_objects(&table))
    }

    fn drop(&mut self, table: Resource<OpenTable>) -> wasmtime::Result<()> {
        self.handles.delete(table)?;
        Ok(())
    }
}

fn keys_of(objects: &[Object]) -> Vec<Vec<u8>> {
    objects.iter().map(|object| object.key.clone()).collect()
}

fn lift(objects: Vec<Object>) -> Vec<tables::Object> {
    objects.into_iter().map(|object| tables::Object { key: object.key, value: object.value }).collect()
}
