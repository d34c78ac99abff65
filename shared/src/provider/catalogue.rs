//! The models there are, and which of them a worker offers.

/// The built-in model that needs no provider.
pub const DEMO: &str = "drover-demo";

/// The default model where a provider key is configured and nothing else is said.
const DEFAULT: &str = "claude-sonnet-5-5";

/// What Anthropic serves, newest families first.
const ANTHROPIC: [&str; 15] = [
    "claude-fable-5-2",
    "claude-fable-5-1",
    "claude-fable-5",
    "claude-opus-5-5",
    "claude-opus-5",
    "claude-opus-4-8",
    "claude-opus-4-7",
    "claude-opus-4-6",
    "claude-opus-4-5",
    "claude-sonnet-5-5",
    "claude-sonnet-5",
    "claude-sonnet-4-6",
    "claude-sonnet-4-5",
    "claude-haiku-5-5",
    "claude-haiku-4-5",
];

/// Names that clients still use and Anthropic has retired, each with its successor.
const ALIASES: [(&str, &str); 4] = [
    ("claude-opus-4-20250514", "claude-opus-5-5"),
    ("claude-sonnet-4-20250514", "claude-sonnet-5-5"),
    ("claude-3-7-sonnet-20250219", "claude-sonnet-5-5"),
    ("claude-3-5-haiku-20241022", "claude-haiku-5-5"),
];

/// The models that a worker can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Every name that is accepted, retired ones included; no duplicates.
    pub models: Vec<String>,
    /// The model for requests that name none; one of `models`.
    pub default_model: String,
}

impl Offer {
    /// Without a provider's key there is only the demo. With one there is the catalogue and, first, the
    /// model that the operator `configured`: it may be any name their provider knows.
    pub fn new(has_credential: bool, configured: Option<&str>) -> Self {
        if !has_credential {
            return Self { models: vec![DEMO.to_owned()], default_model: DEMO.to_owned() };
        }
        let known = ANTHROPIC.iter().copied().chain(ALIASES.iter().map(|(name, _)| *name));
        let mut models: Vec<String> = configured.map(str::to_owned).into_iter().collect();
        models.extend(known.filter(|name| Some(*name) != configured).map(str::to_owned));
        Self { models, default_model: configured.unwrap_or(DEFAULT).to_owned() }
    }

    /// Whether the model may be asked for.
    pub fn has(&self, model: &str) -> bool {
        self.models.iter().any(|name| name == model)
    }
}

/// The name by which the provider knows `model`: its successor's if it is retired, else its own.
pub fn resolve(model: &str) -> &str {
    ALIASES.iter().find(|(name, _)| *name == model).map_or(model, |(_, successor)| successor)
}

/// Those of the catalogue that are told how much to think, as a number of tokens.
const BUDGETED: [&str; 3] = ["claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"];

/// Whether the provider's `model` finds out by itself how much to think; the CLI speaks so with every newer
/// model of the catalogue. Of models that are not in it, nothing is known but that they take a budget.
pub fn thinks_by_itself(model: &str) -> bool {
    ANTHROPIC.contains(&model) && !BUDGETED.contains(&model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_key_there_is_only_the_demo() {
        for configured in [None, Some("claude-opus-5")] {
            let offer = Offer::new(false, configured);
            assert_eq!((offer.models, offer.default_model.as_str()), (vec![DEMO.to_owned()], DEMO));
        }
    }

    #[test]
    fn with_a_key_the_default_is_offered_once_and_the_demo_is_not() {
        for (configured, default) in [
            (None, "claude-sonnet-5-5"),
            (Some("claude-opus-5"), "claude-opus-5"),
            (Some("kimi-k3"), "kimi-k3"),
        ] {
            let offer = Offer::new(true, configured);
            assert_eq!(offer.default_model, default);
            assert_eq!(offer.models.iter().filter(|name| *name == default).count(), 1, "{configured:?}");
            assert!(!offer.has(DEMO) && offer.has("claude-3-5-haiku-20241022"), "{configured:?}");
        }
    }

    #[test]
    fn only_newer_models_of_the_catalogue_think_by_themselves() {
        for (model, expected) in [
            ("claude-opus-5-5", true),
            ("claude-sonnet-4-6", true),
            ("claude-opus-4-5", false),
            ("kimi-k3", false),
        ] {
            assert_eq!(thinks_by_itself(model), expected, "{model}");
        }
        assert!(BUDGETED.iter().all(|model| ANTHROPIC.contains(model)));
    }

    #[test]
    fn retired_names_lead_to_models_that_exist() {
        for (name, successor) in ALIASES {
            assert_eq!(resolve(name), successor);
            assert!(ANTHROPIC.contains(&successor), "{successor}");
        }
        assert_eq!(resolve("kimi-k3"), "kimi-k3");
    }
}
