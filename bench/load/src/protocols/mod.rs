//! What brokers speak.

pub mod http2;
pub mod mqtt;
pub mod nats;
pub mod protobuf;
pub mod wavemq;
