//! What the demonstration is configured with, and what it says.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::Stage;

/// Tells the folder of a demonstration from any other.
pub(super) const FIRST_LINE: &str = "# Made by `doorward demo`; overwritten by the next one.";

/// The configuration: one route for each way in, one that is public, and nothing else.
pub(super) fn config(application: SocketAddr, https: SocketAddr, http: SocketAddr, admin: SocketAddr) -> String {
    format!(
        r#"{FIRST_LINE}
[listen]
https = ["{https}"]
http = ["{http}"]
admin = "{admin}"

[tls]
certificate = "certs/server.crt"
private_key = "certs/server.key"

[upstream]
url = "http://{application}"

[identity]
signature = ["hmac", "jwt"]
audience = "demo-application"
[identity.headers]
"X-Forwarded-Email" = "email"
"X-Forwarded-Groups" = "groups"
[identity.keys."demo"]
secret_file = "secrets/identity.key"
[identity.keys."demo-ec"]
private_key_file = "secrets/identity.pem"

[store]
url = "sqlite:doorward.db"

[limits]
drain_timeout = "2s"

[log]
level = "warn"
access = false

[auth.partners.fost]
[auth.partners.fost.keys.webshop]
secret_file = "secrets/fost.key"
user = "webshop"
impersonate = true

[auth.corp.jwt]
issuer = "https://id.example.com/"
public_key_file = "issuer.pub.pem"
audience = ["demo"]

[auth.tokens.token]
source = "store"

[auth.staff.basic]
users = "store"

[[route]]
path = "/public/**"
access = "public"

[[route]]
path = "/reports/**"
accept = ["corp", "tokens"]
[route.require]
scopes = ["read"]

[[route]]
path = "/**"
accept = ["partners", "corp", "tokens", "staff"]
"#
    )
}

/// Adds the user and issues the token as an operator would: through the command line.
pub(super) fn populate(config: &Path, stage: &mut Stage) -> anyhow::Result<()> {
    doorward(config, &["user", "add", "bob", "--group", "staff", "--password-stdin"], Some(&stage.password))?;
    let issued = doorward(config, &["token", "issue", "--user", "bob", "--scope", "read", "--ttl", "8h", "--json"], None)?;
    let issued: serde_json::Value = serde_json::from_slice(&issued)?;
    issued.get("token").and_then(serde_json::Value::as_str).context("no token was issued")?.clone_into(&mut stage.token);
    Ok(())
}

fn doorward(config: &Path, args: &[&str], input: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(args)
        .arg("--config")
        .arg(config)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .spawn()?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        writeln!(stdin, "{input}")?;
    }
    let output = child.wait_with_output()?;
    anyhow::ensure!(output.status.success(), "doorward {} failed", args.join(" "));
    Ok(output.stdout)
}

/// For a shell: as it is, or between quotes.
fn quoted(text: &str) -> String {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+".contains(&b));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// For each way in a command that works and one that is refused.
#[allow(clippy::print_stdout, reason = "this is what the demonstration is for")]
pub(super) fn print(stage: &Stage, application: SocketAddr, http: SocketAddr, admin: SocketAddr) {
    let base = format!("https://localhost:{}", stage.https.port());
    let dir = quoted(&stage.dir.display().to_string());
    let curl = format!("curl --cacert {dir}/certs/ca.crt");
    let doorward = std::env::current_exe().map_or_else(|_| "doorward".to_owned(), |path| quoted(&path.display().to_string()));
    let sign = format!("{doorward} sign --scheme fost --key webshop --secret-file {dir}/secrets/fost.key");
    let Stage { password, token, jwt, expired_jwt, .. } = stage;
    let tampered = format!("{}x", token.get(..token.len().saturating_sub(1)).unwrap_or_default());
    println!(
        r#"
A legacy application listens on http://{application} and believes every header it gets.
Doorward stands before it on {base}. Paste these into another terminal.

JSON Web Token
  200 as carol:   {curl} -H "Authorization: Bearer {jwt}" {base}/reports/1
  401 expired:    {curl} -H "Authorization: Bearer {expired_jwt}" {base}/reports/1

Opaque bearer token
  200 as bob:     {curl} -H "Authorization: Bearer {token}" {base}/reports/1
  401 tampered:   {curl} -H "Authorization: Bearer {tampered}" {base}/reports/1

User name and password
  200 as bob:     {curl} -u bob:{password} {base}/account
  401 wrong:      {curl} -u bob:guess {base}/account

Signed request (the signature holds for 15 seconds, so it is made as you paste)
  200 as alice:   eval "$({sign} POST {base}/orders --as alice --data 'one teapot' --curl) --cacert {dir}/certs/ca.crt"
  401 altered:    eval "$({sign} POST {base}/orders --as alice --data 'one teapot' --curl) --cacert {dir}/certs/ca.crt -H 'X-FOST-User: mallory'"

Forged name
  200 as nobody:  {curl} -H "X-Forwarded-User: admin" -H "X_Forwarded_User: admin" {base}/public/hello

What else is refused
  401 no name:    {curl} {base}/account
  401 not here:   {curl} -u bob:{password} {base}/reports/1   # this route takes tokens alone
  400 ambiguous:  {curl} --path-as-is {base}/public/../account
  308 to HTTPS:   curl -i http://{http}/account

Also: {curl} {base}/.doorward/jwks.json
      curl http://{admin}/metrics

Ctrl-C ends it.
"#
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_a_shell_would_read_more_into_it() {
        for (path, shown) in [("/tmp/.tmpA1/x-y", "/tmp/.tmpA1/x-y"), ("/tmp/a b", "'/tmp/a b'"), ("/it's $HOME", r"'/it'\''s $HOME'")] {
            assert_eq!(quoted(path), shown);
        }
    }
}
