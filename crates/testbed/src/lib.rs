//! Real servers and real files for the demo, the tests and the benches.
