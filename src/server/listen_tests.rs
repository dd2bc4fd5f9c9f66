use std::io::{Read, Write};

use super::*;

fn settings(https: &[&str], http: &[&str], admin: Option<&str>) -> ListenSettings {
    ListenSettings {
        https: https.iter().map(ToString::to_string).collect(),
        http: http.iter().map(ToString::to_string).collect(),
        admin: admin.map(str::to_owned),
        public_url: None,
        hosts: Vec::new(),
        trusted_proxies: Vec::new(),
        hsts: String::new(),
    }
}

fn unix_place(path: &Path) -> String {
    format!("unix:{}", path.display())
}

#[test]
fn every_place_that_cannot_be_had_is_reported_with_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().map(|a| (taken, a.to_string())).unwrap();
    let mut report = Report::default();
    let wanted = settings(&["127.0.0.1:0", &taken.1, "nonsense"], &["fd:3", "unix:/no/such/folder/x"], Some("192.0.2.1:1"));
    assert!(Listeners::bind(&wanted, &mut report).is_none());
    let keys: Vec<_> = report.problems().iter().map(|p| p.key.as_str()).collect();
    assert_eq!(keys, ["listen.https[1]", "listen.https[2]", "listen.http[0]", "listen.http[1]", "listen.admin"]);
}

#[test]
fn no_tls_listener_is_a_mistake() {
    let mut report = Report::default();
    assert!(Listeners::bind(&settings(&[], &[], None), &mut report).is_none());
    assert_eq!(report.problems()[0].key, "listen.https");
    let mut report = Report::default();
    settings(&[], &[], None).check(&mut report);
    assert!(report.has_errors());
}

#[test]
fn an_admin_listener_for_everybody_is_a_weak_choice() {
    for (place, warned) in [("0.0.0.0:9901", true), ("127.0.0.1:9901", false), ("unix:/run/x", false)] {
        let mut report = Report::default();
        settings(&["127.0.0.1:0"], &[], Some(place)).check(&mut report);
        assert_eq!(report.problems().iter().any(|p| p.key == "listen.admin"), warned, "{place}");
        assert!(!report.has_errors());
    }
}

#[test]
fn a_stale_socket_file_is_replaced_and_a_live_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a closed listener leaves its file behind");

    let wanted = settings(&[&unix_place(&path)], &[], None);
    let bound = Listeners::bind(&wanted, &mut Report::default()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);

    let mut client = UnixStream::connect(&path).unwrap();
    let accepted = loop {
        match bound.https[0].accept() {
            Ok(accepted) => break accepted,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    };
    assert_eq!((accepted.peer, accepted.local_port), (Peer::Unix, None));
    client.write_all(b"x").unwrap();

    let mut report = Report::default();
    assert!(Listeners::bind(&wanted, &mut report).is_none());
    assert!(report.problems()[0].problem.contains("in use"), "{:?}", report.problems());
    assert!(path.exists());

    drop(bound);
    assert!(!path.exists(), "the file goes with its listener");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_no_socket_is_never_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    assert!(Listeners::bind(&settings(&[&unix_place(&path)], &[], None), &mut Report::default()).is_none());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
}

#[test]
fn a_successors_socket_file_survives_our_exit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.sock");
    let bound = unix(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let successor = UnixListener::bind(&path).unwrap();
    drop(bound);
    assert!(UnixStream::connect(&path).is_ok());
    drop(successor);
}

#[test]
fn an_accepted_connection_knows_its_peer_and_port() {
    let bound = Listeners::bind(&settings(&["127.0.0.1:0"], &[], None), &mut Report::default()).unwrap();
    let address = bound.https_addresses()[0];
    assert_ne!(address.port(), 0);
    let mut client = std::net::TcpStream::connect(address).unwrap();
    let accepted = loop {
        if let Ok(accepted) = bound.https[0].accept() {
            break accepted;
        }
    };
    assert_eq!(accepted.peer, Peer::Ip(client.local_addr().unwrap()));
    assert_eq!(accepted.local_port, Some(address.port()));
    drop(accepted);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn trusting_everybody_as_a_proxy_is_warned_of() {
    for (peers, warned) in [("0.0.0.0/0", true), ("::/0", true), ("10.0.0.0/8", false)] {
        let mut report = Report::default();
        let settings = ListenSettings { trusted_proxies: vec![peers.parse().unwrap()], ..settings(&["127.0.0.1:0"], &[], None) };
        settings.check(&mut report);
        assert_eq!(report.problems().iter().any(|p| p.key == "listen.trusted_proxies[0]"), warned, "{peers}");
        assert!(!report.has_errors());
    }
}
