//! The PostgreSQL connector.
