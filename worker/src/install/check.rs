//! What an operator asks before the first start: is there a CLI, and if not, what is missing?

use std::fmt;
use std::path::PathBuf;

use super::given::{node, on_path};
use super::{
    Claude, InstallError, RootMode, RootRefusal, Settings, decide, given, installed_at, pinned, platform,
    root,
};
use drover_shared::cli::build::{Build, Feature, PINNED_NATIVE_VERSION, Version};

/// The state of the CLI on this machine. Its display is for people, one fact per line.
#[derive(Debug)]
pub struct CheckReport {
    /// The CLI, or why there is none; `Ok(None)` if it would be installed at the first start.
    pub claude: Result<Option<Claude>, InstallError>,
    /// Whether npm, which installs it, is there.
    pub npm: bool,
    /// Whether node, which the JavaScript build needs, is there.
    pub node: bool,
    place: PathBuf,
    /// What is decided about root, and what was asked for.
    root: Option<Result<RootMode, RootRefusal>>,
    policy: String,
}

/// Looks without installing or changing anything.
pub async fn check(settings: &Settings) -> CheckReport {
    let claude = look(settings).await;
    CheckReport {
        root: decided(&claude, settings),
        claude,
        npm: on_path("npm", settings).is_some(),
        node: node(settings).is_some(),
        place: installed_at(&settings.data_dir),
        policy: policy(settings),
    }
}

impl CheckReport {
    /// Whether a worker can start: the CLI is there, or can be installed.
    pub fn is_ready(&self) -> bool {
        match &self.claude {
            Ok(Some(_)) => true,
            Ok(None) => self.npm,
            Err(_) => false,
        }
    }
}

async fn look(settings: &Settings) -> Result<Option<Claude>, InstallError> {
    let found = match &settings.binary_path {
        Some(path) => given::find(path, settings).await?,
        None if pinned::is_intact(&platform::package()?, settings).await? => {
            pinned::identify_installed(settings).await?
        }
        None => return Ok(None),
    };
    Ok(Some(root::look(found, settings).await))
}

/// What is, or for a CLI that is still to be installed will be, done about root.
fn decided(
    claude: &Result<Option<Claude>, InstallError>,
    settings: &Settings,
) -> Option<Result<RootMode, RootRefusal>> {
    match claude {
        Ok(Some(claude)) => Some(claude.root.clone()),
        Ok(None) => {
            let version = Version::parse(PINNED_NATIVE_VERSION)?;
            Some(decide(settings.root_policy, settings.standing, Build::Native, version))
        }
        Err(_) => None,
    }
}

fn policy(settings: &Settings) -> String {
    let standing = match (settings.standing.is_root, settings.standing.may_change_users) {
        (false, _) => "this user is not root",
        (true, true) => "root, may change users",
        (true, false) => "root, may not change users",
    };
    let policy = format!("{:?}", settings.root_policy).to_lowercase();
    format!("policy {policy}; {standing}")
}

/// The features that this version has, or has not.
fn features(claude: &Claude, has: bool) -> String {
    let of_version = |feature: &&Feature| feature.in_version(claude.build, claude.version) == has;
    let names: Vec<_> = Feature::ALL.iter().filter(of_version).map(|feature| feature.name()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = |there| if there { "found" } else { "not on PATH" };
        match &self.claude {
            Ok(Some(claude)) => {
                writeln!(f, "claude   {} ({:?})", claude.version, claude.build)?;
                writeln!(f, "path     {}", claude.program.display())?;
                writeln!(f, "has      {}", features(claude, true))?;
                writeln!(f, "lacks    {}", features(claude, false))?;
            }
            Ok(None) => {
                writeln!(
                    f,
                    "claude   not installed; a worker installs {PINNED_NATIVE_VERSION} when it starts"
                )?;
                writeln!(f, "path     {} (to be)", self.place.display())?;
            }
            Err(error) => writeln!(f, "claude   {error}")?,
        }
        match &self.root {
            Some(Ok(mode)) => writeln!(f, "root     {mode} ({})", self.policy)?,
            Some(Err(refusal)) => writeln!(f, "root     no agent jobs: {refusal} ({})", self.policy)?,
            None => {}
        }
        writeln!(f, "npm      {}", found(self.npm))?;
        write!(f, "node     {}", found(self.node))
    }
}
