//! What an operator asks before the first start: is there a CLI, and if not, what is missing?

use std::fmt;
use std::path::PathBuf;

use super::given::{node, on_path};
use super::version::PINNED_NATIVE_VERSION;
use super::{Claude, InstallError, Settings, given, installed_at, pinned, platform};

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
}

/// Looks without installing or changing anything.
pub async fn check(settings: &Settings) -> CheckReport {
    CheckReport {
        claude: look(settings).await,
        npm: on_path("npm", settings).is_some(),
        node: node(settings).is_some(),
        place: installed_at(&settings.data_dir),
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
    if let Some(path) = &settings.binary_path {
        return given::find(path, settings).await.map(Some);
    }
    if !pinned::is_intact(&platform::package()?, settings).await? {
        return Ok(None);
    }
    pinned::identify_installed(settings).await.map(Some)
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = |there| if there { "found" } else { "not on PATH" };
        match &self.claude {
            Ok(Some(claude)) => {
                writeln!(f, "claude   {} ({:?})", claude.version, claude.build)?;
                writeln!(f, "path     {}", claude.program.display())?;
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
        writeln!(f, "npm      {}", found(self.npm))?;
        write!(f, "node     {}", found(self.node))
    }
}
