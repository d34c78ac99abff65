//! What a model's name stands for.

use std::collections::{BTreeMap, BTreeSet};

use super::registry::DEMO;
use crate::schema::Offer;
use crate::schema::offer::{Abilities, Model, Policy, Provider, Route};

/// A model that can be asked, and by which ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Its identifier.
    pub id: String,
    /// In which order the routes are taken.
    pub policy: Policy,
    /// What it can do.
    pub abilities: Abilities,
    /// The routes whose providers there is a key for; never empty.
    pub routes: Vec<Route>,
}

/// What `name` stands for: a model, whose identifier may contain `/`; else another name of one; else
/// `provider/model`, of which the latter is one of these or what the provider calls it. `None` if nobody with a
/// key serves it.
pub fn resolve(offer: &Offer, name: &str) -> Option<Resolved> {
    if let Some(model) = known(offer, name) {
        return usable(offer, model, |_| true);
    }
    let (provider, name) = name.split_once('/')?;
    if let Some(model) = known(offer, name)
        && let Some(resolved) = usable(offer, model, |route| route.provider == provider)
    {
        return Some(resolved);
    }
    let theirs = |route: &Route| route.provider == provider && route.model == name;
    offer
        .models
        .iter()
        .find(|model| model.routes.iter().any(theirs))
        .and_then(|model| usable(offer, model, theirs))
}

/// Every name that can be asked for without naming a provider, sorted.
pub fn names(offer: &Offer) -> Vec<String> {
    let ids = offer.models.iter().map(|model| &model.id);
    let all: BTreeSet<&String> = ids.chain(offer.aliases.keys()).collect();
    all.into_iter().filter(|name| resolve(offer, name).is_some()).cloned().collect()
}

/// The offer of several workers together. Where they differ, the first one's word holds; a provider has a key if
/// one of them has; agents may do what they may on every worker that runs any.
pub fn merge<'a>(offers: impl IntoIterator<Item = &'a Offer>) -> Offer {
    // Who has a key comes first, and the demo is for where nobody has one.
    let (demo, real): (Vec<&Offer>, Vec<&Offer>) = offers.into_iter().partition(|offer| is_demo(offer));
    let mut offers = if real.is_empty() { demo } else { real }.into_iter();
    let Some(mut merged) = offers.next().cloned() else { return Offer::default() };
    for offer in offers {
        add(&mut merged.models, &offer.models, |model: &Model| &model.id);
        add(&mut merged.providers, &offer.providers, |provider: &Provider| &provider.id);
        let theirs: BTreeMap<&str, u32> =
            offer.providers.iter().map(|it| (it.id.as_str(), it.keys)).collect();
        for provider in &mut merged.providers {
            provider.keys = provider.keys.max(theirs.get(provider.id.as_str()).copied().unwrap_or(0));
        }
        for (name, model) in &offer.aliases {
            merged.aliases.entry(name.clone()).or_insert_with(|| model.clone());
        }
        merged.default_model = merged.default_model.or_else(|| offer.default_model.clone());
        merged.agents = match (merged.agents, &offer.agents) {
            (Some(all), Some(theirs)) => Some(all.common(theirs)),
            (all, theirs) => all.or_else(|| theirs.clone()),
        };
    }
    merged
}

fn is_demo(offer: &Offer) -> bool {
    offer.default_model.as_deref() == Some(DEMO)
}

fn add<T: Clone>(all: &mut Vec<T>, more: &[T], id: impl Fn(&T) -> &String) {
    for one in more {
        if !all.iter().any(|other| id(other) == id(one)) {
            all.push(one.clone());
        }
    }
}

fn known<'a>(offer: &'a Offer, name: &str) -> Option<&'a Model> {
    let by_id = |id: &str| offer.models.iter().find(|model| model.id == id);
    by_id(name).or_else(|| by_id(offer.aliases.get(name)?))
}

fn usable(offer: &Offer, model: &Model, wanted: impl Fn(&Route) -> bool) -> Option<Resolved> {
    let has_key = |id: &str| offer.providers.iter().any(|provider| provider.id == id && provider.keys > 0);
    let routes = model.routes.iter().filter(|route| wanted(route) && has_key(&route.provider));
    let routes: Vec<Route> = routes.cloned().collect();
    (!routes.is_empty()).then(|| Resolved {
        id: model.id.clone(),
        policy: model.policy,
        abilities: model.abilities,
        routes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::registry::Registry;

    fn offer(keys: &[&str]) -> Offer {
        let own = r#"
            [[provider]]
            id = "here"
            base_url = "http://127.0.0.1:1"
            [[model]]
            id = "deepseek/flash"
            routes = [{ provider = "here", model = "f" }]
        "#;
        let registry = Registry::read(own).expect("a registry");
        registry.offer(|id| u32::from(keys.contains(&id)), None)
    }

    fn routes(offer: &Offer, name: &str) -> Option<Vec<(String, String)>> {
        let routes = resolve(offer, name)?.routes;
        Some(routes.into_iter().map(|route| (route.provider, route.model)).collect())
    }

    #[test]
    fn names_are_models_then_other_names_then_providers_models() {
        let offer = offer(&["here", "deepseek", "siliconflow"]);
        let pro = "deepseek-ai/DeepSeek-V4-Pro-0813";
        for (name, expected) in [
            ("deepseek-flash", Some(&[("deepseek", "deepseek-flash")][..])),
            ("deepseek-chat", Some(&[("deepseek", "deepseek-flash")])),
            // A model before a provider's model of that name.
            ("deepseek/flash", Some(&[("here", "f")])),
            ("here/deepseek/flash", Some(&[("here", "f")])),
            ("here/f", Some(&[("here", "f")])),
            ("deepseek/deepseek-flash", Some(&[("deepseek", "deepseek-flash")])),
            ("deepseek/deepseek-chat", Some(&[("deepseek", "deepseek-flash")])),
            ("deepseek-v4-pro", Some(&[("deepseek", "deepseek-v4-pro"), ("siliconflow", pro)])),
            ("siliconflow/deepseek-v4-pro", Some(&[("siliconflow", pro)])),
            ("siliconflow/deepseek-ai/DeepSeek-V4-Pro-0813", Some(&[("siliconflow", pro)])),
            // No key, no such route, no such thing.
            ("glm-5.3", None),
            ("qwen/deepseek-v4-pro", None),
            ("here/deepseek-flash", None),
            ("f", None),
            ("nobody/f", None),
            ("", None),
            ("/", None),
        ] {
            let expected = expected.map(|routes| {
                routes.iter().map(|(provider, model)| ((*provider).to_owned(), (*model).to_owned())).collect()
            });
            assert_eq!(routes(&offer, name), expected, "{name}");
        }
        let names = names(&offer);
        assert!(names.is_sorted() && names.contains(&"deepseek-chat".to_owned()));
        assert!(
            !names.contains(&"glm-5.3".to_owned())
                && names.iter().all(|name| resolve(&offer, name).is_some())
        );
    }

    #[test]
    fn workers_together_offer_what_each_does() {
        let (one, two) = (offer(&["deepseek"]), offer(&["here", "zai"]));
        let both = merge([&one, &two]);
        for name in ["deepseek-flash", "deepseek/flash", "glm-5.3"] {
            assert!(resolve(&both, name).is_some(), "{name}");
        }
        assert_eq!(both.models.len(), one.models.len());
        assert_eq!(both.default_model, one.default_model);
        assert_eq!(merge([]), Offer::default());
        let demo = offer(&[]);
        assert_eq!(merge([&demo, &one]), one, "one key is enough");
        assert_eq!(merge([&demo, &demo]), demo);
    }
}
