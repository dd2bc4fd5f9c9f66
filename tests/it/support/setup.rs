//! A folder with a configuration, certificates and secrets, from which the gateway is started.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::gateway::Gateway;
use super::pki::Ca;

/// The host that tests ask for unless they say otherwise.
pub const HOST: &str = "app.example.com";

/// The key that signs identities, unless a test says otherwise.
pub const IDENTITY_SECRET: &str = "identity-secret-0123456789abcdef-0123456789abcdef";

/// What to start the gateway with.
pub struct Setup {
    pub dir: tempfile::TempDir,
    pub ca: Ca,
    sections: BTreeMap<String, String>,
    rest: String,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// HTTPS, HTTP and admin on free ports of loopback, before `upstream`; nobody is let in yet.
    pub fn new(upstream: &str) -> Self {
        let setup = Self {
            dir: tempfile::tempdir().unwrap(),
            ca: Ca::new("Test CA"),
            sections: BTreeMap::new(),
            rest: String::new(),
            environment: Vec::new(),
        };
        let leaf = setup.ca.leaf(&[HOST, "localhost", "127.0.0.1"]);
        setup
            .file("certs/server.crt", &leaf.certificate)
            .file("certs/server.key", &leaf.key)
            .file("secrets/identity.key", IDENTITY_SECRET)
            .section("listen", "https = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"")
            .section("tls", "certificate = \"certs/server.crt\"\nprivate_key = \"certs/server.key\"")
            .section("upstream", &format!("url = \"{upstream}\""))
            .section("identity", "")
            .section("identity.keys.k1", "secret_file = \"secrets/identity.key\"")
            .section("store", "url = \"sqlite:doorward.db\"")
    }

    /// Replaces a section.
    pub fn section(mut self, name: &str, lines: &str) -> Self {
        self.sections.insert(name.to_owned(), lines.to_owned());
        self
    }

    /// Adds lines to a section.
    pub fn with(mut self, name: &str, lines: &str) -> Self {
        let section = self.sections.entry(name.to_owned()).or_default();
        section.push('\n');
        section.push_str(lines);
        self
    }

    /// Leaves a section out.
    pub fn without(mut self, name: &str) -> Self {
        self.sections.remove(name);
        self
    }

    /// Adds text at the end: schemes and routes.
    pub fn rest(mut self, text: &str) -> Self {
        self.rest.push_str(text);
        self.rest.push('\n');
        self
    }

    /// Puts `new` in the place of `old` in schemes and routes.
    pub fn replace(mut self, old: &str, new: &str) -> Self {
        self.rest = self.rest.replace(old, new);
        self
    }

    /// A route to which everybody is let in.
    pub fn public(self, path: &str) -> Self {
        self.rest(&format!("[[route]]\npath = \"{path}\"\naccess = \"public\""))
    }

    /// A route for these schemes.
    pub fn route(self, path: &str, accept: &[&str]) -> Self {
        self.rest(&format!("[[route]]\npath = \"{path}\"\naccept = {accept:?}"))
    }

    /// Writes a file beside the configuration.
    pub fn file(self, path: &str, text: &str) -> Self {
        self.write(path, text);
        self
    }

    /// Sets a variable of the gateway's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes a file beside the configuration, all at once as an editor would.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub fn config_text(&self) -> String {
        let sections = self.sections.iter().map(|(name, lines)| format!("[{name}]\n{lines}\n"));
        sections.collect::<String>() + &self.rest
    }

    /// Writes the configuration and says where.
    pub fn save(&self) -> PathBuf {
        self.write("config.toml", &self.config_text());
        self.path("config.toml")
    }

    /// Runs a subcommand on this configuration, with `input` on its standard input.
    pub fn cli(&self, arguments: &[&str], input: &str) -> Output {
        let config = self.save();
        let mut all = arguments.to_vec();
        all.extend(["--config", config.to_str().unwrap()]);
        doorward(&all, input, self.dir.path(), &self.environment)
    }

    /// Runs a subcommand that must succeed; its standard output.
    #[track_caller]
    pub fn cli_ok(&self, arguments: &[&str], input: &str) -> String {
        let output = self.cli(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts the gateway and waits until it listens.
    pub async fn start(self) -> Gateway {
        let config = self.save();
        let child = command()
            .args(["run", "--config"])
            .arg(config)
            .envs(self.environment.iter().cloned())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let expected = 1 + ["http = [\"", "admin = \""].iter().filter(|key| self.sections["listen"].contains(*key)).count();
        Gateway::attach(child, self, expected).await
    }
}

/// The binary, with a clean environment.
fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    command.env_remove("DOORWARD_CONFIG").env_remove("RUST_LOG").env("RUST_BACKTRACE", "0");
    command
}

/// Runs the binary to its end.
pub fn doorward(arguments: &[&str], input: &str, dir: &Path, environment: &[(String, String)]) -> Output {
    let mut child = command()
        .args(arguments)
        .envs(environment.iter().cloned())
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A subcommand that reads no input may be gone before it is written.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}
