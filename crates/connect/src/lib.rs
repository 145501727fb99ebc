//! What a connector is: traits, context, errors, retry, secrets, and the conformance suite.
