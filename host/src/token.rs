//! A session's token: its PID, so that finding the session is an index, and 128 secret bits. Never logged.

use crate::pid::Pid;
use crate::session::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A PID has 53 bits.
const PID_BYTES: usize = 7;
const TOKEN_BYTES: usize = PID_BYTES + 16;

/// What a client shows for a session.
pub struct Token {
    /// Which session it claims to be.
    pub pid: Pid,
    /// What proves it.
    pub secret: Secret,
}

impl Token {
    /// None for what cannot be a token of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        let read = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        if read != TOKEN_BYTES {
            return None;
        }
        let (pid, secret) = bytes.split_at(PID_BYTES);
        let mut bits = [0; 8];
        bits[1..].copy_from_slice(pid);
        Some(Self {
            pid: Pid::from_bits(u64::from_be_bytes(bits))?,
            secret: Secret::from_bytes(secret.try_into().ok()?),
        })
    }

    /// As the client gets it.
    pub fn text(&self) -> String {
        let mut bytes = [0; TOKEN_BYTES];
        bytes[..PID_BYTES].copy_from_slice(&self.pid.to_bits().to_be_bytes()[1..]);
        bytes[PID_BYTES..].copy_from_slice(self.secret.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_and_nothing_else_is_one() {
        let token = Token { pid: Pid::new(3, 17, 9), secret: Secret::random() };
        let parsed = Token::parse(&token.text()).expect("our own");
        assert!(parsed.pid == token.pid && parsed.secret.matches(&token.secret));
        let long = format!("{}A", token.text());
        for text in ["", "x", &token.text()[1..], &long, "…", &"/".repeat(31), &"_".repeat(31)] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }
}
