//! Which hosts the tools of an agent may reach.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest host name, in bytes without a trailing dot (RFC 1035, 2.3.4).
const HOST_BYTES: usize = 253;
/// Longest label of a host name, in bytes (RFC 1035, 2.3.4).
const LABEL_BYTES: usize = 63;
/// The ports of a rule that names none: HTTP and HTTPS.
const USUAL_PORTS: [u16; 2] = [80, 443];

/// One entry of an allow-list: `example.com`, or `*.example.com` for everything below that domain but not the
/// domain itself. `:port` after it admits that port instead of 80 and 443.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostRule {
    host: HostName,
    /// Whether it stands for what is below the host instead of the host.
    below: bool,
    port: Option<u16>,
}

impl HostRule {
    /// Whether a connection to the target is allowed.
    pub fn admits(&self, target: &Target) -> bool {
        self.admits_host(&target.host) && self.admits_port(target.port)
    }

    fn admits_host(&self, host: &HostName) -> bool {
        if !self.below {
            return self.host == *host;
        }
        // The dot keeps `notexample.com` from passing for something below `example.com`.
        host.0.strip_suffix(&self.host.0).is_some_and(|rest| rest.ends_with('.'))
    }

    fn admits_port(&self, port: u16) -> bool {
        self.port.map_or_else(|| USUAL_PORTS.contains(&port), |own| own == port)
    }
}

