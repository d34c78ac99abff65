//! The pinned native CLI in Drover's data folder.
//!
//! ```text
//! <data>/claude/
//!   .lock             held by whoever installs
//!   .staging-…/       an installation under way; one that is left over is removed by the next
//!   2.1.330/claude    the executable, for everyone to read and run: slots may have users of their own
//!   2.1.330/install.json
//! ```

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::probe::{Identity, identify};
use super::record::Record;
use super::staging::{RUNNABLE, Staging, blocking, create, data, lock};
use super::{InstallError, ProbeError, Settings, npm, platform};
use drover_shared::cli::build::{Build, PINNED_NATIVE_VERSION};

/// Where the pinned CLI is, or will be, in this data folder.
pub fn installed_at(data_dir: &Path) -> PathBuf {
    data_dir.join("claude").join(PINNED_NATIVE_VERSION).join("claude")
}

/// The installed CLI, if it is the one that was installed; else a new installation. Of several workers that
/// start at once one installs and the others wait for it.
pub(super) async fn find_or_install(settings: &Settings) -> Result<Identity, InstallError> {
    let package = platform::package()?;
    let folder = settings.data_dir.join("claude");
    if !is_intact(&package, settings).await? {
        let _lock = lock(&folder).await?;
        // Whoever held the lock before may have installed it.
        if !is_intact(&package, settings).await? {
            install(&package, &folder, settings).await?;
        }
    }
    identify_installed(settings).await
}

/// Runs what is installed to see that it works.
pub(super) async fn identify_installed(settings: &Settings) -> Result<Identity, InstallError> {
    let program = installed_at(&settings.data_dir);
    let program = program.canonicalize().map_err(|source| InstallError::Data { path: program, source })?;
    identify(&program, None, Some(Build::Native), &settings.supervisor).await
}

/// Whether what lies there is what was installed; answers without running it.
pub(super) async fn is_intact(package: &str, settings: &Settings) -> Result<bool, InstallError> {
    let program = installed_at(&settings.data_dir);
    let package = package.to_owned();
    blocking(&settings.data_dir, move || {
        let Some(record) = Record::read(&sidecar(&program)) else { return Ok(false) };
        match record.matches(&package, &program) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            result => result,
        }
    })
    .await
}

async fn install(package: &str, folder: &Path, settings: &Settings) -> Result<(), InstallError> {
    let staging = Staging::create(folder).map_err(|source| data(folder, source))?;
    tracing::info!(package, folder = %folder.display(), "installing the Claude CLI; this happens once");
    npm::install(package, &staging.path, settings).await?;
    let ready = staging.path.join("ready");
    let (name, _) = package.rsplit_once('@').unwrap_or((package, ""));
    let module = staging.path.join("node_modules").join(name);
    let (owned, package) = (ready.clone(), package.to_owned());
    blocking(folder, move || prepare(&module, &owned, &package)).await?;
    verify(&ready.join("claude"), settings).await?;
    let (from, to) = (ready, folder.join(PINNED_NATIVE_VERSION));
    blocking(folder, move || staging.put(&from, &to)).await?;
    tracing::info!("the Claude CLI {PINNED_NATIVE_VERSION} is installed");
    Ok(())
}

/// Runs it before it is put in place, so that what stands there has worked once.
async fn verify(program: &Path, settings: &Settings) -> Result<(), InstallError> {
    let claude = identify(program, None, Some(Build::Native), &settings.supervisor).await?;
    let version = claude.version.to_string();
    if version == PINNED_NATIVE_VERSION {
        return Ok(());
    }
    let source = ProbeError::NotClaude(format!("{version}, not {PINNED_NATIVE_VERSION}"));
    Err(InstallError::Probe { path: program.to_owned(), source })
}

/// Takes from the package what is kept.
fn prepare(module: &Path, ready: &Path, package: &str) -> io::Result<()> {
    create(ready)?;
    fs::set_permissions(ready, Permissions::from_mode(RUNNABLE))?;
    let program = ready.join("claude");
    fs::rename(module.join("claude"), &program)?;
    fs::set_permissions(&program, Permissions::from_mode(RUNNABLE))?;
    File::open(&program)?.sync_all()?;
    for document in ["LICENSE.md", "README.md"] {
        match fs::rename(module.join(document), ready.join(document)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Record::take(package, &program)?.write(&sidecar(&program))?;
    File::open(sidecar(&program))?.sync_all()
}

fn sidecar(program: &Path) -> PathBuf {
    program.with_file_name("install.json")
}
