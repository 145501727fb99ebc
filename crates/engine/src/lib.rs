//! Runs: what each command does, from configured links to a stored run.
