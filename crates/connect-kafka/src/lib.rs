//! The connector for Apache Kafka.

mod batch;
mod bindings;
mod client;
mod clock;
mod codes;
mod configs;
mod ends;
mod errors;
mod groups;
mod heard;
pub mod mm2;
mod options;
mod pins;
mod reader;
mod reading;
pub mod rows;
mod store;
mod survey;
mod tables;
mod traces;
mod url;

pub use options::KafkaOptions;
pub use store::KafkaStore;
pub use tables::KafkaTables;
