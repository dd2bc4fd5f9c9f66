"""The proxies that are measured: how each is started, and where it does which work."""

import json
import os
import pathlib
import shutil

import rig

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "doorward" / "peers"
SID = CACHE / "sid"
# Programs of Debian sid run with the C library that came with them.
LOADER = [SID / "usr/lib64/ld-linux-x86-64.so.2", "--library-path", SID / "usr/lib/x86_64-linux-gnu"]
JWT = ("rs256", "es256", "hs256")


class Proxy:
    """A running proxy: its process, and the port and path of each kind of work that it can do."""

    def __init__(self, process, places, config=None):
        self.process, self.places, self.config = process, places, config


def haproxy(program):
    def start(bench, upstream, core, threads):
        name = "haproxy-" + str(len(bench.running))
        ports = {work: rig.free_port() for work in ("plain", *JWT)}
        jwt = ""
        for work in JWT:
            key = bench.read("hs256.key") if work == "hs256" else bench.folder / f"{work}.pub"
            jwt += bench.configure(f"{name}-{work}.cfg", "haproxy-jwt.cfg", NAME=work, PORT=ports[work], KEY=key, ALGORITHM=work.upper()).read_text()
        config = bench.configure(f"{name}.cfg", "haproxy.cfg", PLAIN=ports["plain"], JWT=jwt, UPSTREAM=upstream, THREADS=threads)
        process = bench.start(name, [*program, "-db", "-f", config], core, ports["plain"])
        return Proxy(process, {work: (port, f"/{work}/") for work, port in ports.items()})
    return start


def nginx(program, modules=None, http2="http2 on;"):
    def start(bench, upstream, core, threads):
        name, port = "nginx-" + str(len(bench.running)), rig.free_port()
        values = {"LOAD": "", "HTTP": "", "SERVER": "", "HTTP2": http2}
        if modules:
            bench.configure("fost.js", "fost.js", SECRET=bench.read("fost.key"))
            server = bench.configure(f"{name}-njs.conf", "nginx-njs.conf").read_text()
            values |= {"LOAD": f"load_module {modules}/ngx_http_js_module.so;", "SERVER": server,
                       "HTTP": f"js_path {bench.folder}; js_import fost from fost.js; js_var $fost_user;"}
        config = bench.configure(f"{name}.conf", "nginx.conf", NAME=name, PORT=port, UPSTREAM=upstream, THREADS=threads, **values)
        process = bench.start(name, [*program, "-p", bench.folder, "-c", config], core, port)
        works = ("plain", "token", *(("fost",) if modules else ()))
        return Proxy(process, {work: (port, f"/{work}/") for work in works})
    return start


def envoy(program):
    """Envoy, with its own cache of verified tokens switched on."""
    def start(bench, upstream, core, threads):
        ports = {work: rig.free_port() for work in ("plain", "rs256", "es256")}
        config = {"static_resources": {"listeners": [envoy_listener(bench, work, port) for work, port in ports.items()],
                                       "clusters": [envoy_cluster(upstream)]}}
        path = bench.write("envoy.json", json.dumps(config))
        process = bench.start("envoy", [*program, "-c", path, "--concurrency", threads, "--disable-hot-restart", "-l", "error"], core, ports["plain"])
        return Proxy(process, {work: (port, f"/{work}/") for work, port in ports.items()})
    return start


def envoy_type(name):
    return {"@type": f"type.googleapis.com/envoy.extensions.{name}"}


def envoy_listener(bench, work, port):
    filters = []
    if work != "plain":
        provider = {"issuer": rig.ISSUER, "audiences": [rig.AUDIENCE], "claim_to_headers": [{"header_name": "x-forwarded-user", "claim_name": "sub"}],
                    "local_jwks": {"inline_string": json.dumps(bench.jwks(work))}, "jwt_cache_config": {"jwt_cache_size": 5000}}
        filters.append({"name": "jwt", "typed_config": envoy_type("filters.http.jwt_authn.v3.JwtAuthentication") | {
            "providers": {"p": provider}, "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}]}})
    filters.append({"name": "router", "typed_config": envoy_type("filters.http.router.v3.Router")})
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "application", "timeout": "0s"}}]
    if work == "plain":
        routes[0]["request_headers_to_remove"] = ["x-forwarded-user"]
    http = envoy_type("filters.network.http_connection_manager.v3.HttpConnectionManager") | {
        "stat_prefix": work, "codec_type": "AUTO", "use_remote_address": True, "http_filters": filters,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}}
    files = {"certificate_chain": {"filename": str(bench.folder / "server.crt")}, "private_key": {"filename": str(bench.folder / "server.key")}}
    tls = envoy_type("transport_sockets.tls.v3.DownstreamTlsContext") | {"common_tls_context": {
        "alpn_protocols": ["h2", "http/1.1"], "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"}, "tls_certificates": [files]}}
    return {"name": work, "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [{"transport_socket": {"name": "tls", "typed_config": tls}, "filters": [{"name": "http", "typed_config": http}]}]}


def envoy_cluster(upstream):
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": upstream}}}}
    many = {"max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000}
    return {"name": "application", "type": "STATIC", "connect_timeout": "5s", "circuit_breakers": {"thresholds": [many]},
            "load_assignment": {"cluster_name": "application", "endpoints": [{"lb_endpoints": [endpoint]}]}}


def doorward(works, **settings):
    def begin(binary):
        def start(bench, upstream, core, _threads):
            name = "doorward-" + str(len(bench.running))
            config, port = bench.doorward_config(name, upstream, **settings)
            process = bench.start(name, [binary, "run", "--config", config], core, port)
            return Proxy(process, {work: (port, f"/{work}/") for work in works}, config)
        return start
    return begin


def found(binary):
    """The proxies that can be started on this machine, by name."""
    all_works = ("plain", "token", "fost", *JWT)
    proxies = {}
    if shutil.which("haproxy"):
        proxies["haproxy26"] = haproxy(["haproxy"])
    if (SID / "usr/sbin/haproxy").is_file():
        proxies["haproxy32"] = haproxy([*LOADER, SID / "usr/sbin/haproxy"])
    if (SID / "usr/sbin/nginx").is_file():
        proxies["nginx130"] = nginx([*LOADER, SID / "usr/sbin/nginx"], SID / "usr/lib/nginx/modules")
    for program in CACHE.glob("venv/lib/python3*/site-packages/envoy/_bin/envoy"):
        proxies["envoy"] = envoy([program])
    # The same work as the others, but for the identity's signature, which only Doorward gives.
    proxies["doorward"] = doorward(all_works)(binary)
    # As it is shipped: an access-log line for each request.
    proxies["doorward-log"] = doorward(all_works, access=True)(binary)
    # Room for ten tokens only: tokens that come in turn are verified anew each time, and remembered in vain.
    proxies["doorward-new"] = doorward(JWT, capacity=10)(binary)
    return proxies
