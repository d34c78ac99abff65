//! What was installed, written beside it, so that a start need not hash 380 MB to know it unchanged.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How much is hashed at once.
const READ_BYTES: usize = 1 << 20;

/// The sidecar file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    package: String,
    sha256: String,
    bytes: u64,
    modified_s: i64,
    modified_ns: i64,
}

impl Record {
    /// Describes the executable as it is now.
    pub(super) fn take(package: &str, program: &Path) -> io::Result<Self> {
        let data = fs::metadata(program)?;
        Ok(Self {
            package: package.to_owned(),
            sha256: sha256(program)?,
            bytes: data.len(),
            modified_s: data.mtime(),
            modified_ns: data.mtime_nsec(),
        })
    }

    /// The hash of what was installed, in hexadecimal.
    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Reads a sidecar; one that is missing or unreadable is none.
    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Writes the sidecar.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, serde_json::to_vec_pretty(self)?)
    }

    /// Whether the executable is what was installed from this package: by size and time, and by its hash
    /// when those differ, as they do after a copy.
    pub(super) fn matches(&self, package: &str, program: &Path) -> io::Result<bool> {
        let data = fs::metadata(program)?;
        if self.package != package || data.len() != self.bytes {
            return Ok(false);
        }
        let untouched = (data.mtime(), data.mtime_nsec()) == (self.modified_s, self.modified_ns);
        Ok(untouched || sha256(program)? == self.sha256)
    }
}

/// The hash of a file, in hexadecimal.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut hash = Sha256::new();
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_hash_is_the_known_one() {
        let place = tempfile::tempdir().expect("a directory");
        let file = place.path().join("abc");
        fs::write(&file, "abc").expect("written");
        // FIPS 180-2, appendix B.1.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&file).expect("hashed"), known);
    }

    #[test]
    fn a_copy_passes_and_a_change_does_not() {
        let place = tempfile::tempdir().expect("a directory");
        let (program, sidecar) = (place.path().join("claude"), place.path().join("install.json"));
        fs::write(&program, "one").expect("written");
        Record::take("p@1", &program).expect("taken").write(&sidecar).expect("written");
        let record = Record::read(&sidecar).expect("a record");
        assert!(record.matches("p@1", &program).expect("read"));
        assert!(!record.matches("p@2", &program).expect("read"), "another package");

        let later = SystemTime::now() + Duration::from_mins(1);
        File::options().write(true).open(&program).expect("opened").set_modified(later).expect("set");
        assert!(record.matches("p@1", &program).expect("read"), "same content, another time");
        fs::write(&program, "two").expect("written");
        assert!(!record.matches("p@1", &program).expect("read"), "same size, other content");
        fs::write(&sidecar, "{").expect("written");
        assert_eq!(Record::read(&sidecar), None);
    }
}
