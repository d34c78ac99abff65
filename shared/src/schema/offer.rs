//! What there is to ask: models, who serves them, and what they cost. A worker reads it from its registry and
//! tells it to the store, so that api and worker never disagree about it. Holds no key, nor where one is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agent::AgentsOffer;

/// Everything a worker knows about models and providers, usable now or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// In the registry's order; no identifier twice.
    pub models: Vec<Model>,
    /// Other names of models, such as those of retired ones, each with the identifier that it stands for.
    pub aliases: BTreeMap<String, String>,
    /// In the registry's order; no identifier twice.
    pub providers: Vec<Provider>,
    /// The model for requests that name none.
    pub default_model: Option<String>,
    /// Where the prices come from.
    pub prices: PriceSource,
    /// What agents may do; `None` where none can run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<AgentsOffer>,
}

/// A model, by the name that clients know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// What clients call it; may contain `/`.
    pub id: String,
    /// In which order its routes are taken.
    pub policy: Policy,
    /// Who serves it, in the order of preference; never empty.
    pub routes: Vec<Route>,
    /// What it can do.
    pub abilities: Abilities,
}

/// One provider's way to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The provider's identifier.
    pub provider: String,
    /// What the provider calls the model.
    pub model: String,
    /// Its share among the routes of [`Policy::RoundRobin`]; at least 1.
    pub weight: u32,
    /// What it costs there, if that is known.
    pub tariff: Option<Tariff>,
}

/// In which order a model's routes are taken. A conversation stays with the route that it began with, as long
/// as that one works, so that its prompt stays in the provider's cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// As listed.
    #[default]
    Priority,
    /// What costs least first; routes without a known price last.
    Cheapest,
    /// Whose answers have begun soonest lately first; what was not measured yet before all others.
    Fastest,
    /// By turns, each as often as its weight says.
    RoundRobin,
}

/// What a model can do, as far as requests depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// Most tokens of prompt and answer together; `None` where nobody tells.
    pub context_tokens: Option<u32>,
    /// Most tokens of one answer; `None` where nobody tells.
    pub output_tokens: Option<u32>,
    /// Whether it looks at images.
    pub vision: bool,
    /// Whether it calls tools.
    pub tools: bool,
    /// Whether and how it can be told to think.
    pub thinking: Thinking,
}

/// How a model is told to think.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Thinking {
    /// Not at all.
    #[default]
    None,
    /// By a number of tokens (`thinking.budget_tokens`).
    Budget,
    /// It finds the measure itself (`thinking.type: adaptive`), guided by an effort.
    Adaptive,
}

/// A provider, without its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its identifier, such as `moonshot`: lower-case letters, digits and `-`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// How many keys the worker has for it; without one its routes are not taken.
    pub keys: u32,
    /// What it does not take of what a request may set.
    pub lacks: Vec<Setting>,
}

/// What a request may set and a provider may not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// How freely the model speaks.
    Temperature,
    /// Nucleus sampling.
    TopP,
    /// Sampling from the likeliest tokens only.
    TopK,
    /// Texts at which it stops.
    Stop,
    /// How much it thinks.
    Thinking,
    /// Which tools it may or must call.
    ToolChoice,
    /// Whether it may call several tools at once.
    ParallelTools,
    /// How soon it is served.
    ServiceTier,
    /// Who the end user is.
    User,
    /// Which tools the model knows.
    Tools,
    /// What it is to look at: images and documents.
    Images,
    /// The schema of its answer.
    OutputFormat,
}

impl Setting {
    /// All of them, in the order in which documents list them.
    pub const ALL: [Self; 12] = [
        Self::Temperature,
        Self::TopP,
        Self::TopK,
        Self::Stop,
        Self::Thinking,
        Self::ToolChoice,
        Self::ParallelTools,
        Self::ServiceTier,
        Self::User,
        Self::Tools,
        Self::Images,
        Self::OutputFormat,
    ];
}

/// What a model's tokens cost, and what they cost in calls with a longer prompt than so many tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tariff {
    /// For most calls.
    #[serde(flatten)]
    pub price: Price,
    /// For calls with long prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long: Option<LongPrice>,
}

/// What a million tokens of each kind cost, in millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// Of the prompt.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
    /// Of the prompt, read from the provider's cache.
    pub cache_read: u64,
    /// Of the prompt, written to the provider's cache.
    pub cache_write: u64,
}

/// What calls cost whose whole prompt, cached parts included, is longer than so many tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LongPrice {
    /// The longest prompt at the usual price.
    pub above_tokens: u64,
    /// The price beyond.
    #[serde(flatten)]
    pub price: Price,
}

/// Where prices were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriceSource {
    /// Whose list.
    pub name: String,
    /// When, as a date such as `2026-11-23`.
    pub read_on: String,
}

/// How a provider does, as one worker sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderHealth {
    /// The provider's identifier.
    pub id: String,
    /// Whether it is asked.
    pub state: ProviderState,
    /// When it is asked again, in milliseconds since the Unix epoch, if it is not now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// From call to first byte, in milliseconds, averaged with the latest counting most; `None` before the
    /// first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u32>,
    /// Calls since the worker started.
    pub calls: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Its keys, in the order of the configuration.
    pub keys: Vec<KeyHealth>,
}

/// Whether a provider is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderState {
    /// It is.
    Ready,
    /// It failed several times in a row and is left alone for a while.
    Resting,
    /// None of its keys can be used now.
    NoKey,
}

/// How one key of a provider does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyHealth {
    /// The first digits of its SHA-256: tells keys apart and tells no key.
    pub fingerprint: String,
    /// Whether it is used.
    pub state: KeyState,
    /// When it is used again, in milliseconds since the Unix epoch, if it is not now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
}

/// Whether a key is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It is.
    Ready,
    /// The provider's rate limit for it is reached.
    Limited,
    /// The provider refused it (401, 403).
    Refused,
    /// The provider refuses to bill its account (402).
    Unpaid,
}
