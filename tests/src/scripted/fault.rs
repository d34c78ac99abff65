//! What a scripted CLI does wrong when a test asks for it.

use std::fmt;
use std::str::FromStr;

/// One fault. Its text form (`hang`, `crash-after=3`) is the value of the scripted CLI's `--fault`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Says nothing more after a user frame.
    Hang,
    /// Never answers `initialize`.
    HangBeforeInit,
    /// Prints 100 MB of lines that nobody needs, and 1 MB of errors, before it answers.
    Flood,
    /// Prints lines that are no JSON, no UTF-8, empty, or of unknown types, around its answer.
    Garbage,
    /// Prints one line of 10 MB before it answers.
    Line10Mb,
    /// Prints one line of 20 MB before it answers.
    Line20Mb,
    /// Ignores SIGTERM, SIGINT, SIGHUP and the end of its input.
    IgnoreSigterm,
    /// Leaves daemons behind, in sessions of their own, that hold its output open.
    Grandchildren,
    /// Exits at once with status 1.
    Exit1,
    /// Exits at once with status 1, but only the first time.
    Exit1Once,
    /// Is a CLI of another version.
    WrongVersion,
    /// Dies of a signal after so many deltas.
    CrashAfter(u32),
    /// Prints its whole answer twice.
    SpeakTwice,
    /// Calls its relay once more after its answer.
    CallTwice,
}

const NAMED: [(&str, Fault); 13] = [
    ("hang", Fault::Hang),
    ("hang-before-init", Fault::HangBeforeInit),
    ("flood", Fault::Flood),
    ("garbage", Fault::Garbage),
    ("line-10mb", Fault::Line10Mb),
    ("line-20mb", Fault::Line20Mb),
    ("ignore-sigterm", Fault::IgnoreSigterm),
    ("grandchildren", Fault::Grandchildren),
    ("exit-1", Fault::Exit1),
    ("exit-1-once", Fault::Exit1Once),
    ("wrong-version", Fault::WrongVersion),
    ("speak-twice", Fault::SpeakTwice),
    ("call-twice", Fault::CallTwice),
];

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CrashAfter(deltas) => write!(f, "crash-after={deltas}"),
            named => f.write_str(NAMED.iter().find(|(_, fault)| fault == named).map_or("", |(name, _)| name)),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(deltas) = text.strip_prefix("crash-after=") {
            return deltas.parse().map(Self::CrashAfter).map_err(|error| format!("{text}: {error}"));
        }
        let named = NAMED.iter().find(|(name, _)| *name == text);
        named.map(|(_, fault)| *fault).ok_or_else(|| format!("no fault is named {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_reads_back() {
        let all = NAMED.iter().map(|(_, fault)| *fault).chain([Fault::CrashAfter(3)]);
        for fault in all {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
    }
}
