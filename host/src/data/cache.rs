//! Compiled code by content and compiler, so that a restart need not compile.
//!
//! Whoever can have a server load code of theirs is that server. Code is therefore taken only from files that carry a
//! digest under a key which nobody but this user can read: such a file was written here, for this component and this
//! compiler, and is whole. Any other is removed, and the component compiled anew.

use super::steps;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const KEY_BYTES: usize = 32;
const DIGEST_BYTES: usize = 32;

/// The folder of the compiled code.
pub struct CodeCache {
    folder: PathBuf,
    keyed: Hmac<Sha256>,
    bytes_max: u64,
}

impl CodeCache {
    pub(super) fn open(data: &Path, bytes_max: u64) -> Result<Self> {
        let folder = data.join("cache");
        steps::make_folder(&folder)?;
        steps::remove_unfinished(&folder)?;
        let key = key(&data.join("cache.key"))?;
        let mut keyed = Hmac::new_from_slice(&key).expect("a key of any length is one");
        keyed.update(b"volley compiled code v1\0");
        Ok(Self { folder, keyed, bytes_max })
    }

    /// The code of that version by the compiler of that name, if it was kept.
    pub fn get(&self, version: &str, compiler: &str) -> Option<Vec<u8>> {
        let file = self.file(version, compiler)?;
        match self.read(&file) {
            Ok(code) => Some(code),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "compiled code is not used; compiling anew");
                let _ = steps::remove(&file);
                None
            }
        }
    }

    /// Keeps it. That it can't be kept is no more than slow, and logged.
    pub fn put(&self, version: &str, compiler: &str, mut code: Vec<u8>) {
        let Some(file) = self.file(version, compiler) else { return };
        let digest = self.digest(&file, &code).finalize().into_bytes();
        code.extend_from_slice(&digest);
        let kept = self
            .make_room(code.len() as u64, &file)
            .and_then(|room| if room { steps::replace(&file, &code) } else { Ok(()) });
        if let Err(error) = kept {
            tracing::warn!(file = %file.display(), %error, "compiled code can't be kept; a restart compiles anew");
        }
    }

    fn read(&self, file: &Path) -> Result<Vec<u8>> {
        let mut content = std::fs::read(file)?;
        let code = content.len().checked_sub(DIGEST_BYTES).ok_or_else(|| Error::other("it is cut off"))?;
        let digest = content.split_off(code);
        if self.digest(file, &content).verify_slice(&digest).is_err() {
            return Err(Error::other("this server did not write it, or it is damaged"));
        }
        // What was used longest ago is what goes first.
        File::open(file)?.set_modified(SystemTime::now())?;
        Ok(content)
    }

    /// Of the name as well, which says what the code is of.
    fn digest(&self, file: &Path, code: &[u8]) -> Hmac<Sha256> {
        let name = file.file_name().expect("it has one").as_encoded_bytes();
        self.keyed.clone().chain_update(name).chain_update(b"\0").chain_update(code)
    }

    /// Whether there is room for so many bytes beside what was used lately; the rest is removed.
    fn make_room(&self, bytes: u64, file: &Path) -> Result<bool> {
        let Some(mut room) = self.bytes_max.checked_sub(bytes) else { return Ok(false) };
        let mut kept = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            // One may have been removed meanwhile, by another thread that makes room.
            if let Ok(data) = path.metadata()
                && path != file
            {
                kept.push((data.modified()?, data.len(), path));
            }
        }
        kept.sort_by(|a, b| b.cmp(a));
        for (_, bytes, path) in kept {
            if let Some(left) = room.checked_sub(bytes) {
                room = left;
            } else {
                room = 0;
                steps::remove(&path)?;
            }
        }
        Ok(true)
    }

    fn file(&self, version: &str, compiler: &str) -> Option<PathBuf> {
        let plain = !compiler.is_empty() && compiler.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let hex = super::versions::hex(version).filter(|_| plain)?;
        Some(self.folder.join(format!("{hex}-{compiler}.code")))
    }
}

