//! Writing down when keys were used.

use drover_shared::schema::limits;

use super::{rounds, tell};
use crate::app::App;

pub(super) async fn keep(app: &App) {
    let mut rounds = rounds(limits::KEYS_USED);
    loop {
        rounds.tick().await;
        // It is done each minute, and nothing to tell of.
        tell("noting the use of keys", app.keys.note_use().await.map(|()| 0));
    }
}
