//! Manifests of local files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{files, write};
use paritas_connect::{Context, FileManifest, Store};
use paritas_connect_lake::{FilesStore, LakeOptions, Location};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::sync::Arc;
use tempfile::tempdir;

async fn manifest(store: &FilesStore) -> FileManifest {
    store.files().unwrap().manifest(&Context::default()).await.unwrap()
}

fn names(manifest: &FileManifest) -> Vec<&str> {
    manifest.files.iter().map(|file| file.path.as_str()).collect()
}

/// Bytes that are not the same anywhere.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(length).collect()
}

#[tokio::test]
async fn checksums_are_those_of_blake3_for_every_size() {
    let folder = tempdir().unwrap();
    let sizes = [0, 1, 1023, 1024, 1025, 131_072, 524_287, 524_288, 524_289, 1 << 20, (16 << 20) - 1];
    let large = [(16 << 20) + 1, (16 << 20) + 1024, (24 << 20) + 777, 32 << 20, (32 << 20) + 1];
    let content = noise(33 << 20);
    for size in sizes.into_iter().chain(large) {
        write(folder.path(), &format!("{size:09}"), &content[..size]);
    }
    for parallel in [1, 2, 5] {
        let cx = Context::default().with_parallel(parallel);
        let store = files(folder.path());
        let manifest = store.files().unwrap().manifest(&cx).await.unwrap();
        assert_eq!(manifest.files.len(), sizes.len() + large.len());
        for file in &manifest.files {
            let size: usize = file.path.parse().unwrap();
            assert_eq!(file.size_bytes, size as u64);
            assert_eq!(file.blake3.value().unwrap(), blake3::hash(&content[..size]).as_bytes(), "{size}");
        }
        assert_eq!(cx.progress().bytes(), cx.progress().bytes_expected());
    }
}

#[tokio::test]
async fn all_names_are_listed_in_order_without_loss() {
    let folder = tempdir().unwrap();
    for name in ["b", "a/z", "a b", "_SUCCESS", ".hidden/x.crc", "größe", "back\\slash", "new\nline"] {
        write(folder.path(), name, name);
    }
    fs::write(folder.path().join(OsStr::from_bytes(b"latin-\xe9")), "x").unwrap();
    let deep = (0..60).map(|i| format!("folder-{i}")).collect::<Vec<_>>().join("/");
    write(folder.path(), &format!("{deep}/leaf"), "deep");
    let manifest = manifest(&files(folder.path())).await;
    let listed = names(&manifest);
    assert!(listed.is_sorted() && listed.len() == 10, "{listed:?}");
    for name in ["latin-\\xe9", "back\\\\slash", ".hidden/x.crc", "_SUCCESS", "größe", "new\nline"] {
        assert!(listed.contains(&name), "{name} {listed:?}");
    }
    assert!(listed.iter().any(|name| name.ends_with("folder-59/leaf")));
}

