//! Files in an object store.

use super::world::{Kind, TICK, World, bytes};
use paritas_connect_lake::LakeOptions;
use paritas_testbed::Scratch;
use paritas_testbed::seaweed::S3;

#[tokio::test(flavor = "multi_thread")]
async fn objects_whose_tags_are_the_same_are_taken_over() {
    if S3::find().is_err() {
        eprintln!("left out: no S3 server is installed");
        return;
    }
    let scratch = Scratch::new().unwrap();
    let server = S3::start(&scratch, "s3").await.unwrap();
    server.create_bucket("lake").await.unwrap();
    let endpoint = server.endpoint();
    let options = LakeOptions::from_pairs([
        ("aws_access_key_id", server.access_key()),
        ("aws_secret_access_key", server.secret_key()),
        ("aws_endpoint_url", endpoint.as_str()),
        ("aws_region", server.region()),
    ])
    .unwrap();
    for number in 0..4 {
        let content = bytes(Kind::Parquet, number * 100..(number + 1) * 100, 0);
        server.put("lake", &format!("rows/f{number}.parquet"), &content).await.unwrap();
    }
    let mut world = World::at(Kind::Parquet, scratch, "s3://lake/rows".to_owned(), options);
    // The clock of the store is that of this machine, and may be as coarse as a second.
    world.unsettled = TICK;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    world.take().await.files(4, 0).all_read("nothing was kept");
    let still = world.take().await.files(0, 4);
    assert_eq!((still.reading.why, still.reading.rows_kept), (None, 400));
    // The same size and another content; a copy under another key; one that goes.
    server.put("lake", "rows/f1.parquet", &bytes(Kind::Parquet, 100..200, 1)).await.unwrap();
    server.put("lake", "rows/g.parquet", &bytes(Kind::Parquet, 100..200, 0)).await.unwrap();
    server.delete("lake", "rows/f3.parquet").await.unwrap();
    world.take().await.files(2, 2);
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    world.take().await.right();
    world.take().await.files(0, 4);
}
