//! What the fuzz targets run. Each `run` takes any bytes, drives the product with them as a client would, and panics when
//! something comes out that must not. It returns whether anything was accepted. Kept apart from the targets so that an ordinary test can replay the seeds.

pub mod answer;
pub mod aws;
pub mod fost;
pub mod h2;
pub mod heads;
pub mod http_signature;
pub mod inbound;
pub mod jwt;
pub mod message_signature;
pub mod names;
mod parts;
pub mod pattern;
pub mod query_hmac;
pub mod s3_v2;
mod scheme;
mod serve;
pub mod webhook;

#[cfg(test)]
mod tests;
