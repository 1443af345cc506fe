//! How to connect: plainly or by TLS, to one server or to a cluster.
//!
//! The address holds the password and never shows it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "redis-cluster")]
use redis::aio::ConnectionLike;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError,
};
use tokio::time::timeout;

use super::command::{Command, Reply, is_unknown_script};
use super::fault::Fault;

/// Where Redis is and how to get in.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// `redis://…` or `rediss://…`, with the number of a database and a user's name, without a password.
    pub url: String,
    /// The password.
    pub password: Option<Arc<str>>,
    /// Certificates (PEM) of whom to trust; `None`: whom the system trusts.
    pub ca: Option<Arc<str>>,
    /// It is a node of a cluster.
    pub cluster: bool,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("url", &self.url)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl Address {
    /// Whether it can be connected to at all, by its form and what is built in.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn check(&self) -> Result<(), String> {
        self.info().map(drop).map_err(|e| e.to_string())
    }

    /// Host and port.
    pub(super) fn authority(&self) -> Result<(String, u16), Fault> {
        let info = self.info().map_err(|error| fault(&error))?;
        match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Ok((host.clone(), *port))
            }
            // The file is checked: nothing else is in it.
            other => Err(Fault::Broken(format!("{other} is no host and port").into())),
        }
    }

    fn info(&self) -> Result<ConnectionInfo, RedisError> {
        let info = self.url.as_str().into_connection_info()?;
        let mut redis = info.redis_settings().clone();
        if let Some(password) = &self.password {
            redis = redis.set_password(password);
        }
        Ok(info.set_redis_settings(redis.set_lib_name("tidegate", env!("CARGO_PKG_VERSION"))))
    }

    /// Connects, logs in and chooses the database.
    pub(super) async fn connect(&self, limit: Duration) -> Result<Conn, Fault> {
        match timeout(limit, self.open()).await {
            Ok(opened) => opened.map_err(|error| fault(&error)),
            Err(_) => Err(Fault::Timeout),
        }
    }

    async fn open(&self) -> Result<Conn, RedisError> {
        if self.cluster {
            return self.open_cluster().await;
        }
        // We have deadlines of our own.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let client = self.client()?;
        let conn = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok(Conn::One(conn))
    }

    #[cfg(feature = "redis-tls")]
    fn client(&self) -> Result<Client, RedisError> {
        use_ring();
        let info = self.info()?;
        match &self.ca {
            None => Client::open(info),
            Some(ca) => Client::build_with_tls(info, certificates(ca)),
        }
    }

    #[cfg(not(feature = "redis-tls"))]
    fn client(&self) -> Result<Client, RedisError> {
        Client::open(self.info()?)
    }

    #[cfg(feature = "redis-cluster")]
    async fn open_cluster(&self) -> Result<Conn, RedisError> {
        let builder = redis::cluster::ClusterClient::builder([self.info()?]).retries(1);
        #[cfg(feature = "redis-tls")]
        let builder = {
            use_ring();
            match &self.ca {
                None => builder,
                Some(ca) => builder.certs(certificates(ca)),
            }
        };
        let conn = builder.build()?.get_async_connection().await?;
        Ok(Conn::Cluster(conn))
    }

    #[cfg(not(feature = "redis-cluster"))]
    async fn open_cluster(&self) -> Result<Conn, RedisError> {
        Err((
            redis::ErrorKind::InvalidClientConfig,
            "this program was built without the feature `redis-cluster`",
        )
            .into())
    }
}

/// The crate takes the process's default cryptography: there is one, the same as everywhere else.
#[cfg(feature = "redis-tls")]
fn use_ring() {
    // Somebody was first: it is the same.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
}

#[cfg(feature = "redis-tls")]
fn certificates(ca: &str) -> redis::TlsCertificates {
    redis::TlsCertificates {
        client_tls: None,
        root_cert: Some(ca.as_bytes().to_vec()),
    }
}

/// A connection; its copies share it.
#[derive(Clone)]
pub(super) enum Conn {
    /// To one server.
    One(MultiplexedConnection),
    /// To all nodes of a cluster.
    #[cfg(feature = "redis-cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Conn")
    }
}

impl Conn {
    /// Runs commands and returns their replies, in their order.
    pub(super) async fn run(&self, commands: &[Command]) -> Result<Vec<Reply>, Fault> {
        let cmds: Vec<&redis::Cmd> = commands.iter().map(|command| &command.cmd).collect();
        let mut replies = self.send(&cmds).await?;
        for (reply, command) in replies.iter_mut().zip(commands) {
            if is_unknown_script(reply)
                && let Some(whole) = command.whole()
            {
                let again = self.send(&[&whole]).await?;
                *reply = again.into_iter().next().unwrap_or(Reply::Nil);
            }
        }
        Ok(replies)
    }

    async fn send(&self, cmds: &[&redis::Cmd]) -> Result<Vec<Reply>, Fault> {
        match self {
            Conn::One(conn) => {
                let mut pipeline = redis::pipe();
                cmds.iter().for_each(|cmd| {
                    pipeline.add_command((*cmd).clone());
                });
                let sent = conn.clone();
                let values = { sent }
                    .send_packed_commands(&pipeline, 0, cmds.len())
                    .await;
                let values = values.map_err(|error| fault(&error))?;
                Ok(values.into_iter().map(Reply::of).collect())
            }
            // Each key has a node of its own: the commands go out side by side.
            #[cfg(feature = "redis-cluster")]
            Conn::Cluster(conn) => {
                let one = |cmd: &redis::Cmd| {
                    let (mut conn, cmd) = (conn.clone(), cmd.clone());
                    async move {
                        match conn.req_packed_command(&cmd).await {
                            Ok(value) => Ok(Reply::of(value)),
                            Err(error) => match fault(&error) {
                                Fault::Refused(words) => Ok(Reply::Error(words)),
                                fault => Err(fault),
                            },
                        }
                    }
                };
                futures_util::future::try_join_all(cmds.iter().map(|cmd| one(cmd))).await
            }
        }
    }
}

/// What an error of the crate is to us.
fn fault(error: &RedisError) -> Fault {
    if error.is_timeout() {
        return Fault::Timeout;
    }
    match error.kind() {
        redis::ErrorKind::Server(_) | redis::ErrorKind::Extension => {
            let words = match (error.code(), error.detail()) {
                (Some(code), Some(more)) => format!("{code} {more}"),
                _ => error.to_string(),
            };
            Fault::Refused(one_line(&words))
        }
        redis::ErrorKind::AuthenticationFailed => {
            let words = "WRONGPASS it does not take our user or password; look at `cache.redis.password_file` and at the user in `url`";
            Fault::Refused(words.into())
        }
        _ => Fault::Broken(one_line(&error.to_string())),
    }
}

/// Words that came from somewhere else, as they can stand in a line of a log.
fn one_line(words: &str) -> Arc<str> {
    const LONGEST: usize = 200;
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    words
        .chars()
        .take(LONGEST)
        .map(plain)
        .collect::<String>()
        .into()
}
