//! Names of objects and groups, as bytes.

use crate::Pid;

/// What can name an object in a table or a group in a scope.
///
/// Implement it for a type of your own to give the keys of a table a structure. `select` walks a table in the order of
/// the bytes and by their first bytes, so write first what you want to select by, and see that no key can be read in
/// two ways: end a text with a byte that it can't hold.
///
/// ```
/// use volley_plugin::Key;
///
/// struct Seat<'a> { room: &'a str, number: u8 }
///
/// impl Key for Seat<'_> {
///     fn write(&self, bytes: &mut Vec<u8>) {
///         bytes.extend_from_slice(self.room.as_bytes());
///         bytes.extend_from_slice(&[0, self.number]); // no topic holds a zero byte
///     }
/// }
/// assert_eq!(Seat { room: "a", number: 7 }.to_bytes(), [b'a', 0, 7]);
/// ```
pub trait Key {
    /// Appends the key.
    fn write(&self, bytes: &mut Vec<u8>);

    /// The whole key.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(KEY_BYTES_USUAL);
        self.write(&mut bytes);
        bytes
    }
}

/// Longer keys cost a second allocation, nothing else. Unmeasured: a topic and a name fit.
const KEY_BYTES_USUAL: usize = 48;

impl Key for [u8] {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self);
    }
}

impl Key for str {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.as_bytes().write(bytes);
    }
}

impl Key for Vec<u8> {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.as_slice().write(bytes);
    }
}

impl Key for String {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.as_bytes().write(bytes);
    }
}

/// Eight bytes, the highest first, so that the order of the keys is the order of the numbers.
impl Key for u64 {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_be_bytes());
    }
}

/// As its number.
impl Key for Pid {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.to_bits().write(bytes);
    }
}

impl<K: Key + ?Sized> Key for &K {
    fn write(&self, bytes: &mut Vec<u8>) {
        (**self).write(bytes);
    }
}
