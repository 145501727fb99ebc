//! Clients of object stores, configured from the environment and from explicit options.

use crate::LakeOptions;
use crate::source::Remote;
use object_store::path::Path as ObjectPath;
use paritas_connect::{Error, FailureKind, Result};

/// Makes a client for a bucket. Nothing is sent yet.
pub(crate) fn connect(scheme: &str, bucket: &str, prefix: ObjectPath, options: &LakeOptions) -> Result<Remote> {
    match scheme {
        #[cfg(feature = "s3")]
        "s3" | "s3a" | "s3n" => s3::connect(bucket, prefix, options),
        #[cfg(feature = "gcs")]
        "gs" | "gcs" => gcs::connect(bucket, prefix, options),
        #[cfg(feature = "azure")]
        "az" | "azure" | "abfs" | "abfss" => azure::connect(bucket, prefix, options),
        other => {
            let _ = (bucket, prefix, options);
            Err(Error::new(FailureKind::Permanent, "config.url", format!("no support for {other}:// locations"))
                .hint("use a path, file:// or s3://; gs:// and az:// need the features gcs and azure"))
        }
    }
}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod limits {
    use object_store::{BackoffConfig, ClientOptions, RetryConfig};
    use std::time::Duration;

    /// Requests are tried again that often after a failed connection, 429 or 5xx ...
    const RETRIES_MAX: usize = 6;
    /// ... and for that long.
    const RETRY_SECONDS_MAX: u64 = 30;

    pub(super) fn retry() -> RetryConfig {
        let backoff = BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() };
        RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: Duration::from_secs(RETRY_SECONDS_MAX) }
    }

    /// Plain HTTP is allowed to this machine only, unless the user asks for it.
    pub(super) fn client(allow_http: bool) -> ClientOptions {
        ClientOptions::new()
            .with_connect_timeout(Duration::from_secs(5))
            .with_timeout(Duration::from_secs(30))
            .with_allow_http(allow_http)
    }

    /// Whether an endpoint is plain HTTP to this very machine.
    pub(super) fn is_loopback(endpoint: &str) -> bool {
        let Ok(url) = url::Url::parse(endpoint) else { return false };
        match url.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn plain_http_is_for_this_machine_only() {
            for yes in ["http://127.0.0.1:8333", "http://localhost:9000", "http://[::1]:1/"] {
                assert!(super::is_loopback(yes), "{yes}");
            }
            for no in ["http://10.0.0.1", "http://localhost.example.com", "nonsense", "http://127.0.0.1.example.com"] {
                assert!(!super::is_loopback(no), "{no}");
            }
        }
    }
}

/// A setting that the client does not know or take, without its value.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn refused(product: &str, error: &object_store::Error) -> Error {
    Error::new(FailureKind::Permanent, "config.option", format!("the settings for {product} cannot be used"))
        .detail(crate::failure::chain(error))
        .hint("check the environment (AWS_…, GOOGLE_…, AZURE_…) and the options of the store")
}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn unknown(name: &str) -> Error {
    Error::new(FailureKind::Permanent, "config.option", format!("unknown setting {name:?} of the object store"))
        .hint("use the names of the environment variables in lower case, such as aws_endpoint_url")
}

#[cfg(feature = "s3")]
mod s3 {
    use super::{limits, refused, unknown};
    use crate::LakeOptions;
    use crate::clock::{Heard, Listening};
    use crate::source::Remote;
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
    use object_store::path::Path as ObjectPath;
    use paritas_connect::Result;
    use secrecy::ExposeSecret as _;
    use std::sync::Arc;

    pub(super) fn connect(bucket: &str, prefix: ObjectPath, options: &LakeOptions) -> Result<Remote> {
        let mut builder = AmazonS3Builder::from_env();
        for (name, value) in &options.settings {
            // Settings of other families are for other stores.
            if name.starts_with("aws_") {
                let key: AmazonS3ConfigKey = name.parse().map_err(|_| unknown(name))?;
                builder = builder.with_config(key, value.expose_secret());
            }
        }
        let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
        let asked = builder
            .get_config_value(&AmazonS3ConfigKey::Client(object_store::ClientConfigKey::AllowHttp))
            .is_some_and(|value| value == "true");
        let allow_http = asked || endpoint.as_deref().is_some_and(limits::is_loopback);
        let heard = Heard::default();
        let store = builder
            .with_http_connector(Listening(heard.clone()))
            .with_bucket_name(bucket)
            .with_retry(limits::retry())
            .with_client_options(limits::client(allow_http))
            .with_allow_http(allow_http)
            .build()
            .map_err(|error| refused("S3", &error))?;
        Ok(Remote { store: Arc::new(store), prefix, product: "S3", heard })
    }
}

#[cfg(feature = "gcs")]
mod gcs {
    use super::{limits, refused, unknown};
    use crate::LakeOptions;
    use crate::clock::{Heard, Listening};
    use crate::source::Remote;
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
    use object_store::path::Path as ObjectPath;
    use paritas_connect::Result;
    use secrecy::ExposeSecret as _;
    use std::sync::Arc;

    pub(super) fn connect(bucket: &str, prefix: ObjectPath, options: &LakeOptions) -> Result<Remote> {
        let mut builder = GoogleCloudStorageBuilder::from_env();
        for (name, value) in &options.settings {
            if name.starts_with("google_") {
                let key: GoogleConfigKey = name.parse().map_err(|_| unknown(name))?;
                builder = builder.with_config(key, value.expose_secret());
            }
        }
        let heard = Heard::default();
        let store = builder
            .with_http_connector(Listening(heard.clone()))
            .with_bucket_name(bucket)
            .with_retry(limits::retry())
            .with_client_options(limits::client(false))
            .build()
            .map_err(|error| refused("Google Cloud Storage", &error))?;
        Ok(Remote { store: Arc::new(store), prefix, product: "Google Cloud Storage", heard })
    }
}

#[cfg(feature = "azure")]
mod azure {
    use super::{limits, refused, unknown};
    use crate::LakeOptions;
    use crate::clock::{Heard, Listening};
    use crate::source::Remote;
    use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
    use object_store::path::Path as ObjectPath;
    use paritas_connect::Result;
    use secrecy::ExposeSecret as _;
    use std::sync::Arc;

    pub(super) fn connect(container: &str, prefix: ObjectPath, options: &LakeOptions) -> Result<Remote> {
        let mut builder = MicrosoftAzureBuilder::from_env();
        for (name, value) in &options.settings {
            if name.starts_with("azure_") {
                let key: AzureConfigKey = name.parse().map_err(|_| unknown(name))?;
                builder = builder.with_config(key, value.expose_secret());
            }
        }
        let heard = Heard::default();
        let store = builder
            .with_http_connector(Listening(heard.clone()))
            .with_container_name(container)
            .with_retry(limits::retry())
            .with_client_options(limits::client(false))
            .build()
            .map_err(|error| refused("Azure Blob Storage", &error))?;
        Ok(Remote { store: Arc::new(store), prefix, product: "Azure Blob Storage", heard })
    }
}
