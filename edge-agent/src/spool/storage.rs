//! Where a spool keeps its files: a folder on disk, or a test's memory.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// The file operations of a spool, on flat names.
pub trait Storage: Send {
    /// Names and lengths of all files, sorted by name.
    fn list(&mut self) -> io::Result<Vec<(String, u64)>>;
    /// `len` bytes from `offset`, or fewer at the end of the file.
    fn read_at(&mut self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>>;
    /// Creates an empty file whose existence is durable.
    fn create(&mut self, name: &str) -> io::Result<()>;
    /// Adds bytes at the end; on an error some of them may have been written.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file to `len` bytes.
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()>;
    /// Makes what was appended durable.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Replaces the whole content, atomically and durably.
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Removes a file, durably.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// A storage whose written bytes are counted: contents, not the file system's own.
pub(super) struct Metered {
    inner: Box<dyn Storage>,
    written_bytes: u64,
}

impl Metered {
    pub(super) fn new(inner: Box<dyn Storage>) -> Self {
        Self { inner, written_bytes: 0 }
    }

    /// Bytes written since this was last asked.
    pub(super) fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.written_bytes)
    }
}

impl Storage for Metered {
    fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
        self.inner.list()
    }
    fn read_at(&mut self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.inner.read_at(name, offset, len)
    }
    fn create(&mut self, name: &str) -> io::Result<()> {
        self.inner.create(name)
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.written_bytes += bytes.len() as u64;
        self.inner.append(name, bytes)
    }
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.inner.truncate(name, len)
    }
    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.inner.sync(name)
    }
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.written_bytes += bytes.len() as u64;
        self.inner.replace(name, bytes)
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }
}

/// A folder on disk. Files being appended to stay open.
#[derive(Debug)]
pub struct DiskStorage {
    folder: PathBuf,
    open: BTreeMap<String, File>,
    /// Held for its lock: one agent a folder.
    _lock: File,
}

/// Why a folder cannot be a spool.
#[derive(Debug, thiserror::Error)]
pub enum OpenFolderError {
    /// Not there and not to be made, or not writable.
    #[error("cannot create or write spool folder {path}; give the agent a writable folder (`spool_folder`)")]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "spool folder {path} is in use by another agent; give each agent a folder of its own (`spool_folder`)"
    )]
    InUse {
        /// Which folder.
        path: PathBuf,
    },
}

const LOCK_NAME: &str = "lock";

impl DiskStorage {
    /// Opens `folder`, creating it, and locks it against another agent.
    pub fn open(folder: &Path) -> Result<Self, OpenFolderError> {
        let at = |source| OpenFolderError::Folder { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(at)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK_NAME))
            .map_err(at)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(OpenFolderError::InUse { path: folder.to_owned() });
            }
            Err(fs::TryLockError::Error(source)) => return Err(at(source)),
        }
        Ok(Self { folder: folder.to_owned(), open: BTreeMap::new(), _lock: lock })
    }

    fn appender(&mut self, name: &str) -> io::Result<&mut File> {
        if !self.open.contains_key(name) {
            let file = OpenOptions::new().append(true).open(self.folder.join(name))?;
            self.open.insert(name.to_owned(), file);
        }
        self.open.get_mut(name).ok_or_else(|| io::Error::other("file was just opened"))
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

impl Storage for DiskStorage {
    fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if let (true, Ok(name)) = (meta.is_file(), entry.file_name().into_string())
                && name != LOCK_NAME
            {
                files.push((name, meta.len()));
            }
        }
        files.sort();
        Ok(files)
    }

    fn read_at(&mut self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.folder.join(name))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(len as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(self.folder.join(name))?;
        drop(file);
        self.open.remove(name);
        self.sync_folder()
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.appender(name)?.write_all(bytes)
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.folder.join(name))?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.appender(name)?.sync_data()
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let beside = self.folder.join(format!("{name}.new"));
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        self.open.remove(name);
        fs::rename(&beside, self.folder.join(name))?;
        self.sync_folder()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open.remove(name);
        fs::remove_file(self.folder.join(name))?;
        self.sync_folder()
    }
}
