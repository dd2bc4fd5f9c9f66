//! The servers that the configuration names, and how to connect to them.

use std::path::Path;
use std::time::Duration;

use redis::aio::PubSub;
use redis::cluster::ClusterClientBuilder;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisConnectionInfo};
use redis::{RedisError, RedisResult, TlsCertificates};

use super::address::{self, Address, Node, Place};
use super::link::Line;
use crate::types::{Report, Secret};

/// How long a server may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a Cluster's client asks on after it was sent to another node.
const CLUSTER_RETRIES: u32 = 3;

/// What `[cache] shared` names. `Debug` shows no password.
#[derive(Debug)]
pub struct Target {
    address: Address,
    sentinel_password: Option<Secret>,
    authorities: Option<Vec<u8>>,
}

impl Target {
    /// Reads `url`, and connects to nothing. `password` is one that was given beside it. Reports under `shared` and
    /// `shared_ca_file` and returns `None` then.
    pub fn parse(url: &Secret, password: Option<Secret>, sentinel: Option<Secret>, ca_file: Option<&Path>, report: &mut Report) -> Option<Self> {
        let text = std::str::from_utf8(url.expose()).unwrap_or_default();
        let mut address = match address::parse(text) {
            Ok(address) => address,
            Err(problem) => {
                report.error("shared", problem, "write \"redis://HOST:6379/0\"");
                return None;
            }
        };
        match (&address.password, password) {
            (Some(_), Some(_)) => report.error("shared_password", "the password is given more than once", "take it out of shared"),
            (Some(_), None) => {
                report.warn("shared", "the password stands in the configuration file", "move it to a file and write shared_password_file = \"PATH\"");
            }
            (None, password) => address.password = password,
        }
        let is_sentinel = matches!(address.place, Place::Sentinel { .. });
        if sentinel.is_some() && !is_sentinel {
            report.error("shared_sentinel_password_file", "there are no Sentinels", "write shared = \"redis+sentinel://…\", or leave it out");
        }
        let remote = match &address.place {
            Place::One((host, _)) => !is_here(host),
            Place::Unix(_) => false,
            Place::Sentinel { sentinels: nodes, .. } | Place::Cluster(nodes) => nodes.iter().any(|(host, _)| !is_here(host)),
        };
        if remote && !address.tls {
            report.warn("shared", "whoever is on the way to the shared store can read and change what goes there", "write \"rediss://…\"");
        }
        let authorities = match ca_file {
            Some(file) => Some(authorities(file, address.tls, report)?),
            None => None,
        };
        Some(Self { address, sentinel_password: sentinel, authorities })
    }

    /// Connects. The caller sets the time that it may take.
    pub(super) async fn connect(&self, deadline: Duration) -> RedisResult<Line> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(Some(deadline));
        if let Place::Cluster(nodes) = &self.address.place {
            return self.connect_cluster(nodes, deadline).await;
        }
        let client = self.client().await?;
        Ok(Line::One(client.get_multiplexed_async_connection_with_config(&config).await?))
    }

    async fn connect_cluster(&self, nodes: &[Node], deadline: Duration) -> RedisResult<Line> {
        let nodes = nodes.iter().map(|node| self.info(self.socket(node))).collect::<RedisResult<Vec<_>>>()?;
        let mut builder = ClusterClientBuilder::new(nodes)
            .retries(CLUSTER_RETRIES)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(deadline)
            .tcp_settings(tcp());
        if let Some(authorities) = self.certificates() {
            builder = builder.certs(authorities);
        }
        Ok(Line::Many(builder.build()?.get_async_connection().await?))
    }

    /// Connects for listening to what is published. In a Cluster every node passes on what is published at another.
    pub(super) async fn listen(&self) -> RedisResult<PubSub> {
        let Place::Cluster(nodes) = &self.address.place else { return self.client().await?.get_async_pubsub().await };
        let mut failed = RedisError::from((ErrorKind::Io, "there is no node"));
        for node in nodes {
            let client = self.open(self.socket(node))?;
            match tokio::time::timeout(CONNECT_TIMEOUT, client.get_async_pubsub()).await {
                Ok(Ok(heard)) => return Ok(heard),
                Ok(Err(error)) => failed = error,
                Err(_) => failed = RedisError::from((ErrorKind::Io, "the node does not answer")),
            }
        }
        Err(failed)
    }

    /// The one server that is to be written to.
    async fn client(&self) -> RedisResult<Client> {
        match &self.address.place {
            Place::One(node) => self.open(self.socket(node)),
            Place::Unix(path) => self.open(ConnectionAddr::Unix(path.clone())),
            Place::Sentinel { sentinels, master } => self.ask_sentinels(sentinels, master).await,
            Place::Cluster(_) => Err(RedisError::from((ErrorKind::InvalidClientConfig, "a Cluster is no single server"))),
        }
    }

    async fn ask_sentinels(&self, sentinels: &[Node], master: &str) -> RedisResult<Client> {
        let sentinels = sentinels.iter().map(|node| self.socket(node));
        let mut builder = SentinelClientBuilder::new(sentinels, master, SentinelServerType::Master)?
            .set_client_to_redis_db(self.address.db)
            .set_client_to_redis_tcp_settings(tcp())
            .set_client_to_sentinel_tcp_settings(tcp());
        if self.address.tls {
            builder = builder.set_client_to_redis_tls_mode(redis::TlsMode::Secure).set_client_to_sentinel_tls_mode(redis::TlsMode::Secure);
        }
        if let Some(authorities) = self.certificates() {
            builder = builder.set_client_to_redis_certificates(authorities.clone()).set_client_to_sentinel_certificates(authorities);
        }
        if let Some(user) = &self.address.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &self.address.password {
            builder = builder.set_client_to_redis_password(text(password)?);
        }
        if let Some(password) = &self.sentinel_password {
            builder = builder.set_client_to_sentinel_password(text(password)?);
        }
        builder.build()?.async_get_client().await
    }

    fn socket(&self, (host, port): &Node) -> ConnectionAddr {
        if self.address.tls {
            ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host.clone(), *port)
        }
    }

    fn open(&self, socket: ConnectionAddr) -> RedisResult<Client> {
        let info = self.info(socket)?;
        match self.certificates() {
            Some(authorities) => Client::build_with_tls(info, authorities),
            None => Client::open(info),
        }
    }

    fn info(&self, socket: ConnectionAddr) -> RedisResult<ConnectionInfo> {
        let mut login = RedisConnectionInfo::default().set_db(self.address.db);
        if let Some(user) = &self.address.user {
            login = login.set_username(user);
        }
        if let Some(password) = &self.address.password {
            login = login.set_password(text(password)?);
        }
        Ok(socket.into_connection_info()?.set_redis_settings(login).set_tcp_settings(tcp()))
    }

    fn certificates(&self) -> Option<TlsCertificates> {
        self.authorities.clone().map(|authorities| TlsCertificates { client_tls: None, root_cert: Some(authorities) })
    }
}

