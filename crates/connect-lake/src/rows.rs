//! Batches in the canon's column order that know where their rows stand.

use arrow_array::{Array as _, ArrayRef, RecordBatch, RecordBatchOptions, StringViewArray};
use arrow_schema::{Field, FieldRef, Schema, SchemaRef};
use paritas_connect::{Error, FailureKind, FetchedRow, Result, render_arrow};
use paritas_digest::{Block, Canon, beyond_slot};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// The file that a batch is from, in the metadata of its schema.
const FILE: &str = "paritas.file";
/// The number of a batch's first row in its file, from 1.
const FIRST_ROW: &str = "paritas.first_row";

/// Puts columns into batches and marks each batch with its place.
#[derive(Debug)]
pub(crate) struct Batches {
    fields: Vec<FieldRef>,
    file: String,
}

impl Batches {
    /// Batches with these column names, in the canon's order, from one file.
    pub(crate) fn new<'a>(
        file: &str,
        columns: impl IntoIterator<Item = (&'a str, &'a arrow_schema::DataType)>,
    ) -> Self {
        let field = |(name, kind): (&str, &arrow_schema::DataType)| Arc::new(Field::new(name, kind.clone(), true));
        Self { fields: columns.into_iter().map(field).collect(), file: file.to_owned() }
    }

    /// A batch whose first row has this number in its file, from 1.
    pub(crate) fn batch(&self, first_row: u64, rows: usize, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
        self.with_fields(self.fields.clone(), first_row, rows, columns)
    }

    /// Some rows of the columns, of which the first is row `first_row` of the file. A column that has
    /// texts beyond its slot in the first of these rows has them in all.
    pub(crate) fn part(
        &self,
        first_row: u64,
        columns: &[ArrayRef],
        beyond: &[BTreeMap<usize, String>],
        rows: Range<usize>,
    ) -> Result<RecordBatch> {
        let (mut fields, mut arrays) = (Vec::with_capacity(columns.len()), Vec::with_capacity(columns.len()));
        for ((field, column), beyond) in self.fields.iter().zip(columns).zip(beyond) {
            if beyond.contains_key(&rows.start) {
                let texts = beyond.range(rows.clone()).map(|(_, text)| Some(text.as_str()));
                fields.push(Arc::new(beyond_slot(field.name())));
                arrays.push(Arc::new(texts.collect::<StringViewArray>()) as ArrayRef);
            } else {
                fields.push(Arc::clone(field));
                arrays.push(column.slice(rows.start, rows.len()));
            }
        }
        self.with_fields(fields, first_row.saturating_add(rows.start as u64), rows.len(), arrays)
    }

    fn with_fields(
        &self,
        fields: Vec<FieldRef>,
        first_row: u64,
        rows: usize,
        columns: Vec<ArrayRef>,
    ) -> Result<RecordBatch> {
        let metadata =
            HashMap::from([(FILE.to_owned(), self.file.clone()), (FIRST_ROW.to_owned(), first_row.to_string())]);
        let schema: SchemaRef = Arc::new(Schema::new_with_metadata(fields, metadata));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(schema, columns, &options).map_err(|error| {
            Error::new(FailureKind::Permanent, "data.unreadable", format!("{}: columns do not fit together", self.file))
                .because(error)
        })
    }
}

/// Rows of a batch for people, with their places.
pub(crate) fn render(canon: &Canon, block: &Block, rows: &[usize]) -> Result<Vec<FetchedRow>> {
    let Block::Arrow(batch) = block else {
        return Err(Error::unsupported("rows in wire form"));
    };
    let mut rendered = render_arrow(canon, batch, rows)?;
    let metadata = batch.schema_ref().metadata();
    let place = metadata.get(FILE).zip(metadata.get(FIRST_ROW).and_then(|first| first.parse::<u64>().ok()));
    if let Some((file, first)) = place {
        for (fetched, row) in rendered.iter_mut().zip(rows) {
            fetched.place = Some(format!("{file} row {}", first.saturating_add(*row as u64)));
        }
    }
    Ok(rendered)
}
