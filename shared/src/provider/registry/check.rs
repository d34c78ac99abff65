//! From what is written to what holds: every entry is checked, and every name that it uses.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use super::file::{Auth, File, KeyEntry, LongEntry, ModelEntry, PriceEntry, ProviderEntry, RouteEntry};
use super::{DEMO, KeyPlace, KeySource, Provider, Registry, RegistryError, line_of};
use crate::schema::limits;
use crate::schema::offer::{Abilities, LongPrice, Model, Price, PriceSource, Route, Tariff};

/// A registry in the making; lines are those of the file that was added last, 0 for what came before.
#[derive(Default)]
pub(super) struct Draft {
    providers: Vec<(usize, Provider)>,
    models: Vec<(usize, Model)>,
    route_lines: BTreeMap<(String, usize), usize>,
    aliases: BTreeMap<String, (usize, String)>,
    default_models: (usize, Vec<String>),
    prices: PriceSource,
}

impl From<Registry> for Draft {
    fn from(registry: Registry) -> Self {
        Self {
            providers: registry.providers.into_iter().map(|provider| (0, provider)).collect(),
            models: registry.models.into_iter().map(|model| (0, model)).collect(),
            route_lines: BTreeMap::new(),
            aliases: registry.aliases.into_iter().map(|(name, model)| (name, (0, model))).collect(),
            default_models: (0, registry.default_models),
            prices: registry.prices,
        }
    }
}

fn wrong(line: usize, reason: impl Into<String>) -> RegistryError {
    RegistryError { line, reason: reason.into() }
}

impl Draft {
    /// Adds what a file says. Within it no identifier may stand twice; what came before is replaced.
    pub(super) fn add(mut self, file: File, text: &str) -> Result<Self, RegistryError> {
        let line = |span: std::ops::Range<usize>| line_of(text, span.start);
        let mut seen = BTreeSet::new();
        for entry in file.provider {
            let at = line(entry.span());
            let provider = provider(entry.into_inner(), at)?;
            unique(&mut seen, &provider.id, at)?;
            put(&mut self.providers, at, provider, |provider| &provider.id);
        }
        seen.clear();
        for entry in file.model {
            let at = line(entry.span());
            let entry = entry.into_inner();
            unique(&mut seen, &entry.id, at)?;
            for (number, route) in entry.routes.iter().enumerate() {
                self.route_lines.insert((entry.id.clone(), number), line(route.span()));
            }
            let model = model(entry, at, &line)?;
            // What is a model now is no other name any more.
            self.aliases.remove(&model.id);
            put(&mut self.models, at, model, |model| &model.id);
        }
        for (name, model) in file.aliases {
            let at = line(model.span());
            self.aliases.insert(name, (at, model.into_inner()));
        }
        if let Some(models) = file.default_models {
            self.default_models = (line(models.span()), models.into_inner());
        }
        self.prices = file.prices.unwrap_or(self.prices);
        Ok(self)
    }

    /// Checks that whatever is named exists.
    pub(super) fn finish(self) -> Result<Registry, RegistryError> {
        let providers: BTreeSet<&str> = self.providers.iter().map(|(_, it)| it.id.as_str()).collect();
        let models: BTreeSet<&str> = self.models.iter().map(|(_, it)| it.id.as_str()).collect();
        for (at, model) in &self.models {
            for (number, route) in model.routes.iter().enumerate() {
                if !providers.contains(route.provider.as_str()) {
                    let line = self.route_lines.get(&(model.id.clone(), number)).unwrap_or(at);
                    return Err(wrong(*line, format!("there is no provider `{}`", route.provider)));
                }
            }
        }
        for (name, (at, model)) in &self.aliases {
            if models.contains(name.as_str()) {
                return Err(wrong(*at, format!("`{name}` is a model and cannot be another one's name")));
            }
            if !models.contains(model.as_str()) {
                return Err(wrong(*at, format!("there is no model `{model}`")));
            }
            checked_name("an alias", name, *at)?;
        }
        let (at, default_models) = self.default_models;
        if let Some(unknown) = default_models.iter().find(|model| !models.contains(model.as_str())) {
            return Err(wrong(at, format!("there is no model `{unknown}`")));
        }
        Ok(Registry {
            providers: self.providers.into_iter().map(|(_, provider)| provider).collect(),
            models: self.models.into_iter().map(|(_, model)| model).collect(),
            aliases: self.aliases.into_iter().map(|(name, (_, model))| (name, model)).collect(),
            default_models,
            prices: self.prices,
        })
    }
}