/// Without waiting to fill packets; and a peer that is gone without a word is noticed.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true).set_keepalive(socket2::TcpKeepalive::new().with_time(Duration::from_secs(15)))
}

fn text(secret: &Secret) -> RedisResult<&str> {
    std::str::from_utf8(secret.expose()).map_err(|_| RedisError::from((ErrorKind::InvalidClientConfig, "the password is not UTF-8")))
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn authorities(file: &Path, tls: bool, report: &mut Report) -> Option<Vec<u8>> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    if !tls {
        report.error("shared_ca_file", "there is no TLS to the shared store", "write shared = \"rediss://…\", or leave it out");
        return None;
    }
    let pem = match std::fs::read(file) {
        Ok(pem) => pem,
        Err(error) => {
            report.error("shared_ca_file", &format!("cannot read {}: {error}", file.display()), "check the path and its permissions");
            return None;
        }
    };
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    if found.map_or(true, |found| found.is_empty()) {
        report.error("shared_ca_file", &format!("{} holds no PEM certificate", file.display()), "name a bundle of PEM certificates");
        return None;
    }
    Some(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str, password: Option<&str>, ca_file: Option<&Path>) -> (Option<Target>, Vec<(String, bool)>) {
        let mut report = Report::default();
        let target = Target::parse(&Secret::new(url), password.map(Secret::new), None, ca_file, &mut report);
        let error = |problem: &crate::types::Problem| problem.severity == crate::types::Severity::Error;
        (target, report.problems().iter().map(|problem| (problem.key.clone(), error(problem))).collect())
    }

    #[test]
    fn weak_choices_are_named_and_mistakes_stop_the_start() {
        let (shared, ca) = ("shared".to_owned(), "shared_ca_file".to_owned());
        for (url, password, problems) in [
            ("redis://127.0.0.1", None, vec![]),
            ("unix:/run/redis.sock", Some("s3cret"), vec![]),
            ("rediss://cache", Some("s3cret"), vec![]),
            ("redis://cache", None, vec![(shared.clone(), false)]),
            ("redis+cluster://localhost,cache", None, vec![(shared.clone(), false)]),
            ("redis://:s3cret@127.0.0.1", None, vec![(shared.clone(), false)]),
            ("redis://:s3cret@127.0.0.1", Some("other"), vec![("shared_password".to_owned(), true)]),
            ("redis://", None, vec![(shared, true)]),
        ] {
            let (target, found) = parsed(url, password, None);
            assert_eq!(found, problems, "{url}");
            assert!(!format!("{target:?}").contains("s3cret"), "{target:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        assert_eq!(parsed("rediss://cache", None, Some(&file)).1, [(ca.clone(), true)]);
        std::fs::write(&file, "no PEM").unwrap();
        assert_eq!(parsed("rediss://cache", None, Some(&file)).1, [(ca.clone(), true)]);
        assert_eq!(parsed("redis://127.0.0.1", None, Some(&file)).1, [(ca, true)]);
    }
}
