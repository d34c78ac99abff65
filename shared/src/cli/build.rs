//! The two builds of the CLI, their versions, and what each can do.

use std::fmt;

/// The native version that Drover is built for and tested with.
pub const PINNED_NATIVE_VERSION: &str = "2.1.330";
/// The last version that was published as JavaScript; tested as the compatibility tier.
pub const LAST_JAVASCRIPT_VERSION: &str = "2.1.112";

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

/// What a build can do that another cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Frames on standard input and output: `--input-format stream-json`.
    StreamJson,
    /// The model's words while it speaks: `--include-partial-messages`.
    PartialMessages,
    /// A process without hooks, memory files and reminders: `--bare`.
    Bare,
    /// The upstream is reached through `ANTHROPIC_UNIX_SOCKET`; node cannot.
    UnixSocketUpstream,
    /// `client_composed` user frames, in which `@file` and `/command` are plain text.
    ClientComposed,
    /// `command_lifecycle` lines for every user frame that carries a uuid.
    CommandLifecycle,
    /// Spares that learn their working directory late: `--await-claim`.
    AwaitClaim,
    /// Root may skip permissions where `IS_SANDBOX=1` says that the process is walled in.
    RootInSandbox,
}

/// What every process of the chat class needs.
const CHAT_NEEDS: [Feature; 3] = [Feature::StreamJson, Feature::PartialMessages, Feature::Bare];

impl Feature {
    /// Every feature.
    pub const ALL: [Self; 8] = [
        Self::StreamJson,
        Self::PartialMessages,
        Self::Bare,
        Self::UnixSocketUpstream,
        Self::ClientComposed,
        Self::CommandLifecycle,
        Self::AwaitClaim,
        Self::RootInSandbox,
    ];

    /// The flag, variable or field by which people know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StreamJson => "--input-format stream-json",
            Self::PartialMessages => "--include-partial-messages",
            Self::Bare => "--bare",
            Self::UnixSocketUpstream => "ANTHROPIC_UNIX_SOCKET",
            Self::ClientComposed => "client_composed",
            Self::CommandLifecycle => "command_lifecycle",
            Self::AwaitClaim => "--await-claim",
            Self::RootInSandbox => "IS_SANDBOX",
        }
    }

    /// The oldest version of `build` that is known to have this, or `None` if none ever did. Found by bisecting
    /// published versions, but for the socket and `command_lifecycle`: they are known of the pinned version
    /// only, so that an older one is used without them.
    pub fn since(self, build: Build) -> Option<Version> {
        const PINNED: Version = Version::new(2, 1, 330);
        match (self, build) {
            (Self::RootInSandbox, _) => Some(Version::new(1, 0, 44)),
            (Self::StreamJson, _) => Some(Version::new(1, 0, 107)),
            (Self::PartialMessages, _) => Some(Version::new(1, 0, 108)),
            (Self::Bare, _) => Some(Version::new(2, 1, 81)),
            (Self::UnixSocketUpstream | Self::CommandLifecycle, Build::Native) => Some(PINNED),
            (Self::ClientComposed, Build::Native) => Some(Version::new(2, 1, 280)),
            (Self::AwaitClaim, Build::Native) => Some(Version::new(2, 1, 282)),
            (
                Self::UnixSocketUpstream | Self::ClientComposed | Self::CommandLifecycle | Self::AwaitClaim,
                Build::JavaScript,
            ) => None,
        }
    }

    /// Whether this version of `build` can do it.
    pub fn in_version(self, build: Build, version: Version) -> bool {
        self.since(build).is_some_and(|since| version >= since)
    }
}

/// One sentence on why this version cannot run chat jobs, or `None` if it can.
pub fn chat_shortfall(build: Build, version: Version) -> Option<String> {
    let missing: Vec<_> = CHAT_NEEDS.iter().filter(|feature| !feature.in_version(build, version)).collect();
    let since = missing.iter().filter_map(|feature| feature.since(build)).max()?;
    let flags: Vec<_> = missing.iter().map(|feature| feature.name()).collect();
    Some(format!(
        "Claude CLI {version} cannot run chat jobs: it lacks {}, so version {since} or newer is needed \
         (tested: {PINNED_NATIVE_VERSION}).",
        flags.join(" and "),
    ))
}

impl Version {
    /// That version.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Reads what `--version` prints (`2.1.330 (Claude Code)`), or a bare version.
    pub fn parse(output: &str) -> Option<Self> {
        let mut numbers = output.split_whitespace().next()?.splitn(3, '.').map(|number| number.parse().ok());
        let version = Self::new(numbers.next()??, numbers.next()??, numbers.next()??);
        Some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_from_what_the_cli_prints() {
        assert_eq!(Version::parse("2.1.330 (Claude Code)\n"), Some(Version::new(2, 1, 330)));
        assert_eq!(Version::parse("1.0.9"), Some(Version::new(1, 0, 9)));
        for other in ["", "Claude Code", "2.1", "2.1.x", "2.1.330-beta", "v2.1.330", "2.1.99999999999"] {
            assert_eq!(Version::parse(other), None, "{other}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number_not_by_letter() {
        assert!(Version::new(2, 1, 112) > Version::new(2, 1, 26));
        assert!(Version::new(2, 1, 26) > Version::new(2, 0, 77));
    }

    #[test]
    fn both_tested_versions_run_chat_jobs() {
        for (build, version) in
            [(Build::Native, PINNED_NATIVE_VERSION), (Build::JavaScript, LAST_JAVASCRIPT_VERSION)]
        {
            let version = Version::parse(version).expect("a constant");
            assert_eq!(chat_shortfall(build, version), None);
        }
    }

    #[test]
    fn an_old_version_is_told_what_it_lacks() {
        let says = |version| chat_shortfall(Build::JavaScript, version).expect("too old");
        assert_eq!(
            says(Version::new(2, 1, 26)),
            "Claude CLI 2.1.26 cannot run chat jobs: it lacks --bare, so version 2.1.81 or newer is needed \
             (tested: 2.1.330).",
        );
        assert!(says(Version::new(1, 0, 107)).contains("--include-partial-messages and --bare"));
    }

    #[test]
    fn javascript_never_has_what_node_cannot_do() {
        let last = Version::parse(LAST_JAVASCRIPT_VERSION).expect("a constant");
        for feature in [Feature::UnixSocketUpstream, Feature::ClientComposed, Feature::AwaitClaim] {
            assert!(!feature.in_version(Build::JavaScript, last), "{feature:?}");
            assert!(feature.in_version(Build::Native, Version::new(2, 1, 330)), "{feature:?}");
        }
    }
}
