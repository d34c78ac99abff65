//! The operator's MCP servers: their configuration, in the form that users of Claude Code know, and what of it a
//! process is given.
//!
//! A server is started by the CLI, in the slot. It gets an environment of its own and nothing of the CLI's: a shell
//! clears it and reads the server's variables from a file of the slot. So no secret stands in the CLI's configuration,
//! in its environment, or in the command line of anything.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::schema::McpServer;
use crate::schema::limits::{MCP_NAME_BYTES, MCP_SERVERS};

/// Reads the variables and becomes the server: the shell's zeroth argument is the file, the rest the command.
const BECOME: &str = r#". "$0" && exec "$@""#;

/// All that are configured, by name. Its `Debug` form shows nothing but the names.
#[derive(Clone, Default)]
pub struct McpServers(BTreeMap<String, Server>);

#[derive(Clone)]
struct Server {
    command: String,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    default: bool,
}

/// What is wrong with a configuration. Says where, and quotes no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct McpError(String);

impl fmt::Debug for McpServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl McpServers {
    /// Reads a configuration: `{"mcpServers": {name: {"command", "args", "env"}}}`. With `"default": true` jobs have the
    /// server that do not say which they want.
    pub fn read(text: &str) -> Result<Self, McpError> {
        let whole: Value = serde_json::from_str(text).map_err(|error| {
            McpError(format!("not JSON, at line {} column {}", error.line(), error.column()))
        })?;
        let servers = whole["mcpServers"].as_object();
        let servers = servers.ok_or_else(|| McpError("there is no object `mcpServers`".to_owned()))?;
        if servers.len() > MCP_SERVERS {
            return Err(McpError(format!("there are more than {MCP_SERVERS} servers")));
        }
        let server = |(name, server): (&String, &Value)| {
            let wrong = |what: String| McpError(format!("server `{name}`: {what}"));
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.is_empty()
                || name.len() > MCP_NAME_BYTES
                || !name.chars().all(is_plain)
                || name.contains("__")
            {
                return Err(wrong(format!(
                    "a name is up to {MCP_NAME_BYTES} letters, digits, `-` and single `_`"
                )));
            }
            Server::read(server).map(|server| (name.clone(), server)).map_err(wrong)
        };
        servers.iter().map(server).collect::<Result<_, _>>().map(Self)
    }

    /// What clients may know of them.
    pub fn offer(&self) -> Vec<McpServer> {
        self.0
            .iter()
            .map(|(name, server)| McpServer { name: name.clone(), default: server.default })
            .collect()
    }

    /// The CLI's configuration for some of them. The variables of each are in the file that `file` names, see
    /// [`variables`](Self::variables); `base` is what each has besides.
    pub fn config<P: AsRef<Path>>(
        &self,
        names: &[String],
        base: &[(&str, &Path)],
        file: impl Fn(&str) -> P,
    ) -> String {
        let server = |name: &String| {
            let server = self.0.get(name)?;
            let mut arguments = vec!["-i".to_owned()];
            arguments.extend(base.iter().map(|(name, value)| format!("{name}={}", value.display())));
            arguments.extend(["/bin/sh", "-c", BECOME].map(str::to_owned));
            arguments.push(file(name).as_ref().display().to_string());
            arguments.push(server.command.clone());
            arguments.extend(server.arguments.iter().cloned());
            Some((name.clone(), json!({ "type": "stdio", "command": "/usr/bin/env", "args": arguments })))
        };
        let servers: Map<String, Value> = names.iter().filter_map(server).collect();
        json!({ "mcpServers": servers }).to_string()
    }

    /// The variables of a server, as a shell reads them. Secret.
    pub fn variables(&self, name: &str) -> String {
        let variables = self.0.get(name).map(|server| server.variables.as_slice()).unwrap_or_default();
        let line =
            |(name, value): &(String, String)| format!("export {name}='{}'\n", value.replace('\'', r"'\''"));
        // The file must hold something: an empty one is no script to some shells.
        variables.iter().map(line).collect::<String>() + ":\n"
    }
}

