//! What every handler can reach.

use std::sync::Arc;

use drover_shared::dialect::Dialect;
use drover_shared::schema::limits;
use drover_shared::store::{Store, StoreError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::Keys;
use crate::clock::Clock;
use crate::fleet::FleetView;
use crate::settings::Settings;
use crate::socket::{Rooms, Seats};
use crate::tail::Tail;

/// One api.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    /// The dialect of chat completions, and of every error.
    pub(crate) dialect: &'static dyn Dialect,
    pub(crate) keys: Keys,
    pub(crate) fleet: FleetView,
    pub(crate) tail: Arc<Tail>,
    /// A place for each that looks through the files of projects.
    pub(crate) file_work: Arc<Semaphore>,
    /// The places for each WebSocket.
    pub(crate) seats: Arc<Seats>,
    /// The room for their large messages.
    pub(crate) rooms: Rooms,
    /// A place for each archive that is packed.
    pub(crate) archives: Arc<Semaphore>,
    /// Cancelled when the api is to leave.
    pub(crate) shutdown: CancellationToken,
    pub(crate) started_at_ms: i64,
}

impl App {
    pub(crate) fn new(
        settings: Settings,
        store: Arc<dyn Store>,
        clock: Clock,
        dialect: &'static dyn Dialect,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            keys: Keys::new(&settings.api_keys, Arc::clone(&store), clock.clone()),
            fleet: FleetView::new(Arc::clone(&store), clock.clone()),
            tail: Arc::new(Tail::new(
                Arc::clone(&store),
                clock.clone(),
                settings.return_grace,
                shutdown.clone(),
            )),
            seats: Arc::default(),
            rooms: Rooms::default(),
            archives: Arc::new(Semaphore::new(limits::ARCHIVES)),
            file_work: Arc::new(Semaphore::new(limits::FILE_WORK)),
            started_at_ms: clock.now_ms(),
            settings,
            store,
            clock,
            dialect,
            shutdown,
        })
    }

    /// How many jobs of one owner's may wait, where there are others who are to find room as well.
    pub(crate) async fn share(&self) -> Result<Option<u64>, StoreError> {
        let several = self.keys.several().await?;
        Ok(several.then(|| self.settings.max_queued.div_ceil(limits::QUEUE_OWNERS)))
    }
}
