//! Keys that change while the server runs.

use super::issuer::{Issuer, claims, jwks};
use super::{Doors, chmod, secret_file};
use crate::harness::wait_until;
use crate::http::{call, get};
use serde_json::json;

#[test]
fn new_keys_are_taken_and_bad_ones_are_not() {
    let (old, new) = (Issuer::es256("old"), Issuer::eddsa("new"));
    let doors = Doors::of(&[&old], &[]);
    let of = |issuer: &Issuer| doors.open(&issuer.token(&claims("ann", &[">"])), &json!({}));
    let opened = of(&old).expect(201).json();
    of(&new).problem(401);
    // As a file is replaced by whoever is careful: written beside, and renamed.
    secret_file(&doors.folder, "jwks.next", &jwks(&[&new]));
    let path = |name: &str| doors.folder.path().join(name);
    std::fs::rename(path("jwks.next"), path("jwks.json")).expect("renamed");
    wait_until("the new key to count", || (of(&new).status == 201).then_some(()));
    of(&old).problem(401);
    // What is open stays open.
    let session = opened["session"].as_str().expect("a token");
    call(&doors.server.listen, &get("/v1/poll?wait=0").token(session)).expect(200);
    // And what is no good changes nothing.
    secret_file(&doors.folder, "jwks.json", "{\"keys\":[");
    doors.server.wait_for_stderr("no JWK set");
    of(&new).expect(201);
    chmod(&path("jwks.json"), 0o666);
    doors.server.wait_for_stderr("others may write");
    std::fs::remove_file(path("jwks.json")).expect("removed");
    doors.server.wait_for_stderr("can't read the keys");
    of(&new).expect(201);
}
