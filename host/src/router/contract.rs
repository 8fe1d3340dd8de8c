//! The contract of `wit/v0.1` as Rust types, generated.

// The generated code is safe to call; its `unsafe` blocks are wasmtime's own.
#![allow(missing_docs, unreachable_pub, unsafe_code, clippy::pedantic)]

wasmtime::component::bindgen!({
    path: "../wit/v0.1",
    world: "plugin",
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: { default: trappable },
    with: {
        "volley:router/ets.table": crate::router::handles::OpenTable,
        "volley:router/pg.scope": crate::router::handles::OpenScope,
    },
});
