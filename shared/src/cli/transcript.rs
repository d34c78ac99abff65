//! A session's transcript, as the CLI mirrors it, made into the file with which another process goes on.
//!
//! A mirrored entry is one line of the CLI's own file: `user`, `assistant`, `attachment` (reminders, as the model
//! was shown them) and `system` (where the conversation was compacted), tied together by `uuid` and
//! `parentUuid`. A process that resumes from such a file sends upstream what the first one would have sent, to
//! the byte but for `metadata`, whatever its home, its slot and its worker.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::decode::Text;

/// A file to resume from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// The session, which goes on under its own name. The file has to be called `<session id>.jsonl`.
    pub session_id: String,
    /// What stands in it.
    pub bytes: Vec<u8>,
}

/// Of an entry, what matters here.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    uuid: Text<'a>,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, rename = "sessionId")]
    session_id: Text<'a>,
    #[serde(borrow, default)]
    cwd: Option<Text<'a>>,
    /// Set on what came in from outside, as a turn.
    #[serde(borrow, default, rename = "permissionMode")]
    permission_mode: Option<Text<'a>>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    stop_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
}

impl Transcript {
    /// The file for a process that goes on in `cwd`, an absolute real path. `entries` are all that was mirrored
    /// of the session, in order; what is no entry, or stands there twice, is left out. `None` where no turn was
    /// ever finished: then there is nothing to go on from, and the session starts afresh.
    ///
    /// - It ends with the last finished turn. A process that died in the middle of a turn leaves a call without
    ///   result or a question without answer, for which the CLI would invent "No response requested.". (It does
    ///   so too after a turn that was interrupted, which is kept all the same: the client has seen what was said,
    ///   and the next turn may well speak of it.)
    /// - Where the project stood before becomes where it stands now, also in what was said and answered. Else the
    ///   CLI tells the model of the move and sends all instructions again, and the paths in earlier calls lead
    ///   nowhere.
    pub fn resumable(entries: &[String], cwd: &Path) -> Option<Self> {
        let mut seen = HashSet::new();
        let known: Vec<(&str, Entry)> = entries
            .iter()
            .filter_map(|text| Some((text.as_str(), serde_json::from_str(text).ok()?)))
            .filter(|(_, entry): &(_, Entry)| seen.insert(entry.uuid.0.clone().into_owned()))
            .collect();
        let end = known.iter().rposition(|(_, entry)| entry.ends_turn())?;
        let finished = &known[..=end];
        let session_id = finished[end].1.session_id.0.clone().into_owned();
        // It becomes a file's name, and an agent may have had a hand in what its process says.
        if session_id.is_empty() || !session_id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return None;
        }
        let moved = Moved::new(finished, cwd);
        let mut bytes = Vec::new();
        for (text, _) in finished {
            // A line break between the fields of an entry, if a CLI ever wrote one, would end the line.
            bytes.extend(moved.text(text).replace(['\n', '\r'], " ").into_bytes());
            bytes.push(b'\n');
        }
        Some(Self { session_id, bytes })
    }
}

impl Entry<'_> {
    /// Whether the conversation may go on with a user's turn after this one: the model has said its last word
    /// (or an error stands in its place), or the turn was interrupted.
    fn ends_turn(&self) -> bool {
        let Some(message) = self.message.and_then(|raw| serde_json::from_str::<Message>(raw.get()).ok())
        else {
            return false;
        };
        match &*self.kind.0 {
            "assistant" => message.stop_reason.is_some_and(|reason| reason.0 != "tool_use"),
            "user" => self.permission_mode.is_none() && message.begins_with("[Request interrupted by user"),
            _ => false,
        }
    }
}

impl Message<'_> {
    fn begins_with(&self, beginning: &str) -> bool {
        let parts = self.content.and_then(|raw| serde_json::from_str::<Vec<Part>>(raw.get()).ok());
        let first = parts.and_then(|parts| parts.into_iter().next()?.text);
        first.is_some_and(|text| text.0.starts_with(beginning))
    }
}

/// Where the project stood, and where it stands now; as JSON writes them.
struct Moved {
    from: Vec<String>,
    to: String,
}

impl Moved {
    /// A command's `cd` shows in `cwd` too, but never leads out of the project: the CLI resets it.
    fn new(entries: &[(&str, Entry)], cwd: &Path) -> Self {
        let stood: BTreeSet<&str> =
            entries.iter().filter_map(|(_, entry)| entry.cwd.as_ref().map(|cwd| &*cwd.0)).collect();
        let elsewhere = |old: &&&str| {
            let old = Path::new(**old);
            !old.starts_with(cwd) && old.parent().is_some_and(|above| !is_below(above, &stood))
        };
        Self {
            from: stood.iter().filter(elsewhere).map(|old| escaped(old)).collect(),
            to: escaped(&cwd.to_string_lossy()),
        }
    }

    fn text(&self, text: &str) -> String {
        self.from.iter().fold(text.to_owned(), |text, old| replace_path(&text, old, &self.to))
    }
}

/// Whether this is one of the directories, or below one.
fn is_below(path: &Path, directories: &BTreeSet<&str>) -> bool {
    path.ancestors().filter_map(Path::to_str).any(|above| directories.contains(above))
}