impl Server {
    fn read(server: &Value) -> Result<Self, String> {
        let fields = server.as_object().ok_or("it is no object")?;
        let unknown =
            |name: &&String| !["type", "command", "args", "env", "default"].contains(&name.as_str());
        match fields.get("type").map(|kind| kind.as_str().unwrap_or_default()) {
            None | Some("stdio") => {}
            Some(_) => {
                return Err("only servers that a command starts (`stdio`) can be had: a slot has no way to one that is \
                            reached over the network"
                    .to_owned());
            }
        }
        if let Some(name) = fields.keys().find(unknown) {
            return Err(format!("`{name}` is not known here"));
        }
        let command = fields.get("command").map(|command| text("command", command)).transpose()?;
        let arguments = match fields.get("args") {
            None => Vec::new(),
            Some(Value::Array(all)) => all.iter().map(|one| text("args", one)).collect::<Result<_, _>>()?,
            Some(_) => return Err("`args` is no array".to_owned()),
        };
        let variables = match fields.get("env") {
            None => Vec::new(),
            Some(Value::Object(all)) => {
                let one = |(name, value): (&String, &Value)| {
                    if !is_variable(name) {
                        return Err("a name in `env` is no variable's".to_owned());
                    }
                    Ok((name.clone(), text(&format!("env.{name}"), value)?))
                };
                all.iter().map(one).collect::<Result<_, _>>()?
            }
            Some(_) => return Err("`env` is no object".to_owned()),
        };
        let default = match fields.get("default") {
            None => false,
            Some(value) => value.as_bool().ok_or("`default` is neither true nor false")?,
        };
        let command = command.filter(|command| !command.is_empty()).ok_or("there is no `command`")?;
        Ok(Self { command, arguments, variables, default })
    }
}

/// A text that means what it says.
fn text(field: &str, value: &Value) -> Result<String, String> {
    let text = value.as_str().ok_or_else(|| format!("`{field}` is no text"))?;
    if text.contains("${") {
        return Err(format!("`{field}` holds `${{`, but variables are not replaced here"));
    }
    if text.contains('\0') {
        return Err(format!("`{field}` holds a character that no argument may"));
    }
    Ok(text.to_owned())
}

fn is_variable(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"{"mcpServers": {
        "notes": {"command": "python3", "args": ["-u", "/n.py"], "env": {"TOKEN": "s3'x"}, "default": true},
        "tickets": {"type": "stdio", "command": "tickets"}
    }}"#;

    #[test]
    fn a_server_is_started_without_anything_of_the_clis_and_its_secrets_stand_in_no_command() {
        let servers = McpServers::read(TWO).expect("a configuration");
        let told = |name: &str, default| McpServer { name: name.to_owned(), default };
        assert_eq!(servers.offer(), [told("notes", true), told("tickets", false)]);
        let base = [("PATH", Path::new("/usr/bin"))];
        let config = servers.config(&["notes".to_owned()], &base, |name| format!("/slot/{name}"));
        let config: Value = serde_json::from_str(&config).expect("JSON");
        let arguments =
            ["-i", "PATH=/usr/bin", "/bin/sh", "-c", BECOME, "/slot/notes", "python3", "-u", "/n.py"];
        let expected = json!({"mcpServers": {
            "notes": {"type": "stdio", "command": "/usr/bin/env", "args": arguments},
        }});
        assert_eq!(config, expected);
        assert_eq!(servers.variables("notes"), "export TOKEN='s3'\\''x'\n:\n");
        assert_eq!(servers.variables("tickets"), ":\n");
        assert!(!format!("{servers:?}").contains("s3"), "{servers:?}");
    }

    #[test]
    fn what_cannot_be_had_is_refused_by_name_and_without_its_values() {
        let of = |server: &str| format!(r#"{{"mcpServers":{{"one":{server}}}}}"#);
        for (text, said) in [
            ("{".to_owned(), "not JSON, at line 1"),
            ("{}".to_owned(), "no object `mcpServers`"),
            (r#"{"mcpServers":{"a b":{"command":"x"}}}"#.to_owned(), "server `a b`: a name is"),
            (r#"{"mcpServers":{"a__b":{"command":"x"}}}"#.to_owned(), "a name is"),
            (
                of(r#"{"type":"http","url":"https://s3.example"}"#),
                "server `one`: only servers that a command",
            ),
            (of(r#"{"type":"sse","url":"https://s3.example"}"#), "only servers that a command"),
            (of(r#"{"url":"https://s3.example"}"#), "`url` is not known"),
            (of("{}"), "no `command`"),
            (of(r#"{"command":""}"#), "no `command`"),
            (of(r#"{"command":"x","args":"s3"}"#), "`args` is no array"),
            (of(r#"{"command":"x","env":{"A":5}}"#), "`env.A` is no text"),
            (of(r#"{"command":"x","env":{"A-B":"s3"}}"#), "no variable's"),
            (of(r#"{"command":"x","env":{"A":"${s3}"}}"#), "variables are not replaced"),
            (of(r#"{"command":"x","default":"s3"}"#), "`default` is neither"),
        ] {
            let error = McpServers::read(&text).expect_err(&text).to_string();
            assert!(error.contains(said) && !error.contains("s3"), "{text}: {error}");
        }
    }
}
