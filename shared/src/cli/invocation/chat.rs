//! The command line of the chat class.

use super::{Account, FRAMED, PLACEHOLDER_MODEL, PLACEHOLDER_SYSTEM};

/// The arguments of a chat process, the same for both builds (after `cli.js` for JavaScript).
///
/// Without tools there is nothing to permit, so no permission flag is needed, nor the escape for root. With
/// these the whole upstream body is below 1 kB; without `--tools` it has 4 kB (native) or 17 kB of tools.
pub fn chat_arguments(account: Account) -> Vec<&'static str> {
    let mut arguments = FRAMED.to_vec();
    // No hooks, memory files, reminders or file mentions. So started, the CLI knows of no login; without it, its
    // reminders are blocks of their own, of which nothing goes up.
    arguments.extend((account == Account::Key).then_some("--bare"));
    arguments.extend([
        "--tools",
        "",
        "--model",
        PLACEHOLDER_MODEL,
        "--system-prompt",
        PLACEHOLDER_SYSTEM,
        "--strict-mcp-config",
        "--setting-sources",
        "",
        "--disable-slash-commands",
        "--no-session-persistence",
    ]);
    arguments
}
