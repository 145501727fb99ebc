//! Parameters of statements with the types that they are sent as.
//!
//! A client that names the types of its parameters need not ask the server for them first: a statement is one
//! round trip instead of two, and the server keeps nothing of it.

use tokio_postgres::types::{Oid, ToSql, Type};

/// A parameter that knows its type.
pub(crate) trait Param: Sync {
    /// The type that is declared for it.
    fn sql_type(&self) -> Type;

    /// The parameter as the client library takes it.
    fn value(&self) -> &(dyn ToSql + Sync);
}

macro_rules! params {
    ($($rust:ty => $sql:ident),+ $(,)?) => {
        $(impl Param for $rust {
            fn sql_type(&self) -> Type {
                Type::$sql
            }

            fn value(&self) -> &(dyn ToSql + Sync) {
                self
            }
        })+
    };
}

params! {
    Oid => OID,
    Vec<Oid> => OID_ARRAY,
    &[Oid] => OID_ARRAY,
    Option<&[Oid]> => OID_ARRAY,
    i64 => INT8,
    Vec<i64> => INT8_ARRAY,
    Vec<i32> => INT4_ARRAY,
    &str => TEXT,
    String => TEXT,
    Vec<String> => TEXT_ARRAY,
    Vec<Option<String>> => TEXT_ARRAY,
    &[String] => TEXT_ARRAY,
    Vec<&str> => TEXT_ARRAY,
    &[&str] => TEXT_ARRAY,
}
