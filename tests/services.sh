#!/usr/bin/env bash
# Private database servers for the tests: PostgreSQL and MariaDB on free ports of the loopback, with certificates of their own.
#
#   eval "$(tests/services.sh start)"    starts them, or finds those that run already; prints what the tests ask for:
#                                        DOORWARD_TEST_POSTGRES, DOORWARD_TEST_MYSQL, DOORWARD_TEST_DATABASE_CA
#   tests/services.sh stop               stops them and deletes all that they held
#
# Needs Debian's postgresql, mariadb-server, openssl and python3. Root and everybody else may start them: PostgreSQL, which does not run
# as root, then runs as its own user. What is running is noted in ${DOORWARD_SERVICES:-${XDG_CACHE_HOME:-~/.cache}/doorward/services}.
set -euo pipefail

state="${DOORWARD_SERVICES:-${XDG_CACHE_HOME:-$HOME/.cache}/doorward/services}"
note="$state/running"

die() { echo "services: $*" >&2; exit 1; }

# Runs a command of PostgreSQL's, as its user where this is root.
as_postgres() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid="$postgres_user" --regid="$(id -g "$postgres_user")" --clear-groups env -i HOME="$folder" PATH="$PATH" "$@"
    else
        "$@"
    fi
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

find_programs() {
    postgres_bin="$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)"
    [ -n "$postgres_bin" ] || postgres_bin="$(dirname "$(command -v initdb || true)")"
    [ -x "$postgres_bin/initdb" ] || die "PostgreSQL is not here; install Debian's package postgresql"
    command -v mariadbd >/dev/null || PATH="$PATH:/usr/sbin"
    for program in mariadbd mariadb mariadb-install-db; do
        command -v "$program" >/dev/null || die "$program is not here; install Debian's package mariadb-server"
    done
    command -v openssl >/dev/null || die "openssl is not here; install Debian's package openssl"
    postgres_user=postgres
    id "$postgres_user" >/dev/null 2>&1 || postgres_user=nobody
}

# An authority, and a certificate for localhost that it signed.
make_certificates() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=Doorward test databases" \
        -keyout "$folder/ca.key" -out "$folder/ca.crt" -addext "keyUsage=critical,keyCertSign,cRLSign"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=localhost" -keyout "$folder/server.key" -out "$folder/server.csr"
    openssl x509 -req -days 30 -in "$folder/server.csr" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" -CAcreateserial -out "$folder/server.crt" \
        -extfile <(printf 'basicConstraints=critical,CA:false\nsubjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n')
}

start_postgres() {
    local data="$folder/postgres" port="$1"
    mkdir "$data"
    cp "$folder/server.key" "$folder/postgres.key"
    printf '%s\n' "$password" >"$folder/postgres.password"
    chmod 600 "$folder/postgres.key" "$folder/postgres.password"
    [ "$(id -u)" -ne 0 ] || chown "$postgres_user" "$data" "$folder/postgres.key" "$folder/postgres.password"
    as_postgres "$postgres_bin/initdb" --pgdata="$data" --username=doorward --auth=scram-sha-256 --pwfile="$folder/postgres.password" \
        --encoding=UTF8 --locale=C --no-sync
    cat >>"$data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$data'
max_connections = 400
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 32MB
ssl = on
ssl_cert_file = '$folder/server.crt'
ssl_key_file = '$folder/postgres.key'
CONF
    as_postgres "$postgres_bin/pg_ctl" --pgdata="$data" --log="$data/log" --wait --timeout=60 start
}

start_mariadb() {
    local data="$folder/mariadb" port="$1" options
    mkdir "$data"
    options=(--no-defaults --datadir="$data" --user="$(id -un)")
    mariadb-install-db "${options[@]}" --auth-root-authentication-method=normal --skip-test-db
    setsid mariadbd "${options[@]}" --bind-address=127.0.0.1 --port="$port" --socket="$folder/mariadb.sock" --pid-file="$folder/mariadb.pid" \
        --max-connections=400 --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=32M --skip-log-bin --skip-name-resolve \
        --ssl-cert="$folder/server.crt" --ssl-key="$folder/server.key" --ssl-ca="$folder/ca.crt" </dev/null >"$folder/mariadb.log" 2>&1 &
    for _ in $(seq 300); do
        if mariadb --no-defaults --socket="$folder/mariadb.sock" --user=root <<SQL 2>"$folder/mariadb.refused"
CREATE USER 'doorward'@'%' IDENTIFIED BY '$password';
GRANT ALL PRIVILEGES ON *.* TO 'doorward'@'%' WITH GRANT OPTION;
ALTER USER 'root'@'localhost' IDENTIFIED BY '$password';
SQL
        then
            return 0
        fi
        sleep 0.2
    done
    die "MariaDB does not answer: $(cat "$folder/mariadb.refused"; tail -n 20 "$folder/mariadb.log")"
}

is_running() {
    [ -s "$note" ] || return 1
    # shellcheck disable=SC1090
    . "$note"
    [ -f "$folder/mariadb.pid" ] && kill -0 "$(cat "$folder/mariadb.pid")" 2>/dev/null || return 1
    [ -f "$folder/postgres/postmaster.pid" ] && kill -0 "$(head -n 1 "$folder/postgres/postmaster.pid")" 2>/dev/null
}

start() {
    mkdir -p "$state"
    exec 9>"$state/lock"
    flock 9
    if ! is_running; then
        stop
        find_programs
        # Where an unprivileged user gets to: the home of root is closed to it.
        folder="$(mktemp -d "${TMPDIR:-/tmp}/doorward-services.XXXXXX")"
        chmod 755 "$folder"
        printf 'folder=%q\n' "$folder" >"$note"
        password="$(od -An -N 16 -t x1 /dev/urandom | tr -d ' \n')"
        # The servers must not hold the lock after this script has ended.
        {
            make_certificates
            start_postgres "$(free_port)"
            start_mariadb "$(free_port)"
        } 9>&- >"$folder/start.log" 2>&1 || { tail -n 30 "$folder/start.log" >&2; die "the servers do not start"; }
        {
            printf 'postgres_url=%q\n' "postgres://doorward:$password@127.0.0.1:$(sed -n 4p "$folder/postgres/postmaster.pid")/postgres"
            printf 'mysql_url=%q\n' "mysql://doorward:$password@127.0.0.1:$(mariadb --no-defaults --socket="$folder/mariadb.sock" --user=root --password="$password" --batch --skip-column-names -e 'SELECT @@port')"
        } >>"$note"
        # shellcheck disable=SC1090
        . "$note"
    fi
    printf 'export DOORWARD_TEST_POSTGRES=%q DOORWARD_TEST_MYSQL=%q DOORWARD_TEST_DATABASE_CA=%q\n' "$postgres_url" "$mysql_url" "$folder/ca.crt"
}

# Stops what the note names, by the process ids that the servers wrote themselves.
stop() {
    [ -s "$note" ] || return 0
    # shellcheck disable=SC1090
    . "$note"
    local pid
    for file in "$folder/postgres/postmaster.pid" "$folder/mariadb.pid"; do
        [ -f "$file" ] || continue
        pid="$(head -n 1 "$file")"
        # PostgreSQL takes SIGQUIT for "at once"; nothing of what they hold is wanted any more.
        kill -QUIT "$pid" 2>/dev/null || true
        for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$pid" 2>/dev/null || true
    done
    rm -rf "$folder" "$note"
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    *) die "write: $0 start | stop" ;;
esac
