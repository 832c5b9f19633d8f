//! The processor as Lambda shares it out: whole cores while a function starts, and from its first event
//! on a share by its memory. Linux's control groups do that here, too.

use std::path::{Path, PathBuf};
use std::{fs, io, process};

/// With so much memory a function has one core:
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>.
const MB_OF_ONE_CORE: f64 = 1769.0;

/// Each share is given again after so many microseconds.
const PERIOD: u32 = 20_000;

/// A share of a core, for processes that have started. Removed when dropped.
pub struct Share(PathBuf);

impl Share {
    /// What a function of so much memory has.
    ///
    /// # Errors
    /// Where this process may not make a control group: mostly, where it is not root's.
    pub fn of(megabytes: u32) -> io::Result<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let is_unified = root.join("cgroup.controllers").exists();
        let parent = if is_unified { root } else { &root.join("cpu") };
        let folder = parent.join(format!("bench-{}-{megabytes}", process::id()));
        fs::create_dir(&folder)?;
        let share = Share(folder);
        let quota = (f64::from(PERIOD * megabytes) / MB_OF_ONE_CORE) as u32;
        if is_unified {
            share.set("cpu.max", &format!("{quota} {PERIOD}"))?;
        } else {
            share.set("cpu.cfs_period_us", &PERIOD.to_string())?;
            share.set("cpu.cfs_quota_us", &quota.to_string())?;
        }
        Ok(share)
    }

    /// From now on a process has no more than this.
    pub fn hold(&self, process: u32) -> io::Result<()> {
        self.set("cgroup.procs", &process.to_string())
    }

    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.0.join(file), value)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // A group whose processes have not gone stays, and does no harm.
        let _ = fs::remove_dir(&self.0);
    }
}
