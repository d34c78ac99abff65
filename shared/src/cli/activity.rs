//! What an agent's tool is about to do, in a line for people.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::decode::bounded;
use crate::schema::agent::SUBAGENTS;
use crate::schema::limits::ACTIVITY_TITLE_BYTES;

/// By which argument a person knows a call.
const TELLING: [(&str, &str); 8] = [
    ("Bash", "command"),
    ("Read", "file_path"),
    ("Edit", "file_path"),
    ("Write", "file_path"),
    ("NotebookEdit", "notebook_path"),
    ("Glob", "pattern"),
    ("Grep", "pattern"),
    (SUBAGENTS, "description"),
];

/// The command, the path, or whatever else tells a call of a tool from others, in one line; `None` where nothing
/// does. `input` is the beginning of its arguments' JSON text. Paths below `root`, where the agent works, are told
/// from there, so that nothing of the machine is.
pub fn title(tool: &str, input: &str, root: Option<&str>) -> Option<String> {
    let (_, argument) = TELLING.iter().find(|(name, _)| *name == tool)?;
    let told = text_of(argument, input)?;
    let told = match root {
        Some(root) => told.replace(&format!("{root}/"), "").replace(root, "."),
        None => told,
    };
    let line = told.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then(|| bounded(&line, ACTIVITY_TITLE_BYTES))
}

/// The text in that field of an object of which `json` is at least the beginning.
fn text_of(field: &str, json: &str) -> Option<String> {
    let mut found = None;
    // An error is the end of what there is.
    let _ = serde_json::Deserializer::from_str(json).deserialize_map(Seek { field, found: &mut found });
    found
}

struct Seek<'a> {
    field: &'a str,
    found: &'a mut Option<String>,
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the arguments of a tool")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<str>>()? {
            if name == self.field {
                *self.found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_what_it_works_on() {
        let root = Some("/slot/project/p");
        for (tool, input, told) in [
            ("Bash", r#"{"command":"cargo  test\n  --all","description":"tests"}"#, Some("cargo test --all")),
            ("Bash", r#"{"command":"cd /slot/project/p && ls /slot/project/p/src"}"#, Some("cd . && ls src")),
            ("Read", r#"{"file_path":"/slot/project/p/src/a.rs"}"#, Some("src/a.rs")),
            ("Write", r#"{"file_path":"/slot/project/p/b","content":"cut o"#, Some("b")),
            ("Grep", r#"{"path":"/slot/project/p","pattern":"fn \"x\""}"#, Some("fn \"x\"")),
            ("Agent", r#"{"prompt":"Count.","description":"count"}"#, Some("count")),
            ("Write", r#"{"content":"cut o"#, None),
            ("Bash", r#"{"command":" "}"#, None),
            ("Bash", r#"{"command":5}"#, None),
            ("Bash", "", None),
            ("mcp__notes__add", r#"{"command":"secret"}"#, None),
        ] {
            assert_eq!(title(tool, input, root).as_deref(), told, "{tool} {input}");
        }
        let long = title("Bash", &format!(r#"{{"command":"{}"}}"#, "語".repeat(999)), None).expect("a title");
        assert!(long.len() <= ACTIVITY_TITLE_BYTES && long.len() > ACTIVITY_TITLE_BYTES - 3);
    }
}
