//! The side of the process that is replaced: it starts the next one, gives it the ports, and waits for its word.
//!
//! Until that word it serves as ever; a next process that fails, ends or is silent is put an end to, and nothing was: it
//! accepts nobody before it may. The
//! ports themselves are never shut: each process closes its own handle of them, and only the last one closes the port.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt;
use std::process::{Command as StdCommand, ExitStatus, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::{Go, Hello, LONGEST, Said, binary};
use crate::app::activation::{HANDOVER, Role, name_of};
use crate::live::lifecycle::Successor;

/// The first descriptor behind standard input, output and error.
const FIRST: i32 = 3;
/// How long a process that was told to end has for it before it is ended.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a process that may accept has until it does: it makes the last changes, and has nothing else to do.
const ACCEPTS: Duration = Duration::from_secs(10);

/// Of whom there may be a next process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaces {
    /// The proxy.
    Proxy,
    /// The demo, whose app servers live in it.
    Demo,
}

/// What the next process gets: a handle of every port that is open, and the name it goes by.
#[derive(Debug)]
pub struct Estate {
    ports: Mutex<Vec<(String, TcpListener)>>,
}

impl Estate {
    /// These ports, each with the address that the file gives it.
    ///
    /// # Errors
    /// When there is no descriptor left for them.
    pub fn of<'a>(
        ports: impl Iterator<Item = (Role, SocketAddr, &'a TcpListener)>,
    ) -> std::io::Result<Self> {
        let named = ports.map(|(role, addr, port)| Ok((name_of(role, addr), port.try_clone()?)));
        let ports = named.collect::<std::io::Result<_>>()?;
        Ok(Estate {
            ports: Mutex::new(ports),
        })
    }

    /// There is no next process: a port closes when who accepts on it is done.
    pub fn close(&self) {
        self.ports.lock().clear();
    }

    /// Starts the next process and says hello to it.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub fn pass_on(&self, of: Replaces) -> Result<Fledgling, String> {
        if of == Replaces::Demo {
            return Err("the demo's app servers live in this process; start it again".into());
        }
        if std::process::id() == 1 {
            return Err(
                "this is process 1 of its container, which ends with it; replace the container instead (a new one beside it, \
                 then stop this one: `shutdown.pre_stop` and `shutdown.grace`)"
                    .into(),
            );
        }
        let mut args = std::env::args_os();
        let called = args.next();
        let var = std::env::var_os;
        let file = binary::file(var(binary::VARIABLE), called.clone(), var("PATH"))?;
        let failed = |e: std::io::Error| format!("cannot start {}: {e}", file.display());
        let (ours, theirs) = StdStream::pair().map_err(failed)?;
        let (names, mappings) = self.named(theirs.into()).map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let mut command = StdCommand::new(&file);
        if let Some(called) = called {
            command.arg0(called);
        }
        command
            .args(args)
            .stdin(Stdio::null())
            // Of a service manager to this process alone.
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_PIDFDID")
            .env_remove("LISTEN_FDS_FIRST_FD")
            .env_remove("WATCHDOG_PID")
            .env("LISTEN_FDS", mappings.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"));
        command
            .fd_mappings(mappings)
            .map_err(|e| format!("cannot start {}: {e}", file.display()))?;
        let child = Command::from(command).spawn().map_err(failed)?;
        tracing::info!(
            "upgrade: {} is started as process {}",
            file.display(),
            child.id().unwrap_or_default()
        );
        Ok(Fledgling {
            stream: BufReader::new(UnixStream::from_std(ours).map_err(failed)?),
            child: Some(child),
        })
    }

