//! A disk in memory that loses what a crash may lose.

use super::*;

/// A disk writes a sector whole or not at all.
pub(super) const SECTOR: usize = 512;

#[derive(Debug, Default, Clone)]
pub(super) struct MemoryFile {
    pub(super) bytes: Vec<u8>,
    pub(super) synced: usize,
}

#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) files: BTreeMap<String, MemoryFile>,
    /// Writes left before the machine stops.
    pub(super) writes_left: Option<u64>,
    pub(super) bytes_max: Option<usize>,
    pub(super) is_stopped: bool,
}

/// A disk in memory that survives its spool.
#[derive(Debug, Clone, Default)]
pub(super) struct MemoryStorage(pub(super) Arc<Mutex<Disk>>);

impl MemoryStorage {
    /// The machine stopped. Of every file the synced part stays. Of the rest each 512-byte sector
    /// is there or is zeros, whichever order it was written in, and the file ends somewhere.
    pub(super) fn crash(&self, seed: u64) {
        let mut disk = self.0.lock().unwrap();
        disk.is_stopped = false;
        disk.writes_left = None;
        let mut state = seed | 1;
        let mut chance = move |of: u64| {
            // Marsaglia's xorshift64.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % of
        };
        for file in disk.files.values_mut() {
            let unsynced = (file.bytes.len() - file.synced) as u64;
            let end = match chance(3) {
                0 => file.bytes.len(),
                _ => file.synced + chance(unsynced + 1) as usize,
            };
            file.bytes.truncate(end);
            let mut from = file.synced;
            while from < end {
                let to = ((from / SECTOR + 1) * SECTOR).min(end);
                if chance(2) == 0 {
                    file.bytes[from..to].fill(0);
                }
                from = to;
            }
            file.synced = end;
        }
    }
    pub(super) fn stop_after(&self, writes: u64) {
        self.0.lock().unwrap().writes_left = Some(writes);
    }
    pub(super) fn is_stopped(&self) -> bool {
        self.0.lock().unwrap().is_stopped
    }
}

impl Disk {
    /// Whether this write happens whole, in part, or the machine is already off.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        if self.is_stopped {
            return Err(io::Error::other("stopped"));
        }
        match &mut self.writes_left {
            Some(0) => {
                self.is_stopped = true;
                Ok(false)
            }
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None => Ok(true),
        }
    }
}

impl Storage for MemoryStorage {
    fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
        let disk = self.0.lock().unwrap();
        Ok(disk.files.iter().map(|(name, f)| (name.clone(), f.bytes.len() as u64)).collect())
    }
    fn read_at(&mut self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let disk = self.0.lock().unwrap();
        let file = disk.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        let from = (offset as usize).min(file.bytes.len());
        let to = from.saturating_add(len).min(file.bytes.len());
        Ok(file.bytes[from..to].to_vec())
    }
    fn create(&mut self, name: &str) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if disk.write()? {
            disk.files.insert(name.to_owned(), MemoryFile::default());
            return Ok(());
        }
        Err(io::Error::other("stopped"))
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        let is_whole = disk.write()?;
        let used: usize = disk.files.values().map(|f| f.bytes.len()).sum();
        let room = disk.bytes_max.map_or(usize::MAX, |max| max.saturating_sub(used));
        let file = disk.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        if !is_whole {
            file.bytes.extend_from_slice(&bytes[..bytes.len() / 2]);
            return Err(io::Error::other("stopped"));
        }
        if bytes.len() > room {
            file.bytes.extend_from_slice(&bytes[..room]);
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.bytes.extend_from_slice(bytes);
        Ok(())
    }
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if !disk.write()? {
            return Err(io::Error::other("stopped"));
        }
        let file = disk.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        file.bytes.truncate(len as usize);
        file.synced = file.bytes.len();
        Ok(())
    }
    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if !disk.write()? {
            return Err(io::Error::other("stopped"));
        }
        let file = disk.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        file.synced = file.bytes.len();
        Ok(())
    }
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if !disk.write()? {
            return Err(io::Error::other("stopped"));
        }
        let used: usize = disk.files.values().map(|f| f.bytes.len()).sum();
        if disk.bytes_max.is_some_and(|max| used + bytes.len() > max) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = MemoryFile { bytes: bytes.to_vec(), synced: bytes.len() };
        disk.files.insert(name.to_owned(), file);
        Ok(())
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if !disk.write()? {
            return Err(io::Error::other("stopped"));
        }
        disk.files.remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }
}