/// A text as it stands within quotes in JSON.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Replaces a path, but not the beginning of a longer name.
fn replace_path(text: &str, from: &str, to: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let (before, after) = (&rest[..at], &rest[at + from.len()..]);
        replaced.push_str(before);
        replaced.push_str(if ends_name(after) { to } else { from });
        rest = after;
    }
    replaced + rest
}

/// Whether a file's name that stands before `rest` is complete. A full stop may end a sentence.
fn ends_name(rest: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut chars = rest.chars();
    match chars.next() {
        Some('.') => !chars.next().is_some_and(goes_on),
        Some(next) => !goes_on(next),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SESSION: &str = "00000000-0000-4000-8000-000000000001";

    fn entry(uuid: &str, kind: &str, cwd: &str, message: &Value) -> String {
        json!({ "uuid": uuid, "type": kind, "sessionId": SESSION, "cwd": cwd, "message": message })
            .to_string()
    }

    fn asked(uuid: &str, cwd: &str, text: &str) -> String {
        let mut entry: Value = serde_json::from_str(&said(uuid, "user", cwd, text, None)).expect("JSON");
        entry["permissionMode"] = "bypassPermissions".into();
        entry.to_string()
    }

    fn said(uuid: &str, kind: &str, cwd: &str, text: &str, stop: Option<&str>) -> String {
        entry(uuid, kind, cwd, &json!({ "stop_reason": stop, "content": [{ "type": "text", "text": text }] }))
    }

    /// The uuids that are left.
    fn kept(entries: &[String]) -> Option<String> {
        let transcript = Transcript::resumable(entries, Path::new("/b/work"))?;
        assert_eq!(transcript.session_id, SESSION);
        let text = String::from_utf8(transcript.bytes).expect("UTF-8");
        let uuid =
            |line| serde_json::from_str::<Value>(line).expect("JSON")["uuid"].as_str().map(str::to_owned);
        Some(text.lines().map(|line| uuid(line).expect("a uuid")).collect())
    }

    #[test]
    fn a_turn_that_was_not_finished_is_cut_off() {
        let turn = [asked("1", "/a", "go"), said("2", "assistant", "/a", "done", Some("end_turn"))];
        let after = |more: &[String]| kept(&[turn.as_slice(), more].concat());
        let question = asked("3", "/a", "and now?");
        let call = said("4", "assistant", "/a", "I run", Some("tool_use"));
        let result = said("5", "user", "/a", "result", None);
        let half = said("6", "assistant", "/a", "half a w", None);
        for more in [
            vec![],
            vec![question.clone()],
            vec![question.clone(), call.clone()],
            vec![question.clone(), call.clone(), result.clone()],
            vec![question.clone(), call, result, half],
        ] {
            assert_eq!(after(&more).as_deref(), Some("12"), "{more:?}");
        }
        assert_eq!(kept(&[question]), None);
        assert_eq!(kept(&[]), None);
    }

    #[test]
    fn a_turn_that_was_interrupted_is_kept() {
        let marker = said("3", "user", "/a", "[Request interrupted by user for tool use]", None);
        let entries = [asked("1", "/a", "go"), said("2", "assistant", "/a", "half", None), marker];
        assert_eq!(kept(&entries).as_deref(), Some("123"));
        let quoted = asked("1", "/a", "[Request interrupted by user]");
        assert_eq!(kept(&[quoted]), None, "a client may say so too");
    }

    #[test]
    fn what_stands_there_twice_or_is_no_entry_is_left_out() {
        let answer = said("2", "assistant", "/a", "done", Some("max_tokens"));
        let entries = [asked("1", "/a", "go"), "{}".into(), "no".into(), answer.clone(), answer];
        assert_eq!(kept(&entries).as_deref(), Some("12"));
    }

    #[test]
    fn a_session_that_would_lead_out_of_its_directory_is_refused() {
        let entry = said("1", "assistant", "/a", "done", Some("end_turn")).replace(SESSION, "../../x");
        assert_eq!(Transcript::resumable(&[entry], Path::new("/b")), None);
    }

    #[test]
    fn where_the_project_stood_becomes_where_it_stands() {
        let text = |cwd: &str, text: &str| {
            let entries = [asked("1", "/a/work", "go"), said("2", "assistant", cwd, text, Some("end_turn"))];
            let bytes = Transcript::resumable(&entries, Path::new("/b/work")).expect("resumable").bytes;
            String::from_utf8(bytes).expect("UTF-8")
        };
        let moved =
            text("/c/work/sub", "In\n/a/work. See /a/work/x, /a/work2, /a/work.bak; was /c/work/sub/y");
        assert!(
            moved.contains("In\\n/b/work. See /b/work/x, /a/work2, /a/work.bak; was /b/work/y"),
            "{moved}"
        );
        let below = text("/a/work/sub", "in /a/work/sub");
        assert!(below.contains(r#""cwd":"/b/work/sub""#) && below.contains("in /b/work/sub"), "{below}");
        let stayed = text("/b/work/sub", "in /b/work/sub");
        assert!(stayed.contains("in /b/work/sub"), "{stayed}");
    }
}
