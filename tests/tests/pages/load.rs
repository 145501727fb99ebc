//! Under load.
