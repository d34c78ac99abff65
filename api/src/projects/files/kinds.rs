//! What a file most likely holds, by its name.

/// Endings of names, in lower case, and the media type (IANA's registry) of such a file.
const KINDS: [(&str, &str); 33] = [
    ("txt", "text/plain; charset=utf-8"),
    ("log", "text/plain; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("ts", "text/plain; charset=utf-8"),
    ("py", "text/x-python; charset=utf-8"),
    ("rs", "text/plain; charset=utf-8"),
    ("go", "text/plain; charset=utf-8"),
    ("sh", "application/x-sh"),
    ("json", "application/json"),
    ("jsonl", "application/jsonl"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("toml", "application/toml"),
    ("xml", "application/xml"),
    ("pdf", "application/pdf"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("tgz", "application/gzip"),
    ("tar", "application/x-tar"),
    ("wasm", "application/wasm"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("svg", "image/svg+xml"),
    ("ipynb", "application/x-ipynb+json"),
];

/// The media type of a file of this name.
pub(super) fn of(name: &[u8]) -> &'static str {
    let ending =
        std::str::from_utf8(name).ok().and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending);
    let known = ending.and_then(|ending| KINDS.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known)));
    known.map_or("application/octet-stream", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_kind() {
        for (name, expected) in [
            ("a.TXT", "text/plain; charset=utf-8"),
            ("a.tar.gz", "application/gzip"),
            ("Makefile", "application/octet-stream"),
            (".json", "application/json"),
        ] {
            assert_eq!(of(name.as_bytes()), expected, "{name}");
        }
        assert_eq!(of(b"a.\xff"), "application/octet-stream");
    }
}
