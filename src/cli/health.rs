//! `doorward health`.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use doorward::server::Place;

use super::ConfigPath;

/// For the whole question.
const LIMIT: Duration = Duration::from_secs(2);
/// The answer is a few lines long.
const MOST: usize = 4096;

/// Arguments of the subcommand.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigPath,
}

/// Runs it.
#[allow(clippy::print_stdout, reason = "a command line prints")]
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let loaded = doorward::config::load(&args.config.config).context("doorward check tells what is wrong with it")?;
    let Some(admin) = loaded.config.listen.admin else {
        bail!("there is no admin listener to ask; write admin = \"127.0.0.1:9901\" under [listen]");
    };
    let place: Place = admin.parse().map_err(anyhow::Error::msg).context("listen.admin")?;
    match ask(&place) {
        Ok(200) => {
            println!("ready");
            Ok(ExitCode::SUCCESS)
        }
        Ok(status) => {
            println!("not ready ({status})");
            Ok(ExitCode::FAILURE)
        }
        Err(error) => {
            println!("not reachable at {place}: {error}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The status of `/readyz`.
fn ask(place: &Place) -> io::Result<u16> {
    let deadline = Instant::now() + LIMIT;
    match place {
        Place::Tcp(address) => {
            let stream = TcpStream::connect_timeout(&reachable(*address), LIMIT)?;
            converse(&stream, deadline, |left| stream.set_read_timeout(Some(left)).and_then(|()| stream.set_write_timeout(Some(left))))
        }
        Place::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            converse(&stream, deadline, |left| stream.set_read_timeout(Some(left)).and_then(|()| stream.set_write_timeout(Some(left))))
        }
        Place::Fd(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "a socket that systemd passes has no address here; ask systemctl")),
    }
}

/// A listener on all addresses is asked on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn converse<S>(stream: S, deadline: Instant, limit: impl Fn(Duration) -> io::Result<()>) -> io::Result<u16>
where
    S: Copy + Read + Write,
{
    let mut stream = stream;
    let left = || {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(left) }
    };
    limit(left()?)?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let (mut answer, mut piece) = (Vec::new(), [0; 512]);
    while answer.len() < MOST && !answer.contains(&b'\n') {
        limit(left()?)?;
        let read = stream.read(&mut piece)?;
        if read == 0 {
            break;
        }
        answer.extend(piece.iter().take(read));
    }
    status(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "whoever answers there is not Doorward"))
}

/// The status out of `HTTP/1.1 200 OK`.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|b| *b == b'\r' || *b == b'\n').next()?;
    let status = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/1.1 ")?.split(' ').next()?;
    (status.len() == 3).then(|| status.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn answering(listener: TcpListener, answer: &'static [u8]) {
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
        });
    }

    #[test]
    fn the_status_of_the_first_line_decides() {
        for (answer, wanted) in [
            (&b"HTTP/1.1 200 OK\r\n\r\nready\n"[..], Some(200)),
            (b"HTTP/1.1 503 Service Unavailable\r\n", Some(503)),
            (b"HTTP/1.1 200", Some(200)),
            (b"HTTP/1.1 2000 OK\r\n", None),
            (b"HTTP/1.1 +20 OK\r\n", None),
            (b"SSH-2.0\r\nHTTP/1.1 200 OK", None),
            (b"", None),
        ] {
            assert_eq!(status(answer).filter(|s| *s >= 100), wanted, "{answer:?}");
        }
    }

    #[test]
    fn a_listener_is_asked_over_tcp_and_over_a_socket_file() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let address = listener.local_addr().unwrap();
        answering(listener, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(ask(&Place::Tcp(address)).unwrap(), 200);
        assert!(ask(&Place::Tcp(address)).is_err(), "nobody listens any more");

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"HTTP/1.1 503 no\r\n\r\n"));
        assert_eq!(ask(&Place::Unix(path)).unwrap(), 503);
        assert!(ask(&Place::Unix(dir.path().join("none"))).is_err());
        assert!(ask(&Place::Fd(3)).is_err());
    }

    #[test]
    fn whoever_is_silent_is_not_waited_for_longer_than_the_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let now = Instant::now();
        assert!(ask(&Place::Tcp(listener.local_addr().unwrap())).is_err());
        assert!(now.elapsed() >= LIMIT && now.elapsed() < LIMIT * 5);
    }
}
