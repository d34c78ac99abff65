//! Benchmarks with real parts: the release binaries, a CLI, the scripted provider, one client, on loopback.
//!
//! # How to read the table
//!
//! Every figure that has something to be compared with is measured beside it in the same run, by turns, so
//! that a machine that gets slower slows both. Trust the ratios and the medians of a quiet machine; the load
//! before stands above the tables, that after below. A target that is missed is news, not a failure: the exit code
//! speaks only of whether it could be measured.
//!
//! - `first-content` has the pool off. It asks for one short answer after the other and takes the time from
//!   the request to the first word at the client. Beside it: the same CLI started by hand, from its start to
//!   the line with the first word. What the road adds cannot be seen well in the difference of those two,
//!   since the start of the real CLI varies by more than that. So the same is measured with the scripted CLI,
//!   which starts in a few milliseconds: the difference of those two medians is what api, store, worker, slot
//!   and relay add together. It is also shown in its two parts, cut where the provider sees them: *before* is request →
//!   call at the provider, less the bare CLI's start → call; *after* is first word sent → word at the client,
//!   less the same for the bare CLI. Directory, supervisor and relay are in the first, the CLI's line, the
//!   commit, the ring and the api's read in the second.
//! - `pool` has four tables. *Primed spare*: every job finds one spare, which serves it and goes; the next one
//!   is awaited before anything else is measured. Beside it: the bare CLI, started as a worker starts it, which
//!   has played one throwaway turn and waited as long, from the user frame to the line with the first word; and
//!   the bare CLI from its start. A bare process cannot be given a hundred turns at once, so both lengths of
//!   conversation are compared with a single turn. *Kept process*: the same with one process that serves all
//!   jobs, beside the turns of one bare process; what Drover adds is again seen with the scripted CLI. Processor
//!   time is the kernel's account: of supervisor and CLI, and of api and worker, for a job; of a bare CLI from
//!   its start to its end for a cold start. *Burst*: until the last of eight answers is whole. *Waiting*: memory
//!   is the proportional set size, in which a page that eight processes share counts an eighth for each; other
//!   programs that run the same CLI meanwhile make it look smaller.
//! - `tools` has the model call a tool and takes the time from the request with the result to the first word, beside an
//!   ordinary turn of the same kept process and the turns of one bare process; and the same where the worker that
//!   has served the first request is killed with -9 right before, so that a spare of another one goes on; beside that,
//!   an ordinary question right after such a death.
//! - `agents` plays two turns of one new session in one new project after the other. The first is played by a
//!   spare that is bound to the project, the second by the same process, which has stayed. Beside them, the
//!   same two turns of a spare that was started by hand as a worker starts it, and is bound and asked in one
//!   burst; and the first turn of one that starts only then. *Walls*: the same start of a chat process, as the
//!   worker does it, behind its walls and without any, to the first word of a turn that the relay answers by
//!   itself. Without walls it is also the worker's own user who runs it.
//! - `sustained` keeps eight clients busy with the shortest jobs, through the real CLI, with the default
//!   settings, once with one worker and once with two; they all have the same key, as the api asks for none.
//!   The processor time of the CLIs has that of starting their successors in it.
//! - `soak` is `sustained` for ten thousand jobs; it is measured only if asked for. Processes are replaced after
//!   so many jobs, so that the memory of a moment goes up and down; the last rows say whether it stays flat.
//! - `relay` asks the scripted provider for one answer after the other through a relay, as a CLI does over its socket,
//!   and beside it directly, by turns. The relay runs in the benchmark's own process. Composing, routing, metering and
//!   the second hop are in the difference.
//! - `chunk-delay` has the pool off too, so that nothing is started meanwhile. It streams eight answers at once,
//!   a word every 50 ms, and takes for each word the time from the provider's sending to the client's reading.
//!   Less the same of eight bare CLIs, this is Drover's. All streams begin after all CLIs have started, so that
//!   it is not their start that is measured.
//! - `throughput` uses the scripted CLI, since with the real one only the CLI would be measured: jobs and
//!   deltas per second through everything, beside what one connection gets out of the raw database with the
//!   same tables and settings, one transaction for each. A job takes at least four transactions; deltas are
//!   committed in groups.
//! - `turns` fills the queue with the jobs of few and of many owners, and takes the time of the search for the next job,
//!   beside that of a search by age alone, by turns on one connection; and of whole claims. *Held back*: before the one job
//!   that the worker may have wait thousands that it may not, and beside the search stands a walk over all that wait.
//! - `store` takes how many jobs a second the store adds and hands out, one after the other, beside the same statements in
//!   bare SQL on the same tables; and what triggers and indexes cost that, beside a database without them.
//! - `metrics` scrapes an api and a worker while 500 jobs run, beside the same processes before the first of them.
//! - `sockets` opens five thousand sockets at one api, subscribed to one job, and to a job each, whose time has not come;
//!   a worker is idle beside. Memory is what the api has become larger by, for each; the kernel's buffers are not in it.
//!   Processor time is the api's, with the sockets' pings, beside the same api's before the first of them.
//! - `idle` watches an api and a worker that have served a job and have nothing to do.

