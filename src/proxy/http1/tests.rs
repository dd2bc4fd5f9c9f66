//! Exchanges over real sockets.