impl FromStr for HostRule {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = split_port(text);
        let (host, below) = host.strip_prefix("*.").map_or((host, false), |base| (base, true));
        Ok(Self { host: host.parse()?, below, port: port.map(parse_port).transpose()? })
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.below { "*." } else { "" })?;
        write!(f, "{}", self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl TryFrom<String> for HostRule {
    type Error = HostError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<HostRule> for String {
    fn from(rule: HostRule) -> Self {
        rule.to_string()
    }
}

/// Where somebody wants to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// By name.
    pub host: HostName,
    /// At which port.
    pub port: u16,
}

impl Target {
    /// Reads `host:port`. Without a port it is the default one, if there is one.
    pub fn parse(authority: &str, default_port: Option<u16>) -> Result<Self, HostError> {
        let (host, port) = split_port(authority);
        let host = host.parse()?;
        let port = port.map(parse_port).transpose()?.or(default_port).ok_or(HostError::Port)?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A host name with a domain, in lower case and without a trailing dot. Never an address, however written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(String);

impl HostName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.is_ascii() {
            return Err(HostError::International);
        }
        if text.contains([':', '[', ']']) {
            return Err(HostError::Address);
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        // A resolver takes a name for a number, in octal, hexadecimal or decimal, only if its last label begins
        // with a digit; and no top-level domain does (RFC 3696, 2).
        let (domain, last) = name.rsplit_once('.').unwrap_or(("", name));
        if last.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(HostError::Address);
        }
        // A name without a domain means whatever the machine's search list makes of it.
        if domain.is_empty() || name.len() > HOST_BYTES || !name.split('.').all(is_label) {
            return Err(HostError::Name);
        }
        Ok(Self(name.to_ascii_lowercase()))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no rule, or no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It is an IP address in some spelling.
    #[error("an address is not allowed, only a host name")]
    Address,
    /// It is not spelled as names are on the wire.
    #[error("a host name must be ASCII: write an international one in its xn-- form")]
    International,
    /// It is no name with a domain.
    #[error("not a host name with a domain, such as example.com")]
    Name,
    /// The port is missing or none.
    #[error("the port must be a number from 1 to 65535")]
    Port,
}

fn is_label(label: &str) -> bool {
    let of_names = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    (1..=LABEL_BYTES).contains(&label.len())
        && label.bytes().all(of_names)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
}

fn parse_port(text: &str) -> Result<u16, HostError> {
    // `parse` alone would take `+80`.
    let digits = text.bytes().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0).ok_or(HostError::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(rule: &str, target: &str) -> bool {
        let rule: HostRule = rule.parse().expect("a rule");
        Target::parse(target, None).is_ok_and(|target| rule.admits(&target))
    }

    #[test]
    fn a_rule_admits_its_host_at_its_ports_and_nothing_else() {
        for (rule, target, expected) in [
            ("example.com", "example.com:443", true),
            ("example.com", "example.com:80", true),
            ("example.com", "EXAMPLE.com.:443", true),
            ("Example.COM.", "example.com:443", true),
            ("example.com", "example.com:22", false),
            ("example.com", "www.example.com:443", false),
            ("example.com", "example.com.evil.org:443", false),
            ("example.com", "notexample.com:443", false),
            ("example.com:8443", "example.com:8443", true),
            ("example.com:8443", "example.com:443", false),
            ("*.example.com", "www.example.com:443", true),
            ("*.example.com", "a.b.example.com:443", true),
            ("*.example.com", "example.com:443", false),
            ("*.example.com", "notexample.com:443", false),
            ("*.example.com:22", "git.example.com:22", true),
            ("*.example.com:22", "git.example.com:443", false),
            ("xn--bcher-kva.example", "XN--bcher-kva.example:443", true),
        ] {
            assert_eq!(admits(rule, target), expected, "{rule} and {target}");
        }
    }

    #[test]
    fn an_address_in_any_spelling_is_neither_rule_nor_target() {
        for text in [
            "127.0.0.1",
            "127.1",
            "0177.0.0.1",
            "0x7f.0.0.1",
            "0x7f000001",
            "0X7F.1",
            "2130706433",
            "017700000001",
            "127.0.0.0x1",
            "127.0.0.1.",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[fe80::1%25eth0]",
            "::1",
            "1.2.3.4.5",
        ] {
            assert_eq!(text.parse::<HostName>(), Err(HostError::Address), "{text}");
            assert!(text.parse::<HostRule>().is_err(), "{text}");
            assert!(format!("*.{text}").parse::<HostRule>().is_err(), "{text}");
            assert!(Target::parse(&format!("{text}:443"), None).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_with_a_domain_is_refused() {
        let long = format!("{}.com", "a".repeat(64));
        let longer = format!("{}com", "abcdefgh.".repeat(28));
        for (text, error) in [
            ("", HostError::Name),
            ("localhost", HostError::Name),
            ("*", HostError::Name),
            ("*.com", HostError::Name),
            ("*example.com", HostError::Name),
            ("www.*.com", HostError::Name),
            ("example.com..", HostError::Name),
            (".example.com", HostError::Name),
            ("a..example.com", HostError::Name),
            ("-a.example.com", HostError::Name),
            ("a-.example.com", HostError::Name),
            ("user@example.com", HostError::Name),
            ("example.com/path", HostError::Name),
            ("exam ple.com", HostError::Name),
            ("example%2ecom.org", HostError::Name),
            (&long, HostError::Name),
            (&longer, HostError::Name),
            ("bücher.example", HostError::International),
            ("１２７.0.0.1", HostError::International),
            ("example。com", HostError::International),
            ("example.com:", HostError::Port),
            ("example.com:0", HostError::Port),
            ("example.com:+80", HostError::Port),
            ("example.com:65536", HostError::Port),
            ("example.com:80:80", HostError::Address),
            ("https://example.com", HostError::Name),
        ] {
            assert_eq!(text.parse::<HostRule>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_rule_is_a_string_in_json_and_comes_back_canonical() {
        let given = r#"["Example.com.","*.Example.COM:22"]"#;
        let rules: Vec<HostRule> = serde_json::from_str(given).expect("rules");
        let written = serde_json::to_string(&rules).expect("JSON");
        assert_eq!(written, r#"["example.com","*.example.com:22"]"#);
        assert!(serde_json::from_str::<HostRule>(r#""10.0.0.1""#).is_err());
    }
}
