//! What the api knows of the workers: the store's answer, believed for about a second.

use std::sync::Arc;

use drover_shared::provider::resolve;
use drover_shared::schema::{Fleet, Offer, limits};
use drover_shared::store::{Millis, Store, StoreError, millis};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::clock::Clock;

/// A cache of one value. Askers wait for the one that fetches, so the store is asked once however many
/// requests there are.
pub(crate) struct FleetView {
    store: Arc<dyn Store>,
    clock: Clock,
    last: Mutex<Option<(Instant, Arc<View>)>>,
}

/// The fleet, and what it offers altogether.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) fleet: Fleet,
    pub(crate) offer: Offer,
    /// Every name of a model that may be asked for without naming a provider, sorted.
    pub(crate) models: Vec<String>,
}

impl View {
    pub(crate) fn of(fleet: Fleet) -> Self {
        let offer = resolve::merge(&fleet.offers);
        let models = resolve::names(&offer);
        Self { fleet, offer, models }
    }

    /// The model for requests that name none. While nobody offers any it has no name: such a request lacks a worker,
    /// not a model.
    pub(crate) fn default_model(&self) -> Option<String> {
        let nameless = self.models.is_empty().then(String::new);
        self.offer.default_model.clone().or(nameless)
    }
}

impl FleetView {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self { store, clock, last: Mutex::new(None) }
    }

    /// The fleet as of about now.
    pub(crate) async fn get(&self) -> Result<Arc<View>, StoreError> {
        let mut last = self.last.lock().await;
        if let Some((at, fleet)) = &*last
            && at.elapsed() < limits::FLEET_FRESH
        {
            return Ok(Arc::clone(fleet));
        }
        let now = self.clock.now_ms();
        let fleet = Arc::new(View::of(self.store.fleet(dead_before(now), now).await?));
        *last = Some((Instant::now(), Arc::clone(&fleet)));
        Ok(fleet)
    }
}

/// Workers whose last beat is older than this are dead.
pub(crate) fn dead_before(now: Millis) -> Millis {
    now - millis(limits::DEAD_AFTER)
}
