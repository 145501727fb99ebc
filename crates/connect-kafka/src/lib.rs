//! The connector for Apache Kafka.
pub use rdkafka::bindings::rd_kafka_version;
