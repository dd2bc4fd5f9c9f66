//! Doorward from outside: the real binary, real sockets, real TLS. One file a promise.

#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    reason = "tests fail by panicking, and helpers say what they are by their names"
)]

mod support;

mod answers;
mod application_connections;
mod aws_v4;
mod basic;
mod certificates;
mod cli;
mod client_certificate_ends;
mod client_certificates;
mod config_check;
mod connections;
mod demo;
mod dpop;
mod drain;
mod errors;
mod fleet;
mod fleet_store;
mod fost;
mod framing;
mod header_forgery;
mod hop_by_hop;
mod hosts;
mod http_message_signature;
mod http_signature;
mod identity;
mod identity_fost;
mod identity_message;
mod introspection;
mod jwks;
mod jwt;
mod jwt_flask;
mod jwt_issuers;
mod keys;
mod kubernetes;
mod limits;
mod lockout;
mod matrix;
mod memory;
mod outages;
mod paths;
mod plain_http;
mod policy;
mod proxying;
mod query_hmac;
mod reload;
mod replay;
mod replicas;
mod revocation;
mod routes;
mod s3_v2;
mod secrets;
mod signature_debugger;
mod signed_bodies;
mod single_bits;
mod source_limits;
mod sources;
mod store;
mod store_outage;
mod tidy;
mod token_forms;
mod token_tables;
mod tokens;
mod users_django;
mod users_htpasswd;
mod webhook;
mod websocket;