/// The key of this folder. One that others may have read is worth nothing, and replaced.
fn key(file: &Path) -> Result<Vec<u8>> {
    match std::fs::read(file) {
        Ok(key) if key.len() == KEY_BYTES && file.metadata()?.mode() & 0o777 == 0o600 => return Ok(key),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(_) | Err(_) => {}
    }
    let key = rand::random::<[u8; KEY_BYTES]>();
    steps::replace(file, &key)?;
    Ok(key.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::version_of;
    use crate::scratch::Scratch;
    use std::fs;
    use std::time::Duration;

    fn open(scratch: &Scratch, bytes_max: u64) -> CodeCache {
        CodeCache::open(scratch.path(), bytes_max).expect("a cache")
    }

    #[test]
    fn code_is_kept_by_component_and_compiler() {
        let scratch = Scratch::new();
        let [a, b] = [version_of(b"a"), version_of(b"b")];
        open(&scratch, 1000).put(&a, "c1", b"code".to_vec());
        let cache = open(&scratch, 1000);
        assert_eq!(cache.get(&a, "c1").as_deref(), Some(&b"code"[..]));
        assert_eq!([cache.get(&a, "c2"), cache.get(&b, "c1"), cache.get("sha256:../../x", "c1")], [None, None, None]);
    }

    #[test]
    fn whatever_bit_is_flipped_and_wherever_it_is_cut_it_is_removed() {
        let scratch = Scratch::new();
        let cache = open(&scratch, 1000);
        let version = version_of(b"a");
        let file = cache.file(&version, "c1").expect("a name");
        let code = b"some compiled code";
        cache.put(&version, "c1", code.to_vec());
        let good = fs::read(&file).unwrap();
        let flipped = (0..good.len() * 8).map(|bit| {
            let mut wrong = good.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            wrong
        });
        for wrong in flipped.chain((0..good.len()).map(|end| good[..end].to_vec())) {
            fs::write(&file, wrong).unwrap();
            assert_eq!(cache.get(&version, "c1"), None);
            assert!(!file.exists());
        }
        fs::write(&file, good).unwrap();
        assert_eq!(cache.get(&version, "c1").as_deref(), Some(&code[..]));
    }

    #[test]
    fn a_file_under_another_name_is_removed() {
        let scratch = Scratch::new();
        let cache = open(&scratch, 1000);
        let [a, b] = [version_of(b"a"), version_of(b"b")];
        cache.put(&a, "c1", b"code".to_vec());
        for (version, compiler) in [(&a, "c2"), (&b, "c1")] {
            fs::copy(cache.file(&a, "c1").unwrap(), cache.file(version, compiler).unwrap()).unwrap();
            assert_eq!(cache.get(version, compiler), None);
            assert!(!cache.file(version, compiler).unwrap().exists());
        }
        assert!(cache.get(&a, "c1").is_some());
    }

    #[test]
    fn with_another_key_nothing_is_taken() {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = Scratch::new();
        let version = version_of(b"a");
        let key = scratch.path().join("cache.key");
        let lose: [&dyn Fn(); 4] = [
            &|| fs::remove_file(&key).unwrap(),
            &|| fs::write(&key, "").unwrap(),
            &|| fs::write(&key, [7; KEY_BYTES]).unwrap(),
            &|| fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap(),
        ];
        for lose in lose {
            open(&scratch, 1000).put(&version, "c1", b"code".to_vec());
            assert!(open(&scratch, 1000).get(&version, "c1").is_some());
            lose();
            assert_eq!(open(&scratch, 1000).get(&version, "c1"), None);
            assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let scratch = Scratch::new();
        let cache = open(&scratch, 3 * (10 + DIGEST_BYTES as u64));
        let versions = [b"a", b"b", b"c", b"d"].map(|component| version_of(component));
        for (age, version) in (1..).zip(&versions[..3]) {
            cache.put(version, "c1", vec![0; 10]);
            let file = File::open(cache.file(version, "c1").unwrap()).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(1000 - age)).unwrap();
        }
        assert!(cache.get(&versions[0], "c1").is_some(), "the oldest, used just now");
        cache.put(&versions[3], "c1", vec![0; 10]);
        let kept = versions.each_ref().map(|version| cache.get(version, "c1").is_some());
        assert_eq!(kept, [true, false, true, true]);
        cache.put(&versions[3], "c1", vec![0; 10]);
        cache.put(&versions[1], "c1", vec![0; 10 + 3 * (10 + DIGEST_BYTES)]);
        let kept = versions.each_ref().map(|version| cache.get(version, "c1").is_some());
        assert_eq!(kept, [true, false, true, true], "what has no room is not kept, and nothing goes for it");
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let scratch = Scratch::new();
        let cache = open(&scratch, 0);
        cache.put(&version_of(b"a"), "c1", b"code".to_vec());
        assert_eq!(cache.get(&version_of(b"a"), "c1"), None);
    }
}