    /// What is passed on, with the names it goes by: every port, and the way to us.
    fn named(&self, way: OwnedFd) -> std::io::Result<(Vec<String>, Vec<FdMapping>)> {
        let ports = self.ports.lock();
        let copies = ports
            .iter()
            .map(|(name, port)| Ok((name.clone(), port.try_clone()?.into())));
        let all = copies.chain([Ok((HANDOVER.to_string(), way))]);
        let (names, copies): (Vec<String>, Vec<OwnedFd>) = all
            .collect::<std::io::Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        let mappings = (FIRST..)
            .zip(copies)
            .map(|(child_fd, parent_fd)| FdMapping {
                parent_fd,
                child_fd,
            });
        Ok((names, mappings.collect()))
    }
}

/// The next process, before it serves. Dropped, it is ended.
#[derive(Debug)]
pub struct Fledgling {
    stream: BufReader<UnixStream>,
    /// None once it serves, or has ended.
    child: Option<Child>,
}

impl Fledgling {
    /// Waits until it could serve, at most as long as `patience`. Where it cannot, it has ended when this returns.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn grows(&mut self, hello: &Hello, patience: Duration) -> Result<(), String> {
        let said = timeout(patience, self.asked(hello.line())).await;
        match said {
            Ok(Ok(Said::Ready)) => Ok(()),
            other => Err(self.fails(other, patience).await),
        }
    }

    /// It may accept; waits until it does. Where it does not, it has ended when this returns.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn goes(&mut self, go: &Go) -> Result<Successor, String> {
        let pid = self.pid();
        let said = timeout(ACCEPTS, self.asked(go.line())).await;
        match said {
            Ok(Ok(Said::Serves { version, ports })) => Ok(Successor {
                pid,
                version,
                ports: ports.into_iter().collect(),
            }),
            other => Err(self.fails(other, ACCEPTS).await),
        }
    }

    /// Puts an end to it after this answer, which was not the one that was waited for; why, in words.
    async fn fails(
        &mut self,
        said: Result<std::io::Result<Said>, Elapsed>,
        patience: Duration,
    ) -> String {
        let pid = self.pid();
        let why = match said {
            Ok(Ok(Said::Failed(why))) => {
                self.ends().await;
                return why;
            }
            Ok(Ok(Said::Ready | Said::Serves { .. })) => {
                self.is_told_to_end();
                self.ends().await;
                "it speaks out of turn, and was ended".into()
            }
            Ok(Err(e)) => {
                let how = match self.ends().await {
                    Some(status) => format!("it ended ({status}) before it served"),
                    None => "it was ended".into(),
                };
                format!("{how}; what it wrote on standard error says why ({e})")
            }
            Err(_) => {
                self.is_told_to_end();
                self.ends().await;
                format!("it did not serve within {patience:?}, and was ended")
            }
        };
        format!("process {pid}: {why}")
    }

    /// Says this line and reads the answer.
    async fn asked(&mut self, line: String) -> std::io::Result<Said> {
        self.stream.write_all(line.as_bytes()).await?;
        let mut line = String::new();
        let mut bounded = (&mut self.stream).take(LONGEST as u64);
        bounded.read_line(&mut line).await?;
        Said::read(&line)
            .ok_or_else(|| std::io::Error::other("it closed the way to us without a word"))
    }

    /// It serves, and knows from now on that this one does not. Whoever is returned is to be waited for.
    pub async fn set_free(mut self) -> Option<Child> {
        // If it has gone meanwhile, who waits for it says so.
        let _ = timeout(LAST_WORDS, self.stream.write_all(b"yours\n")).await;
        self.child.take()
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).unwrap_or_default()
    }

    /// Asks it to stop in good order.
    pub fn is_told_to_end(&self) {
        if let Some(pid) = i32::try_from(self.pid()).ok().filter(|pid| *pid > 1) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    /// Waits until it has ended, or ends it.
    async fn ends(&mut self) -> Option<ExitStatus> {
        let mut child = self.child.take()?;
        match timeout(LAST_WORDS, child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                let _ = child.kill().await;
                None
            }
        }
    }
}

impl Drop for Fledgling {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.start_kill();
        }
    }
}
