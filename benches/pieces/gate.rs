//! A gate without sockets: the world that a configuration builds, and requests that came through hyper.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use doorward::auth::{self, AuthError, Identity, Permit, Scheme, Witness};
use doorward::inbound::{Conn, Inbound, Open, Peer};
use doorward::proxy::Proxy;
use doorward::store::Stores;
use doorward::telemetry::Telemetry;
use doorward::types::Report;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::signers::{AUDIENCE, ISSUER, SECRET, Signer};

/// What a gate is built from.
pub struct Builder {
    folder: tempfile::TempDir,
    max_age: &'static str,
    identity: &'static str,
    schemes: String,
    routes: String,
}

/// A gate: one worker's runtime and what it serves.
pub struct Gate {
    pub proxy: Arc<Proxy>,
    pub runtime: Runtime,
    conn: Conn,
    stores: Arc<Stores>,
    aux: Runtime,
    _folder: tempfile::TempDir,
}

/// A request as hyper hands it over.
pub struct Arrived {
    pub request: Request<Incoming>,
    pub connection: Connection,
}

/// Where a request came from. Its body is read from there; dropped, nothing is left of it.
pub struct Connection(JoinHandle<()>, #[allow(dead_code, reason = "the other end hangs up when it is dropped")] tokio::io::DuplexStream);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Nobody;

impl Witness for Nobody {
    fn attempted(&mut self, _: Option<&Scheme>, _: &Result<(), &AuthError>) {}
}

impl Builder {
    /// How long tokens are remembered.
    pub fn remembering(mut self, max_age: &'static str) -> Self {
        self.max_age = max_age;
        self
    }

    /// The identity is told as a JWT, signed with ES256, instead of an HMAC.
    pub fn asserting(mut self) -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        self.write("identity.key", &key.serialize_pem());
        self.identity = "signature = [\"jwt\"]\nissuer = \"https://gate.example.test\"\naudience = \"orders\"\n[identity.keys.bench]\nprivate_key_file = \"identity.key\"";
        self
    }

    /// The scheme `name` and its route `/name/`.
    pub fn jwt(mut self, name: &str, signer: &Signer) -> Self {
        if let Some(public) = &signer.public {
            self.write(&format!("{}.pub", name.to_uppercase()), public);
        }
        let settings = &signer.settings;
        let _ = writeln!(self.schemes, "[auth.{name}.jwt]\nissuer = \"{ISSUER}\"\naudience = [\"{AUDIENCE}\"]\n{settings}");
        let _ = writeln!(self.routes, "[[route]]\npath = \"/{name}/**\"\naccept = [\"{name}\"]");
        self
    }

    /// So many public routes, `/r0000/` and so on.
    pub fn routes(mut self, count: usize) -> Self {
        for number in 0..count {
            let _ = writeln!(self.routes, "[[route]]\npath = \"/r{number:04}/**\"\naccess = \"public\"");
        }
        self
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("a file");
    }

    fn configuration(&self) -> String {
        let Self { max_age, identity, schemes, routes, .. } = self;
        format!(
            "[listen]\nhttps = [\"127.0.0.1:8443\"]\n[tls]\ncertificate = \"server.crt\"\nprivate_key = \"server.key\"\n[upstream]\nurl = \"http://127.0.0.1:8000\"\n\
             [cache]\nmax_age = \"{max_age}\"\n[store]\nurl = \"sqlite:{folder}/bench.db\"\n[identity]\n{identity}\n{schemes}\n\
             [auth.token.token]\nsource = \"store\"\n[auth.fost.fost.keys.bench]\nsecret = \"{SECRET}\"\nuser = \"alice\"\n{routes}\n\
             [[route]]\npath = \"/token/**\"\naccept = [\"token\"]\n[[route]]\npath = \"/fost/**\"\naccept = [\"fost\"]\n\
             [[route]]\npath = \"/public/**\"\naccess = \"public\"\n",
            folder = self.folder.path().display(),
        )
    }

    pub fn build(self) -> Gate {
        let certified = rcgen::generate_simple_self_signed(vec!["gate.example.test".to_owned()]).expect("a certificate");
        self.write("server.crt", &certified.cert.pem());
        self.write("server.key", &certified.signing_key.serialize_pem());
        let aux = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let path = self.folder.path().join("doorward.toml");
        let (proxy, stores) = aux.block_on(world(&path, &self.configuration()));
        let peer = Peer::Ip(SocketAddr::from(([192, 0, 2, 7], 40_000)));
        let conn = Conn::new(peer, Some(8443), None, 0, Open::default());
        Gate { proxy, runtime, conn, stores, aux, _folder: self.folder }
    }
}

