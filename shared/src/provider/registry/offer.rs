//! What a worker offers, given its registry and the keys that it has.

use super::{ANTHROPIC, DEMO, Registry};
use crate::provider::resolve;
use crate::schema::Offer;
use crate::schema::offer::{Abilities, Model, Policy, Price, Provider, Route, Tariff, Thinking};

impl Registry {
    /// The offer of a worker with so many keys for each provider, given its identifier.
    ///
    /// Without any key there is the demo and nothing else can be asked. `configured` is the operator's default
    /// model. If it is in no list, it is taken for one of the provider `anthropic`, whose base URL the operator may
    /// have set to anything.
    pub fn offer(&self, keys: impl Fn(&str) -> u32, configured: Option<&str>) -> Offer {
        let providers = self.providers.iter().map(|provider| Provider {
            id: provider.id.clone(),
            name: provider.name.clone(),
            keys: keys(&provider.id),
            lacks: provider.lacks.clone(),
        });
        let mut offer = Offer {
            models: self.models.clone(),
            aliases: self.aliases.clone(),
            providers: providers.collect(),
            default_model: None,
            prices: self.prices.clone(),
            agents: None,
        };
        if offer.providers.iter().all(|provider| provider.keys == 0) {
            add_demo(&mut offer);
            return offer;
        }
        if let Some(name) = configured.filter(|name| resolve(&offer, name).is_none()) {
            offer.models.push(unknown(name));
        }
        let mut wishes = configured.into_iter().chain(self.default_models.iter().map(String::as_str));
        let default = wishes.find(|name| resolve(&offer, name).is_some()).map(str::to_owned);
        offer.default_model = default.or_else(|| resolve::names(&offer).into_iter().next());
        offer
    }
}

fn add_demo(offer: &mut Offer) {
    let free = Tariff { price: Price::default(), long: None };
    let route = Route { provider: DEMO.to_owned(), model: DEMO.to_owned(), weight: 1, tariff: Some(free) };
    offer.models.push(Model {
        id: DEMO.to_owned(),
        policy: Policy::Priority,
        routes: vec![route],
        abilities: Abilities::default(),
    });
    offer.providers.push(Provider {
        id: DEMO.to_owned(),
        name: "Drover's demo".to_owned(),
        keys: 1,
        lacks: Vec::new(),
    });
    offer.default_model = Some(DEMO.to_owned());
}

/// A model of which nothing is known but its name.
fn unknown(name: &str) -> Model {
    let route = Route { provider: ANTHROPIC.to_owned(), model: name.to_owned(), weight: 1, tariff: None };
    let abilities =
        Abilities { vision: true, tools: true, thinking: Thinking::Budget, ..Abilities::default() };
    Model { id: name.to_owned(), policy: Policy::Priority, routes: vec![route], abilities }
}
