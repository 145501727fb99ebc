//! What only Kafka's own tools can do to a cluster: rights, elections, moves. Each starts Java, for a second or two.

use std::fs;

use super::cluster::Cluster;
use crate::{Error, Result};

/// What rights are about. `*` as a name means all of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// A topic.
    Topic(&'a str),
    /// A group of readers.
    Group(&'a str),
    /// The id of transactions.
    TransactionalId(&'a str),
    /// The cluster itself.
    Cluster,
}

impl<'a> Resource<'a> {
    fn args(self) -> Vec<&'a str> {
        match self {
            Self::Topic(name) => vec!["--topic", name],
            Self::Group(name) => vec!["--group", name],
            Self::TransactionalId(name) => vec!["--transactional-id", name],
            Self::Cluster => vec!["--cluster"],
        }
    }
}

/// Who may become the leader of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Election {
    /// The first of its brokers, if it is in sync.
    Preferred,
    /// Any of its brokers that is alive, if none is in sync: what the others had more is lost.
    Unclean,
}

impl Cluster {
    /// Lets a user do this to that, where [`super::Options::acls`] denies everything: `Read`, `Write`, `Create`,
    /// `Delete`, `Alter`, `Describe`, `DescribeConfigs`, `AlterConfigs`, `ClusterAction`, `IdempotentWrite` or `All`.
    /// Every operation for every resource, so they must fit together.
    ///
    /// # Errors
    /// [`Error::Program`] with what the tool said.
    pub async fn grant(&self, user: &str, resources: &[Resource<'_>], operations: &[&str]) -> Result<()> {
        self.acl(&["--add"], user, resources, operations).await
    }

    /// Takes back what [`Self::grant`] gave.
    ///
    /// # Errors
    /// As [`Self::grant`].
    pub async fn revoke(&self, user: &str, resources: &[Resource<'_>], operations: &[&str]) -> Result<()> {
        self.acl(&["--remove", "--force"], user, resources, operations).await
    }

    async fn acl(&self, what: &[&str], user: &str, resources: &[Resource<'_>], operations: &[&str]) -> Result<()> {
        let principal = format!("User:{user}");
        let mut args = what.to_vec();
        args.extend(["--allow-principal", principal.as_str()]);
        args.extend(operations.iter().flat_map(|operation| ["--operation", *operation]));
        args.extend(resources.iter().flat_map(|resource| resource.args()));
        let old = self.install().version().starts_with('3');
        let class = if old { "kafka.admin.AclCommand" } else { "org.apache.kafka.tools.AclCommand" };
        self.tool(class, &args).await.map(|_| ())
    }

    /// Has the leader of a partition elected, and returns when the cluster has done it.
    ///
    /// # Errors
    /// [`Error::Program`] with what the tool said, also when nobody can be elected.
    pub async fn elect(&self, topic: &str, partition: i32, election: Election) -> Result<()> {
        let kind = match election {
            Election::Preferred => "PREFERRED",
            Election::Unclean => "UNCLEAN",
        };
        let partition = partition.to_string();
        let args = ["--election-type", kind, "--topic", topic, "--partition", &partition];
        self.tool("org.apache.kafka.tools.LeaderElectionCommand", &args).await.map(|_| ())
    }

    /// Moves a partition to these brokers, of which the first is preferred as leader, and waits until it is there.
    ///
    /// # Errors
    /// [`Error::Program`] with what the tool said; [`Error::TimedOut`].
    pub async fn reassign(&self, topic: &str, partition: usize, brokers: &[i32]) -> Result<()> {
        let json = format!(
            "{{\"version\":1,\"partitions\":[{{\"topic\":\"{topic}\",\"partition\":{partition},\"replicas\":{brokers:?}}}]}}"
        );
        let file = tempfile::Builder::new().prefix("move-").suffix(".json").tempfile_in(self.scratch().path());
        let file = file.map_err(Error::io("create a file in", self.scratch().path()))?.into_temp_path();
        fs::write(&file, json).map_err(Error::io("write", file.to_path_buf()))?;
        let path = file.display().to_string();
        let class = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
        self.tool(class, &["--reassignment-json-file", &path, "--execute"]).await?;
        let mut sorted = brokers.to_vec();
        sorted.sort_unstable();
        let there = |placed: &[super::Placed]| {
            placed.get(partition).is_some_and(|placed| placed.replicas == brokers && placed.in_sync == sorted)
        };
        self.client()?.wait_placed(topic, there).await
    }
}
