//! The configuration file: reading, validation, secret references, origins.
