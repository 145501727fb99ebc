//! Large objects: data in tables of the catalog, which only superusers may read and which no publication
//! carries. A physical standby has them like any other table.

use crate::session::{Session, get};
use paritas_connect::{Beside, Context, Result};
use paritas_model::Dataset;

/// The table with the data, in pages of 2 KiB, and the one that names each object and its owner.
const DATA: &str = "pg_catalog.pg_largeobject";
const OBJECTS: &str = "pg_catalog.pg_largeobject_metadata";

/// How many there are, and whether this user may read them.
async fn look(session: &Session, cx: &Context) -> Result<(u64, bool)> {
    let sql = "SELECT (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata), \
                 has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')";
    let row = session.query_one(cx, "count the large objects", sql, &[]).await?;
    Ok((u64::try_from(get::<i64>(&row, 0)?).unwrap_or(0), get(&row, 1)?))
}

/// The tables that hold them, where there are any that this user may read.
pub(crate) async fn tables(session: &Session, cx: &Context) -> Result<Vec<Dataset>> {
    let (count, readable) = look(session, cx).await?;
    let names = [DATA, OBJECTS].map(|name| Dataset(name.to_owned()));
    Ok(if count > 0 && readable { names.to_vec() } else { Vec::new() })
}

/// For the list of what is not compared.
pub(crate) async fn beside(session: &Session, cx: &Context) -> Result<Option<Beside>> {
    let (count, readable) = look(session, cx).await?;
    let why = match readable {
        true => "logical replication does not carry them; ?table=pg_catalog.pg_largeobject compares them on two sides",
        false => {
            "only superusers may read their data (?table=pg_catalog.pg_largeobject), and logical replication does \
                  not carry them"
        }
    };
    Ok((count > 0).then(|| Beside {
        what: "large objects".to_owned(),
        count,
        names: Vec::new(),
        why: why.to_owned(),
        dataset: Some(Dataset(DATA.to_owned())),
    }))
}
