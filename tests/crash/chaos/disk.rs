//! The node's disk as a small file system of its own, which can be filled. Mounting one needs root.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// More than a whole run writes.
const SIZE: &str = "size=192m";
/// Takes what is left of the disk.
const BALLAST: &str = "ballast";

pub(super) struct Disk {
    mounted_at: Option<PathBuf>,
}

impl Disk {
    /// Mounts it at `folder`, or says why it can't.
    pub(super) fn mount(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "bzzz-chaos"]).arg(folder).output();
        match mounted {
            Ok(output) if output.status.success() => Self { mounted_at: Some(folder.to_owned()) },
            Ok(output) => Self::absent(&String::from_utf8_lossy(&output.stderr)),
            Err(error) => Self::absent(&error.to_string()),
        }
    }

    fn absent(why: &str) -> Self {
        println!("skipped: a full disk, since no file system can be mounted: {}", why.trim());
        Self { mounted_at: None }
    }

    pub(super) fn can_be_filled(&self) -> bool {
        self.mounted_at.is_some()
    }

    /// Leaves no byte free.
    pub(super) fn fill(&self) {
        let Some(folder) = &self.mounted_at else { return };
        let mut ballast = std::fs::File::create(folder.join(BALLAST)).unwrap();
        let chunk = vec![0; 64 * 1024];
        // Until it fails: that is what is wanted.
        while ballast.write_all(&chunk).is_ok() {}
    }

    pub(super) fn empty(&self) {
        if let Some(folder) = &self.mounted_at {
            let _ = std::fs::remove_file(folder.join(BALLAST));
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(folder) = &self.mounted_at {
            // Lazily: a node that is just being ended may still have files open.
            let _ = Command::new("umount").arg("--lazy").arg(folder).status();
        }
    }
}
