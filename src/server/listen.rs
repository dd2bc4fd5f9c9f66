//! Binds what `[listen]` names.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use listenfd::ListenFd;
use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};

use super::ListenSettings;
use super::desk::Desk;
use super::place::Place;
use super::redirect::Redirect;
use super::socket::Accepted;
use crate::inbound::Peer;
use crate::types::Report;

/// Connections that the kernel completes before we accept them.
const BACKLOG: i32 = 1024;

/// A socket that accepts connections.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Socket,
    /// What it listens on, for logs.
    pub(super) address: String,
    port: Option<u16>,
    /// Removed when the listener is closed.
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        match &self.socket {
            Socket::Tcp(listener) => listener.as_raw_fd(),
            Socket::Unix(listener) => listener.as_raw_fd(),
        }
    }
}

impl Listener {
    /// Accepts one connection without waiting.
    pub(super) fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                // An IPv4 peer is written as one, also where it came in through a dual-stack socket.
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                Ok(Accepted { socket: stream.into(), peer: Peer::Ip(peer), local_port: self.port })
            }
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(Accepted { socket: stream.into(), peer: Peer::Unix, local_port: None })
            }
        }
    }
}

/// A socket file of ours. Another process may have put its own in the same place since: that one is left alone.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == self.id) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// All sockets of `[listen]`, bound but not yet served.
#[derive(Debug)]
pub struct Listeners {
    pub(super) https: Vec<Listener>,
    pub(super) http: Vec<Listener>,
    pub(super) admin: Option<Listener>,
    pub(super) redirect: Redirect,
    pub(super) desk: Option<Desk>,
    /// Peers that bring the connections of many.
    pub(super) trusted: Vec<ipnet::IpNet>,
}

impl Listeners {
    /// Binds all. Reports every place that cannot be had, with its key (`listen.https[0]`), and returns `None` if there is
    /// one.
    pub fn bind(settings: &ListenSettings, report: &mut Report) -> Option<Self> {
        let mut passed = ListenFd::from_env();
        let bound = report.within("listen", |report| {
            if settings.https.is_empty() {
                report.error("https", "there is no TLS listener", "write https = [\"0.0.0.0:8443\"]");
            }
            let https = bind_all("https", &settings.https, &mut passed, report);
            let http = bind_all("http", &settings.http, &mut passed, report);
            let admin = settings.admin.as_ref().map(|text| bind_one("admin", text, &mut passed, report));
            let redirect = Redirect::new(settings, https.iter().flatten().find_map(|listener| listener.port), report);
            Some(Self {
                https: https.into_iter().collect::<Option<_>>().filter(|all: &Vec<_>| !all.is_empty())?,
                http: http.into_iter().collect::<Option<_>>()?,
                admin: match admin {
                    Some(bound) => Some(bound?),
                    None => None,
                },
                redirect: redirect?,
                desk: None,
                trusted: settings.trusted_proxies.clone(),
            })
        })?;
        Some(bound)
    }

    /// Lets the admin listener speak of the stores.
    #[must_use]
    pub fn with_desk(self, desk: Desk) -> Self {
        Self { desk: Some(desk), ..self }
    }

    /// Which listener stands where: what port 0 became.
    pub(super) fn places(&self) -> Vec<(&'static str, String)> {
        let of = |name: &'static str, all: &[Listener]| all.iter().map(|listener| (name, listener.address.clone())).collect::<Vec<_>>();
        [of("https", &self.https), of("http", &self.http), of("admin", self.admin.as_slice())].concat()
    }

    /// The real addresses of the TLS listeners: what port 0 became. `unix:` listeners have none.
    #[must_use]
    pub fn https_addresses(&self) -> Vec<SocketAddr> {
        addresses(&self.https)
    }

    /// The real addresses of the plain listeners.
    #[must_use]
    pub fn http_addresses(&self) -> Vec<SocketAddr> {
        addresses(&self.http)
    }

    /// The real address of the admin listener.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|listener| listener.address.parse().ok())
    }
}

fn addresses(listeners: &[Listener]) -> Vec<SocketAddr> {
    listeners.iter().filter_map(|listener| listener.address.parse().ok()).collect()
}

