//! The digest: canonical images, row hashes, buckets, the sketch, the artifact file.
