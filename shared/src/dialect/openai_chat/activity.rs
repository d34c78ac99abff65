//! What an agent's tools do, as lines of its reasoning.

/// The line of one tool. A new one is begun for it where the reasoning so far ends within a line.
pub(super) fn line(within_line: bool, tool: &str, title: Option<&str>) -> String {
    let before = if within_line { "\n" } else { "" };
    match title {
        Some(title) => format!("{before}{tool}: {title}\n"),
        None => format!("{before}{tool}\n"),
    }
}
