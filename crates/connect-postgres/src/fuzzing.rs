//! Entry points for fuzzing: what a server sends, without a server. Only in builds with `--cfg fuzzing`.

use crate::copy::CopyReader;
use crate::decode::{Decoder, Target};
use crate::pages::{Layout, alike, claims, compare, contradicts, is_blank, of_page};
use crate::plan::{Plan, PlanColumn, Shown};
use crate::relation::Relation;
use crate::rewrite::Rewrite;
use crate::rows::{canonical_image, key_of};
use paritas_connect::{Likeness, PagePair, Result, Transactions};
use paritas_digest::{Canon, CanonColumn, CanonKind, KeyForm, Policies, Slot};
use std::sync::Arc;

/// Rows that one input gives, at most.
const ROWS_MAX: usize = 1_000;

/// Reads a COPY stream in two chunks and decodes its rows into both canons. The first byte says where it is cut, the
/// second one of which types its columns are.
///
/// # Errors
/// Those of a stream that a server would not send.
pub fn copy(data: &[u8]) -> Result<()> {
    let Some(([cut, shape], stream)) = data.split_first_chunk::<2>() else { return Ok(()) };
    let columns = columns(*shape);
    let rewrites: Vec<Rewrite> = columns.iter().map(|(_, rewrite)| rewrite.clone()).collect();
    let mut decoder = Decoder::new(&plan(columns))?;
    let (mut image, mut key, mut rows) = (Vec::new(), Vec::new(), 0);
    let mut reader = CopyReader::new(rewrites.len())?;
    let mut row = |tuple: &[u8]| {
        rows += 1;
        if rows > ROWS_MAX {
            return Err(crate::errors::malformed("more rows than an input needs"));
        }
        image.clear();
        canonical_image(&rewrites, tuple, &mut image)?;
        for form in [KeyForm::Inline8, KeyForm::Fingerprint] {
            // A NULL is no key.
            let _refused = key_of(form, 1, &image, &mut key);
        }
        let mut restored = Vec::new();
        let mut fields = crate::bytes::Reader::new(&image);
        for rewrite in &rewrites {
            if let Some(value) = fields.field()? {
                rewrite.restore(value, &mut restored)?;
            }
        }
        decoder.push(tuple)
    };
    let (first, second) = stream.split_at(usize::from(*cut).min(stream.len()));
    reader.feed(first, &mut row)?;
    reader.feed(second, &mut row)?;
    reader.finish()?;
    decoder.finish().map(drop)
}

/// The layouts of pages, in the order of the first byte of an input.
const LAYOUTS: [&str; 9] =
    ["heap", "btree", "hash", "gin", "gist", "spgist", "brin", "sequence by 3", "visibility map"];
/// Where the flags of a page are, and the one that only the source may have alone.
const FLAGS: (usize, u8) = (10, 4);
/// Bytes that are changed to make a page much like another.
const EDITS_MAX: usize = 4;

/// Compares two pages, the halves of what follows the first byte, which says how they are laid out.
///
/// Returns whether a page is like itself, whether two pages are alike in both directions (a map may say
/// less than the other), and whether pages with seals that are alike are.
pub fn pages(data: &[u8]) -> (bool, bool, bool) {
    let Some((kind, rest)) = data.split_first() else { return (true, true, true) };
    let method = LAYOUTS.get(usize::from(*kind) % LAYOUTS.len()).copied().unwrap_or_default();
    let Some(layout) = Layout::of(method) else { return (false, false, false) };
    let (ours, theirs) = rest.split_at(rest.len() / 2);
    let (mut ours, mut theirs) = (ours.to_vec(), theirs.to_vec());
    for page in [&mut ours, &mut theirs] {
        if let Some(flags) = page.get_mut(FLAGS.0).filter(|_| layout == Layout::Heap) {
            *flags &= !FLAGS.1;
        }
    }
    let is_like = |source: &[u8], replica: &[u8]| {
        let _blank = is_blank(layout, u64::from(*kind), source);
        let pair = PagePair { relation: 0, method: "", block: u64::from(*kind), source, replica };
        compare(layout, &pair, &mut Transactions::default()) != Likeness::Different
    };
    for claim in claims(ours.len(), u64::from(*kind), &ours, &theirs) {
        let _wrong = contradicts(claim, &theirs);
    }
    let symmetric = layout == Layout::Map || is_like(&ours, &theirs) == is_like(&theirs, &ours);
    let edited = edited(&ours, &theirs);
    let sealed = |source: &[u8], replica: &[u8]| {
        let (ours, theirs) = (of_page(layout, source), of_page(layout, replica));
        !alike(layout, true, &ours, &theirs) || is_like(source, replica)
    };
    let seals_hold = sealed(&ours, &theirs) && sealed(&ours, &edited) && sealed(&edited, &ours);
    (is_like(&ours, &ours), symmetric, seals_hold)
}

