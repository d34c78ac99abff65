//! What the binary does besides serving: keys from the command line, for whoever may write to the database. It is how
//! the first key is made.

use std::io::Write;

use clap::{Args, Subcommand};
use drover_shared::clock::now_ms;
use drover_shared::schema::dollars::{NoAmount, read_dollars, write_dollars};
use drover_shared::schema::{ApiKey, KeyLimits, Owner, Scope, limits};
use drover_shared::store::{KeyAdded, Store};

use crate::keys::{self, status};

/// What to do with keys.
#[derive(Subcommand, Debug)]
pub enum Keys {
    /// Make a key, and print its secret, which is not shown again
    Create(Create),
    /// List all keys, revoked ones included
    List,
    /// Revoke a key for good
    Revoke {
        /// The key's identifier
        id: String,
    },
}

/// A key to be made.
#[derive(Args, Debug)]
pub struct Create {
    /// What people call it
    #[arg(long)]
    name: String,
    /// What it may be used for; several are separated by commas
    #[arg(long = "scopes", value_delimiter = ',', default_value = "chat,jobs", value_parser = scope)]
    scopes: Vec<Scope>,
    /// Requests in a minute
    #[arg(long, value_name = "N", value_parser = number())]
    requests_per_minute: Option<u32>,
    /// Tokens of prompts and answers in a minute
    #[arg(long, value_name = "N", value_parser = number())]
    tokens_per_minute: Option<u32>,
    /// Jobs that run at once; more wait
    #[arg(long, value_name = "N", value_parser = number())]
    concurrent_jobs: Option<u32>,
    /// Jobs that wait
    #[arg(long, value_name = "N", value_parser = number())]
    queued_jobs: Option<u32>,
    /// US dollars that its calls may cost on a day in UTC
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    daily_budget_usd: Option<u64>,
    /// US dollars that its calls may cost in a month in UTC
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    monthly_budget_usd: Option<u64>,
    /// Between keys: whose is higher comes first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(-i64::from(limits::KEY_PRIORITY)..=i64::from(limits::KEY_PRIORITY)))]
    priority: i32,
    /// Days until it expires
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    expires_in_days: Option<u32>,
}

fn number() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(limits::KEY_LIMIT))
}

fn scope(text: &str) -> Result<Scope, drover_shared::schema::key::NoScope> {
    text.parse()
}

fn dollars(text: &str) -> Result<u64, NoAmount> {
    read_dollars(text).map(|amount| amount.min(limits::KEY_BUDGET_MICROUSD))
}

/// Does it, and tells on `out`.
pub async fn keys(command: Keys, store: &dyn Store, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    match command {
        Keys::Create(create) => {
            let mut new = keys::new(create.name.clone(), now_ms());
            create.apply(&mut new.key);
            match keys::add(store, &new).await? {
                KeyAdded::Added => writeln!(out, "{} {}", new.key.owner, new.secret.expose())?,
                KeyAdded::Full => {
                    anyhow::bail!("there are {} keys already, which is the limit", limits::KEYS)
                }
                KeyAdded::Known => anyhow::bail!("there is a key like this one; try again"),
            }
        }
        Keys::List => {
            for known in store.keys().all().await? {
                writeln!(out, "{}", line(&known.key, now_ms()))?;
            }
        }
        Keys::Revoke { id } => {
            let revoked = store.keys().revoke(&Owner(id.clone()), now_ms()).await?;
            let key = revoked.ok_or_else(|| anyhow::anyhow!("there is no key with the id {id:?}"))?;
            writeln!(out, "{}", line(&key, now_ms()))?;
        }
    }
    Ok(())
}

impl Create {
    fn apply(self, key: &mut ApiKey) {
        key.scopes = self.scopes.into_iter().collect();
        key.priority = self.priority;
        key.expires_at_ms = self.expires_in_days.map(|days| key.created_at_ms + i64::from(days) * 86_400_000);
        key.limits = KeyLimits {
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            concurrent_jobs: self.concurrent_jobs,
            queued_jobs: self.queued_jobs,
            daily_budget_microusd: self.daily_budget_usd,
            monthly_budget_microusd: self.monthly_budget_usd,
        };
    }
}

/// A key in a line, without control characters, which a name never holds that came over HTTP.
fn line(key: &ApiKey, now: i64) -> String {
    let scopes: Vec<&str> = key.scopes.iter().map(Scope::as_str).collect();
    let limits = &key.limits;
    let mut words = vec![key.owner.to_string(), status(key, now).to_owned(), scopes.join(",")];
    for (name, value) in [
        ("requests/min", limits.requests_per_minute.map(|most| most.to_string())),
        ("tokens/min", limits.tokens_per_minute.map(|most| most.to_string())),
        ("concurrent", limits.concurrent_jobs.map(|most| most.to_string())),
        ("queued", limits.queued_jobs.map(|most| most.to_string())),
        ("a day", limits.daily_budget_microusd.map(write_dollars)),
        ("a month", limits.monthly_budget_microusd.map(write_dollars)),
    ] {
        words.extend(value.map(|value| format!("{value} {name}")));
    }
    words.push(key.name.chars().filter(|c| !c.is_control()).collect());
    words.join(" ")
}
