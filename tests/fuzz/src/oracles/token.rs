//! A token survives its text, and only the text that we would write is one.

use crate::pid::Pid;
use crate::session::Secret;
use crate::token::Token;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Checks the input as a text, and its first bytes as what is in a token.
pub fn check(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let parsed = Token::parse(text);
        assert_eq!(parsed.as_ref().map(parts), parts_of(text), "{text:?}");
        if let Some(token) = parsed {
            assert_eq!(token.text(), text, "written in one way only");
        }
    }
    if let Some((pid, rest)) = data.split_first_chunk()
        && let Some(secret) = rest.first_chunk()
    {
        let pid = Pid::from_bits(u64::from_le_bytes(*pid) >> 11).expect("53 bits");
        let token = Token { pid, secret: Secret::from_bytes(*secret) };
        let again = Token::parse(&token.text()).expect("our own");
        assert_eq!(parts(&again), (pid.to_bits(), *secret));
    }
}

fn parts(token: &Token) -> (u64, [u8; 16]) {
    (token.pid.to_bits(), *token.secret.as_bytes())
}

/// The model: 31 digits to the base of 64 are 186 bits: three of zero, the PID, the secret, two of zero.
fn parts_of(text: &str) -> Option<(u64, [u8; 16])> {
    let digits: Vec<usize> =
        text.bytes().map(|byte| ALPHABET.iter().position(|digit| *digit == byte)).collect::<Option<_>>()?;
    let bits: Vec<bool> = digits.iter().flat_map(|digit| (0..6).rev().map(move |bit| digit >> bit & 1 == 1)).collect();
    if bits.len() != 186 || bits[..3].contains(&true) || bits[184..].contains(&true) {
        return None;
    }
    let number = |bits: &[bool]| bits.iter().fold(0u128, |number, bit| number << 1 | u128::from(*bit));
    Some((number(&bits[..56]) as u64, number(&bits[56..184]).to_be_bytes()))
}
