//! What goes wrong with files, as clients are told.

use std::io;

use drover_shared::dialect::Rejection;
use drover_shared::workspace::{FileError, FindError, PathError};

use crate::error::{Problem, try_again_ms};

/// Why something cannot be done with a project's files.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The project's own directory is not to be had.
    Find(FindError),
    /// The file is not.
    File(FileError),
    /// The request asks for too much.
    Refused(Problem),
}

impl From<FindError> for Trouble {
    fn from(error: FindError) -> Self {
        Self::Find(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Find(FindError::Io(error))
    }
}

impl From<FileError> for Trouble {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<Trouble> for Problem {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Find(FindError::Lost) => Self(
                Rejection::new(
                    409,
                    "files_displaced",
                    "The project's agent has moved its files away. They come back when its process ends.",
                )
                .retry_after_ms(try_again_ms()),
            ),
            Trouble::Find(FindError::Twice) => {
                tracing::error!("a project lies in two places");
                out_of_reach()
            }
            Trouble::Find(FindError::Io(error)) if error.kind() == io::ErrorKind::StorageFull => full(),
            Trouble::Find(FindError::Io(error)) => {
                tracing::error!(%error, "the projects' directory cannot be used");
                out_of_reach()
            }
            Trouble::File(error) => file(error),
            Trouble::Refused(problem) => problem,
        }
    }
}

fn file(error: FileError) -> Problem {
    let (status, code) = match error {
        FileError::NotFound => (404, "file_not_found"),
        FileError::IsDirectory => (409, "is_a_directory"),
        FileError::NotDirectory => (409, "not_a_directory"),
        FileError::NotEmpty => (409, "directory_not_empty"),
        FileError::Special => (409, "not_a_file"),
        FileError::Crowded => (409, "too_many_files"),
        FileError::Link => (403, "link_refused"),
        FileError::Forbidden => (403, "file_forbidden"),
        FileError::Full => return full(),
        FileError::Io(error) => {
            tracing::error!(%error, "a project's file cannot be used");
            return Problem::internal();
        }
    };
    Problem(Rejection {
        param: Some("path".to_owned()),
        ..Rejection::new(status, code, format!("The file cannot be used: {error}."))
    })
}

/// 503: this api runs where the projects are not, or as a user who may not get to them.
pub(super) fn out_of_reach() -> Problem {
    let message = "This server cannot get at the files of projects.";
    Problem(Rejection::new(503, "files_unreachable", message).final_())
}

/// 507: nothing that the client could do about it.
fn full() -> Problem {
    Problem(Rejection::new(507, "disk_full", "The disk that projects lie on is full.").final_())
}

/// 400: the path leads nowhere in a project.
pub(super) fn invalid_path(param: &str, error: PathError) -> Problem {
    Problem(Rejection::invalid(
        "invalid_path",
        param,
        format!("This is no path of a file in a project: {error}."),
    ))
}

/// 413: the upload would make the project hold more than it may.
pub(super) fn project_full(bytes: u64) -> Problem {
    let message =
        format!("The project's files may fill {bytes} bytes, and this upload would not fit any more.");
    Problem(Rejection::new(413, "project_full", message).final_())
}

/// 413: it is larger than any upload may be.
pub(super) fn upload_too_large(bytes: u64) -> Problem {
    let message = format!("An upload may have {bytes} bytes.");
    Problem(Rejection::new(413, "upload_too_large", message).final_())
}
