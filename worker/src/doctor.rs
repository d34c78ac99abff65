//! `drover-worker doctor` and `ping`: what works here, in words and in an exit code.

use std::io::Write;

use anyhow::{Context, bail};
use drover_shared::clock::now_ms;
use drover_shared::schema::limits;
use drover_shared::store;

use crate::install;
use crate::settings::Settings;
use crate::slot::{bounds, walls};

/// Says which CLI is used, or what is missing, and what is configured; never a key's value.
pub async fn run(settings: &Settings) -> anyhow::Result<()> {
    let report = install::check(&settings.install()).await;
    let set = |value: bool| if value { "set" } else { "not set" };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{report}")?;
    writeln!(out, "{}", walls::survey())?;
    writeln!(out, "data     {}", settings.common.data_dir().display())?;
    writeln!(out, "provider {}", settings.anthropic_base_url)?;
    writeln!(out, "bounds   {}", bounds::survey())?;
    writeln!(out, "ANTHROPIC_API_KEY    {}", set(settings.anthropic_api_key.is_some()))?;
    writeln!(out, "ANTHROPIC_AUTH_TOKEN {}", set(settings.anthropic_auth_token.is_some()))?;
    if settings.anthropic_api_key.is_none() && settings.anthropic_auth_token.is_none() {
        writeln!(out, "without a key only the demo model is offered")?;
    }
    if !report.is_ready() {
        bail!("a worker cannot start here");
    }
    Ok(())
}

/// Succeeds if a worker of this host has beaten recently.
pub async fn ping(settings: &Settings) -> anyhow::Result<()> {
    let store = store::open(&settings.common.database_url()).await.context("cannot open the store")?;
    let now = now_ms();
    let since = now - store::millis(limits::DEAD_AFTER);
    let host = format!("{}-", nix::unistd::gethostname()?.to_string_lossy());
    let fleet = store.fleet(since, now).await.context("cannot read the store")?;
    if !fleet.alive.iter().any(|worker| worker.id.0.starts_with(&host)) {
        bail!("no worker of this host has a recent heartbeat");
    }
    Ok(())
}
