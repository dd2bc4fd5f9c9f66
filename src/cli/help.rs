//! What `--help` says below the options: examples to copy, and what the exit code means.

pub const DOORWARD: &str = "\
Examples:
  doorward demo                             see it work, from nothing
  doorward certs                            make a CA and a certificate for development
  doorward check --config doorward.toml     find every mistake before a start
  doorward run --config doorward.toml       stand guard

Exit codes:
  0    it is done
  1    it could not be done; the reason is on standard error
  2    the command line is wrong or, for run and check, the configuration
  130  a second SIGTERM or SIGINT ended it before its time

The configuration file is named by --config, else by DOORWARD_CONFIG, else it
is config.toml in this folder. Relative paths in it are taken from its own
folder.";

pub const RUN: &str = "\
Signals:
  SIGTERM, SIGINT  not ready at once, accept nothing new, finish what is in
                   flight within limits.drain_timeout, exit 0; the second one
                   ends the process at once
  SIGHUP           read the configuration anew: all of it takes effect, or
                   none. Listeners, limits of connections, [store], [cache]
                   and [log] stay as they were at the start. Certificate files
                   need no signal: they are watched

Output:
  The access log goes to standard output, one line a request; what Doorward
  says of itself goes to standard error. Both are readable on a terminal and
  JSON elsewhere (log.format).

Examples:
  doorward run --config /etc/doorward/config.toml
  DOORWARD_CONFIG=/etc/doorward/config.toml doorward run

Exit codes:
  0    drained and ended
  1    it could not start or go on
  2    the configuration is wrong; nothing was started
  130  ended by a second signal";

pub const CHECK: &str = "\
Each problem is one line on standard error: file:line, error or warning, key,
what is wrong, what to write.

Examples:
  doorward check --config doorward.toml
  doorward check && systemctl reload doorward

Exit codes:
  0  it would start; there may be warnings
  2  it would not start";

pub const DEMO: &str = "\
Paste the printed commands into another terminal. For each way in there is one
that is let in and one that is refused.

Examples:
  doorward demo
  doorward demo --dir /tmp/doorward-demo    keep the files, to look at them

Exit codes:
  0    ended by Ctrl-C
  1    it could not start
  130  ended at once by a second Ctrl-C, or because the terminal was closed; the
       temporary folder is removed all the same";

pub const HEALTH: &str = "\
Examples:
  doorward health --config /etc/doorward/config.toml
  HEALTHCHECK CMD [\"doorward\", \"health\"]      in a Dockerfile

Exit codes:
  0  Doorward is serving
  1  it is not: not started, draining, or not reachable within 2 seconds";

pub const CERTS: &str = "\
Examples:
  doorward certs
  doorward certs --out /etc/doorward/certs --name app.internal --name 10.0.0.7
  doorward certs --client spiffe://cluster.local/ns/shop/sa/web
  curl --cacert certs/ca.crt https://localhost:8443/

Exit codes:
  0  made
  1  a file exists already (see --force) or cannot be written";

pub const KEY: &str = "\
Examples:
  doorward key add aspnet --user webshop --path '/api/**' --json
  doorward key add batch --impersonate --group staff --scope read --ttl 90d
  doorward key add partner --public-key-file partner.pem --algorithm ed25519
  doorward key rotate aspnet && doorward key rotate aspnet --finish
  doorward key disable batch && doorward key enable batch
  doorward key debug batch --for 10m && doorward key debug batch --off
  doorward key revoke batch
  doorward key import --from kong kong.yaml --dry-run

Exit codes:
  0  it is done
  1  it could not be done; the store is as it was";

pub const KEY_ADD: &str = "\
Examples:
  doorward key add aspnet --user webshop --impersonate --path '/api/**' --path '/export'
  doorward key add aspnet --json | jq -r .secret > aspnet.key
  doorward key add partner --public-key-file partner.pem --algorithm ed25519
  doorward key add trial --not-before 2027-01-01 --expires 2027-02-01";

pub const KEY_IMPORT: &str = "\
Examples:
  doorward key import --from kong kong.yaml --dry-run
  deck gateway dump -o - | doorward key import --from kong -
  doorward key import --from apisix conf/apisix.yaml --replace
  doorward key import --from dj-api-auth sqlite:/srv/app/db.sqlite3
  doorward key import --from dj-api-auth postgres://reader@db.example.com/app \\
      --password-file db.key

Exit codes:
  0  it is done; what was left out is listed
  1  it could not be done; with a source that could not be read, the store is
     as it was";

pub const USER: &str = "\
Examples:
  doorward user add alice --group staff --email alice@example.com
  doorward user add bob --group staff --group admin --password-stdin < bob.password
  doorward user passwd alice
  doorward user disable bob

Exit codes:
  0  it is done
  1  it could not be done; the store is as it was";

pub const TOKEN: &str = "\
Examples:
  doorward token issue --user ci --scope read --ttl 90d
  TOKEN=$(doorward token issue --user ci --scope read --json | jq -r .token)
  curl -H \"Authorization: Bearer $TOKEN\" https://localhost:8443/api/
  doorward token revoke 0123456789ab

Exit codes:
  0  it is done
  1  it could not be done; the store is as it was";

pub const SIGN: &str = "\
Examples:
  doorward sign --scheme fost --key aspnet --secret-file aspnet.key \\
      GET 'https://localhost:8443/api/orders?page=2'
  eval \"$(doorward sign --scheme fost --key aspnet --secret-file aspnet.key \\
      POST https://localhost:8443/api/orders --as alice --data @order.json \\
      --curl) --cacert certs/ca.crt\"
  doorward sign --scheme fost --key aspnet --secret-file aspnet.key \\
      --url --expires-in 10m GET https://localhost:8443/report.pdf
  curl --cacert certs/ca.crt \"$(doorward sign --scheme query-hmac \\
      --key 483a570a --secret-file api.key GET https://localhost:8443/hello/)\"
  doorward sign --scheme fost --key aspnet --secret-file aspnet.key \\
      --print-canonical GET 'https://localhost:8443/api/orders?page=2' \\
      > canonical 2> headers

A signature holds for max_skew of its scheme: 15 seconds for fost, 5 minutes
for query-hmac, 15 minutes for s3-v2 and aws-v4, unless configured otherwise.
Sign when you send.

Exit codes:
  0  signed
  1  the secret or the body cannot be read, or the request cannot be signed";

pub const VERIFY: &str = "\
The request is recorded as it was sent: request line, headers, an empty line,
body. It is judged at the moment that it was signed, unless --at says another.
What is printed holds whatever the request holds; never a secret.

Examples:
  doorward verify --request request.txt --key aspnet
  doorward verify --request request.txt --key aspnet --theirs signed.txt
  nc -l 9000 | doorward verify --request - --scheme partners --config doorward.toml

Exit codes:
  0  the request verifies
  1  it does not; the reason is printed
  2  the recording, the configuration or the command line is wrong";

pub const VERIFY_IDENTITY: &str = "\
Standard input is the head of a request as the application received it: the
request line, then one header a line.

Examples:
  doorward verify-identity --config doorward.toml < request.txt
  nc -l 8000 | doorward verify-identity --max-age 5m

Exit codes:
  0  Doorward signed this identity for this request
  1  it did not, or the signature is too old; the reason is printed
  2  the command line is wrong";

pub const COMPLETIONS: &str = "\
Examples:
  doorward completions bash > /etc/bash_completion.d/doorward
  doorward completions zsh > \"${fpath[1]}/_doorward\"
  doorward completions fish > ~/.config/fish/completions/doorward.fish";
