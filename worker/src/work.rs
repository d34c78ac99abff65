//! One attempt of a job, from claim to last event. `performance` gets an answer out of a process, `choices` several
//! beside each other; what is said becomes events, and how it ends the job's last one.

mod before;
mod choices;
mod performance;

use std::sync::Arc;

use drover_shared::schema::{Class, Event, Usage};
use drover_shared::store::{Claim, GiveBack};
use futures_util::future::OptionFuture;
use tracing::{Instrument, error_span, info};

use self::before::Before;
use self::performance::{Performance, Terms};
use crate::attempt::End;
use crate::publish::Journal;
use crate::running::Place;
use crate::workshop::Workshop;

/// Runs the attempt that `claim` stands for and sees to it that the job does not stay behind, whatever
/// happens in here.
pub async fn run(shop: Arc<Workshop>, claim: Claim) {
    let (lease, origin) = (&claim.lease, claim.origin.as_ref());
    // Of the highest level, so that its identifiers are there wherever a line of it is.
    let span = error_span!(
        "attempt",
        job = %lease.job,
        attempt = lease.attempt,
        worker = %lease.worker,
        request = origin.map(|origin| origin.request.as_str()),
        trace = origin.map(|origin| tracing::field::display(origin.trace.trace())),
    );
    perform(&shop, &claim).instrument(span).await;
}

async fn perform(shop: &Workshop, claim: &Claim) {
    crate::metrics::attempt_began(claim);
    let mut journal = shop.publisher.journal(claim.lease.clone(), claim.last_seq);
    let place = shop.running.enter(claim.lease.token, journal.lost().clone());
    journal.hold([Event::AttemptStarted { attempt: claim.lease.attempt }]);
    match (claim.spec.choices, claim.spec.class()) {
        (Some(wanted), Class::Chat) => choices::perform(shop, claim, journal, &place, wanted).await,
        (None, Class::Chat) => chat(shop, claim, journal, &place).await,
        (_, Class::Agent) => agent(shop, claim, journal, &place).await,
    }
}

/// The process comes to rest while the last events are being stored: neither waits for the other.
async fn chat(shop: &Workshop, claim: &Claim, mut journal: Journal, place: &Place) {
    let mut performance = Performance::new(shop, claim, Terms::of(shop, claim));
    let end = performance.play(&mut journal, place).await;
    journal.bill(performance.settle());
    let usage = performance.usage();
    note(claim, &end, &journal, &usage);
    tokio::join!(close(journal, end.clone(), usage), performance.leave(&end));
}

/// The next job of the session must find its process, its transcript, or its project at home.
async fn agent(shop: &Workshop, claim: &Claim, mut journal: Journal, place: &Place) {
    let mut performance = Performance::new(shop, claim, Terms::of(shop, claim));
    let end = performance.play(&mut journal, place).await;
    journal.bill(performance.settle());
    let usage = performance.usage();
    note(claim, &end, &journal, &usage);
    let before = performance.before();
    let abandoned = performance.leave(&end).await;
    // Only now is nobody at work there any more.
    let changes = OptionFuture::from(before.map(Before::changes)).await.flatten();
    journal.hold(changes.filter(|_| end.is_last()).map(Event::FilesChanged));
    close(journal, end, usage).await;
    // Who called the job off need not wait for a process that is still being started in the project.
    performance.dismiss().await;
    if let Some(project) = abandoned {
        shop.pool.give_up(project).await;
    }
}

fn note(claim: &Claim, end: &End, journal: &Journal, usage: &Usage) {
    crate::metrics::attempt_ended(claim.spec.class(), end, journal.pace());
    info!(end = end.name(), output_tokens = usage.output_tokens, "the attempt is over");
}

async fn close(journal: Journal, end: End, usage: Usage) {
    let event = match end {
        End::Completed { stop, stop_sequence } => Event::Completed { stop, stop_sequence, usage },
        End::Failed(failure) => Event::Failed { failure, usage },
        End::Cancelled(reason) => Event::Cancelled { reason, usage },
        End::Requeue { delay_ms } => {
            return journal.close(Vec::new(), Some(GiveBack::Failed { after_ms: delay_ms })).await;
        }
        End::Returned => return journal.close(Vec::new(), Some(GiveBack::Stopped)).await,
        End::Abandoned => return journal.abandon().await,
    };
    journal.close(vec![event], None).await;
}
