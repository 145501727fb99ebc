//! What survives a run: stored reports and digests.
