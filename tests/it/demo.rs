//! `doorward demo`: whatever ends it, nothing of it stays behind.

use std::io::{BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::client::Call;
use crate::support::pki::trusting;

/// Starts it with a folder of its own for everything temporary.
fn start(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_doorward"))
        .arg("demo")
        .env("TMPDIR", folder)
        .env_remove("DOORWARD_CONFIG")
        .env_remove("RUST_LOG")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status().unwrap().success());
}

fn left(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// Reads what it prints until it has told everything.
fn told(output: &mut impl std::io::BufRead) -> String {
    let mut all = String::new();
    while !all.contains("Ctrl-C ends it.") {
        assert!(output.read_line(&mut all).unwrap() > 0, "it ended too early:\n{all}");
    }
    all
}

/// One after the other: two that start at once may choose the same ports.
#[tokio::test]
async fn a_demonstration_leaves_nothing_behind_whatever_ends_it() {
    asked_to_end_while_it_serves().await;
    made_to_end_while_it_serves();
    ended_before_it_serves();
}

async fn asked_to_end_while_it_serves() {
    for name in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = start(folder.path());
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let text = told(&mut output);
        assert_eq!(left(folder.path()).len(), 1, "all is in one place");

        let port: u16 = text.split("https://localhost:").nth(1).unwrap().split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
        let certificate = text.split("--cacert ").nth(1).unwrap().split(' ').next().unwrap();
        let ask = Call::new(([127, 0, 0, 1], port).into(), trusting(&std::fs::read_to_string(certificate).unwrap()), "GET", "/public/hello");
        assert_eq!(ask.clone().sni("localhost").host(&format!("localhost:{port}")).send().await.status, 200);

        signal(&child, name);
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        let status = child.wait().unwrap();
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert!(status.success(), "{name}: {status:?} {rest} {errors}");
        assert_eq!(left(folder.path()), Vec::<String>::new(), "{name}");
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "somebody still listens");
    }
}

fn made_to_end_while_it_serves() {
    // A second signal does not wait for what is in flight; a closed terminal sends HUP.
    for names in [&["INT", "INT"][..], &["HUP"]] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = start(folder.path());
        told(&mut BufReader::new(child.stdout.take().unwrap()));
        for name in names {
            // It may be gone at the first one already.
            let _ = Command::new("sh").args(["-c", &format!("kill -{name} {} 2>/dev/null", child.id())]).status().unwrap();
        }
        child.wait().unwrap();
        assert_eq!(left(folder.path()), Vec::<String>::new(), "{names:?}");
    }
}

fn ended_before_it_serves() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(folder.path());
    // Its folder is there, and the rest is not: users and tokens are still to be made.
    while left(folder.path()).is_empty() {
        std::thread::yield_now();
    }
    while child.try_wait().unwrap().is_none() && std::fs::read_dir(folder.path()).unwrap().flatten().all(|entry| !entry.path().join("certs").exists())
    {
        std::thread::yield_now();
    }
    signal(&child, "INT");
    child.wait().unwrap();
    assert_eq!(left(folder.path()), Vec::<String>::new());
}