async fn world(path: &Path, text: &str) -> (Arc<Proxy>, Arc<Stores>) {
    let (config, _) = doorward::config::parse(path, text).expect("a good configuration").split();
    let mut report = Report::default();
    let stores = Stores::open(config.store.as_ref(), &config.cache, tokio::runtime::Handle::current(), &mut report).await;
    let stores = stores.unwrap_or_else(|| panic!("{report:?}"));
    let built = doorward::reload::build_world(config, &stores, &Telemetry::without_output(), 1, &mut report);
    let world = built.unwrap_or_else(|| panic!("{report:?}")).start();
    (world.proxy.load_full(), stores)
}

impl Gate {
    pub fn builder() -> Builder {
        let identity = "[identity.keys.bench]\nsecret = \"a secret of the benchmark: 32 bytes and more\"";
        let folder = tempfile::tempdir().expect("a folder");
        Builder { folder, max_age: "1h", identity, schemes: String::new(), routes: String::new() }
    }

    /// A token of its store.
    pub fn issue(&self, user: &str) -> String {
        let db = self.stores.database.clone().expect("a store");
        let new =
            doorward::store::sql::NewUser { name: user.to_owned(), password_hash: "none".to_owned(), email: None, groups: vec!["staff".to_owned()] };
        self.aux.block_on(async {
            db.add_user(new).await.expect("a user");
            doorward::store::tokens::issue(&db, user, &[], 86_400).await.map(|issued| issued.token.to_string()).expect("a token")
        })
    }

    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Arrived {
        self.arrive(format!("GET {path} HTTP/1.1\r\n{}\r\n", lines(headers)))
    }

    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Arrived {
        self.arrive(format!("POST {path} HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n{body}", lines(headers), body.len()))
    }

    /// A request of these bytes, read by hyper from a connection of its own.
    fn arrive(&self, bytes: String) -> Arrived {
        self.runtime.block_on(async {
            let (mut client, server) = tokio::io::duplex(1 << 16);
            let (hand_over, mut handed_over) = mpsc::channel(1);
            // It is never answered: the connection lives as long as somebody holds it.
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let hand_over = hand_over.clone();
                async move {
                    let _ = hand_over.send(request).await;
                    std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>().await
                }
            });
            let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
            let task = tokio::spawn(async move { drop(serving.await) });
            client.write_all(bytes.as_bytes()).await.expect("room for a request");
            Arrived { request: handed_over.recv().await.expect("a request"), connection: Connection(task, client) }
        })
    }

    pub fn clean(&self, request: Request<Incoming>) -> Inbound {
        Inbound::clean(request, &self.conn, &self.proxy.cleaning).expect("a clean request")
    }

    pub fn cleaned(&self, path: &str, headers: &[(&str, &str)]) -> Inbound {
        self.clean(self.get(path, headers).request)
    }

    pub async fn authenticate(&self, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let route = self.proxy.routes.find(inbound).expect("a route");
        auth::authenticate(&route.access, &self.conn, inbound, &mut Nobody).await
    }

    pub fn permit(&self, inbound: &mut Inbound) -> Permit {
        let identity = self.runtime.block_on(self.authenticate(inbound)).expect("a good credential");
        self.proxy.routes.find(inbound).expect("a route").policy.authorize(identity, inbound).expect("a permit")
    }

    /// Whether the identity could be told.
    pub fn stamp(&self, inbound: &mut Inbound, permit: &Permit) -> bool {
        self.proxy.stamp.apply(inbound, &self.conn, permit, false, "0123456789abcdef00000001").is_ok()
    }

    /// What is decided without waiting for anything.
    pub fn at_once<T>(&self, work: impl Future<Output = T>) -> T {
        work.now_or_never().expect("nothing to wait for")
    }
}

fn lines(headers: &[(&str, &str)]) -> String {
    let mut text = String::from("Host: gate.example.test\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text
}