fn unique(seen: &mut BTreeSet<String>, id: &str, line: usize) -> Result<(), RegistryError> {
    if seen.insert(id.to_owned()) { Ok(()) } else { Err(wrong(line, format!("`{id}` stands here twice"))) }
}

fn put<T>(all: &mut Vec<(usize, T)>, line: usize, new: T, id: impl Fn(&T) -> &String) {
    match all.iter_mut().find(|(_, old)| id(old) == id(&new)) {
        Some(old) => *old = (line, new),
        None => all.push((line, new)),
    }
}

/// A name that may stand in headers, logs and rows.
fn checked_name(what: &str, name: &str, line: usize) -> Result<(), RegistryError> {
    let sound = !name.is_empty()
        && name.len() <= limits::MODEL_NAME_BYTES
        && name.chars().all(|c| c.is_ascii_graphic());
    if sound { Ok(()) } else { Err(wrong(line, format!("`{name}` is no name for {what}"))) }
}

fn provider(entry: ProviderEntry, line: usize) -> Result<Provider, RegistryError> {
    let id = entry.id;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.is_empty() || id.len() > limits::MODEL_NAME_BYTES || !id.chars().all(is_plain) {
        return Err(wrong(line, format!("`{id}`: an id has lower-case letters, digits and `-` only")));
    }
    if id == DEMO {
        return Err(wrong(line, format!("`{DEMO}` is Drover's own")));
    }
    base_url(&entry.base_url, line)?;
    let keys = entry.keys.into_iter().map(|key| key_source(key, entry.auth, line));
    let keys = keys.collect::<Result<_, _>>()?;
    for (name, value) in &entry.headers {
        header(name, value, line)?;
    }
    let at_least_1 = |name: &str, given: Option<u32>, default: u32| match given {
        Some(0) => Err(wrong(line, format!("`{name}` is at least 1"))),
        given => Ok(given.unwrap_or(default)),
    };
    let first_byte = u32::try_from(limits::PROVIDER_FIRST_BYTE.as_secs()).unwrap_or(u32::MAX);
    Ok(Provider {
        name: entry.name.unwrap_or_else(|| id.clone()),
        base_url: entry.base_url,
        keys,
        headers: entry.headers.into_iter().collect(),
        betas: entry.betas,
        lacks: entry.lacks,
        max_calls: at_least_1("max_calls", entry.max_calls, limits::PROVIDER_CALLS)?,
        first_byte_s: at_least_1("first_byte_s", entry.first_byte_s, first_byte)?,
        id,
    })
}

/// A URL that a key may be sent to. No user may stand in it, nor anything behind the path.
fn base_url(url: &str, line: usize) -> Result<(), RegistryError> {
    let refused = |why: &str| Err(wrong(line, format!("the base URL `{url}` {why}")));
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return refused("begins with neither https:// nor http://");
    };
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') {
        return refused("names no host");
    }
    if host.contains('@') {
        return refused("names a user");
    }
    if url.contains(['?', '#']) {
        return refused("has a query or a fragment");
    }
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return refused("has white space");
    }
    Ok(())
}

fn key_source(entry: KeyEntry, auth: Auth, line: usize) -> Result<KeySource, RegistryError> {
    let place = match (entry.env, entry.file) {
        (Some(name), None) if !name.is_empty() && !name.contains(['=', '\0']) => KeyPlace::Variable(name),
        (None, Some(path)) if !path.is_empty() => KeyPlace::File(path),
        _ => return Err(wrong(line, "a key is in a variable, `env`, or in a file, `file`")),
    };
    Ok(KeySource { place, auth: entry.auth.unwrap_or(auth) })
}

