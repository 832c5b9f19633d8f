//! The way to the server: one connection, made when it is needed, and left alone for a moment when it fails.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_types::SdkConfig;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, try_join_all};
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, ServerErrorKind, TlsCertificates, Value, cmd,
};
use tokio::time::timeout;

use super::iam;
use crate::clock::{Clock, Reading};
use crate::environment::Environment;
use crate::{Deadline, lock};

/// How long the start of an environment waits for its connection.
const CONNECT: Duration = Duration::from_secs(2);

/// A handshake may take longer than one caller waits: the next ones go on with it, so many. It has no time of its
/// own, since there may be minutes between them.
const MOST_WAITS: u32 = 25;

/// For less it is not asked.
const LEAST: Duration = Duration::from_millis(2);

/// Of one attempt of a write, which has to get there.
const WRITE: Duration = Duration::from_secs(1);

/// How long a server that failed is left alone, doubling.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

const ADDRESS: &str =
    "host:port or rediss://host:port, which are asked with TLS, or redis://host:port, which is not";

/// Who may connect: a user and a password, or none.
pub(super) type Login =
    dyn Fn() -> BoxFuture<'static, Result<Option<(String, String)>, String>> + Send + Sync;

/// A Valkey or Redis, from version 7 on: one server or a cluster. Cheap to clone: clones share the connection.
#[derive(Clone)]
pub struct Valkey {
    /// None where it is switched off.
    address: Option<ConnectionAddr>,
    prefix: String,
    timeout: Duration,
    login: Arc<Login>,
    root_certificate: Option<Vec<u8>>,
    clock: Arc<dyn Clock>,
    line: Arc<Mutex<Line>>,
}

#[derive(Default)]
struct Line {
    link: Link,
    /// Of the link.
    number: u64,
    /// It has said that another node has what is asked for.
    is_cluster: bool,
    /// How often somebody waited for it in vain while it was being made.
    waits: u32,
    /// In a row.
    failures: u32,
    failed_at: Option<Reading>,
    /// Since when and for how long it is left alone.
    pause: Option<(Reading, Duration)>,
}

#[derive(Default)]
enum Link {
    #[default]
    Down,
    /// Goes on only while somebody waits for it, but that of a cluster, which has a task.
    Connecting(Connecting),
    Up(Connection),
}

type Connecting = Shared<BoxFuture<'static, Result<Connection, String>>>;

