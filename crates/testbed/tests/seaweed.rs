//! The S3 server starts, keeps objects, asks for signatures, and does not stay behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::Command;

use paritas_testbed::Scratch;
use paritas_testbed::seaweed::S3;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn unsigned_status(server: &S3, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).split_whitespace().nth(1).unwrap().to_owned()
}

const PYARROW: &str = r#"
import sys
from pyarrow import fs
endpoint, key, secret = sys.argv[1:]
def connect(secret):
    return fs.S3FileSystem(access_key=key, secret_key=secret, endpoint_override=endpoint, region="us-east-1")
s3 = connect(secret)
files = {i.path: i.size for i in s3.get_file_info(fs.FileSelector("lake", recursive=True)) if i.type == fs.FileType.File}
assert files == {"lake/t/day=1/\u00e4 b.bin": 100000}, files
with s3.open_output_stream("lake/written") as out:
    out.write(b"by pyarrow")
try:
    connect("wrong").get_file_info(fs.FileSelector("lake"))
except OSError:
    sys.exit(0)
sys.exit("a wrong secret was accepted")
"#;

/// PyArrow, which signs its requests, where `make setup` has installed it beside `weed`.
async fn an_independent_client_agrees(server: &S3) {
    let python = S3::find().unwrap().with_file_name("python");
    let has_pyarrow =
        Command::new(&python).args(["-c", "import pyarrow.fs"]).output().is_ok_and(|o| o.status.success());
    if !has_pyarrow {
        return;
    }
    let endpoint = server.endpoint();
    let args = ["-c", PYARROW, &endpoint, server.access_key(), server.secret_key()];
    let output = Command::new(python).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(server.get("lake", "written").await.unwrap(), b"by pyarrow");
}

#[tokio::test]
async fn objects_are_kept_signatures_asked_for_and_nothing_is_left() {
    if S3::find().is_err() && std::env::var_os("CI").is_none() {
        return; // optional outside CI: see .ci/setup.sh
    }
    let scratch = Scratch::new().unwrap();
    let server = S3::start(&scratch, "s3").await.unwrap();
    server.create_bucket("lake").await.unwrap();
    let folder = scratch.folder("files/day=1").unwrap();
    fs::write(folder.join("ä b.bin"), [7_u8; 100_000]).unwrap();
    fs::write(scratch.path().join("files/top"), b"x").unwrap();
    assert_eq!(server.upload_folder(&scratch.path().join("files"), "lake", "t").await.unwrap(), 2);
    assert_eq!(server.get("lake", "t/day=1/ä b.bin").await.unwrap(), [7_u8; 100_000]);
    assert_eq!(server.get("lake", "t/top").await.unwrap(), b"x");
    server.put("lake", "t/top", b"longer").await.unwrap();
    assert_eq!(server.get("lake", "t/top").await.unwrap(), b"longer");
    server.delete("lake", "t/top").await.unwrap();
    assert!(server.get("lake", "t/top").await.is_err());
    an_independent_client_agrees(&server).await;
    assert_eq!(unsigned_status(&server, "/lake?list-type=2").await, "403");

    let pid = server.pid();
    drop(server);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}
