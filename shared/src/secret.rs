//! Text that must not be seen.

use std::fmt;

use subtle::ConstantTimeEq;

/// A key or a token. Never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that has to send it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `other` is the same text. How long it takes tells nothing but the length.
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(other).into()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// An address as an operator gives it. Printed without the name and password, or the query, that may be in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// The whole of it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Address {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let (user, rest) = rest.rsplit_once('@').map_or((false, rest), |(_, rest)| (true, rest));
        let (rest, query) = rest.split_once('?').map_or((rest, false), |(rest, _)| (rest, true));
        let parts =
            [scheme, if scheme.is_empty() { "" } else { "://" }, if user { "[secret]@" } else { "" }, rest];
        parts.into_iter().try_for_each(|part| f.write_str(part))?;
        f.write_str(if query { "?[secret]" } else { "" })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Some(Secret::new("sk-ant-1"))), "Some([secret])");
    }

    #[test]
    fn an_address_is_printed_without_what_it_hides() {
        for (given, printed) in [
            ("https://api.example.org/v1", "https://api.example.org/v1"),
            ("https://me:pa/ss@api.example.org/v1", "https://[secret]@api.example.org/v1"),
            ("postgres://me:p@ss@host/db?token=t", "postgres://[secret]@host/db?[secret]"),
            ("me:pass@host", "[secret]@host"),
            ("data/drover.db", "data/drover.db"),
        ] {
            assert_eq!(format!("{:?}", Address::from(given.to_owned())), printed);
        }
    }

    #[test]
    fn only_the_same_text_matches() {
        let secret = Secret::new("abc");
        assert!(secret.matches(b"abc"));
        for other in [&b"abd"[..], b"ab", b"abcd", b""] {
            assert!(!secret.matches(other));
        }
    }
}
