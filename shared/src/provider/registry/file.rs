//! The registry's file, as it is written: TOML, of which every entry knows where it stands.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::schema::offer::{Policy, PriceSource, Setting, Thinking};

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) extends: Extends,
    #[serde(default)]
    pub(super) prices: Option<PriceSource>,
    #[serde(default)]
    pub(super) default_models: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pub(super) provider: Vec<Spanned<ProviderEntry>>,
    #[serde(default)]
    pub(super) model: Vec<Spanned<ModelEntry>>,
    #[serde(default)]
    pub(super) aliases: BTreeMap<String, Spanned<String>>,
}

/// What a file adds to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Extends {
    /// What Drover ships.
    #[default]
    Shipped,
    /// Nothing.
    Nothing,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderEntry {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: Option<String>,
    pub(super) base_url: String,
    #[serde(default)]
    pub(super) auth: Auth,
    #[serde(default)]
    pub(super) keys: Vec<KeyEntry>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) betas: bool,
    #[serde(default)]
    pub(super) lacks: Vec<Setting>,
    #[serde(default)]
    pub(super) max_calls: Option<u32>,
    #[serde(default)]
    pub(super) first_byte_s: Option<u32>,
}

/// How a key is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// As `x-api-key`.
    #[default]
    XApiKey,
    /// As `Authorization: Bearer`.
    Bearer,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyEntry {
    #[serde(default)]
    pub(super) env: Option<String>,
    #[serde(default)]
    pub(super) file: Option<String>,
    #[serde(default)]
    pub(super) auth: Option<Auth>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelEntry {
    pub(super) id: String,
    #[serde(default)]
    pub(super) context: Option<u32>,
    #[serde(default)]
    pub(super) output: Option<u32>,
    #[serde(default)]
    pub(super) vision: bool,
    #[serde(default = "yes")]
    pub(super) tools: bool,
    #[serde(default)]
    pub(super) thinking: Thinking,
    #[serde(default)]
    pub(super) policy: Policy,
    pub(super) routes: Vec<Spanned<RouteEntry>>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteEntry {
    pub(super) provider: String,
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) weight: Option<u32>,
    #[serde(default)]
    pub(super) price: Option<PriceEntry>,
}

/// US dollars for a million tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceEntry {
    pub(super) input: f64,
    pub(super) output: f64,
    #[serde(default)]
    pub(super) cache_read: Option<f64>,
    #[serde(default)]
    pub(super) cache_write: Option<f64>,
    #[serde(default)]
    pub(super) long: Option<LongEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LongEntry {
    pub(super) above: u64,
    pub(super) input: f64,
    pub(super) output: f64,
    #[serde(default)]
    pub(super) cache_read: Option<f64>,
    #[serde(default)]
    pub(super) cache_write: Option<f64>,
}
