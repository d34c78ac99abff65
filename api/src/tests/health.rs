//! Health, and the duties in the background.

use drover_shared::schema::offer::{KeyHealth, KeyState, ProviderHealth, ProviderState};
use drover_shared::schema::{PoolReport, WorkerId, WorkerReport, limits};
use serde_json::json;

use super::client::Call;
use super::{Api, NOW_MS};

pub(super) fn worker(id: &str, claude: Option<&str>, busy: u32) -> WorkerReport {
    WorkerReport {
        id: WorkerId(id.to_owned()),
        version: "0".to_owned(),
        claude_version: claude.map(ToOwned::to_owned),
        slots: 4,
        active_jobs: busy,
        claude_processes: busy + 1,
        zombie_processes_cleaned: 5,
        pool: PoolReport { chat_spares: busy, kept_claims: 3, cold_starts: 1, ..PoolReport::default() },
        providers: Vec::new(),
        agents: true,
        draining: false,
        started_at_ms: NOW_MS - 60_000,
    }
}

#[tokio::test]
async fn health_sums_up_the_heartbeats() {
    let api = Api::with(|settings| settings.api_keys = vec!["sesame".to_owned()]).await;
    {
        let mut state = api.store.lock();
        state.fleet.alive = vec![worker("a", None, 1), worker("b", Some("2.1.330"), 2)];
        state.fleet.queued = 7;
        state.fleet.scheduled = 2;
        state.fleet.running = 3;
        state.fleet.oldest_queued_ms = Some(1_234);
    }
    let mut expected = json!({
        "status": "healthy", "version": env!("CARGO_PKG_VERSION"), "claude_version": "2.1.330",
        "active_sessions": 3, "claude_processes": 5, "zombie_processes_cleaned": 10,
        "pool": {
            "chat_spares": 3, "agent_spares": 0, "kept": 0, "residents": 0, "spare_claims": 0,
            "kept_claims": 6, "resident_claims": 0, "cold_starts": 2, "recycled": 0,
        },
        "queue": {"queued": 7, "scheduled": 2, "running": 3, "oldest_queued_ms": 1_234},
        "workers_alive": 2,
    });
    assert_eq!(api.get("/health").await.json().await, expected);
    expected["models"] = json!(["opus", "org/opus"]);
    expected["workers"] = json!(api.store.lock().fleet.alive.clone());
    let answer = Call::get("/health").header("x-api-key", "sesame").send(api.address).await;
    assert_eq!(answer.json().await, expected);
    let answer = Call::get("/v1/models/opus").header("x-api-key", "sesame").send(api.address).await;
    assert_eq!(answer.json().await["created"], NOW_MS / 1_000 - 60);
}

#[tokio::test]
async fn only_the_house_sees_the_providers_keys() {
    let api = Api::with(|settings| settings.api_keys = vec!["sesame".to_owned()]).await;
    let provider = ProviderHealth {
        id: "anthropic".to_owned(),
        state: ProviderState::Ready,
        until_ms: None,
        first_byte_ms: None,
        calls: 0,
        failures: 0,
        keys: vec![KeyHealth { fingerprint: "0badcafe".to_owned(), state: KeyState::Ready, until_ms: None }],
    };
    api.store.lock().fleet.alive =
        vec![WorkerReport { providers: vec![provider], ..worker("a", Some("2.1.330"), 1) }];
    let new = crate::keys::new("ann".to_owned(), NOW_MS);
    crate::keys::add(&*api.store, &new).await.expect("a store");
    let told = async |key: &str| {
        let answer = Call::get("/health").header("x-api-key", key).send(api.address).await;
        answer.json().await["workers"][0].clone()
    };
    assert_eq!(told("sesame").await["providers"][0]["keys"][0]["fingerprint"], "0badcafe");
    let of_others = told(new.secret.expose()).await;
    assert_eq!((&of_others["id"], &of_others["providers"]), (&json!("a"), &json!([])));
}

#[tokio::test]
async fn health_tells_what_is_wrong() {
    let api = Api::start().await;
    let answer = api.get("/health").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().await["status"], "degraded");
    let api = Api::start().await;
    api.store.break_down(true);
    let answer = api.get("/health").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json().await["status"], "unhealthy");
    assert_eq!(api.get("/livez").await.status, 200);
}

#[tokio::test]
async fn probes_need_no_key() {
    let api = Api::with(|settings| settings.api_keys = vec!["sesame".to_owned()]).await;
    for path in ["/", "/health", "/livez", "/readyz"] {
        assert_eq!(api.get(path).await.status, 200, "{path}");
        let mut answer = Call::new("HEAD", path).send(api.address).await;
        assert_eq!((answer.status.as_u16(), answer.rest().await.expect("no body")), (200, ""), "{path}");
        let answer = Call::new("OPTIONS", path).send(api.address).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (204, "GET,HEAD"), "{path}");
    }
    assert_eq!(api.get("/").await.json().await["models"], "/v1/models");
}

#[tokio::test]
async fn a_required_key_must_be_configured() {
    let settings = crate::Settings { require_auth: true, ..crate::Settings::default() };
    let store = std::sync::Arc::new(super::store::FakeStore::default());
    let bind = crate::Settings { bind: ([127, 0, 0, 1], 0).into(), ..settings };
    let error = crate::serve(bind, store, tokio_util::sync::CancellationToken::new()).await;
    assert!(error.expect_err("no key").to_string().contains("key is required"));
}

#[tokio::test]
async fn duties_are_done_and_survive_a_broken_store() {
    let api = Api::with(|settings| {
        settings.retention = std::time::Duration::from_secs(100);
        settings.sessions = std::time::Duration::from_secs(200);
        settings.stored = std::time::Duration::from_secs(400);
        settings.ledger = std::time::Duration::from_mins(5);
    })
    .await;
    let dead_after_ms = i64::try_from(limits::DEAD_AFTER.as_millis()).expect("small");
    let rescue = api.store.until("a rescue", |state| state.rescues.first().copied()).await;
    assert_eq!(rescue, (NOW_MS - dead_after_ms, NOW_MS));
    assert_eq!(api.store.until("a prune", |state| state.prunes.first().copied()).await, NOW_MS - 100_000);
    let sessions =
        api.store.until("a prune of sessions", |state| state.session_prunes.first().copied()).await;
    assert_eq!(sessions, NOW_MS - 200_000);
    let answers = api.store.until("a prune of answers", |state| state.expiries.first().copied()).await;
    assert_eq!(answers, NOW_MS - 400_000);
    let calls = api.store.until("a prune of calls", |state| state.call_prunes.first().copied()).await;
    assert_eq!(calls, NOW_MS - 300_000, "the ledger is kept by itself");
    let spent = api.store.until("a prune of sums", |state| state.spent_prunes.first().copied()).await;
    assert_eq!(spent, NOW_MS - 62 * 86_400_000);
    tokio::time::pause();
    api.store.break_down(true);
    tokio::time::advance(limits::PRUNE_EVERY).await;
    api.store.break_down(false);
    let done = api.store.lock().rescues.len();
    api.store.until("another rescue", |state| (state.rescues.len() > done).then_some(())).await;
}
