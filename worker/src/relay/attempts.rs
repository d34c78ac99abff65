//! From the CLI's call to an answer that has begun: whoever can serve it is asked, one after the other, until a
//! model has said something or nobody is left. What to do next is decided in `provider::route`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use drover_shared::clock::now_ms;
use drover_shared::provider::registry::{DEMO, LOGIN};
use drover_shared::provider::resolve::Resolved;
use drover_shared::provider::route::{Candidate, Course, Errand, Next};
use drover_shared::provider::{Target, compose, compose_agent, failure, fit};
use drover_shared::schema::offer::{Abilities, Route, Setting};
use drover_shared::schema::{Class, Failure, FailureKind, limits};
use hyper::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::account;
use super::answer::Answer;
use super::call::Call;
use super::gate::{Bound, Routed};
use super::tab::Addressee;
use super::upstream::{Begun, Conversation, Memorised, Refusal, Says, Served, Upstream, demonstrate};

/// A call that is the job's, ready to be sent to somebody.
pub(super) struct Order {
    served: Arc<Served>,
    model: Resolved,
    says: Says,
    cli_body: Value,
    /// The body that was composed last.
    composed: Option<Composed>,
}

/// A body, and what it was composed for.
struct Composed {
    model: String,
    lacks: Vec<Setting>,
    login: bool,
    body: Bytes,
}

/// The call is not the job's.
#[derive(Debug, thiserror::Error)]
#[error("the call does not belong to the bound job")]
pub(super) struct Foreign;

/// Who was asked, until it is known how that went.
pub(super) struct Asked {
    upstream: Arc<Upstream>,
    served: Arc<Served>,
    candidate: Candidate,
}

impl Order {
    /// Whether the call is the job's, and what there is to ask. `Ok(Err)` if nobody serves its model.
    pub(super) fn take(
        upstream: &Upstream,
        bound: &Bound,
        says: Says,
        cli_body: Value,
    ) -> Result<Result<Self, Refusal>, Foreign> {
        let served = upstream.served();
        let resolved = drover_shared::provider::resolve(&served.offer, &bound.spec.model);
        let Some(model) = resolved else {
            // Whose call it is has to be known all the same.
            let target = Target {
                model: &bound.spec.model,
                abilities: &Abilities::default(),
                lacks: &[],
                login: false,
            };
            composed(bound, &cli_body, &target)?;
            let failure = failure::not_offered(&bound.spec.model);
            return Ok(Err(Refusal { status: StatusCode::NOT_FOUND, failure }));
        };
        let mut order = Self { served, model, says, cli_body, composed: None };
        if let Some(first) = order.model.routes.first().cloned() {
            order.compose(bound, &first.provider, &first.model)?;
        }
        Ok(Ok(order))
    }

    /// The body for a provider and what it calls the model.
    fn compose(&mut self, bound: &Bound, provider: &str, model: &str) -> Result<Bytes, Foreign> {
        let lacks = fit::lacks(&self.served.offer, provider);
        let login = provider == LOGIN;
        let same = |it: &&Composed| it.model == model && it.lacks == lacks && it.login == login;
        if let Some(composed) = self.composed.as_ref().filter(same) {
            return Ok(composed.body.clone());
        }
        let target = Target { model, abilities: &self.model.abilities, lacks, login };
        let body = composed(bound, &self.cli_body, &target)?;
        let (model, lacks) = (model.to_owned(), lacks.to_vec());
        self.composed = Some(Composed { model, lacks, login, body: body.clone() });
        Ok(body)
    }
}

fn composed(bound: &Bound, cli_body: &Value, target: &Target) -> Result<Bytes, Foreign> {
    let body = match bound.spec.class() {
        Class::Agent => compose_agent(cli_body, &bound.spec, target),
        Class::Chat => compose(cli_body, &bound.placeholder, &bound.spec, target),
    };
    body.map(|body| body.to_string().into()).map_err(|_| Foreign)
}

/// Asks until an answer has begun. The failure is the one that explains best why there is none.
pub(super) async fn answer(
    upstream: &Arc<Upstream>,
    call: &mut Call,
    mut order: Order,
) -> Result<(Answer, Asked), Refusal> {
    let bound = call.gate().bound.clone();
    let conversation = Conversation::of(&bound);
    let mut course = begin(upstream, call, &order, conversation)?;
    let mut passed_over = Vec::new();
    let mut refused = None;
    loop {
        let chance = f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
        let next = course.next(&upstream.health(), now_ms(), chance);
        let candidate = match next {
            Next::Ask(candidate) => candidate,
            Next::Wait(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                continue;
            }
            Next::GiveUp(failure) => return Err(refused.unwrap_or_else(|| explained(failure))),
        };
        call.gate().course().account.afford().map_err(Refusal::of)?;
        // It was the job's when it came.
        let body = order.compose(&bound, &candidate.provider, &candidate.model);
        let body = body.map_err(|_| Refusal::of(failure::unreachable()))?;
        call.ask(&addressee(&candidate));
        upstream.health().asked(&candidate.provider, candidate.key, now_ms());
        let asked = Asked { upstream: Arc::clone(upstream), served: Arc::clone(&order.served), candidate };
        match asked.answer(call, &order.says, body).await {
            Ok(answer) => {
                asked.answers(call, &answer, course.attempts(), passed_over, conversation);
                return Ok((answer, asked));
            }
            Err(refusal) => {
                let refusal = Refusal { failure: asked.failed(refusal.failure), ..refusal };
                tracing::warn!(
                    job = %bound.job,
                    provider = asked.candidate.provider,
                    status = refusal.status.as_u16(),
                    kind = refusal.failure.kind.code(),
                    "a provider did not answer"
                );
                call.passed_over(refusal.failure.kind);
                passed_over.push((asked.candidate.provider.clone(), refusal.failure.kind.code()));
                course.failed(&asked.candidate, refusal.failure.clone());
                refused = Some(telling(refused.take(), refusal));
            }
        }
    }
}

