//! The providers, models and prices that a worker knows: those that Drover ships (`shared/providers.toml`, which
//! says what may stand in such a file), and those of the operator's own file.

mod check;
mod file;
mod offer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::file::{Extends, File};
use crate::schema::offer::{Model, PriceSource, Route, Setting};

pub use self::file::Auth;

/// What Drover ships.
const SHIPPED: &str = include_str!("../../../providers.toml");

/// Anthropic's own API.
pub const ANTHROPIC: &str = "anthropic";
/// The provider that is the CLI's own login: Anthropic, paid for by a subscription.
pub const LOGIN: &str = "claude-login";

/// The built-in model that needs no provider, and its provider's identifier.
pub const DEMO: &str = "drover-demo";

/// What a registry's file says, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Registry {
    /// In the order of the file; no identifier twice.
    pub providers: Vec<Provider>,
    /// In the order of the file; no identifier twice.
    pub models: Vec<Model>,
    /// Other names of models.
    pub aliases: BTreeMap<String, String>,
    /// The first of them that can be served is the default.
    pub default_models: Vec<String>,
    /// Where the prices come from.
    pub prices: PriceSource,
}

/// A provider, and where its keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Lower-case letters, digits and `-`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// An http or https URL without a query; what `/v1/messages` is appended to.
    pub base_url: String,
    /// Where its keys are, in the order in which they are used.
    pub keys: Vec<KeySource>,
    /// Headers that it wants besides.
    pub headers: Vec<(String, String)>,
    /// Whether it knows what `anthropic-beta` names.
    pub betas: bool,
    /// What it does not take.
    pub lacks: Vec<Setting>,
    /// Calls that it takes at a time.
    pub max_calls: u32,
    /// Longest silence before its answer begins, in seconds.
    pub first_byte_s: u32,
}

/// Where one or several keys are, and how they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySource {
    /// Where.
    pub place: KeyPlace,
    /// How.
    pub auth: Auth,
}

/// Where keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a variable of the environment, separated by commas.
    Variable(String),
    /// In a file, one a line.
    File(String),
}

/// A file that cannot be used, and where it is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct RegistryError {
    /// Counted from 1.
    pub line: usize,
    /// In plain words.
    pub reason: String,
}

impl Registry {
    /// What Drover ships.
    ///
    /// # Panics
    ///
    /// If the shipped file is wrong, which a test rules out.
    pub fn shipped() -> Self {
        match parse(SHIPPED).and_then(|file| check::Draft::default().add(file, SHIPPED)?.finish()) {
            Ok(registry) => registry,
            Err(error) => panic!("providers.toml, {error}"),
        }
    }

    /// Reads the operator's own file.
    pub fn read(text: &str) -> Result<Self, RegistryError> {
        let file = parse(text)?;
        let draft = match file.extends {
            Extends::Shipped => check::Draft::from(Self::shipped()),
            Extends::Nothing => check::Draft::default(),
        };
        draft.add(file, text)?.finish()
    }

    /// The same with the CLI's own login as a provider, which comes before `anthropic` wherever that one serves. Nobody
    /// says what its tokens cost.
    #[must_use]
    pub fn with_login(mut self) -> Self {
        let Some(anthropic) = self.provider(ANTHROPIC).cloned() else { return self };
        let place = KeyPlace::Variable("CLAUDE_CODE_OAUTH_TOKEN".to_owned());
        self.providers.push(Provider {
            id: LOGIN.to_owned(),
            name: "Claude Code's login".to_owned(),
            keys: vec![KeySource { place, auth: Auth::Bearer }],
            ..anthropic
        });
        for model in &mut self.models {
            if let Some(at) = model.routes.iter().position(|route| route.provider == ANTHROPIC) {
                let route = Route { provider: LOGIN.to_owned(), tariff: None, ..model.routes[at].clone() };
                model.routes.insert(at, route);
            }
        }
        self
    }

    /// The provider of that identifier.
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }
}

/// The shipped providers as a Markdown table, for the documentation.
pub fn markdown() -> String {
    let registry = Registry::shipped();
    let head = "| provider | keys | models |\n|---|---|---|\n".to_owned();
    registry.providers.iter().fold(head, |table, provider| {
        let keys = provider.keys.iter().map(|key| match &key.place {
            KeyPlace::Variable(name) | KeyPlace::File(name) => format!("`{name}`"),
        });
        let served =
            registry.models.iter().filter(|it| it.routes.iter().any(|route| route.provider == provider.id));
        let served: Vec<String> = served.map(|model| format!("`{}`", model.id)).collect();
        let keys = keys.collect::<Vec<_>>().join(" or ");
        let Provider { id, name, .. } = provider;
        table + &format!("| `{id}` ({name}) | {keys} | {} |\n", served.join(", "))
    })
}

fn parse(text: &str) -> Result<File, RegistryError> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        RegistryError { line, reason: error.message().to_owned() }
    })
}

/// The line, counted from 1, in which this byte stands.
fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}
