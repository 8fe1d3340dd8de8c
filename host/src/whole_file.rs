//! A file of somebody's that is written anew: whole or not at all, whatever happens meanwhile to the disk or the process.
//!
//! The data folder has its own way (`data/steps`), since it is nobody's but the server's.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

/// Of a file that is not there yet, before the umask.
const FRESH_MODE: u32 = 0o666;

/// Puts the content in the place of what the path leads to, through links, with its permissions; whoever reads sees the
/// one or the other, and after an error what was there before.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    let path = match path.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
        found => found?,
    };
    let name = path.file_name().ok_or_else(|| Error::new(ErrorKind::InvalidInput, "this names no file"))?;
    let mut part = name.to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(part);
    let done = write_part(&part, &path, content).and_then(|()| fs::rename(&part, &path));
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done
}

fn write_part(part: &Path, path: &Path, content: &[u8]) -> Result<()> {
    // Of a process that had this number, and died.
    let _ = fs::remove_file(part);
    let before = path.metadata().ok();
    let mode = before.as_ref().map_or(FRESH_MODE, |before| before.permissions().mode());
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(part)?;
    file.write_all(content)?;
    if let Some(before) = before {
        // Only root may give files away, and only root writes files that are not its own.
        let _ = fchown(&file, Some(before.uid()), Some(before.gid()));
        file.set_permissions(before.permissions())?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced_with_its_permissions() {
        let scratch = Scratch::new();
        let (file, link) = (scratch.path().join("file"), scratch.path().join("link"));
        write(&file, b"one").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        write(&link, b"two").unwrap();
        assert_eq!((fs::read(&file).unwrap().as_slice(), fs::read_link(&link).unwrap()), (&b"two"[..], "file".into()));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o664);
        assert_eq!(names(scratch.path()), ["file", "link"]);
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let scratch = Scratch::new();
        let folder = scratch.path().join("folder");
        fs::create_dir(&folder).unwrap();
        assert!(write(&folder, b"no file").is_err());
        assert!(write(&scratch.path().join("none/file"), b"no folder").is_err());
        assert!(write(Path::new(".."), b"no name").is_err());
        assert_eq!(names(scratch.path()), ["folder"]);
    }
}
