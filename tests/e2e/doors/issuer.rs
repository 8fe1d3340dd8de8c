//! Whoever signs tokens, as an identity provider would: keys of each kind, their JWK sets, tokens good and bad.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use ring::{hmac, signature};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// A key that signs tokens.
pub(crate) struct Issuer {
    pub(crate) kid: &'static str,
    kind: Kind,
}

enum Kind {
    Hs256(Vec<u8>),
    Rs256(Box<RsaKeyPair>),
    Es256(Box<EcdsaKeyPair>),
    EdDsa(Box<Ed25519KeyPair>),
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970, and so many more.
pub(crate) fn in_s(seconds: i64) -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64 + seconds
}

impl Issuer {
    pub(crate) fn hs256(kid: &'static str) -> Self {
        Self { kid, kind: Kind::Hs256(rand::random::<[u8; 32]>().to_vec()) }
    }

    /// With a key that is made for these tests and for nothing else.
    pub(crate) fn rs256(kid: &'static str) -> Self {
        let pair = RsaKeyPair::from_pkcs8(include_bytes!("rsa.pk8")).expect("a key");
        Self { kid, kind: Kind::Rs256(Box::new(pair)) }
    }

    pub(crate) fn es256(kid: &'static str) -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).expect("a key");
        Self { kid, kind: Kind::Es256(Box::new(pair)) }
    }

    pub(crate) fn eddsa(kid: &'static str) -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Self { kid, kind: Kind::EdDsa(Box::new(Ed25519KeyPair::from_pkcs8(made.as_ref()).expect("a key"))) }
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self.kind {
            Kind::Hs256(_) => "HS256",
            Kind::Rs256(_) => "RS256",
            Kind::Es256(_) => "ES256",
            Kind::EdDsa(_) => "EdDSA",
        }
    }

    /// As it stands in a JWK set.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.kind {
            Kind::Hs256(secret) => json!({"kty": "oct", "k": b64(secret)}),
            Kind::Rs256(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": b64(n), "e": b64(e)})
            }
            Kind::Es256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..])})
            }
            Kind::EdDsa(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key())}),
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm());
        jwk
    }

    /// The public key as some write it down: what a server must not take for a secret.
    pub(crate) fn public_bytes(&self) -> Vec<u8> {
        match &self.kind {
            Kind::Hs256(_) => panic!("it has none"),
            Kind::Rs256(pair) => pair.public().as_ref().to_vec(),
            Kind::Es256(pair) => pair.public_key().as_ref().to_vec(),
            Kind::EdDsa(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// A token with these claims that is good for an hour, unless they say otherwise.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.algorithm(), "kid": self.kid, "typ": "JWT"}), claims)
    }

    /// The same with that header, signed with this key whatever the header says.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        let mut claims = claims.clone();
        if claims.get("exp").is_none() {
            claims["exp"] = json!(in_s(3600));
        }
        if claims["exp"] == json!("none") {
            claims.as_object_mut().expect("an object").remove("exp");
        }
        let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        format!("{message}.{}", b64(self.sign(message.as_bytes())))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.kind {
            Kind::Hs256(secret) => hs256(secret, message),
            Kind::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("signed");
                signature
            }
            Kind::Es256(pair) => signature::EcdsaKeyPair::sign(pair, &random, message).expect("signed").as_ref().into(),
            Kind::EdDsa(pair) => pair.sign(message).as_ref().into(),
        }
    }
}

pub(crate) fn hs256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().into()
}

/// A JWK set of these.
pub(crate) fn jwks(issuers: &[&Issuer]) -> String {
    json!({"keys": issuers.iter().map(|issuer| issuer.jwk()).collect::<Vec<_>>()}).to_string()
}

/// Claims of a user who may join and publish to what these patterns say.
pub(crate) fn claims(user: &str, patterns: &[&str]) -> Value {
    json!({"sub": user, "volley": {"join": patterns, "publish": patterns}})
}
