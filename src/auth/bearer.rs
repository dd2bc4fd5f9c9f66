//! The one bearer token of a request.
