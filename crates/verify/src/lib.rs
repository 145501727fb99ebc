//! Plan, digest, compare, locate, confirm: over connector traits only.