#[derive(Clone)]
enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Valkey {
    /// The server of the environment's variables. What is wrong with them is told when the caches are made.
    ///
    /// | variable | values | default |
    /// |---|---|---|
    /// | `CACHE_SHARED_ENDPOINT` | `host:port` or `rediss://host:port`, with TLS; `redis://host:port`, without | required |
    /// | `CACHE_SHARED_ENABLED` | `true`, `false`: the second level is left out | `true` |
    /// | `CACHE_SHARED_TIMEOUT_MS` | 1..1000: what is asked of it takes no longer | 20 |
    /// | `CACHE_SHARED_NAME` | 1 to 255 of A-Z a-z 0-9 _ -: functions that have the same share what they store | the function's name |
    /// | `CACHE_SHARED_IAM_USER` | a user of ElastiCache: the function's role signs its password | none |
    /// | `CACHE_SHARED_IAM_CACHE` | the name of the cache that this is signed for | required with a user |
    /// | `CACHE_SHARED_IAM_SERVERLESS` | `true`, `false`: whether that is an ElastiCache Serverless | `true` |
    ///
    /// Nothing is asked of the server yet: see [`connect`](Self::connect). With TLS, certificates are checked against
    /// Mozilla's roots, and rustls gets aws-lc-rs as its provider for the process if it has none.
    pub fn open(environment: &mut Environment, config: &SdkConfig) -> Self {
        let enabled = environment.switch("CACHE_SHARED_ENABLED");
        let address = match enabled {
            Some(false) => None,
            _ => environment.required("CACHE_SHARED_ENDPOINT", ADDRESS, |text| {
                address(text).map(Some)
            }),
        };
        let timeout = environment.number("CACHE_SHARED_TIMEOUT_MS", 1, 1000);
        let prefix = environment.name("CACHE_SHARED_NAME");
        let user = environment.name("CACHE_SHARED_IAM_USER");
        let serverless = environment.switch("CACHE_SHARED_IAM_SERVERLESS");
        let login: Arc<Login> = match user {
            None => Arc::new(|| async { Ok(None) }.boxed()),
            Some(user) => {
                let cache = environment.required_name("CACHE_SHARED_IAM_CACHE");
                iam::login(config, user, cache, serverless.unwrap_or(true))
            }
        };
        Valkey {
            address,
            prefix: prefix.unwrap_or_else(|| environment.of_lambda("AWS_LAMBDA_FUNCTION_NAME")),
            timeout: Duration::from_millis(timeout.unwrap_or(20)),
            login,
            root_certificate: None,
            clock: environment.clock(),
            line: Arc::default(),
        }
    }

    /// Who connects: the user and the password that `login` gives, asked for with each new connection. It is
    /// driven by those who wait for the connection. Its error is in the log.
    ///
    /// ```
    /// # use cache_core::{environment::Environment, shared::Valkey};
    /// # fn example(mut environment: Environment, config: aws_types::SdkConfig, secrets: Secrets) {
    /// let valkey = Valkey::open(&mut environment, &config).login(move || {
    ///     let secret = secrets.get_secret_value().secret_id("valkey");
    ///     async move {
    ///         let secret = secret.send().await.map_err(|error| error.to_string())?;
    ///         let password = secret.secret_string().ok_or("the secret has no text")?;
    ///         Ok(("function".to_string(), password.to_string()))
    ///     }
    /// });
    /// # }
    /// # // As the client of Secrets Manager is.
    /// # #[derive(Clone)] struct Secrets;
    /// # impl Secrets { fn get_secret_value(&self) -> Self { Secrets } fn secret_id(self, _: &str) -> Self { self }
    /// #   async fn send(self) -> Result<Self, String> { Ok(self) }
    /// #   fn secret_string(&self) -> Option<&str> { None } }
    /// ```
    #[must_use]
    pub fn login<R>(mut self, login: impl Fn() -> R + Send + Sync + 'static) -> Self
    where
        R: Future<Output = Result<(String, String), String>> + Send + 'static,
    {
        self.login = Arc::new(move || login().map(|login| login.map(Some)).boxed());
        self
    }

    /// Trusts servers whose certificate comes from this one, in PEM, instead of Mozilla's roots.
    #[must_use]
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificate = Some(pem.into());
        self
    }

    /// Connects, which may take longer than a caller waits: call it while the environment starts. Where that fails,
    /// it stands in the log, and is tried again when it is needed.
    ///
    /// ```
    /// # use cache_core::{environment::Environment, shared::Valkey};
    /// # async fn caches(aws: aws_types::SdkConfig, client: ()) -> Result<(), ()> {
    /// let mut environment = Environment::of_process();
    /// let valkey = Valkey::open(&mut environment, &aws);
    /// valkey.connect().await;
    /// let caches = open(client, &valkey, environment)?;
    /// # Ok(caches) }
    /// # fn open(_: (), _: &Valkey, _: Environment) -> Result<(), ()> { Ok(()) }
    /// ```
    pub async fn connect(&self) {
        // In a cluster one of so many is elsewhere, and its other nodes are connected with, too.
        let probes = || {
            let names = (0..16).map(|number| format!("{}:{number}", self.prefix));
            names
                .map(|name| cmd("GETRANGE").arg(name).arg(0).arg(0).take())
                .collect()
        };
        if self.address.is_some()
            && let Err((error, _)) = self.attempt(CONNECT, probes, 0).await
        {
            tracing::warn!(%error, "the second level cannot be reached");
        }
    }

    /// What the names of its keys begin with; none where it is switched off.
    pub(super) fn prefix(&self) -> Option<&str> {
        self.address.as_ref().map(|_| self.prefix.as_str())
    }

    /// Asks, unless it is left alone or there is no time; `None` is the answer then. That of a command is `None`
    /// where what is under its name is no string. `commands` makes them for each attempt.
    ///
    /// # Errors
    /// When it fails: why, and whether others have not just failed likewise.
    pub(super) async fn ask(
        &self,
        until: &Deadline,
        commands: impl FnMut() -> Vec<Cmd> + Send,
    ) -> Result<Option<Vec<Option<Value>>>, (String, bool)> {
        // The rest is the source's.
        let half = until.remaining().map_or(Duration::MAX, |left| left / 2);
        if half < LEAST {
            return Ok(None);
        }
        let Some(failures) = self.may_be_asked() else {
            return Ok(None);
        };
        let limit = self.timeout.min(half);
        self.attempt(limit, commands, failures).await.map(Some)
    }

    /// Writes, even if it is left alone, in two attempts.
    ///
    /// # Errors
    /// When both fail.
    pub(super) async fn write(
        &self,
        deadline: &Deadline,
        mut command: impl FnMut() -> Cmd + Send,
    ) -> Result<(), String> {
        let mut last = "the deadline has passed".to_string();
        for attempts_left in [2, 1] {
            let left = deadline
                .remaining()
                .map_or(WRITE, |left| left / attempts_left);
            if left.is_zero() {
                break;
            }
            let failures = lock(&self.line).failures;
            let command = || vec![command()];
            match self.attempt(WRITE.min(left), command, failures).await {
                Ok(_) => return Ok(()),
                Err((error, _)) => last = error,
            }
        }
        Err(last)
    }

    /// How many failures there were in a row; none while it is left alone. Where its pause is over one caller
    /// tries, and the others go by meanwhile.
    fn may_be_asked(&self) -> Option<u32> {
        let now = self.clock.now();
        let mut line = lock(&self.line);
        if let Some((since, pause)) = line.pause {
            if now.since(since).is_some_and(|age| age < pause) {
                return None;
            }
            line.pause = Some((now, pause));
        }
        Some(line.failures)
    }

    async fn attempt(
        &self,
        limit: Duration,
        commands: impl FnMut() -> Vec<Cmd> + Send,
        failures: u32,
    ) -> Result<Vec<Option<Value>>, (String, bool)> {
        let link = AtomicU64::new(0);
        let error = match timeout(limit, self.send(commands, &link)).await {
            Ok(Ok(replies)) => {
                let now = self.clock.now();
                let mut line = lock(&self.line);
                // One that failed since this was sent knows better.
                if line.failures != failures {
                    return Ok(replies);
                }
                line.pause = None;
                // Where it answers one question and not the other they follow each other.
                let age = line.failed_at.map(|at| now.since(at));
                if age.is_none_or(|age| age.is_none_or(|age| age > 2 * LONGEST_PAUSE)) {
                    line.failures = 0;
                }
                return Ok(replies);
            }
            Ok(Err(error)) => error,
            Err(_) => {
                self.fell_silent(link.load(Relaxed));
                format!("it did not answer within {limit:?}")
            }
        };
        let now = self.clock.now();
        let mut line = lock(&self.line);
        // Of those who failed together the first counts.
        let is_news = line.failures == failures;
        if is_news {
            let pause = PAUSE.saturating_mul(1 << failures.min(10));
            line.pause = Some((now, pause.min(LONGEST_PAUSE)));
            line.failed_at = Some(now);
            line.failures += 1;
        }
        Err((error, is_news))
    }

    async fn send(
        &self,
        mut commands: impl FnMut() -> Vec<Cmd> + Send,
        link: &AtomicU64,
    ) -> Result<Vec<Option<Value>>, String> {
        let mut is_again = false;
        loop {
            let (connection, number, is_new) = self.connection().await?;
            link.store(number, Relaxed);
            let replies = commands().into_iter();
            let replies = replies.map(|command| reply(connection.clone(), command));
            let replies: Vec<_> = replies.collect();
            let error = match try_join_all(replies).await {
                Ok(replies) => return Ok(replies),
                Err(error) => error,
            };
            let has_moved = error.kind() == ErrorKind::Server(ServerErrorKind::Moved);
            // What is refused is refused by a connection that works.
            let works = matches!(
                error.kind(),
                ErrorKind::Extension
                    | ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::NoPerm)
            );
            if !works {
                self.drop_link(number);
            }
            lock(&self.line).is_cluster |= has_moved;
            // A connection can have died while the environment was frozen.
            let is_worth_it = has_moved || (error.is_io_error() && !is_new);
            if is_again || !is_worth_it {
                return Err(error.to_string());
            }
            is_again = true;
        }
    }

    /// A connection, its number, and whether it is new.
    async fn connection(&self) -> Result<(Connection, u64, bool), String> {
        let (connecting, number) = {
            let mut line = lock(&self.line);
            let connecting = match &line.link {
                Link::Up(connection) => return Ok((connection.clone(), line.number, false)),
                Link::Connecting(connecting) => connecting.clone(),
                Link::Down => {
                    let connecting = self.connecting(line.is_cluster);
                    line.link = Link::Connecting(connecting.clone());
                    (line.number, line.waits) = (line.number + 1, 0);
                    connecting
                }
            };
            (connecting, line.number)
        };
        let connected = connecting.await;
        let mut line = lock(&self.line);
        if line.number == number && matches!(line.link, Link::Connecting(_)) {
            line.link = connected.clone().map_or(Link::Down, Link::Up);
        }
        connected.map(|connection| (connection, number, true))
    }

    /// A connection that fell silent is no good any more; one that is being made may be yet.
    fn fell_silent(&self, number: u64) {
        self.drop_link(number);
        let mut line = lock(&self.line);
        let waited_for_it = number == 0 || number == line.number;
        if waited_for_it && matches!(line.link, Link::Connecting(_)) {
            line.waits += 1;
            if line.waits == MOST_WAITS {
                line.link = Link::Down;
            }
        }
    }

    fn drop_link(&self, number: u64) {
        let mut line = lock(&self.line);
        if line.number == number && matches!(line.link, Link::Up(_)) {
            line.link = Link::Down;
        }
    }

    fn connecting(&self, is_cluster: bool) -> Connecting {
        let (login, address) = (Arc::clone(&self.login), self.address.clone());
        let root_certificate = self.root_certificate.clone();
        let has_tls = matches!(address, Some(ConnectionAddr::TcpTls { .. }));
        let connect = async move {
            let address = address.ok_or("it is switched off")?;
            let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name();
            if let Some((user, password)) = login().await? {
                settings = settings.set_username(user).set_password(password);
            }
            let certificates = root_certificate.map(|pem| TlsCertificates {
                client_tls: None,
                root_cert: Some(pem),
            });
            let connected = open(address, settings, certificates, is_cluster).await;
            connected.map_err(|error: RedisError| match has_tls && error.is_io_error() {
                true => format!("{error} (asked with TLS: redis:// before its name is without)"),
                false => error.to_string(),
            })
        };
        let connect = async move {
            let connected = AssertUnwindSafe(connect).catch_unwind().await;
            connected.map_err(|_| "the login panicked")?
        };
        connect.boxed().shared()
    }
}

