//! `drover-worker doctor` and `ping`: what works here, in words and in an exit code.

use std::io::Write;

use anyhow::{Context, bail};
use drover_shared::cli::Build;
use drover_shared::clock::now_ms;
use drover_shared::provider::registry::KeyPlace;
use drover_shared::provider::resolve;
use drover_shared::schema::limits;
use drover_shared::store;

use crate::install;
use crate::settings::Settings;
use crate::slot::{bounds, walls};

/// Says which CLI is used, or what is missing, and what is configured; never a key's value.
pub async fn run(settings: &Settings) -> anyhow::Result<()> {
    let report = install::check(&settings.install()).await;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{report}")?;
    writeln!(out, "{}", walls::survey())?;
    writeln!(out, "data     {}", settings.common.data_dir().display())?;
    writeln!(out, "bounds   {}", bounds::survey())?;
    let served = providers(settings, &mut out);
    if let Err(error) = &served {
        writeln!(out, "registry {error}")?;
    }
    let build = report.claude.as_ref().ok().and_then(Option::as_ref).map_or(Build::Native, |it| it.build);
    let agents = settings.mcp().and_then(|servers| settings.agents(build, &servers));
    match &agents {
        Ok(agents) => {
            writeln!(out, "agents   {}", agents.tools.join(", "))?;
            let servers: Vec<&str> = agents.mcp_servers.iter().map(|server| server.name.as_str()).collect();
            writeln!(
                out,
                "mcp      {}",
                if servers.is_empty() { "none".to_owned() } else { servers.join(", ") }
            )?;
        }
        Err(error) => writeln!(out, "agents   {error:#}")?,
    }
    if !report.is_ready() || served.is_err() || agents.is_err() {
        bail!("a worker cannot start here");
    }
    Ok(())
}

/// How many keys there are for each provider, and where; never a key.
fn providers(settings: &Settings, out: &mut impl Write) -> anyhow::Result<()> {
    let sources = settings.registry();
    let catalog = sources.load()?;
    for provider in sources.registry()?.providers {
        let places = provider.keys.iter().map(|key| match &key.place {
            KeyPlace::Variable(name) => name.clone(),
            KeyPlace::File(path) => path.clone(),
        });
        let places = places.collect::<Vec<_>>().join(", ");
        let keys = sources.keys(&provider)?.len();
        writeln!(out, "provider {:<14} {keys} keys ({places})", provider.id)?;
    }
    let default = catalog.offer.default_model.as_deref().unwrap_or_default();
    writeln!(out, "models   {}, by default {default}", resolve::names(&catalog.offer).len())?;
    if catalog.endpoints.is_empty() {
        writeln!(out, "without a key only the demo model is offered")?;
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
