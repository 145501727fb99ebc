//! The server's own clock, and the newest time of a column.

use crate::condition::is_one_condition;
use crate::session::{Session, get};
use crate::store::Inner;
use crate::{columns, quote, relation};
use async_trait::async_trait;
use paritas_connect::{
    BEYOND_MAX, ClockReading, ClockShows, ClockStamp, Clocks, Context, Error, FailureKind, NewestRequest, NewestSeen,
    Result,
};
use paritas_model::LogicalType;

const QUESTION: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8";
const DAY_US: i64 = 86_400_000_000;

#[async_trait]
impl Clocks for Inner {
    async fn clock(&self, cx: &Context) -> Result<ClockReading> {
        let session = self.session(cx).await?;
        let begin = ClockStamp::now();
        let row = session.query_one(cx, "ask what time it is", QUESTION, &[]).await;
        let end = ClockStamp::now();
        let shown: i64 = get(&row?, 0)?;
        self.give_back(session);
        // The server rounds to a microsecond.
        Ok(ClockReading { begin, end, shows: ClockShows::Time { low_us: shown - 1, high_us: shown + 1 } })
    }

    fn method(&self) -> &'static str {
        "clock_timestamp()"
    }
}

/// How times of a type are written in a comparison, and what they mean.
struct Times {
    /// The type in whose words the limit is written.
    cast: &'static str,
    /// How long one value stands for, beyond its beginning.
    wide_us: i64,
    note: Option<String>,
}

fn times(table: &str, column: &str, engine_type: &str, logical: &LogicalType) -> Result<Times> {
    match logical {
        LogicalType::Timestamp { zoned: true, .. } => Ok(Times { cast: "timestamptz", wide_us: 0, note: None }),
        LogicalType::Timestamp { zoned: false, .. } => {
            let note = format!("times of {column} have no zone and are taken as UTC");
            Ok(Times { cast: "timestamp", wide_us: 0, note: Some(note) })
        }
        LogicalType::Date => {
            let note = format!("a date of {column} stands for its whole day in UTC");
            Ok(Times { cast: "date", wide_us: DAY_US - 1, note: Some(note) })
        }
        _ => {
            let message = format!("{column} of {table} is {engine_type}, which is no time");
            Err(Error::new(FailureKind::Permanent, "freshness.type", message)
                .hint("name a column of type timestamptz, timestamp or date"))
        }
    }
}

/// The newest time of a column, in one statement and so in one view. An index on the column serves all three parts.
pub(crate) async fn newest(session: &Session, cx: &Context, request: &NewestRequest) -> Result<NewestSeen> {
    let relation = relation::resolve(session, cx, &request.dataset).await?;
    let (infos, types) = columns::load(session, cx, &relation).await?;
    let named = request.column.as_deref();
    let Some(info) = infos.iter().find(|info| Some(info.name.as_str()) == named) else {
        let message = match named {
            Some(column) => format!("{} has no column {column:?}", relation.shown()),
            None => format!("a row of {} has no time of its own", relation.shown()),
        };
        let names = quote::list(infos.iter().map(|info| info.name.clone()));
        let error = Error::new(FailureKind::Permanent, "freshness.column", message);
        return Err(error.hint(format!("name one of its columns: {names}")));
    };
    let logical = columns::logical(&types, info.type_oid, info.modifier);
    let times = times(&relation.shown(), &info.name, &info.engine_type, &logical)?;
    if let Some(filter) = request.filter.as_deref().filter(|filter| !is_one_condition(filter)) {
        return Err(Error::new(FailureKind::Permanent, "config.where", "the condition `where` is not one expression")
            .detail(format!("its parentheses or quotes do not match: {filter}")));
    }
    let sql = statement(&relation.sql(), &quote::ident(&info.name), times.cast, request.filter.as_deref());
    let asked = ClockStamp::now();
    let row = session.query_one(cx, "look for the newest time", &sql, &[&request.limit_us]).await?;
    let answered = ClockStamp::now();
    let (newest, any, beyond): (Option<i64>, bool, i64) = (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
    let beyond = beyond.unsigned_abs();
    Ok(NewestSeen {
        newest: newest.map(|at| (at, at.saturating_add(times.wide_us))),
        any,
        beyond: beyond.min(BEYOND_MAX),
        beyond_whole: beyond <= BEYOND_MAX,
        asked,
        answered,
        method: "max",
        note: times.note,
    })
}

/// `infinity` lies beyond every limit, and `-infinity` is no time at all.
fn statement(table: &str, column: &str, cast: &str, filter: Option<&str>) -> String {
    let filter = filter.map(|filter| format!("(\n{filter}\n)"));
    let and = filter.as_ref().map(|filter| format!(" AND {filter}")).unwrap_or_default();
    let only = filter.map(|filter| format!(" WHERE {filter}")).unwrap_or_default();
    let moment = if cast == "timestamptz" { "timestamptz 'epoch'" } else { "timestamp 'epoch'" };
    let limit = format!("({moment} + $1 * interval '1 microsecond')::{cast}");
    format!(
        "SELECT (extract(epoch FROM (SELECT max({column}) FROM {table} \
                   WHERE {column} <= {limit} AND {column} > '-infinity'{and})) * 1000000)::int8, \
                EXISTS (SELECT FROM {table}{only}), \
                (SELECT count(*) FROM (SELECT FROM {table} WHERE {column} > {limit}{and} LIMIT {}) AS beyond)",
        BEYOND_MAX + 1
    )
}