impl ListenSettings {
    /// Checks what can be checked without binding anything. Keys start with `listen.`.
    pub fn check(&self, report: &mut Report) {
        report.within("listen", |report| {
            if self.https.is_empty() {
                report.error("https", "there is no TLS listener", "write https = [\"0.0.0.0:8443\"]");
            }
            for (key, texts) in [("https", &self.https), ("http", &self.http)] {
                for (at, text) in texts.iter().enumerate() {
                    place(&format!("{key}[{at}]"), text, report);
                }
            }
            if let Some(text) = &self.admin
                && let Some(Place::Tcp(address)) = place("admin", text, report)
                && !address.ip().is_loopback()
            {
                report.warn("admin", "the admin listener is open to other machines", "write \"127.0.0.1:9901\" or \"unix:/path\"");
            }
            for (at, peers) in self.trusted_proxies.iter().enumerate().filter(|(_, peers)| peers.prefix_len() == 0) {
                let problem = format!("{peers} is everybody: every client writes its own X-Forwarded-For");
                report.warn(&format!("trusted_proxies[{at}]"), &problem, "write the addresses of your proxies alone, or leave it out");
            }
            Redirect::new(self, None, report);
        });
    }
}

fn place(key: &str, text: &str, report: &mut Report) -> Option<Place> {
    text.parse().map_err(|problem: String| report.error(key, &problem, "name an address, a socket file or a passed socket")).ok()
}

fn bind_all(key: &str, texts: &[String], passed: &mut ListenFd, report: &mut Report) -> Vec<Option<Listener>> {
    texts.iter().enumerate().map(|(at, text)| bind_one(&format!("{key}[{at}]"), text, passed, report)).collect()
}

fn bind_one(key: &str, text: &str, passed: &mut ListenFd, report: &mut Report) -> Option<Listener> {
    let place = place(key, text, report)?;
    let bound = match &place {
        Place::Tcp(address) => tcp(*address),
        Place::Unix(path) => unix(path),
        Place::Fd(number) => inherited(*number, passed),
    };
    bound
        .map_err(|error| {
            let remedy = if error.kind() == io::ErrorKind::AddrInUse {
                "stop whoever listens there, or choose another place"
            } else if error.kind() == io::ErrorKind::PermissionDenied {
                "choose a port from 1024 on or a folder that may be written, or grant CAP_NET_BIND_SERVICE"
            } else {
                "choose a place of this machine"
            };
            report.error(key, &format!("cannot listen on {place}: {error}"), remedy);
        })
        .ok()
}

fn tcp(address: SocketAddr) -> io::Result<Listener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    accept_on_tcp(socket.into())
}

fn accept_on_tcp(listener: TcpListener) -> io::Result<Listener> {
    listener.set_nonblocking(true)?;
    // Accepted sockets inherit it: a peer that vanished is noticed within about two minutes.
    SockRef::from(&listener).set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15)))?;
    let address = listener.local_addr()?;
    Ok(Listener { socket: Socket::Tcp(listener), address: address.to_string(), port: Some(address.port()), _file: None })
}

/// Binds beside the place and moves the file there: nobody can connect before its mode is right, and a stale file is
/// replaced in one step.
fn unix(path: &Path) -> io::Result<Listener> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket")),
        Ok(_) if UnixStream::connect(path).is_ok() => return Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) | Err(_) => {}
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let _ = std::fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside)?;
    let moved = std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o660)).and_then(|()| std::fs::rename(&beside, path));
    if let Err(error) = moved {
        let _ = std::fs::remove_file(&beside);
        return Err(error);
    }
    listener.set_nonblocking(true)?;
    let made = std::fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.to_owned(), id: (made.dev(), made.ino()) };
    Ok(Listener { socket: Socket::Unix(listener), address: format!("unix:{}", path.display()), port: None, _file: Some(file) })
}

fn inherited(number: usize, passed: &mut ListenFd) -> io::Result<Listener> {
    let at = number.saturating_sub(3);
    let missing = || io::Error::new(io::ErrorKind::NotFound, "systemd passed no such socket, or it is named twice");
    if at >= passed.len() {
        return Err(missing());
    }
    if let Ok(found) = passed.take_tcp_listener(at) {
        return accept_on_tcp(found.ok_or_else(missing)?);
    }
    let listener = passed.take_unix_listener(at)?.ok_or_else(missing)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr().ok().and_then(|a| a.as_pathname().map(|path| format!("unix:{}", path.display())));
    // Its file belongs to systemd.
    Ok(Listener { socket: Socket::Unix(listener), address: address.unwrap_or_else(|| format!("fd:{number}")), port: None, _file: None })
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
