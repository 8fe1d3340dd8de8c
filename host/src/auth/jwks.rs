//! The keys that tokens are signed with, as a JWK set, and what proves a token: an algorithm belongs to a key, so a token
//! never chooses how it is looked at.

use super::claims::Claims;
use super::ring_backend;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Keys of one set: a token is tried with each key that may have made it.
pub const KEYS_MAX: usize = 64;
/// Less can be guessed (RFC 7518).
const SECRET_BYTES_MIN: usize = 32;
/// What ring takes, so that a key that could never verify anything is told at once.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// What a token has to say besides being signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// One of these as `aud`; a token with one is refused when there are none.
    pub audience: Vec<String>,
    /// One of these as `iss`, if there are any.
    pub issuer: Vec<String>,
    /// How far an issuer's clock may be from ours.
    pub leeway_s: u64,
}

/// Keys by which tokens are known.
pub struct Jwks {
    keys: Vec<Key>,
    demands: Demands,
    /// Whether one of them is a secret.
    pub has_secret: bool,
}

struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    bytes: DecodingKey,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// Why a token is none, in words for whoever holds it. They name nothing that it says.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It is no JWT, or one of a kind that is not taken.
    #[error("the bearer token is no JWT that is signed with HS256, RS256, ES256 or EdDSA")]
    NotOne,
    /// No key of the set may have made it.
    #[error("none of the server's keys is the token's (kid and alg)")]
    NoKey,
    /// It was not made with the key that it names, or was changed since.
    #[error("the token's signature is wrong")]
    Forged,
    /// It does not count any more.
    #[error("the token has expired (exp): get a new one")]
    Expired,
    /// It does not count yet.
    #[error("the token does not count yet (nbf)")]
    Early,
    /// It is meant for somebody else.
    #[error("the token is meant for another audience (aud)")]
    Audience,
    /// Somebody else has made it.
    #[error("the token is another issuer's (iss)")]
    Issuer,
    /// What it says is not understood.
    #[error("the token's claims are not as they should be: {0}")]
    Claims(String),
}

impl Jwks {
    /// Reads a set; what is wrong is told with the number of the key. Keys that can't be a token's are left out.
    pub fn parse(text: &str, demands: Demands) -> Result<Self, String> {
        ring_backend::install();
        let set: Set = serde_json::from_str(text).map_err(|error| format!("no JWK set {{\"keys\":[…]}}: {error}"))?;
        if set.keys.len() > KEYS_MAX {
            return Err(format!("a set has at most {KEYS_MAX} keys"));
        }
        let mut keys = Vec::new();
        for (at, key) in set.keys.into_iter().enumerate() {
            // The words of serde may repeat a value, which may be a secret.
            let jwk: Jwk = serde_json::from_value(key).map_err(|_| format!("key {at} is no JWK"))?;
            keys.extend(Key::of(&jwk).map_err(|words| format!("key {at}: {words}"))?);
        }
        if keys.is_empty() {
            return Err("no key of the set can be a token's (HS256, RS256, ES256, EdDSA)".into());
        }
        let has_secret = keys.iter().any(|key| key.algorithm == Algorithm::HS256);
        Ok(Self { keys, demands, has_secret })
    }

    /// What a token claims, if one of the keys has made it and it counts now.
    pub fn verify(&self, token: &str) -> Result<Claims, BadToken> {
        let header = decode_header(token).map_err(|_| BadToken::NotOne)?;
        // What is critical and not known has to be refused (RFC 7515), and nothing of it is known here.
        if header.crit.is_some() {
            return Err(BadToken::NotOne);
        }
        let may_be = |key: &&Key| key.algorithm == header.alg && (header.kid.is_none() || key.id == header.kid);
        let mut last = BadToken::NoKey;
        for key in self.keys.iter().filter(may_be) {
            match self.verify_with(key, token) {
                Err(BadToken::Forged) => last = BadToken::Forged,
                otherwise => return otherwise,
            }
        }
        Err(last)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn verify_with(&self, key: &Key, token: &str) -> Result<Claims, BadToken> {
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = self.demands.leeway_s;
        validation.validate_nbf = true;
        if !self.demands.audience.is_empty() {
            validation.set_audience(&self.demands.audience);
            validation.required_spec_claims.insert("aud".into());
        }
        if !self.demands.issuer.is_empty() {
            validation.set_issuer(&self.demands.issuer);
            validation.required_spec_claims.insert("iss".into());
        }
        let decoded = decode::<Box<RawValue>>(token, &key.bytes, &validation);
        let decoded = decoded.map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => BadToken::Forged,
            ErrorKind::ExpiredSignature => BadToken::Expired,
            ErrorKind::ImmatureSignature => BadToken::Early,
            ErrorKind::InvalidAudience => BadToken::Audience,
            ErrorKind::InvalidIssuer => BadToken::Issuer,
            ErrorKind::MissingRequiredClaim(claim) => BadToken::Claims(format!("{claim} is missing")),
            ErrorKind::InvalidClaimFormat(claim) => BadToken::Claims(format!("{claim} is no number of seconds")),
            _ => BadToken::NotOne,
        })?;
        Claims::parse(decoded.claims.get()).map_err(BadToken::Claims)
    }
}

impl Key {
    /// None for a key that is for something else; an error for one that is meant for tokens and no good.
    fn of(jwk: &Jwk) -> Result<Option<Self>, String> {
        let common = &jwk.common;
        let is_for_tokens = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
        let verifies =
            common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        let Some((algorithm, named)) = algorithm(&jwk.algorithm) else { return Ok(None) };
        if !is_for_tokens || !verifies || common.key_algorithm.is_some_and(|alg| alg != named) {
            return Ok(None);
        }
        let bytes = DecodingKey::from_jwk(jwk).map_err(|_| "its numbers are no base64url")?;
        check(algorithm, &bytes)?;
        Ok(Some(Self { id: common.key_id.clone(), algorithm, bytes }))
    }
}

/// The one algorithm of a key.
fn algorithm(parameters: &AlgorithmParameters) -> Option<(Algorithm, KeyAlgorithm)> {
    match parameters {
        AlgorithmParameters::OctetKey(_) => Some((Algorithm::HS256, KeyAlgorithm::HS256)),
        AlgorithmParameters::RSA(_) => Some((Algorithm::RS256, KeyAlgorithm::RS256)),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Some((Algorithm::ES256, KeyAlgorithm::ES256))
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Some((Algorithm::EdDSA, KeyAlgorithm::EdDSA))
        }
        _ => None,
    }
}

fn check(algorithm: Algorithm, key: &DecodingKey) -> Result<(), String> {
    use jsonwebtoken::DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
    match (algorithm, key.kind()) {
        (Algorithm::HS256, SecretOrDer(secret)) if secret.len() < SECRET_BYTES_MIN => {
            Err(format!("a secret for HS256 has at least {SECRET_BYTES_MIN} bytes"))
        }
        (Algorithm::RS256, RsaModulusExponent { n, .. }) if !MODULUS_BYTES.contains(&n.len()) => {
            Err("an RSA key has from 2048 to 8192 bits".into())
        }
        (Algorithm::ES256, SecretOrDer(point)) if point.len() != 65 => Err("x and y of P-256 have 32 bytes".into()),
        (Algorithm::EdDSA, SecretOrDer(point)) if point.len() != 32 => Err("x of Ed25519 has 32 bytes".into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
