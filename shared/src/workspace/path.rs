//! Where a file lies in a project, as clients name it.

use std::ffi::{CStr, CString};

use crate::schema::limits;

/// The way to a file, from the top of its workspace: at least one name, and none that leads anywhere but down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath {
    /// With slashes between the names.
    whole: CString,
    names: Vec<CString>,
}

/// What a path may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It names nothing.
    #[error("it is empty")]
    Empty,
    /// It begins with a slash, ends with one, or has two in a row.
    #[error("a slash may only stand between two names")]
    Slash,
    /// A name is `.` or `..`.
    #[error("'.' and '..' are no names")]
    Dots,
    /// A zero byte.
    #[error("it holds a zero byte")]
    Zero,
    /// Too long, or a name in it is.
    #[error(
        "it may have {} bytes, and each name in it {}",
        limits::PROJECT_PATH_BYTES,
        limits::PROJECT_NAME_BYTES
    )]
    Long,
    /// Too many directories.
    #[error("it may lead through {} directories", limits::PROJECT_DEPTH)]
    Deep,
}

impl FilePath {
    /// Reads a path; its bytes need not be UTF-8, as the file system's are not.
    pub fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.is_empty() {
            return Err(PathError::Empty);
        }
        if bytes.len() > limits::PROJECT_PATH_BYTES {
            return Err(PathError::Long);
        }
        let names: Vec<CString> = bytes.split(|byte| *byte == b'/').map(name).collect::<Result<_, _>>()?;
        if names.len() > limits::PROJECT_DEPTH + 1 {
            return Err(PathError::Deep);
        }
        Ok(Self { whole: CString::new(bytes).map_err(|_| PathError::Zero)?, names })
    }

    /// From the top down.
    pub fn names(&self) -> &[CString] {
        &self.names
    }

    /// As it was given.
    pub fn bytes(&self) -> &[u8] {
        self.whole.to_bytes()
    }

    pub(super) fn whole(&self) -> &CStr {
        &self.whole
    }

    /// The directories on the way, and the name at its end.
    pub(super) fn split(&self) -> Option<(&[CString], &CStr)> {
        self.names.split_last().map(|(last, way)| (way, last.as_c_str()))
    }

    /// The directory that it lies in, unless that is the top.
    pub(super) fn parent(&self) -> Option<Self> {
        let end = self.bytes().iter().rposition(|byte| *byte == b'/')?;
        Self::parse(&self.bytes()[..end]).ok()
    }
}

fn name(bytes: &[u8]) -> Result<CString, PathError> {
    match bytes {
        b"" => Err(PathError::Slash),
        b"." | b".." => Err(PathError::Dots),
        _ if bytes.len() > limits::PROJECT_NAME_BYTES => Err(PathError::Long),
        _ => CString::new(bytes).map_err(|_| PathError::Zero),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_down_and_nowhere_else() {
        let long = "x".repeat(limits::PROJECT_NAME_BYTES + 1);
        let deep = vec!["d"; limits::PROJECT_DEPTH + 2].join("/");
        let longer = vec!["x".repeat(200); limits::PROJECT_PATH_BYTES / 200 + 1].join("/");
        for (path, expected) in [
            ("", PathError::Empty),
            ("/etc/passwd", PathError::Slash),
            ("a/", PathError::Slash),
            ("a//b", PathError::Slash),
            ("/", PathError::Slash),
            ("..", PathError::Dots),
            ("a/../b", PathError::Dots),
            ("./a", PathError::Dots),
            ("a/.", PathError::Dots),
            ("a\0b", PathError::Zero),
            (&long, PathError::Long),
            (&longer, PathError::Long),
            (&deep, PathError::Deep),
        ] {
            assert_eq!(FilePath::parse(path.as_bytes()), Err(expected), "{path:?}");
        }
        for path in ["a", "a/b.txt", "...", "..a/b..", ".claude/settings.json", " ", "a\\..\\b", "ü/😀\n"]
        {
            let parsed = FilePath::parse(path.as_bytes()).expect(path);
            assert_eq!(parsed.bytes(), path.as_bytes());
        }
        assert!(FilePath::parse(b"no\xffutf8").is_ok());
    }
}
