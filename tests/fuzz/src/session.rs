//! Stands in for the server's `session`, which needs sockets: a token knows of it that a secret is 16 bytes.

/// What a token proves to know.
pub struct Secret([u8; 16]);

impl Secret {
    /// As they travel in a token.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// For the token, and for nothing else.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}
