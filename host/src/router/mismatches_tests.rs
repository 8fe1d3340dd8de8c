//! What is said of components that were built for something else: the bundled ones, edited.

use super::mismatches;
use crate::limits::Limits;
use crate::router::Engine;

fn bundled(name: &str) -> Vec<u8> {
    crate::bundled::component(name).expect("bundled").to_vec()
}

/// The component with other bytes of the same length in every place.
fn edited(component: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "sizes stand before what they count");
    let mut component = component.to_vec();
    let places: Vec<_> = (0..component.len()).filter(|at| component[*at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "{} is not there", from.escape_ascii());
    for at in places {
        component[at..at + to.len()].copy_from_slice(to);
    }
    component
}

#[test]
fn what_was_built_for_the_contract_fits() {
    for name in crate::bundled::NAMES {
        assert_eq!(mismatches(&bundled(name)), [""; 0], "{name}");
    }
}

#[test]
fn another_version_is_named() {
    let newer = edited(&bundled("topic"), b"volley:router/handler@0.1.0", b"volley:router/handler@0.2.0");
    assert_eq!(mismatches(&newer), ["exports the handler of volley:router 0.2.0; this host speaks 0.1"]);
    let newer = edited(&bundled("topic"), b"volley:router/types@0.1.0", b"volley:router/types@1.1.0");
    assert_eq!(mismatches(&newer), ["built for volley:router 1.1.0; this host speaks 0.1 (volley:router/types@1.1.0)"]);
    let patched = edited(&bundled("topic"), b"@0.1.0", b"@0.1.7");
    assert_eq!(mismatches(&patched), [""; 0]);
}

#[test]
fn strange_imports_are_named() {
    let wasi = edited(&bundled("topic"), b"volley:router/logger@0.1.0", b"wasi:random/insecure@0.2.0");
    assert_eq!(
        mismatches(&wasi),
        ["imports wasi:random/insecure@0.2.0: a plugin gets no WASI, only what wit/ gives it"]
    );
    let unknown = edited(&bundled("topic"), b"volley:router/logger@0.1.0", b"volley:router/lodger@0.1.0");
    assert_eq!(mismatches(&unknown), ["imports volley:router/lodger@0.1.0, which this host does not have"]);
    let unknown = edited(&bundled("chat"), b"[method]table.lookup", b"[method]table.lockup");
    assert_eq!(mismatches(&unknown), ["ets: imports the function [method]table.lockup, which this host does not have"]);
}

#[test]
fn a_missing_handler_or_function_is_named() {
    let none = edited(&bundled("topic"), b"volley:router/handler@0.1.0", b"volley:router/hendler@0.1.0");
    assert_eq!(mismatches(&none), ["does not export volley:router/handler@0.1.0"]);
    assert_eq!(mismatches(b"\0asm\x0d\0\x01\0"), ["does not export volley:router/handler@0.1.0"]);
    let lacking = edited(&bundled("topic"), b"\x05route", b"\x05ruote");
    assert_eq!(mismatches(&lacking), ["handler: does not export the function route"]);
}

#[test]
fn a_type_that_differs_is_said_once_and_by_its_name() {
    let renamed = edited(&bundled("topic"), b"time-ms", b"time-us");
    assert_eq!(
        mismatches(&renamed),
        [
            "types: the record event has no field time-ms",
            "types: the record event has a field time-us, which this host does not know"
        ]
    );
    let narrower = edited(&bundled("topic"), b"time-msw", b"time-msy");
    assert_eq!(mismatches(&narrower), ["types: the field time-ms of the record event is u32; this host has u64"]);
    let renamed = edited(&bundled("topic"), b"\x05leave", b"\x05leafe");
    assert_eq!(
        mismatches(&renamed),
        [
            "types: the enum event-kind has no case leave",
            "types: the enum event-kind has a case leafe, which this host does not know"
        ]
    );
}

#[test]
fn everything_is_told_at_once() {
    let component = edited(&bundled("chat"), b"time-msw", b"time-msy");
    let component = edited(&component, b"volley:router/logger@0.1.0", b"wasi:random/insecure@0.2.0");
    let component = edited(&component, b"[method]scope.leave", b"[method]scope.loave");
    let words = mismatches(&component);
    assert_eq!(words.len(), 3, "{words:?}");
}

#[test]
fn what_is_no_component_is_told() {
    let refused = |component: &[u8]| mismatches(component).pop().expect("no rule");
    assert!(refused(b"not wasm at all").contains("not a valid component"));
    assert!(refused(b"").contains("not a valid component"));
    assert!(refused(b"\0asm\x01\0\0\0").contains("core module"));
    assert!(refused(&vec![0; (64 << 20) + 1]).contains("64 MiB"));
    let topic = bundled("topic");
    assert!(refused(&topic[..topic.len() / 2]).contains("not a valid component"));
}

#[test]
fn nesting_has_a_bound() {
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 0..40 {
        let mut size = Vec::new();
        let mut rest = component.len();
        while rest > 0x7f {
            size.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        size.push(rest as u8);
        component = [b"\0asm\x0d\0\x01\0\x04", &size[..], &component].concat();
    }
    assert_eq!(mismatches(&component), ["this is not a valid component: it is nested deeper than 16"]);
}

/// What differs in types that only exports have, wasmtime would notice when an instance is made.
#[test]
fn wasmtime_agrees() {
    let engine = Engine::new(&Limits::default()).unwrap();
    let chat = bundled("chat");
    assert!(engine.compile_unchecked(&chat).is_ok());
    let edits: [(&[u8], &[u8]); 6] = [
        (b"\x05route", b"\x05ruote"),
        (b"[method]scope.leave", b"[method]scope.loave"),
        (b"volley:router/handler@0.1.0", b"volley:router/handler@0.2.0"),
        (b"volley:router/logger@0.1.0", b"wasi:random/insecure@0.2.0"),
        (b"volley:router/ets@0.1.0", b"volley:router/ets@0.2.0"),
        (b"not-owner", b"not-ovner"),
    ];
    for (from, to) in edits {
        let component = edited(&chat, from, to);
        let said = mismatches(&component);
        assert!(!said.is_empty(), "{}", from.escape_ascii());
        assert!(engine.compile_unchecked(&component).is_err(), "{said:?}");
    }
}