async fn open(
    address: ConnectionAddr,
    settings: RedisConnectionInfo,
    certificates: Option<TlsCertificates>,
    is_cluster: bool,
) -> Result<Connection, RedisError> {
    if matches!(address, ConnectionAddr::TcpTls { .. }) {
        // The TLS library refuses to guess where a workspace has two of its providers.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    let info = address.into_connection_info()?.set_redis_settings(settings);
    if is_cluster {
        // It works in a task of its own, which lives as long as the connection. What it tries again takes no longer
        // than somebody waits; its handshakes, as those of one server, have no time of their own.
        let client = ClusterClient::builder([info]).retries(2);
        let client = client.connection_timeout(Duration::from_secs(86_400));
        let mut client = client.min_retry_wait(1).max_retry_wait(10);
        if let Some(certificates) = certificates {
            client = client.certs(certificates);
        }
        let connection = client.build()?.get_async_connection().await?;
        return Ok(Connection::Cluster(connection));
    }
    let client = match certificates {
        Some(certificates) => Client::build_with_tls(info, certificates)?,
        None => Client::open(info)?,
    };
    // The limits are here, around all of it.
    let limits = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let connection = client
        .get_multiplexed_async_connection_with_config(&limits)
        .await?;
    Ok(Connection::One(connection))
}

async fn reply(connection: Connection, command: Cmd) -> Result<Option<Value>, RedisError> {
    let reply = match connection {
        Connection::One(mut connection) => command.query_async(&mut connection).await,
        Connection::Cluster(mut connection) => command.query_async(&mut connection).await,
    };
    match reply {
        Err(error) if error.code() == Some("WRONGTYPE") => Ok(None),
        reply => reply.map(Some),
    }
}

fn address(text: &str) -> Option<ConnectionAddr> {
    let (has_tls, text) = match text.split_once("://") {
        None => (true, text),
        Some(("rediss" | "valkeys", text)) => (true, text),
        Some(("redis" | "valkey", text)) => (false, text),
        Some(_) => return None,
    };
    let url = redis::parse_redis_url(&format!("redis://{text}"))?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_string();
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none();
    let port = url.port().unwrap_or(6379);
    let address = match has_tls {
        true => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        },
        false => ConnectionAddr::Tcp(host, port),
    };
    (is_plain && port > 0).then_some(address)
}
