//! Where what stands in a converted body stood in the client's.

/// Pairs of places: in the converted body, and in the client's.
#[derive(Default)]
pub(super) struct Origins(Vec<(String, String)>);

impl Origins {
    /// What stands at `chat`, and in it, stood at `written`.
    pub(super) fn add(&mut self, chat: String, written: String) {
        self.0.push((chat, written));
    }

    /// The place in the client's body: by the longest known part of the path.
    pub(super) fn of(&self, path: &str) -> String {
        let rest = |known: &str| {
            path.strip_prefix(known).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let known = self.0.iter().filter_map(|(chat, written)| Some((chat.len(), rest(chat)?, written)));
        match known.max_by_key(|(length, ..)| *length) {
            Some((_, rest, written)) => format!("{written}{rest}"),
            None => path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_known_part_tells() {
        let mut origins = Origins::default();
        for (chat, written) in [
            ("messages", "input"),
            ("messages[1]", "input[3]"),
            ("messages[1].content[0].image_url.url", "input[3].content[0].image_url"),
        ] {
            origins.add(chat.to_owned(), written.to_owned());
        }
        for (path, expected) in [
            ("messages", "input"),
            ("messages[1]", "input[3]"),
            ("messages[1].role", "input[3].role"),
            ("messages[1].content[0].image_url.url", "input[3].content[0].image_url"),
            ("messages[1].content[0].image_url", "input[3].content[0].image_url"),
            ("messages[12].role", "input[12].role"),
            ("messages_too", "messages_too"),
            ("model", "model"),
        ] {
            assert_eq!(origins.of(path), expected);
        }
    }
}
