//! A relay before a server, which a test can cut: for what happens when the server is down, slow or back.

use std::net::SocketAddr;

use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of connections, those that stand and those that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// They reach the server.
    Open,
    /// They are closed at once.
    Cut,
    /// They stay open, and nothing moves.
    Silent,
    /// They are told nonsense, and closed.
    Garbage,
}

/// The relay; it runs on a thread of its own, so that a test may block.
pub struct Relay {
    pub address: SocketAddr,
    way: watch::Sender<Way>,
    accepted: watch::Receiver<usize>,
    standing: watch::Receiver<usize>,
}

impl Relay {
    /// Before the server at `target`.
    pub fn to(target: SocketAddr, way: Way) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (way, watched) = watch::channel(way);
        let (count, accepted) = watch::channel(0);
        let (stands, standing) = watch::channel(0);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let mut gone = watched.clone();
                loop {
                    tokio::select! {
                        accepted = listener.accept() => {
                            count.send_modify(|count| *count += 1);
                            let (stands, watched) = (stands.clone(), watched.clone());
                            tokio::spawn(async move {
                                // Counted before it looks at the way: whoever changes that and then sees none knows that none goes the old one.
                                stands.send_modify(|count| *count += 1);
                                relay(accepted.unwrap().0, target, watched).await;
                                stands.send_modify(|count| *count -= 1);
                            });
                        }
                        // The test is over.
                        Err(_) = gone.wait_for(|_| false) => return,
                    }
                }
            });
        });
        Self { address, way, accepted, standing }
    }

    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Closes all connections, and those that come. None is left when it is done.
    pub async fn cut(&self) {
        self.set(Way::Cut);
        self.standing.clone().wait_for(|count| *count == 0).await.unwrap();
    }

    /// How many connections have come so far.
    pub fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }
}

async fn relay(mut client: TcpStream, target: SocketAddr, mut way: watch::Receiver<Way>) {
    let now = *way.borrow_and_update();
    let moving = async {
        match now {
            Way::Open => {
                let Ok(mut server) = TcpStream::connect(target).await else { return };
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
            Way::Cut => {}
            Way::Garbage => drop(client.write_all(b"\x07this is no answer to anything\r\n\r\n").await),
            Way::Silent => std::future::pending().await,
        }
    };
    tokio::select! { () = moving => {}, _ = way.changed() => {} }
    // What was open when the way fell silent stays open.
    if *way.borrow() == Way::Silent {
        let _ = way.changed().await;
    }
}
