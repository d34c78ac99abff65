//! The one place in `cli.js` where it refuses root, as published versions wrote it; and the edit.

use std::fmt;

use memchr::memmem;
use serde::{Deserialize, Serialize};

/// What every shape begins with; what follows are the escapes, then [`TAIL`].
const HEAD: &[u8] =
    br#"if(process.platform!=="win32"&&typeof process.getuid==="function"&&process.getuid()===0"#;
/// The end of [`HEAD`], which is edited.
const CONDITION: &[u8] = b"===0";
/// Never true of a user's number, and as long as [`CONDITION`].
const EDITED: &[u8] = b"<-10";
const TAIL: &[u8] = br#")console.error("--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons"),process.exit(1)"#;
/// The heart of the refusal; where it stands without a known check around it, there is a check we do not know.
const REFUSAL: &[u8] = b"cannot be used with root/sudo privileges";

/// How the check lets root through, by its escapes. Each was seen in published versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Not at all: up to 1.0.43.
    NoEscape,
    /// With any `IS_SANDBOX`: 1.0.44 to 2.0.76.
    AnyValue,
    /// With `IS_SANDBOX=1` or `CLAUDE_CODE_BUBBLEWRAP=1`: from 2.0.77 on.
    ExactValues,
    /// With `IS_SANDBOX=1` or a `CLAUDE_CODE_BUBBLEWRAP` that a function calls true: up to the last, 2.1.112.
    TrueValue,
}

impl Shape {
    const ALL: [Self; 4] = [Self::NoEscape, Self::AnyValue, Self::ExactValues, Self::TrueValue];

    /// The escapes in front of the `)` that ends the condition. Only a function's name may vary.
    fn of(rest: &[u8]) -> Option<Self> {
        const EXACT: &[u8] = br#"&&process.env.IS_SANDBOX!=="1"&&"#;
        let shape = match rest {
            _ if rest.starts_with(TAIL) => return Some(Self::NoEscape),
            _ if rest.starts_with(b"&&!process.env.IS_SANDBOX)") => {
                (Self::AnyValue, after(rest, b"&&!process.env.IS_SANDBOX")?)
            }
            _ => {
                let rest = after(rest, EXACT)?;
                match after(rest, br#"process.env.CLAUDE_CODE_BUBBLEWRAP!=="1""#) {
                    Some(rest) => (Self::ExactValues, rest),
                    None => (Self::TrueValue, after_call(rest)?),
                }
            }
        };
        shape.1.starts_with(TAIL).then_some(shape.0)
    }
}

/// What a file that cannot be edited holds instead of one check of one shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    known: Vec<Shape>,
    unknown: usize,
    edited: usize,
    refusals: usize,
}

/// The edited file and the shape it had, if there is exactly one check and it has a known shape. The length
/// stays the same.
pub(super) fn edit(script: &[u8]) -> Result<(Shape, Vec<u8>), Findings> {
    let mut findings = Findings {
        edited: count(script, &edited_head()),
        refusals: count(script, REFUSAL),
        ..Findings::default()
    };
    let mut place = None;
    for start in memmem::find_iter(script, HEAD) {
        let end = start + HEAD.len();
        match Shape::of(&script[end..]) {
            Some(shape) => findings.known.push(shape),
            None => findings.unknown += 1,
        }
        place = Some(end - CONDITION.len());
    }
    match (findings.known.as_slice(), place) {
        (&[shape], Some(place)) if findings.is_otherwise_clean() => Ok((shape, replaced(script, place))),
        _ => Err(findings),
    }
}

impl Findings {
    fn is_otherwise_clean(&self) -> bool {
        (self.unknown, self.edited, self.refusals) == (0, 0, 1)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for shape in Shape::ALL {
            let times = self.known.iter().filter(|known| **known == shape).count();
            write!(f, "{times} of the shape {shape:?}, ")?;
        }
        let Self { unknown, edited, refusals, .. } = self;
        write!(
            f,
            "{unknown} of no known shape, {edited} edited already, {refusals} messages that refuse root"
        )
    }
}

fn replaced(script: &[u8], place: usize) -> Vec<u8> {
    let mut edited = script.to_vec();
    edited[place..place + CONDITION.len()].copy_from_slice(EDITED);
    edited
}

fn edited_head() -> Vec<u8> {
    replaced(HEAD, HEAD.len() - CONDITION.len())
}

