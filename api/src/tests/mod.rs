//! The whole api over real sockets, with a store and a dialect that a test has in its hands.

mod background;
mod chat;
mod client;
mod completions;
mod cors;
mod dialect;
mod errors;
mod events;
mod files;
mod health;
mod jobs;
mod kept;
mod keys;
mod leaving;
mod logs;
mod money;
mod own;
mod reference;
mod replay;
mod shutdown;
mod sockets;
mod state;
pub(crate) mod store;
mod tailing;
mod uploads;
mod websocket;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use drover_shared::schema::Offer;
use drover_shared::schema::offer::{Abilities, Model, Policy, Provider, Route};
use drover_shared::store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::app::App;
use crate::{Clock, Settings};
use client::{Answer, Call};
use store::FakeStore;

/// How long anything may take that is bound to happen.
const DEADLINE: Duration = Duration::from_secs(20);

/// The time in every test, in milliseconds since the Unix epoch.
const NOW_MS: i64 = 1_700_000_000_250;

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// What a worker offers that serves these models.
pub(crate) fn offer(models: &[&str]) -> Offer {
    let route =
        |model: &str| Route { provider: "p".to_owned(), model: model.to_owned(), weight: 1, tariff: None };
    let model = |id: &&str| Model {
        id: (*id).to_owned(),
        policy: Policy::Priority,
        routes: vec![route(id)],
        abilities: Abilities::default(),
    };
    let provider = Provider { id: "p".to_owned(), name: "P".to_owned(), keys: 1, lacks: Vec::new() };
    Offer { models: models.iter().map(model).collect(), providers: vec![provider], ..Offer::default() }
}

/// An api that serves on a free port.
struct Api {
    address: SocketAddr,
    store: Arc<FakeStore>,
    app: Arc<App>,
    shutdown: CancellationToken,
    serving: AbortOnDropHandle<anyhow::Result<()>>,
}

impl Api {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        let store = Arc::new(FakeStore::default());
        let shutdown = CancellationToken::new();
        let clock = Clock::new(|| NOW_MS);
        let shared = Arc::clone(&store) as Arc<dyn Store>;
        let app = App::new(settings, shared, clock, &dialect::Plain, shutdown.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let serving = AbortOnDropHandle::new(tokio::spawn(crate::run(listener, Arc::clone(&app))));
        Self { address, store, app, shutdown, serving }
    }

    async fn get(&self, path: &str) -> Answer {
        Call::get(path).send(self.address).await
    }

    /// A streaming request whose answer has not begun.
    fn ask(&self, body: &'static str) -> AbortOnDropHandle<Answer> {
        let address = self.address;
        AbortOnDropHandle::new(tokio::spawn(Call::chat(body).send(address)))
    }

    /// Asks for an answer whose job is being added until the gate of the store opens.
    async fn ask_behind_the_gate(&self, body: &'static str) -> AbortOnDropHandle<Answer> {
        self.store.enqueue_gate.send_replace(false);
        let asked = self.ask(body);
        self.store.until("enqueueing", |state| (state.enqueueing > 0).then_some(())).await;
        asked
    }
}

/// Every method of every route, as the router itself answers when it is asked for one that it does not have.
pub(crate) async fn routed() -> Vec<(String, String)> {
    let api = Api::start().await;
    let mut routed = Vec::new();
    for route in crate::router::paths() {
        let answer = Call::new("TRACE", &route.replace(['{', '}', '*'], "")).send(api.address).await;
        assert_eq!(answer.status, 405, "{route}");
        let methods = answer.header("allow").split(',').filter(|method| *method != "HEAD");
        routed.extend(methods.map(|method| (method.to_owned(), (*route).to_owned())));
    }
    routed
}

const STREAM: &str = r#"{"model":"opus","stream":true}"#;
const WHOLE: &str = r#"{"model":"opus"}"#;