/// The refusal that explains best why there is no answer: what may pass, or is the client's to mend, rather than
/// what is wrong with one of our keys; of two alike the later one.
fn telling(earlier: Option<Refusal>, later: Refusal) -> Refusal {
    let weight = |refusal: &Refusal| match refusal.failure.kind {
        FailureKind::ProviderAuthFailed | FailureKind::ProviderBillingFailed => 0,
        FailureKind::ModelNotFound => 1,
        _ => 2,
    };
    match earlier {
        Some(earlier) if weight(&earlier) > weight(&later) => earlier,
        _ => later,
    }
}

/// The routes that can serve the job, in their order.
fn begin(
    upstream: &Upstream,
    call: &Call,
    order: &Order,
    conversation: Conversation,
) -> Result<Course, Refusal> {
    let bound = &call.gate().bound;
    let must_be_priced = call.gate().course().account.has_budget();
    let priced = |route: &&Route| !must_be_priced || route.tariff.is_some();
    let abilities = &order.model.abilities;
    let takes = |route: &&Route| fit::takes(&order.served.offer, &route.provider, abilities, &bound.spec);
    let mut routes: Vec<Route> = order.model.routes.iter().filter(priced).filter(takes).cloned().collect();
    // The api has let the job in: then the registry has changed since, and the providers are to say themselves.
    if routes.is_empty() {
        routes = order.model.routes.iter().filter(priced).cloned().collect();
    }
    if routes.is_empty() {
        let failure = account::no_price(&bound.spec.model);
        return Err(Refusal { status: StatusCode::BAD_REQUEST, failure });
    }
    let known = upstream.memory().recall(conversation);
    let errand = Errand {
        model: &order.model.id,
        policy: order.model.policy,
        routes: &routes,
        known: known.as_ref().map(|known| (known.provider.as_str(), known.key.as_str())),
        most_attempts: upstream.most_attempts(),
    };
    Ok(Course::new(errand, &mut upstream.health(), now_ms()))
}

fn addressee(candidate: &Candidate) -> Addressee {
    Addressee {
        provider: candidate.provider.clone(),
        key: candidate.fingerprint.clone(),
        model: candidate.model.clone(),
        tariff: candidate.tariff,
    }
}

/// Nobody could be asked.
fn explained(failure: Failure) -> Refusal {
    Refusal { status: StatusCode::SERVICE_UNAVAILABLE, failure }
}

impl Asked {
    /// Asks, and waits for the model to begin.
    async fn answer(&self, call: &mut Call, says: &Says, body: Bytes) -> Result<Answer, Refusal> {
        let bound = call.gate().bound.clone();
        if self.candidate.provider == DEMO {
            let begun = Begun { stream: demonstrate(&bound.spec, bound.job), _place: None };
            return Answer::begin(begun, call, limits::PROVIDER_FIRST_BYTE).await;
        }
        let Some(endpoint) = self.served.endpoint(&self.candidate.provider) else {
            return Err(Refusal::of(failure::unreachable()));
        };
        let begun = endpoint.ask(self.candidate.key, bound.spec.class(), says, body).await?;
        Answer::begin(begun, call, endpoint.first_byte()).await
    }

    /// Tells everybody that it answers.
    fn answers(
        &self,
        call: &Call,
        answer: &Answer,
        attempts: u32,
        passed_over: Vec<(String, &'static str)>,
        conversation: Conversation,
    ) {
        let Candidate { provider, key, fingerprint, model, .. } = &self.candidate;
        let took = answer.first_byte_ms.unwrap_or_default();
        self.upstream.health().answered(provider, *key, took);
        let served = Memorised { provider: provider.clone(), key: fingerprint.clone() };
        self.upstream.memory().note(conversation, served);
        crate::metrics::answer_began(attempts);
        call.routed(Routed { provider: provider.clone(), model: model.clone(), attempts, passed_over });
    }

    /// It has failed, at the beginning or midway: the failure as it may be told.
    pub(super) fn failed(&self, failure: Failure) -> Failure {
        let Candidate { provider, key, .. } = &self.candidate;
        self.upstream.health().failed(provider, *key, &failure, now_ms());
        match self.served.endpoint(provider) {
            Some(endpoint) => endpoint.clean(failure),
            None => failure,
        }
    }
}

impl Drop for Asked {
    /// Whether a trial went well may not be known; nobody waits for it any more.
    fn drop(&mut self) {
        self.upstream.health().left(&self.candidate.provider, self.candidate.key);
    }
}
