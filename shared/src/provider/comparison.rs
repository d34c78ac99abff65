//! What the same tokens would have cost elsewhere. Pure arithmetic: it knows prices, and nothing of quality.

use super::price;
use super::resolve::{Resolved, names, resolve};
use crate::schema::offer::{Abilities, Route};
use crate::schema::{Offer, Usage};

/// What a model was used for, and what that would have cost by every way there is a price for.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The model, as clients named it.
    pub model: String,
    /// What was billed.
    pub usage: Usage,
    /// The same model by each of its providers, cheapest first.
    pub same_model: Vec<Alternative>,
    /// Other models that can do no less, each by its cheapest provider, cheapest first.
    pub other_models: Vec<Alternative>,
}

/// A way to a model, and what the tokens would have cost by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alternative {
    /// In millionths of a US dollar.
    pub cost_microusd: u64,
    /// The model's identifier.
    pub model: String,
    /// The provider's.
    pub provider: String,
    /// Whether there is a key for the provider.
    pub has_key: bool,
}

impl Comparison {
    /// Compares what a model was billed. `None` where nobody knows the model any more.
    pub fn of(offer: &Offer, model: &str, usage: Usage) -> Option<Self> {
        // Whoever sells it, with a key or without one.
        let all = everybody(offer);
        let own = resolve(&all, model)?;
        let mut same_model: Vec<_> =
            own.routes.iter().filter_map(|route| alternative(offer, &own, route, &usage)).collect();
        same_model.sort();
        let others =
            names(&all).into_iter().filter_map(|name| resolve(&all, &name).filter(|it| it.id == name));
        let others = others.filter(|other| other.id != own.id && covers(&other.abilities, &own.abilities));
        let mut other_models: Vec<_> = others
            .filter_map(|it| {
                it.routes.iter().filter_map(|route| alternative(offer, &it, route, &usage)).min()
            })
            .collect();
        other_models.sort();
        Some(Self { model: model.to_owned(), usage, same_model, other_models })
    }

    /// The cheapest way to the same model, if it is cheaper than what was paid.
    pub fn recommendation(&self) -> Option<&Alternative> {
        self.same_model.first().filter(|it| self.is_cheaper(it))
    }

    /// The cheapest other model, if it is cheaper than what was paid.
    pub fn cheapest_other(&self) -> Option<&Alternative> {
        self.other_models.first().filter(|it| self.is_cheaper(it))
    }

    /// What was paid is known only if every call had a price.
    fn is_cheaper(&self, alternative: &Alternative) -> bool {
        self.usage.unpriced_calls == 0 && alternative.cost_microusd < self.usage.cost_microusd
    }
}

/// The offer as if there was a key for everything.
fn everybody(offer: &Offer) -> Offer {
    let mut all = offer.clone();
    for provider in &mut all.providers {
        provider.keys = provider.keys.max(1);
    }
    all
}

fn alternative(offer: &Offer, model: &Resolved, route: &Route, usage: &Usage) -> Option<Alternative> {
    let tariff = route.tariff.filter(|tariff| price::rank(tariff) > 0)?;
    Some(Alternative {
        // Summed up over calls, so the price for long prompts cannot be told from here.
        cost_microusd: price::cost(&crate::schema::offer::Tariff { long: None, ..tariff }, usage),
        model: model.id.clone(),
        provider: route.provider.clone(),
        has_key: offer.providers.iter().any(|it| it.id == route.provider && it.keys > 0),
    })
}

/// Whether a model can do no less than another, as far as it is known.
fn covers(this: &Abilities, other: &Abilities) -> bool {
    let at_least =
        |this: Option<u32>, other: Option<u32>| other.is_none_or(|other| this.is_some_and(|it| it >= other));
    (this.vision || !other.vision)
        && (this.tools || !other.tools)
        && at_least(this.context_tokens, other.context_tokens)
        && at_least(this.output_tokens, other.output_tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::registry::Registry;

    fn comparison(model: &str, cost_microusd: u64) -> Option<Comparison> {
        let offer = Registry::shipped().offer(|id| u32::from(id == "zai" || id == "anthropic"), None);
        let usage =
            Usage { input_tokens: 1_000_000, output_tokens: 100_000, cost_microusd, ..Usage::default() };
        Comparison::of(&offer, model, usage)
    }

    #[test]
    fn the_same_tokens_cost_what_was_reckoned_by_hand() {
        // At Z.ai 1.4 + 0.44 dollars, at BigModel 1.142857 + 0.4.
        let glm = comparison("glm-5.3", 1_840_000).expect("a model");
        let same: Vec<_> =
            glm.same_model.iter().map(|it| (it.provider.as_str(), it.cost_microusd, it.has_key)).collect();
        assert_eq!(same, [("bigmodel", 1_542_857, false), ("zai", 1_840_000, true)]);
        assert_eq!(glm.recommendation().map(|it| it.provider.as_str()), Some("bigmodel"));
        let other = glm.cheapest_other().expect("a cheaper one");
        assert!(other.cost_microusd < 1_542_857 && other.model != "glm-5.3", "{other:?}");
        assert!(glm.other_models.is_sorted() && glm.other_models.len() > 5);
    }

    #[test]
    fn nothing_is_recommended_that_costs_more_or_can_do_less() {
        let haiku = comparison("claude-haiku-5-5", 1).expect("a model");
        assert_eq!((haiku.recommendation(), haiku.cheapest_other()), (None, None));
        let opus = comparison("claude-opus-4-20250514", 6_000_000).expect("another name of a model");
        assert!(opus.other_models.iter().all(|it| it.model != "glm-5.3"), "it sees no images");
        assert!(opus.other_models.iter().any(|it| it.model == "claude-sonnet-5-5"));
        let unpriced = Usage { unpriced_calls: 1, ..opus.usage };
        assert_eq!(Comparison { usage: unpriced, ..opus }.cheapest_other(), None);
        assert_eq!(comparison("gone", 5), None);
    }
}