#[tokio::test]
async fn links_inside_are_followed_and_others_are_unknown() {
    let folder = tempdir().unwrap();
    let root = folder.path().join("root");
    write(&root, "data/file", "content");
    write(folder.path(), "outside/secret", "other");
    symlink("data/file", root.join("link")).unwrap();
    symlink("data", root.join("folder-link")).unwrap();
    symlink("..", root.join("data/up")).unwrap();
    symlink(folder.path().join("outside"), root.join("leaves")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    let manifest = manifest(&files(&root)).await;
    assert_eq!(names(&manifest), ["dangling", "data/file", "folder-link/file", "leaves", "link"]);
    for file in &manifest.files {
        let followed = !["dangling", "leaves"].contains(&file.path.as_str());
        assert_eq!(file.blake3.value().is_some(), followed, "{}", file.path);
        assert!(!file.damaged);
    }
}

#[tokio::test]
async fn a_pipe_is_listed_and_not_opened() {
    let folder = tempdir().unwrap();
    write(folder.path(), "file", "x");
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap();
    assert!(made.success());
    let manifest = manifest(&files(folder.path())).await;
    assert_eq!(names(&manifest), ["file", "pipe"]);
    assert!(manifest.files[1].blake3.why().unwrap().contains("regular"));
}

#[tokio::test]
async fn a_single_file_and_a_pattern_name_only_what_they_mean() {
    let folder = tempdir().unwrap();
    for name in ["a.bin", "b.bin", "c.txt", "sub.bin/d.txt"] {
        write(folder.path(), name, name);
    }
    assert_eq!(names(&manifest(&files(folder.path().join("a.bin"))).await), ["a.bin"]);
    assert_eq!(names(&manifest(&files(folder.path().join("*.bin"))).await), ["a.bin", "b.bin", "sub.bin/d.txt"]);
}

#[tokio::test]
async fn an_empty_folder_is_an_error_unless_it_may_be() {
    let folder = tempdir().unwrap();
    let error = files(folder.path()).files().unwrap().manifest(&Context::default()).await.unwrap_err();
    assert_eq!(error.code(), "dataset.missing");
    let options = LakeOptions::from_pairs([("allow_empty", "true")]).unwrap();
    let store = FilesStore::new(Location::parse(folder.path().to_str().unwrap()).unwrap(), options).unwrap();
    assert!(manifest(&store).await.files.is_empty());
}

/// A file grows while it is hashed: a thread appends to it until the manifest is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_while_it_is_read_is_unknown() {
    let folder = tempdir().unwrap();
    let path = write(folder.path(), "busy", noise(48 << 20));
    write(folder.path(), "calm", "still");
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (ready, started) = std::sync::mpsc::channel();
    let writer = std::thread::spawn({
        let (stop, path) = (Arc::clone(&stop), path.clone());
        move || {
            use std::io::{Seek as _, Write as _};
            let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
            let mut rounds = 0_u64;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                file.seek(std::io::SeekFrom::Start(0)).unwrap();
                file.write_all(&rounds.to_le_bytes()).unwrap();
                rounds += 1;
                // The listing must come after the first write, or nothing would be proven.
                if rounds == 1 {
                    ready.send(()).unwrap();
                }
            }
        }
    });
    started.recv().unwrap();
    let manifest = manifest(&files(folder.path())).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    assert!(manifest.files[0].blake3.why().unwrap().contains("busy changed while it was read"), "{manifest:?}");
    assert!(!manifest.files[0].damaged);
    assert!(manifest.files[1].blake3.value().is_some());
}

#[tokio::test]
async fn a_cancelled_manifest_ends_as_cancelled() {
    let folder = tempdir().unwrap();
    write(folder.path(), "file", noise(1 << 20));
    let cx = Context::default();
    cx.cancel_token().cancel();
    assert_eq!(files(folder.path()).files().unwrap().manifest(&cx).await.unwrap_err().code(), "run.cancelled");
    let cx = Context::default().with_timeout(std::time::Duration::ZERO);
    assert_eq!(files(folder.path()).files().unwrap().manifest(&cx).await.unwrap_err().code(), "run.deadline");
}

/// Root may read everything, so the test runs itself again as somebody else.
#[test]
fn what_may_not_be_read_is_unknown_and_said_so() {
    const FOLDER: &str = "PARITAS_TEST_DENIED";
    let check = |root: &Path| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listed = manifest(&files(root)).await;
            assert_eq!(names(&listed), ["closed", "locked", "open"]);
            assert!(listed.files[0].blake3.why().unwrap().contains("Permission denied"), "{listed:?}");
            assert!(listed.files[1].blake3.why().unwrap().contains("Permission denied"), "{listed:?}");
            assert!(listed.files[2].blake3.value().is_some());
            let error = files(root.join("closed")).files().unwrap().manifest(&Context::default()).await.unwrap_err();
            assert_eq!(error.code(), "store.denied");
        });
    };
    if let Some(root) = std::env::var_os(FOLDER) {
        return check(Path::new(&root));
    }
    let folder = tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let root = folder.path().join("root");
    write(&root, "open", "x");
    write(&root, "locked", "x");
    write(&root, "closed/inner", "x");
    let close = |name: &str, mode| fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    close("locked", 0o000);
    close("closed", 0o000);
    // A copy that anybody can run: the folder of the build may be closed to others.
    let program = folder.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = std::process::Command::new(program);
    command.args(["--exact", "what_may_not_be_read_is_unknown_and_said_so"]).env(FOLDER, &root).current_dir("/");
    let is_root = fs::read_to_string("/proc/self/status").unwrap().contains("Uid:\t0");
    if is_root {
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().unwrap();
    close("closed", 0o755);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
