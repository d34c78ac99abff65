//! Takes up the jobs of dead workers.

use drover_shared::schema::limits;
use drover_shared::store::StoreError;

use super::{rounds, tell};
use crate::app::App;
use crate::fleet::dead_before;

pub(super) async fn keep(app: &App) {
    let mut rounds = rounds(limits::RESCUE_EVERY);
    loop {
        rounds.tick().await;
        tell("rescue", once(app).await);
    }
}

async fn once(app: &App) -> Result<u64, StoreError> {
    let now = app.clock.now_ms();
    app.store.rescue(dead_before(now), now).await
}
