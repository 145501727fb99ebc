//! The connector for Apache Kafka.

pub mod mm2;
pub mod rows;

pub use rdkafka::bindings::rd_kafka_version;
