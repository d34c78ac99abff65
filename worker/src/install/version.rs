//! The CLI's builds and versions.

use std::fmt;

/// The native version that Drover is built for and tested with.
pub const PINNED_NATIVE_VERSION: &str = "2.1.330";
/// The last version that was published as JavaScript.
pub const LAST_JAVASCRIPT_VERSION: &str = "2.1.112";
/// The first version with `--bare`, which every process of the chat class needs.
const OLDEST: Version = Version::new(2, 1, 81);

/// How the CLI was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Build {
    /// One executable file (Bun); every version since 2.1.113.
    Native,
    /// `cli.js`, run with node; up to [`LAST_JAVASCRIPT_VERSION`].
    JavaScript,
}

/// A version of the CLI. Ordered as versions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl Version {
    /// That version.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Reads what `--version` prints (`2.1.330 (Claude Code)`), or a bare version.
    pub fn parse(output: &str) -> Option<Self> {
        let mut numbers = output.split_whitespace().next()?.splitn(3, '.').map(|number| number.parse().ok());
        Some(Self::new(numbers.next()??, numbers.next()??, numbers.next()??))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// One sentence on why this version cannot run chat jobs, or `None` if it can.
pub(super) fn chat_shortfall(_build: Build, version: Version) -> Option<String> {
    (version < OLDEST).then(|| {
        format!("Claude CLI {version} cannot run chat jobs: version {OLDEST} or newer is needed (tested: {PINNED_NATIVE_VERSION}).")
    })
}
