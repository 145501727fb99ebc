//! What runs leave behind: the history is what they found, and what a failover would lose follows from it.

mod copies;
mod index;
mod servers;
