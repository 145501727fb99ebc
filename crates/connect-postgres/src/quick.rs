//! Sums of hashes made by the server: a quick look, never a proof.
//!
//! `hash_record_extended` gives 64 bits and takes values for equal that only look alike (1.0 and 1.00).
//! It exists for records of types that can be hashed, from version 14 on.

use crate::plan::{ALIAS, Plan};
use crate::quote;
use crate::relation;
use crate::session::{Session, get};
use paritas_connect::{Context, QuickPart, QuickSum, Result, ScanRequest};
use paritas_model::Known;

/// Bytes of a part: some seconds of the server's work.
const PART_BYTES: u64 = 256 << 20;
const BLOCK_BYTES: u64 = 8_192;

/// The parts of a relation, all of it together.
pub(crate) async fn parts(session: &Session, cx: &Context, request: &ScanRequest) -> Result<Known<Vec<QuickPart>>> {
    let plan = Plan::new(session, cx, request).await?;
    if plan.is_logical() {
        return Ok(Known::unknown("its columns are compared by meaning"));
    }
    let mut all = Vec::new();
    for piece in relation::parts(session, cx, &plan.relation).await? {
        if !piece.by_block || !piece.readable {
            return Ok(Known::unknown("it cannot be read by ranges of blocks"));
        }
        let step = (PART_BYTES / BLOCK_BYTES).max(1);
        let count = piece.blocks.div_ceil(step).max(1);
        for index in 0..count {
            let to = (index + 1 < count).then_some((index + 1) * step);
            all.push(QuickPart { relation: piece.relation.sql(), from: index * step, to });
        }
    }
    Ok(Known::Known(all))
}

/// Rows of a part and the sum of their hashes.
pub(crate) async fn sum(session: &Session, cx: &Context, request: &ScanRequest, part: &QuickPart) -> Result<QuickSum> {
    let plan = Plan::new(session, cx, request).await?;
    let columns = quote::list(plan.columns.iter().map(|column| format!("{ALIAS}.{}", quote::ident(&column.name))));
    let mut conditions = vec![format!("{ALIAS}.ctid >= '({},0)'::tid", part.from)];
    conditions.extend(part.to.map(|to| format!("{ALIAS}.ctid < '({to},0)'::tid")));
    conditions.extend(plan.condition());
    let sql = format!(
        "SELECT count(*), coalesce(sum(hash_record_extended(ROW({columns}), 0)::numeric), 0)::text \
         FROM ONLY {} AS {ALIAS} WHERE {}",
        part.relation,
        conditions.join(" AND ")
    );
    let row = session.query_one(cx, "sum up hashes", &sql, &[]).await?;
    Ok(QuickSum { rows: get::<i64>(&row, 0)?.unsigned_abs(), sum: get(&row, 1)? })
}