/// A page with some bytes changed: a place in two bytes, and what to put there.
fn edited(page: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut page = page.to_vec();
    for edit in edits.chunks_exact(3).take(EDITS_MAX) {
        let [low, high, value] = edit else { continue };
        let at = usize::from(u16::from_le_bytes([*low, *high])) % page.len().max(1);
        if let Some(byte) = page.get_mut(at) {
            *byte = *value;
        }
    }
    page
}

fn columns(shape: u8) -> Vec<(Target, Rewrite)> {
    let text = || Target::Text { skip: 0 };
    let keep = || Box::new(Rewrite::Keep);
    let list = |item: Target, rewrite: Rewrite| (Target::List(Box::new(item)), Rewrite::Array(25, Box::new(rewrite)));
    match shape % 8 {
        0 => vec![(Target::Int { signed: true }, Rewrite::Keep), (text(), Rewrite::Keep)],
        1 => vec![
            (Target::Decimal { wide: false, scale: 8 }, Rewrite::Numeric),
            (Target::DecimalText, Rewrite::Numeric),
            (Target::Decimal { wide: true, scale: 30 }, Rewrite::Numeric),
        ],
        2 => vec![list(Target::Int { signed: true }, Rewrite::Keep), list(text(), Rewrite::Numeric)],
        3 => vec![(Target::Text { skip: 1 }, Rewrite::JsonAfter(1)), (text(), Rewrite::JsonAfter(0))],
        4 => vec![
            (Target::Bytes, Rewrite::Composite(vec![(23, Rewrite::Numeric), (25, Rewrite::Array(25, keep()))])),
            (Target::Bytes, Rewrite::Multirange(Box::new(Rewrite::Range(Box::new(Rewrite::Numeric))))),
        ],
        5 => vec![(Target::Float, Rewrite::Float8After(0)), (Target::Float, Rewrite::Float4)],
        6 => vec![
            (Target::Timestamp { zoned: true }, Rewrite::Keep),
            (Target::Date, Rewrite::Keep),
            (Target::Time, Rewrite::Keep),
            (Target::Interval, Rewrite::Keep),
        ],
        _ => vec![(Target::Uuid, Rewrite::Keep), (Target::Bool, Rewrite::Float8After(5))],
    }
}

fn plan(columns: Vec<(Target, Rewrite)>) -> Plan {
    let (mut slots, mut planned) = (Vec::new(), Vec::new());
    for (at, (target, rewrite)) in columns.into_iter().enumerate() {
        let name = format!("c{at}");
        slots.push(CanonColumn { name: name.clone(), slot: Slot::Text });
        planned.push(PlanColumn {
            expression: name.clone(),
            name,
            rewrite,
            shown: Shown::Text,
            sql_type: "text".to_owned(),
            equals: "=".to_owned(),
            by_text: false,
            ordered: false,
            grouped_by: None,
            target: Some(target),
        });
    }
    let canon = Canon { kind: CanonKind::Logical, columns: slots, key_columns: 1, policies: Policies::default() };
    let relation = Relation { oid: 0, schema: "public".to_owned(), name: "t".to_owned(), kind: 'r' };
    Plan { relation, canon: Arc::new(canon), columns: planned, filter: None, grouping: None }
}
