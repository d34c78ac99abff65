//! What a process is started with: its directory, its relay, its command line and environment.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use drover_shared::cli::{self, Build, invocation};

use super::{Parts, StageError, told};
use crate::relay::{Address, Relay};
use crate::slot::{Launch, SlotDir};

/// A directory and a relay, before anything runs in them.
pub(super) struct Ground {
    pub(super) dir: SlotDir,
    pub(super) relay: Relay,
}

/// What is to run there.
pub(super) struct Command<'a> {
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(&'static str, OsString)>,
    pub(super) directory: &'a Path,
    /// The port of the proxy that it may connect to.
    pub(super) proxy: Option<u16>,
}

impl Ground {
    pub(super) fn prepare(parts: &Parts) -> Result<Self, StageError> {
        let dir = parts.dirs.create().map_err(|error| told("no directory for the slot", &error))?;
        let relay = match parts.claude.build {
            Build::Native => Relay::unix(&dir.socket(), dir.user(), Arc::clone(&parts.upstream)),
            Build::JavaScript => Relay::loopback(Arc::clone(&parts.upstream)),
        };
        let relay = relay.map_err(|error| told("no relay for the slot", &error))?;
        Ok(Self { dir, relay })
    }

    /// What a chat process is started with.
    pub(super) fn chat(&self, parts: &Parts) -> (Vec<OsString>, Vec<(&'static str, OsString)>) {
        let arguments = invocation::chat_arguments(parts.account).into_iter().map(Into::into).collect();
        (arguments, self.with_slot(parts, |slot| invocation::environment(parts.claude.build, slot)))
    }

    /// Hands `make` the process's surroundings.
    pub(super) fn with_slot<T>(&self, parts: &Parts, make: impl FnOnce(&cli::Slot) -> T) -> T {
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
        let (home, tmp) = (self.dir.home(), self.dir.tmp());
        let upstream = match self.relay.address() {
            Address::Unix(path) => cli::Upstream::UnixSocket(path),
            Address::Loopback(address) => cli::Upstream::Port(address.port()),
        };
        let token = self.relay.token().expose();
        make(&cli::Slot { home: &home, tmp: &tmp, upstream, token, account: parts.account, path: &path })
    }

    /// The relay's port, where it has one.
    fn port(&self) -> Option<u16> {
        match self.relay.address() {
            Address::Unix(_) => None,
            Address::Loopback(address) => Some(address.port()),
        }
    }

    /// What to start.
    pub(super) fn launch(&self, parts: &Parts, command: Command) -> Launch {
        let claude = &parts.claude;
        // node runs the JavaScript build; the native one runs itself.
        let (program, script) = match &claude.interpreter {
            Some(node) => (node, Some(claude.program.clone().into_os_string())),
            None => (&claude.program, None),
        };
        let text = |value: OsString| value.to_string_lossy().into_owned();
        let environment = command.environment.into_iter();
        Launch {
            program: program.clone(),
            arguments: script.into_iter().chain(command.arguments).map(text).collect(),
            environment: environment.map(|(name, value)| (name.to_owned(), text(value))).collect(),
            directory: command.directory.to_owned(),
            walls: Some(parts.walls.walls(&self.dir, self.port().into_iter().chain(command.proxy))),
        }
    }
}
