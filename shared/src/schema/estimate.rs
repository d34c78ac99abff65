//! How many tokens a job may take, before anybody has counted.

use serde::Serialize;

use super::limits;
use super::spec::{JobSpec, Part};

impl JobSpec {
    /// About how many tokens prompts and answers take together: each answer is asked for by itself, with the whole
    /// prompt. What a session holds already is not known here; at its end a job is settled for what it has used.
    pub fn estimated_tokens(&self) -> u64 {
        let tools: usize = self.tools.iter().map(json).sum();
        let said: u64 = self.turns.iter().flat_map(|turn| &turn.parts).map(part).sum();
        let answer = self.sampling.max_tokens.map_or(limits::ANSWER_TOKENS, u64::from);
        let answers = u64::from(self.choices.map_or(1, std::num::NonZeroU32::get));
        tokens(self.system.len() + tools)
            .saturating_add(said)
            .saturating_add(answer)
            .saturating_mul(answers)
            .max(1)
    }
}

fn json(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(0, |json| json.len())
}

fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(limits::BYTES_PER_TOKEN)).unwrap_or(u64::MAX)
}

fn part(part: &Part) -> u64 {
    match part {
        Part::Text { text } => tokens(text.len()),
        Part::Image { .. } => limits::IMAGE_TOKENS,
        // As text, of which three bytes take four letters.
        Part::Document { source, .. } => tokens(json(source) / 4 * 3),
        Part::ToolUse { input, .. } => tokens(json(input)),
        Part::ToolResult { content, .. } => content.iter().map(self::part).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Role, Sampling, Turn};

    #[test]
    fn prompt_and_answer_are_counted() {
        let text = |text: &str| Part::Text { text: text.to_owned() };
        let result =
            Part::ToolResult { tool_use_id: "t".to_owned(), content: vec![text("1234")], is_error: false };
        let mut spec = JobSpec {
            system: "12345678".to_owned(),
            turns: vec![Turn { role: Role::User, parts: vec![result, text("12345")] }],
            ..JobSpec::default()
        };
        assert_eq!(spec.estimated_tokens(), 2 + 1 + 2 + limits::ANSWER_TOKENS);
        spec.sampling = Sampling { max_tokens: Some(10), ..Sampling::default() };
        spec.choices = std::num::NonZeroU32::new(3);
        assert_eq!(spec.estimated_tokens(), (5 + 10) * 3, "each answer sends the prompt");
    }
}
