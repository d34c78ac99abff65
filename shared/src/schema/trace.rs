//! Where a job came from, so that what api and worker say of it can be put together.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The request that a job was made of, for the logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The request's identifier, minted by the api.
    pub request: String,
    /// The trace that it is part of.
    pub trace: TraceParent,
}

/// One step of a trace, as the header `traceparent` tells it (W3C Trace Context, level 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace: TraceId,
    span: u64,
    sampled: bool,
}

/// A whole trace: 32 hexadecimal digits, not all of them 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

impl TraceParent {
    /// The first step of a new trace. Neither number may be 0; both are minted by the caller.
    pub fn begin(trace: u128, span: u64) -> Self {
        Self { trace: TraceId(trace), span, sampled: false }
    }

    /// The step after this one. `span` is minted by the caller, and not 0.
    #[must_use]
    pub fn next(self, span: u64) -> Self {
        Self { span, ..self }
    }

    /// Which trace.
    pub fn trace(self) -> TraceId {
        self.trace
    }

    /// Reads the header's value. `None`: it is none, and the trace is to be begun anew (section 3.2.2 and 4.3). Of a
    /// version that is not known yet, what version 00 has is read, and more may follow.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, more) = text.split_at_checked(55)?;
        let mut fields = head.split('-');
        let mut next = |digits| hexadecimal(fields.next()?, digits);
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let (is_known, goes_on) = (version == 0, more.is_empty() || more.starts_with('-'));
        if version == 0xff || trace == 0 || span == 0 || !goes_on || (is_known && !more.is_empty()) {
            return None;
        }
        let span = u64::try_from(span).ok()?;
        Some(Self { trace: TraceId(trace), span, sampled: flags & 1 == 1 })
    }
}

/// Small letters only, and as many digits as have to be.
fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_right = text.len() == digits && text.bytes().all(is_digit);
    is_right.then(|| u128::from_str_radix(text, 16).ok())?
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for TraceParent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceParent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no traceparent"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_read_is_what_is_written() {
        let given = TraceParent::parse(GIVEN).expect("the standard's own example");
        assert_eq!(given.to_string(), GIVEN);
        assert_eq!(given.trace().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let next = "00-4bf92f3577b34da6a3ce929d0e0e4736-000000000000000a-01";
        assert_eq!(given.next(10).to_string(), next);
        let json = serde_json::to_string(&given).expect("JSON");
        assert_eq!(serde_json::from_str::<TraceParent>(&json).expect("the same"), given);
    }

    #[test]
    fn a_later_version_may_say_more_and_other_flags_are_not_passed_on() {
        for text in [
            GIVEN.replacen("00", "cc", 1),
            GIVEN.replacen("00", "01", 1) + "-what-the-future-will-be-like",
            GIVEN.replacen("-01", "-ff", 1),
        ] {
            assert_eq!(TraceParent::parse(&text).map(|it| it.to_string()).as_deref(), Some(GIVEN), "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_nothing() {
        for text in [
            "",
            "00",
            &GIVEN.to_uppercase(),
            &GIVEN.replacen("00", "ff", 1),
            &format!("{GIVEN}-"),
            &format!("{GIVEN}-more"),
            &format!("{GIVEN} "),
            &format!(" {GIVEN}"),
            &GIVEN[..54],
            &GIVEN.replace('-', "_"),
            &GIVEN.replacen("00", "0x", 1),
            &GIVEN.replacen("00", "+0", 1),
            &(GIVEN.replacen("00", "01", 1) + "x"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\u{e9}",
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text:?}");
        }
    }
}
