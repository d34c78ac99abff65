//! What the CLI says of itself with a call.

use reqwest::header::{HeaderMap, HeaderName, USER_AGENT};

/// Headers of the CLI's that go up where its own login pays: there the call is the CLI's.
#[derive(Clone, Debug, Default)]
pub(in crate::relay) struct Says(HeaderMap);

impl Says {
    /// Of all that it sends: what it is, and which parts of the API it has agreed to.
    pub(in crate::relay) fn of(headers: &HeaderMap) -> Self {
        let names = [USER_AGENT, HeaderName::from_static("anthropic-beta"), HeaderName::from_static("x-app")];
        let said = names.into_iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone())));
        Self(said.collect())
    }

    pub(super) fn headers(&self) -> HeaderMap {
        self.0.clone()
    }
}
