//! Signatures of components: who may have made what runs here.
//!
//! A signature is Ed25519 (RFC 8032) over these 52 bytes: `volley component v1`, a zero byte, and the SHA-256 of the
//! component. It travels as standard base64 with padding, 88 characters: in the header `Volley-Signature` of a push, and
//! in a file named like the component with `.sig` at its end. A public key is 32 bytes, in the same base64. So without
//! volley, with a key that `openssl genpkey -algorithm ed25519 -out key.pem` made:
//!
//! ```sh
//! (printf 'volley component v1\0'; openssl dgst -sha256 -binary rule.wasm) > message
//! openssl pkeyutl -sign -rawin -inkey key.pem -in message | base64 -w0 > rule.wasm.sig
//! openssl pkey -in key.pem -pubout -outform DER | tail -c 32 | base64    # the public key, for [signing_keys]
//! ```
//!
//! Verification is the strict one: no weak keys, one encoding of each signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// What a signature is of begins with this, so that it can be no signature of anything else.
const DOMAIN: &[u8] = b"volley component v1\0";

/// Whose components are taken.
#[derive(Clone, Debug, Default)]
pub struct SigningKeys {
    /// Public keys by the names of their holders.
    pub keys: BTreeMap<String, VerifyingKey>,
    /// A component without a signature is refused.
    pub required: bool,
}

impl SigningKeys {
    /// The name of the key that the component is signed with, if it is; or why it is refused. A signature that fits no
    /// key is refused even when none is asked for: whoever signs wants it to be checked.
    pub fn verify(&self, component: &[u8], signature: Option<&str>) -> Result<Option<&str>, String> {
        let Some(signature) = signature else {
            return if self.required {
                Err(format!(
                    "the component is not signed, and this server takes only what one of {} signed",
                    self.names()
                ))
            } else {
                Ok(None)
            };
        };
        let signature = parse(signature).map(|bytes| Signature::from_bytes(&bytes));
        let signature = signature.ok_or("the signature is not 64 bytes in base64")?;
        let message = message(component);
        let mut keys = self.keys.iter();
        match keys.find(|(_, key)| key.verify_strict(&message, &signature).is_ok()) {
            Some((name, _)) => Ok(Some(name)),
            None if self.keys.is_empty() => {
                Err("the component is signed, but this server knows no key to check that with: \
                                                 name one in [signing_keys], or push it without the signature"
                    .into())
            }
            None => Err(format!(
                "the signature is not one of {} for this component: the component or its signature was changed, or it was \
                 signed with another key",
                self.names()
            )),
        }
    }

    fn names(&self) -> String {
        self.keys.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// What is signed of a component.
pub fn message(component: &[u8]) -> Vec<u8> {
    [DOMAIN, &Sha256::digest(component)].concat()
}

/// A public key that is safe to check with.
pub fn public_key(text: &str) -> Result<VerifyingKey, String> {
    let bytes = parse(text).ok_or("a public key is 32 bytes in base64, as `volley plugin keygen` prints it")?;
    match VerifyingKey::from_bytes(&bytes) {
        Ok(key) if !key.is_weak() => Ok(key),
        _ => Err("these 32 bytes are no public key of Ed25519".into()),
    }
}

fn parse<const N: usize>(base64: &str) -> Option<[u8; N]> {
    STANDARD.decode(base64.trim()).ok()?.try_into().ok()
}

#[cfg(test)]
#[path = "signatures_tests.rs"]
mod tests;
