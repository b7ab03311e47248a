//! The long outputs of commands as files, so that later commands can look into what is not shown of them.
//!
//! Whatever a command put in their place is no file of theirs: each is made anew, by the daemon alone, and never waited for.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sandboxd::{FIRST_OWN_JOB, LONG_OUTPUT_BYTES, MAX_OUTPUT_FILES, OUTPUTS_FOLDER, output_file};

use super::capture::Captured;

#[derive(Debug, Default)]
pub(crate) struct OutputFiles(VecDeque<PathBuf>);

impl OutputFiles {
    /// Whether the output is in its file now: it is long, a command's, and there was room.
    pub(crate) fn write(&mut self, job: u32, output: &Captured) -> bool {
        if job >= FIRST_OWN_JOB || output.total_bytes() <= LONG_OUTPUT_BYTES as u64 {
            return false;
        }
        if self.0.len() == MAX_OUTPUT_FILES
            && let Some(oldest) = self.0.pop_front()
        {
            let _ = fs::remove_file(oldest);
        }
        let _ = fs::create_dir(OUTPUTS_FOLDER);
        let path = PathBuf::from(output_file(job));
        let is_written = write_new(&path, output).is_ok();
        if is_written {
            self.0.push_back(path);
        } else {
            let _ = fs::remove_file(path);
        }
        is_written
    }
}

fn write_new(path: &Path, output: &Captured) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(problem) if problem.kind() != io::ErrorKind::NotFound => return Err(problem),
        _ => {}
    }
    // A new file is a regular one: opening it waits for nobody.
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(&output.head)?;
    if output.left_out > 0 {
        write!(file, "\n[… {} bytes were left out here …]\n", output.left_out)?;
    }
    file.write_all(&output.tail)
}
