//! The life of a request.

pub mod stamp;

use http::{Request, Response};
use hyper::body::Incoming;

use crate::inbound::Conn;
use crate::payload::ResponseBody;

/// Routes, schemes, policies, stamp: one configuration's world, immutable.
#[derive(Debug)]
pub struct Proxy {}

impl Proxy {
    /// Answers one request. Never fails; the access-log line is written when the response's body has ended.
    pub async fn handle(&self, conn: &Conn, request: Request<Incoming>) -> Response<ResponseBody> {
        let _ = (conn, request);
        todo!()
    }
}
