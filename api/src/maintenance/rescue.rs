//! Takes up the jobs of dead workers.

use std::time::Instant;

use drover_shared::schema::limits;
use drover_shared::store::StoreError;

use super::patience::Patience;
use super::{rounds, tell};
use crate::app::App;
use crate::fleet::dead_before;

pub(super) async fn keep(app: &App) {
    let mut rounds = rounds(limits::RESCUE_EVERY);
    let mut patience = Patience::new(limits::RESCUE_EVERY, Instant::now(), app.clock.now_ms());
    loop {
        rounds.tick().await;
        let rescued = once(app, patience.may_judge(Instant::now(), app.clock.now_ms())).await;
        if rescued.is_ok() {
            patience.reached(Instant::now(), app.clock.now_ms());
        }
        tell("rescue", rescued);
    }
}

async fn once(app: &App, may_judge: bool) -> Result<u64, StoreError> {
    if !may_judge {
        return app.store.ready().await.map(|()| 0);
    }
    let now = app.clock.now_ms();
    app.store.rescue(dead_before(now), now).await
}
