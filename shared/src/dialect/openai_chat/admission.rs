//! Holds the fields of an object against the table of parameters.

use super::parameters::{self, Neutral, Scope, Treatment};
use super::reader::Node;
use super::table;
use crate::dialect::Rejection;
use crate::schema::limits;

/// The names of fields that were ignored, each once, fit for a response header.
#[derive(Default)]
pub(super) struct Ignored(Vec<String>);

/// Refuses what may not be there, and notes what is ignored. What is left is honoured or neutral.
pub(super) fn admit(object: &Node, scope: Scope, ignored: &mut Ignored) -> Result<(), Rejection> {
    hold(object, scope, true, ignored)
}

/// The same for an object of which another table knows more: fields that this one does not list are left to it.
pub(super) fn admit_listed(object: &Node, scope: Scope, ignored: &mut Ignored) -> Result<(), Rejection> {
    hold(object, scope, false, ignored)
}

fn hold(object: &Node, scope: Scope, knows_all: bool, ignored: &mut Ignored) -> Result<(), Rejection> {
    for (name, field) in object.fields()? {
        let Some(parameter) = parameters::find(scope, name) else {
            if !knows_all {
                continue;
            }
            if scope == Scope::Body && reaches_for_provider(name) {
                return Err(field.unsupported(table::KEEP_OFF));
            }
            ignored.add(scope, name);
            continue;
        };
        if !parameter.kind.admits(field.value()) {
            return Err(field.invalid_type(parameter.kind.describe()));
        }
        match parameter.treatment {
            Treatment::Honoured => {}
            Treatment::Neutral(values) => accept_only(&field, values, parameter.note)?,
            Treatment::Refused => return Err(field.unsupported(parameter.note)),
            Treatment::Ignored => ignored.add(scope, name),
            Treatment::IgnoredIf(values) => {
                accept_only(&field, values, parameter.note)?;
                ignored.add(scope, name);
            }
        }
    }
    Ok(())
}

fn accept_only(field: &Node, values: &[Neutral], note: &str) -> Result<(), Rejection> {
    if values.iter().any(|value| value.matches(field.value())) {
        return Ok(());
    }
    Err(field.unsupported(format!("Only {} is accepted. {note}", parameters::one_of(values))))
}

/// Whether a field asks to send the server's traffic, or its key, somewhere else. Such a field is never
/// merely ignored: a client that sends one must learn that it has no effect.
fn reaches_for_provider(name: &str) -> bool {
    const ENDS: [&str; 7] =
        ["apibase", "apikey", "apiurl", "authtoken", "baseurl", "extraheaders", "customllmprovider"];
    if name.len() > limits::IGNORED_NAME_BYTES {
        return false;
    }
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    ENDS.iter().any(|end| plain.ends_with(end))
}

impl Ignored {
    /// The names, in the order in which they were met.
    pub(super) fn into_names(self) -> Vec<String> {
        self.0
    }

    /// Notes a field that turned out to be ignored.
    pub(super) fn add(&mut self, scope: Scope, name: &str) {
        if self.0.len() >= limits::IGNORED_NAMES {
            return;
        }
        // A header takes visible ASCII only, and a comma would end the name in its list.
        let fit = |c: char| if c.is_ascii_graphic() && c != ',' { c } else { '?' };
        let name: String = name.chars().take(limits::IGNORED_NAME_BYTES).map(fit).collect();
        let name = format!("{}{name}", scope.prefix());
        if !self.0.contains(&name) {
            self.0.push(name);
        }
    }
}
