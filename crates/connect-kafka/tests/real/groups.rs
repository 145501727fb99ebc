//! Groups: what they are doing, who is in them, what they committed.

use crate::bed::{bed, cx};
use paritas_connect::logs::{Group, Logs as _, Partition};
use paritas_connect_kafka::KafkaStore;
use paritas_testbed::kafka::{Client, Options, Record, Topic};

#[tokio::test]
async fn groups_are_listed_with_members_and_commits() {
    let Some(bed) = bed(Options::default()).await else { return };
    groups_tell_what_they_committed(&bed.client, &bed.store()).await;
}

fn named(groups: &[Group]) -> Vec<&str> {
    groups.iter().map(|group| group.name.as_str()).collect()
}

fn commits(group: &Group) -> Vec<(String, u64, &str)> {
    let offsets = group.offsets.value().unwrap().iter();
    offsets.map(|(place, commit)| (place.to_string(), commit.offset, commit.metadata.as_str())).collect()
}

pub async fn groups_tell_what_they_committed(client: &Client, store: &KafkaStore) {
    client.create(&Topic::new("read").partitions(2)).await.unwrap();
    client.produce("read", (0..10).map(|number| Record::of("x").on(number % 2))).await.unwrap();
    let noted = vec![(0, 3, "a note".to_owned()), (1, 0, String::new())];
    client.commit_noted("simple", "read", noted).await.unwrap();
    client.commit("beyond", "read", &[(1, 99)]).await.unwrap();
    let member = client.join("live", &["read"]).unwrap();
    member.read(10).await.unwrap();
    member.commit().await.unwrap();

    let groups = store.groups(&cx(), None).await.unwrap();
    assert_eq!(named(&groups), ["beyond", "live", "simple"]);
    assert_eq!(commits(&groups[0]), [("read/1".to_owned(), 99, "")]);
    assert_eq!(commits(&groups[1]), [("read/0".to_owned(), 5, ""), ("read/1".to_owned(), 5, "")]);
    assert_eq!(commits(&groups[2]), [("read/0".to_owned(), 3, "a note"), ("read/1".to_owned(), 0, "")]);
    let states: Vec<_> = groups.iter().map(|group| group.state.value().unwrap().as_str()).collect();
    assert_eq!(states, ["Empty", "Stable", "Empty"]);
    let members = groups[1].members.value().unwrap();
    let [member] = &members[..] else { panic!("{members:?}") };
    assert_eq!((member.client.as_str(), member.host.as_str()), ("paritas-testbed", "/127.0.0.1"));
    let mut read = member.partitions.clone();
    read.sort();
    assert_eq!(read, [Partition::new("read", 0), Partition::new("read", 1)]);
    assert!(groups[0].members.value().unwrap().is_empty());
    assert!(groups.iter().all(|group| group.asked <= group.answered));

    let wanted = ["simple", "missing", "simple"].map(ToOwned::to_owned);
    let groups = store.groups(&cx(), Some(&wanted)).await.unwrap();
    assert_eq!(named(&groups), ["missing", "simple"]);
    assert_eq!(groups[0].state.value().map(String::as_str), Some("Dead"));
    assert!(commits(&groups[0]).is_empty());
    assert_eq!(commits(&groups[1]).len(), 2);
    assert!(store.groups(&cx(), Some(&[])).await.unwrap().is_empty());
    // Nothing of this made another group.
    assert_eq!(named(&store.groups(&cx(), None).await.unwrap()), ["beyond", "live", "simple"]);
}