fn count(script: &[u8], needle: &[u8]) -> usize {
    memmem::find_iter(script, needle).count()
}

fn after<'a>(rest: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    rest.strip_prefix(prefix)
}

/// Behind `!f(process.env.CLAUDE_CODE_BUBBLEWRAP)`, whatever the minifier has called `f`.
fn after_call(rest: &[u8]) -> Option<&[u8]> {
    let rest = after(rest, b"!")?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
    let name = rest.iter().take_while(|byte| is_name(byte)).count();
    let is_identifier = name > 0 && !rest[0].is_ascii_digit();
    is_identifier.then(|| after(&rest[name..], b"(process.env.CLAUDE_CODE_BUBBLEWRAP)"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_ESCAPE: &str = "";
    const ANY: &str = "&&!process.env.IS_SANDBOX";
    const EXACT: &str = r#"&&process.env.IS_SANDBOX!=="1"&&process.env.CLAUDE_CODE_BUBBLEWRAP!=="1""#;
    const TRUE: &str = r#"&&process.env.IS_SANDBOX!=="1"&&!S6(process.env.CLAUDE_CODE_BUBBLEWRAP)"#;

    fn check(escapes: &str) -> Vec<u8> {
        [b"{", HEAD, escapes.as_bytes(), TAIL, b"}let W=v9();"].concat()
    }

    fn found(script: &[u8]) -> String {
        edit(script).expect_err("not one check of a known shape").to_string()
    }

    #[test]
    fn each_known_shape_is_edited_in_its_condition_alone() {
        let shapes = [
            (NO_ESCAPE, Shape::NoEscape),
            (ANY, Shape::AnyValue),
            (EXACT, Shape::ExactValues),
            (TRUE, Shape::TrueValue),
        ];
        for (escapes, known) in shapes {
            let script = check(escapes);
            let (shape, edited) = edit(&script).expect("a known shape");
            assert_eq!((shape, edited.len()), (known, script.len()));
            let text = String::from_utf8(edited).expect("text");
            assert_eq!(text.replacen("process.getuid()<-10", "process.getuid()===0", 1).as_bytes(), script);
        }
    }

    #[test]
    fn escapes_that_are_not_known_are_refused() {
        let others = [
            "&&process.env.IS_SANDBOX",
            "&&!process.env.IS_SANDBOX&&!process.env.OTHER",
            r#"&&process.env.IS_SANDBOX!=="1""#,
            r#"&&process.env.IS_SANDBOX!=="1"&&process.env.CLAUDE_CODE_BUBBLEWRAP!=="2""#,
            r#"&&process.env.IS_SANDBOX!=="1"&&!(process.env.CLAUDE_CODE_BUBBLEWRAP)"#,
            r#"&&process.env.IS_SANDBOX!=="1"&&!6S(process.env.CLAUDE_CODE_BUBBLEWRAP)"#,
            r#"&&process.env.IS_SANDBOX!=="1"&&!a.b(process.env.CLAUDE_CODE_BUBBLEWRAP)"#,
        ];
        for escapes in others {
            assert!(found(&check(escapes)).contains("1 of no known shape"), "{escapes}");
        }
    }

    #[test]
    fn a_refusal_counts_what_there_is() {
        assert_eq!(
            found(b"nothing to see"),
            "0 of the shape NoEscape, 0 of the shape AnyValue, 0 of the shape ExactValues, 0 of the shape \
             TrueValue, 0 of no known shape, 0 edited already, 0 messages that refuse root"
        );
        let two = [check(ANY), check(EXACT)].concat();
        assert!(found(&two).starts_with("0 of the shape NoEscape, 1 of the shape AnyValue, 1 of the shape"));
        let twice = [check(ANY), check(ANY)].concat();
        assert!(found(&twice).contains("2 of the shape AnyValue"));
        let (_, edited) = edit(&check(TRUE)).expect("a known shape");
        assert!(found(&edited).contains("1 edited already"));
        let elsewhere = [check(ANY), REFUSAL.to_vec()].concat();
        assert!(found(&elsewhere).contains("2 messages that refuse root"));
    }

    #[test]
    fn a_file_that_ends_in_the_check_is_no_check() {
        let whole = check(TRUE);
        for end in 0..whole.len() - b"}let W=v9();".len() {
            assert!(edit(&whole[..end]).is_err(), "{end}");
        }
    }
}
