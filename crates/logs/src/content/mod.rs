//! Whether two partitions hold the same records in the same order, and which records differ.
