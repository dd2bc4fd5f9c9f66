//! Database servers of one test, which may be killed and started again with what they held.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use sqlx::{Connection as _, MySqlConnection, PgConnection};

use super::databases::{Database, Kind};
use super::redis::free_port;
use super::{breathe, within};

/// A server; killed when dropped.
pub struct Server {
    /// What Doorward is told of it, and what a test writes into it.
    pub database: Database,
    kind: Kind,
    dir: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// A new one, empty.
    pub async fn start(kind: Kind) -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let url = match kind {
            Kind::Postgres => format!("postgres://doorward@127.0.0.1:{port}/postgres"),
            Kind::Mysql => format!("mysql://doorward:doorward@127.0.0.1:{port}/doorward"),
            Kind::Sqlite => unreachable!("SQLite has no server"),
        };
        let mut server = Self { database: Database::elsewhere(kind, url), kind, dir, port, child: None };
        server.initialize();
        server.restart().await;
        server
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn initialize(&self) {
        let data = self.data();
        let mut command = match self.kind {
            Kind::Postgres => {
                // As root it does not run; then it is another user's, with all that is its own.
                if let Some((user, group)) = postgres_user() {
                    std::os::unix::fs::chown(self.dir.path(), Some(user), Some(group)).unwrap();
                }
                let mut command = postgres("initdb");
                command.args(["--username=doorward", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"]).arg(&data);
                command
            }
            Kind::Mysql | Kind::Sqlite => {
                let user = "CREATE USER IF NOT EXISTS 'doorward'@'%' IDENTIFIED BY 'doorward';\nGRANT ALL ON *.* TO 'doorward'@'%';\nCREATE DATABASE IF NOT EXISTS doorward;\n";
                std::fs::write(self.dir.path().join("init.sql"), user).unwrap();
                let mut command = Command::new("mariadb-install-db");
                command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
                command.arg(format!("--datadir={}", data.display())).arg(format!("--user={}", user_name()));
                command
            }
        };
        let output = command.current_dir("/").stdin(Stdio::null()).output().expect("the server is installed, as tests/run.sh does it");
        assert!(output.status.success(), "{output:?}");
    }

    /// Ends it at once. Nothing is put in order.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // PostgreSQL's other processes end with the first only if it can tell them: SIGQUIT is its "at once".
        let signal = if self.kind == Kind::Postgres { "-QUIT" } else { "-KILL" };
        let _ = Command::new("kill").args([signal, &child.id().to_string()]).status();
        let _ = child.wait();
    }

    /// Starts it, again if need be, on the same port.
    pub async fn restart(&mut self) {
        self.kill();
        let (data, port) = (self.data(), self.port);
        let mut command = match self.kind {
            Kind::Postgres => {
                let mut command = postgres("postgres");
                command.arg("-D").arg(&data).arg("-k").arg(&data);
                command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "fsync=off", "-c", "shared_buffers=8MB"]);
                command
            }
            Kind::Mysql | Kind::Sqlite => {
                let mut command = Command::new("mariadbd");
                command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
                let folder = self.dir.path().display();
                command.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--skip-log-bin", "--innodb-buffer-pool-size=16M"]);
                command.arg(format!("--datadir={}", data.display())).arg(format!("--user={}", user_name())).arg(format!("--port={port}"));
                command.arg(format!("--socket={folder}/s")).arg(format!("--pid-file={folder}/pid")).arg(format!("--init-file={folder}/init.sql"));
                command
            }
        };
        let child = command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child = Some(child.expect("the server is installed, as tests/run.sh does it"));
        within("the server", async {
            while !self.answers().await {
                breathe().await;
            }
        })
        .await;
    }

    async fn answers(&self) -> bool {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        match self.kind {
            Kind::Postgres => PgConnection::connect(&self.database.url).await.is_ok(),
            Kind::Mysql | Kind::Sqlite => MySqlConnection::connect(&self.database.url).await.is_ok(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program of PostgreSQL, run by a user who may run it.
fn postgres(name: &str) -> Command {
    let folders = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = folders.map(|version| version.path().join("bin").join(name)).find(|program| program.exists());
    let mut command = Command::new(found.unwrap_or_else(|| PathBuf::from(name)));
    if let Some((user, group)) = postgres_user() {
        command.uid(user).gid(group);
    }
    command
}

/// Who runs PostgreSQL where this is root.
fn postgres_user() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let user = if id(&["-u", "postgres"]).is_some() { "postgres" } else { "nobody" };
    Some((id(&["-u", user])?, id(&["-g", user])?))
}

fn user_name() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
