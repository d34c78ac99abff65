//! Removes the files of deleted projects, once nobody holds them, and what broken uploads have left. Whatever breaks
//! off in between is done by a later round: a project is forgotten last.

use drover_shared::schema::limits;
use drover_shared::store::StoreError;
use drover_shared::workspace::Homes;
use tokio::task::spawn_blocking;

use super::{rounds, tell};
use crate::app::App;

pub(super) async fn keep(app: &App) {
    let mut rounds = rounds(limits::RESCUE_EVERY);
    loop {
        rounds.tick().await;
        tell("remove deleted projects", remove(app).await);
        sweep(app).await;
    }
}

async fn remove(app: &App) -> Result<u64, StoreError> {
    let mut removed = 0;
    let Some(root) = &app.settings.project_root else { return Ok(0) };
    for project in app.store.abandoned(limits::PRUNE_BATCH).await? {
        let root = root.clone();
        match spawn_blocking(move || Homes::open(&root)?.discard(project)).await {
            Ok(Ok(true)) => {
                app.store.forget_project(project).await?;
                removed += 1;
            }
            // It is on its way home.
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!(%project, %error, "a deleted project's files are still there"),
            Err(_panic) => tracing::error!(%project, "removing a project's files has failed"),
        }
    }
    Ok(removed)
}

/// No upload takes as long as what goes here is old.
async fn sweep(app: &App) {
    let Some(root) = app.settings.project_root.clone() else { return };
    let swept = spawn_blocking(move || Homes::sweep_incoming_in(&root, 2 * limits::UPLOAD)).await;
    match swept {
        Ok(Ok(0)) => {}
        Ok(Ok(files)) => tracing::info!(files, "removed what broken uploads had left"),
        Ok(Err(error)) => tracing::debug!(%error, "what broken uploads have left cannot be removed"),
        Err(_panic) => tracing::error!("removing what broken uploads have left has failed"),
    }
}
