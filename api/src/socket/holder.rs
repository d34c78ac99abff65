//! Who holds a WebSocket. It lives longer than a request, so that it is asked again and again whether its key is still good.

use drover_shared::schema::{KeyDigest, Origin};

use super::close::Ending;
use crate::app::App;
use crate::auth::Caller;
use crate::error::Problem;

/// Who has opened a WebSocket, and what shows it.
pub(super) struct Holder {
    pub(super) caller: Caller,
    /// The digests of the keys that were brought.
    pub(super) presented: Vec<KeyDigest>,
    /// The request with which it was opened: what is asked for over it belongs to the same trace.
    pub(super) origin: Origin,
}

impl Holder {
    /// Looks at the key again. Whoever it does not open for any more, or for less than before, has to go: what it is told
    /// of was asked for on other terms. `Ok(Err(_))`: nobody can say right now.
    pub(super) async fn still(&mut self, app: &App) -> Result<Result<(), Problem>, Ending> {
        let caller = match app.keys.holder(&self.presented).await {
            Ok(caller) => caller,
            Err(problem) if problem.0.status == 401 => return Err(Ending::Refused),
            Err(problem) => return Ok(Err(problem)),
        };
        let same = caller.owner == self.caller.owner;
        if !same || !self.caller.scopes.iter().all(|scope| caller.scopes.contains(scope)) {
            return Err(Ending::Refused);
        }
        self.caller = caller;
        Ok(Ok(()))
    }
}
