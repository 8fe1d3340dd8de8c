//! What a signature proves, and what is none.

use super::*;
use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;

const COMPONENT: &[u8] = b"\0asm, let us say";

fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// alice's and bob's.
fn keys() -> SigningKeys {
    let keys = [("alice".to_owned(), secret(1).verifying_key()), ("bob".to_owned(), secret(2).verifying_key())];
    SigningKeys { keys: keys.into(), required: true }
}

fn signed(component: &[u8], seed: u8) -> String {
    STANDARD.encode(secret(seed).sign(&message(component)).to_bytes())
}

#[track_caller]
fn refused(keys: &SigningKeys, component: &[u8], signature: Option<&str>) -> String {
    keys.verify(component, signature).expect_err("it is refused")
}

#[test]
fn the_signer_is_told() {
    assert_eq!(keys().verify(COMPONENT, Some(&signed(COMPONENT, 1))), Ok(Some("alice")));
    assert_eq!(keys().verify(COMPONENT, Some(&format!(" {}\n", signed(COMPONENT, 2)))), Ok(Some("bob")));
}

#[test]
fn what_is_not_signed_is_refused_only_where_that_is_asked_for() {
    let words = refused(&keys(), COMPONENT, None);
    assert!(words.contains("not signed") && words.contains("alice, bob"), "{words}");
    assert_eq!(SigningKeys { required: false, ..keys() }.verify(COMPONENT, None), Ok(None));
    assert_eq!(SigningKeys::default().verify(COMPONENT, None), Ok(None));
}

#[test]
fn a_wrong_signature_is_refused_wherever() {
    let other = signed(COMPONENT, 3);
    for required in [true, false] {
        let words = refused(&SigningKeys { required, ..keys() }, COMPONENT, Some(&other));
        assert!(words.contains("another key"), "{words}");
    }
    let words = refused(&SigningKeys::default(), COMPONENT, Some(&other));
    assert!(words.contains("[signing_keys]"), "{words}");
}

#[test]
fn what_is_no_signature_is_told() {
    let good = signed(COMPONENT, 1);
    let url_safe = base64::engine::general_purpose::URL_SAFE.encode([0xff; 64]);
    let long = STANDARD.encode([0; 65]);
    for wrong in
        ["", "!", "AAAA", &good[..87], &good[..44], &format!("{good}{good}"), &url_safe, &long, "\u{e9}\u{1f600}"]
    {
        let words = refused(&keys(), COMPONENT, Some(wrong));
        assert!(words.contains("64 bytes in base64"), "{wrong:?}: {words}");
    }
}

/// A signature of the bare digest, or of the component itself, is one of something else.
#[test]
fn a_signature_is_of_a_component_of_volley() {
    let digest = Sha256::digest(COMPONENT);
    for other in [&digest[..], COMPONENT, &[b"volley component v2\0", &digest[..]].concat()] {
        let signature = STANDARD.encode(secret(1).sign(other).to_bytes());
        refused(&keys(), COMPONENT, Some(&signature));
    }
}

/// With the neutral element as key, one signature fits every message, unless verification is strict.
#[test]
fn a_weak_key_is_none() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert!(public_key(&STANDARD.encode(neutral)).is_err());
    let weak = VerifyingKey::from_bytes(&neutral).expect("a point");
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&neutral);
    let keys = SigningKeys { keys: [("eve".to_owned(), weak)].into(), required: false };
    refused(&keys, COMPONENT, Some(&STANDARD.encode(signature)));
}

/// Made with OpenSSL 3.0 as the module's head says, from the key whose 32 bytes are 0 to 31.
#[test]
fn openssl_makes_the_same() {
    let keys = [("other".to_owned(), public_key("A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=").expect("a key"))];
    let keys = SigningKeys { keys: keys.into(), required: true };
    let signature = "KVFthiZvXhOozrtFJrcd/7R6sPfoALj9thPSUV0DlXVSVS7oKUiS+43dQJR9dRZ8jrOIKdawWnzp8z4G2XejDA==";
    assert_eq!(keys.verify(b"rule\n", Some(signature)), Ok(Some("other")));
}

proptest! {
    #[test]
    fn whatever_is_changed_is_noticed(
        component in prop::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(), bit in 0..8_u32,
    ) {
        let good = signed(&component, 1);
        let keys = keys();
        prop_assert_eq!(keys.verify(&component, Some(&good)), Ok(Some("alice")));
        let mut other = component.clone();
        other[at.index(component.len())] ^= 1 << bit;
        prop_assert!(keys.verify(&other, Some(&good)).is_err());
        let mut bytes = STANDARD.decode(&good).unwrap();
        bytes[at.index(64)] ^= 1 << bit;
        prop_assert!(keys.verify(&component, Some(&STANDARD.encode(&bytes))).is_err());
    }

    #[test]
    fn no_text_is_taken_for_a_signature_or_a_key(text in ".{0,100}") {
        prop_assert!(keys().verify(COMPONENT, Some(&text)).is_err());
        if let Ok(key) = public_key(&text) {
            prop_assert_eq!(STANDARD.encode(key), text.trim());
        }
    }
}