mod agents;
mod chunk_delay;
mod continued;
mod database;
mod first_content;
mod idle;
mod metrics;
mod pool;
mod process;
mod relay;
mod report;
mod road;
mod sockets;
mod statistics;
mod store;
mod sustained;
mod throughput;
mod times;
mod turns;

pub use report::Report;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Time to the first word where nothing waits.
    FirstContent,
    /// The same from processes that wait, and what they take.
    Pool,
    /// Time to the first word with the results of a tool.
    Tools,
    /// Sessions of agents, and what a slot's walls cost.
    Agents,
    /// Short jobs without a pause, through the real CLI.
    Sustained,
    /// What the relay adds to a call.
    Relay,
    /// Delay of each word.
    ChunkDelay,
    /// Jobs and deltas per second, and memory meanwhile.
    Throughput,
    /// Finding the next job among few and many owners.
    Turns,
    /// Jobs added and handed out, by the store and in bare SQL.
    Store,
    /// Scrapes of the metrics while hundreds of jobs run.
    Metrics,
    /// Memory and processor time without work.
    Idle,
    /// The same with thousands of sockets; takes minutes.
    Sockets,
    /// Memory over ten thousand jobs; takes minutes and is not measured unless asked for.
    Soak,
}

/// Measures one part, or all but the soak. Panics where something cannot be measured.
pub async fn run(only: Option<Part>) -> Report {
    let wanted = |part| only.map_or(part != Part::Soak, |only| only == part);
    let mut report = Report::begin();
    if wanted(Part::Idle) {
        report.add(idle::measure().await);
    }
    if wanted(Part::Sockets) {
        report.add(sockets::measure().await);
    }
    if wanted(Part::FirstContent) {
        report.add(first_content::measure().await);
    }
    if wanted(Part::Pool) {
        pool::measure().await.into_iter().for_each(|section| report.add(section));
    }
    if wanted(Part::Tools) {
        report.add(continued::measure().await);
    }
    if wanted(Part::Agents) {
        agents::measure().await.into_iter().for_each(|section| report.add(section));
    }
    if wanted(Part::Sustained) {
        sustained::measure().await.into_iter().for_each(|section| report.add(section));
    }
    if wanted(Part::Relay) {
        report.add(relay::measure().await);
    }
    if wanted(Part::ChunkDelay) {
        report.add(chunk_delay::measure().await);
    }
    if wanted(Part::Throughput) {
        report.add(throughput::measure().await);
    }
    if wanted(Part::Turns) {
        turns::measure().await.into_iter().for_each(|section| report.add(section));
    }
    if wanted(Part::Store) {
        report.add(store::measure().await);
    }
    if wanted(Part::Metrics) {
        report.add(metrics::measure().await);
    }
    if wanted(Part::Soak) {
        report.add(sustained::soak().await);
    }
    report.end()
}
