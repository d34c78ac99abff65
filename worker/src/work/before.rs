//! The files of an agent's project before its job, to be compared with what they are afterwards.

use std::sync::Arc;

use drover_shared::schema::Changes;
use drover_shared::workspace::{Inventory, Tree};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::task::spawn_blocking;

/// A look that is being taken, beside everything else. Until it is done no tool may run.
#[derive(Clone)]
pub(super) struct Before {
    tree: Arc<Tree>,
    taken: Shared<BoxFuture<'static, Option<Arc<Inventory>>>>,
}

impl Before {
    pub(super) fn of(tree: Tree) -> Self {
        let tree = Arc::new(tree);
        let looked = Arc::clone(&tree);
        let taking = spawn_blocking(move || Arc::new(Inventory::take(&looked)));
        Self { tree, taken: taking.map(Result::ok).boxed().shared() }
    }

    /// Waits for the look to be done.
    pub(super) async fn settled(self) {
        let _ = self.taken.await;
    }

    /// Looks again. Wherever the workspace is by then, it is the same; nobody should be at work in it.
    pub(super) async fn changes(self) -> Option<Changes> {
        let before = self.taken.await?;
        let tree = self.tree;
        spawn_blocking(move || before.changes(&Inventory::take(&tree))).await.ok()
    }
}
