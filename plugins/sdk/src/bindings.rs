//! What wit-bindgen makes of the contract. The rest of the crate wraps it; a rule never sees it.
#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    rust_2018_idioms,
    clippy::all,
    clippy::pedantic,
    reason = "generated"
)]

wit_bindgen::generate!({
    path: "../../wit/v0.1",
    world: "plugin",
    pub_export_macro: true,
    default_bindings_module: "volley_plugin::bindings",
});

/// What a rule that migrates exports besides. Types of its own it has none.
pub mod migration {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        inline: "package volley:sdk; world migration { export volley:router/migration@0.1.0; }",
        world: "volley:sdk/migration",
        pub_export_macro: true,
        export_macro_name: "export_migration",
        default_bindings_module: "volley_plugin::bindings::migration",
    });
}

/// What a rule that can be rolled back to its former layout exports besides.
pub mod reversal {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        inline: "package volley:sdk; world reversal { export volley:router/reversal@0.1.0; }",
        world: "volley:sdk/reversal",
        pub_export_macro: true,
        export_macro_name: "export_reversal",
        default_bindings_module: "volley_plugin::bindings::reversal",
    });
}
