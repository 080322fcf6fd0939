//! Small files that others read while they change: whole as before or whole as after, whatever dies in between.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// What a file is called until it is whole.
pub const UNFINISHED: &str = "new";

/// Writes a file in the place of what is there, for these readers (`0o600`: its owner alone). It is on the disk when
/// this returns. Two at once on the same file would disturb each other: the caller sees to it that there is one.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let unfinished = prepare(path, bytes, mode)?;
    fs::rename(&unfinished, path)?;
    sync_folder_of(path)
}

/// Writes what a file is to become beside it, on the disk too; its path. A rename puts it in place.
pub fn prepare(path: &Path, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
    let unfinished = unfinished(path);
    // Its mode is that of its making: one that is left of before may have another.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(unfinished)
}

/// The path of a file until it is whole: its name with `.new` behind it.
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(UNFINISHED);
    name.into()
}

/// Removes a file, if it is there; it stays away after a power cut.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder_of(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Brings names of a folder, as renames have made them, to the disk.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test is the message")]

    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_is_replaced_is_whole_and_for_its_readers_alone() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        // Left by one that died, readable by all.
        fs::write(unfinished(&path), "half").unwrap();
        replace(&path, b"one", 0o600).unwrap();
        replace(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
        assert!(replace(&folder.path().join("none/a.key"), b"x", 0o600).is_err());
    }
}
