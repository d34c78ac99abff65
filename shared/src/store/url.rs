//! Where the database is: the forms in which an operator may say it.

use std::path::PathBuf;

use super::OpenError;

/// The file that `url` names. Understood are plain paths and `sqlite:` URLs, where a relative path may
/// stand with or without the slashes that URLs like: `sqlite:x.db`, `sqlite://x.db`, `sqlite:///./x.db`.
/// Three slashes and no dot are an absolute path, as in any file URL, and so are four.
pub fn database_path(url: &str) -> Result<PathBuf, OpenError> {
    let path = match url.strip_prefix("sqlite:") {
        Some(rest) => url_path(rest),
        None if url.contains("://") => return Err(OpenError::Scheme(scheme(url).to_owned())),
        None => url,
    };
    let file = PathBuf::from(path);
    if path.contains([':', '?', '\0']) || file.file_name().is_none() || path.ends_with('/') {
        return Err(OpenError::Path(path.to_owned()));
    }
    Ok(file)
}

/// The path behind `sqlite:`.
fn url_path(rest: &str) -> &str {
    let Some(path) = rest.strip_prefix("//") else { return rest };
    match path.strip_prefix('/') {
        Some(inner) if inner.starts_with('/') || inner.starts_with("./") || inner.starts_with("../") => inner,
        _ => path,
    }
}

/// What stands before `://`; never more, since a password may follow.
fn scheme(url: &str) -> &str {
    url.split("://").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_form_of_a_path_is_understood() {
        for (url, path) in [
            ("sqlite:///./x.db", "./x.db"),
            ("sqlite:///../x.db", "../x.db"),
            ("sqlite://./x.db", "./x.db"),
            ("sqlite://x.db", "x.db"),
            ("sqlite://data/x.db", "data/x.db"),
            ("sqlite:x.db", "x.db"),
            ("sqlite:/abs/x.db", "/abs/x.db"),
            ("sqlite:///abs/x.db", "/abs/x.db"),
            ("sqlite:////abs/x.db", "/abs/x.db"),
            ("/abs/x.db", "/abs/x.db"),
            ("data/x.db", "data/x.db"),
            ("x.db", "x.db"),
        ] {
            assert_eq!(database_path(url).expect(url), Path::new(path), "{url}");
        }
    }

    #[test]
    fn other_databases_are_refused_without_their_password() {
        let error = database_path("postgres://drover:secret@db/drover").expect_err("not SQLite");
        assert!(matches!(&error, OpenError::Scheme(scheme) if scheme == "postgres"), "{error}");
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn what_names_no_file_is_refused() {
        for url in [
            "",
            "sqlite:",
            "sqlite://",
            "sqlite::memory:",
            "sqlite:///",
            "data/",
            "..",
            "sqlite://x.db?mode=rwc",
        ] {
            assert!(matches!(database_path(url), Err(OpenError::Path(_))), "{url}");
        }
    }
}
