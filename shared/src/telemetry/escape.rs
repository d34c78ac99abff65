//! Nothing that is logged writes a line of its own, or tells a terminal what to do.

use std::fmt;

/// Whether a character is to be seen as what it is: control characters, and those that turn the direction of writing,
/// that break lines, or that are not seen at all.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Writes hidden characters as escapes, `\n` or `\u{1b}`, and all others as they are.
pub(super) struct Visible<'a>(pub(super) &'a mut dyn fmt::Write);

impl fmt::Write for Visible<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_hidden) {
            self.0.write_str(&rest[..at])?;
            let mut after = rest[at..].chars();
            if let Some(hidden) = after.next() {
                write!(self.0, "{}", hidden.escape_default())?;
            }
            rest = after.as_str();
        }
        self.0.write_str(rest)
    }
}