/// Headers that carry the key or what HTTP itself needs are not the file's to set.
fn header(name: &str, value: &str, line: usize) -> Result<(), RegistryError> {
    const OURS: [&str; 7] = [
        "authorization",
        "x-api-key",
        "host",
        "content-length",
        "content-type",
        "connection",
        "transfer-encoding",
    ];
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(is_token) || OURS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(wrong(line, format!("`{name}` is no header that may be set")));
    }
    if value.chars().any(|c| !c.is_ascii_graphic() && c != ' ') {
        return Err(wrong(line, format!("the value of the header `{name}` is no plain text")));
    }
    Ok(())
}

fn model(
    entry: ModelEntry,
    line: usize,
    line_of: &impl Fn(std::ops::Range<usize>) -> usize,
) -> Result<Model, RegistryError> {
    checked_name("a model", &entry.id, line)?;
    if entry.id == DEMO {
        return Err(wrong(line, format!("`{DEMO}` is Drover's own")));
    }
    if entry.routes.is_empty() {
        return Err(wrong(line, format!("`{}` has no route", entry.id)));
    }
    let abilities = Abilities {
        context_tokens: entry.context,
        output_tokens: entry.output,
        vision: entry.vision,
        tools: entry.tools,
        thinking: entry.thinking,
    };
    let mut routes: Vec<Route> = Vec::with_capacity(entry.routes.len());
    for spanned in entry.routes {
        let at = line_of(spanned.span());
        let route = route(Spanned::into_inner(spanned), &entry.id, at)?;
        let same = |other: &Route| other.provider == route.provider && other.model == route.model;
        if routes.iter().any(same) {
            return Err(wrong(at, format!("`{}` is a route to `{}` twice", route.provider, route.model)));
        }
        routes.push(route);
    }
    Ok(Model { id: entry.id, policy: entry.policy, routes, abilities })
}

fn route(entry: RouteEntry, id: &str, line: usize) -> Result<Route, RegistryError> {
    let model = entry.model.unwrap_or_else(|| id.to_owned());
    checked_name("a model", &model, line)?;
    let weight = entry.weight.unwrap_or(1);
    if weight == 0 || weight > limits::ROUTE_WEIGHT {
        return Err(wrong(line, format!("a weight is from 1 to {}", limits::ROUTE_WEIGHT)));
    }
    let tariff = entry.price.map(|price| tariff(&price, line)).transpose()?;
    Ok(Route { provider: entry.provider, model, weight, tariff })
}

fn tariff(entry: &PriceEntry, line: usize) -> Result<Tariff, RegistryError> {
    let price = price(entry.input, entry.output, entry.cache_read, entry.cache_write, line)?;
    let long = entry.long.as_ref().map(|long: &LongEntry| {
        let price = self::price(long.input, long.output, long.cache_read, long.cache_write, line)?;
        Ok(LongPrice { above_tokens: long.above, price })
    });
    Ok(Tariff { price, long: long.transpose()? })
}

fn price(
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    line: usize,
) -> Result<Price, RegistryError> {
    let (input, output) = (microusd(input, line)?, microusd(output, line)?);
    let read = cache_read.map(|dollars| microusd(dollars, line)).transpose()?;
    let write = cache_write.map(|dollars| microusd(dollars, line)).transpose()?;
    Ok(Price {
        input,
        output,
        cache_read: read.unwrap_or(input.div_ceil(10)),
        cache_write: write.unwrap_or((input * 5).div_ceil(4)),
    })
}

/// Dollars in millionths. Six decimals are as many as are told apart.
fn microusd(dollars: f64, line: usize) -> Result<u64, RegistryError> {
    if !(0.0..=limits::PRICE_USD).contains(&dollars) {
        return Err(wrong(line, format!("{dollars} is no price; it is from 0 to {}", limits::PRICE_USD)));
    }
    let millionths = (dollars * 1e6).round();
    if (dollars * 1e6 - millionths).abs() > 1e-3 {
        return Err(wrong(line, format!("{dollars} has more than six decimals")));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number within bounds"
    )]
    let millionths = millionths as u64;
    Ok(millionths)
}
