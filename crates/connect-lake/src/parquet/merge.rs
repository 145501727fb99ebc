//! One schema for many files.

use super::footer::Shape;
use super::types;
use crate::partition::{FOLDER_TYPE, Partition};
use paritas_connect::{Error, FailureKind, Result};
use paritas_model::{Column, LogicalType, Schema};
use std::collections::HashMap;

/// The columns of all files together, by name: a column that some files lack may be NULL, and a
/// column whose type differs is an error that names both files.
pub(crate) fn merge(shapes: &[Shape], partition: &Partition) -> Result<Schema> {
    let mut columns: Vec<Column> = Vec::new();
    let mut index: HashMap<String, (usize, usize)> = HashMap::new();
    let mut seen: Vec<u64> = Vec::new();
    for (number, shape) in shapes.iter().enumerate() {
        // Most files share their columns with the one before.
        let same = number.checked_sub(1).and_then(|before| shapes.get(before));
        let known = same.is_some_and(|before| std::sync::Arc::ptr_eq(&before.columns, &shape.columns));
        for column in shape.columns.iter() {
            match index.get(&column.name) {
                None => {
                    index.insert(column.name.clone(), (columns.len(), number));
                    columns.push(column.clone());
                    seen.push(1);
                }
                Some(&(at, first)) => {
                    if let Some(count) = seen.get_mut(at) {
                        *count += 1;
                    }
                    let Some(merged) = columns.get_mut(at) else { continue };
                    if !known {
                        let Some(logical) = types::unified(&merged.logical, &column.logical) else {
                            return Err(mismatch(shapes, first, number, merged, column));
                        };
                        merged.logical = logical;
                    }
                    merged.nullable |= column.nullable;
                }
            }
        }
    }
    for (column, count) in columns.iter_mut().zip(seen) {
        column.nullable |= count < shapes.len() as u64;
    }
    for name in partition.names() {
        // A column that is in the files as well is taken from the files.
        if !index.contains_key(name) {
            let engine_type = FOLDER_TYPE.to_owned();
            columns.push(Column { name: name.clone(), engine_type, logical: LogicalType::Untyped, nullable: true });
        }
    }
    Ok(Schema { columns, key: Vec::new(), facts: Vec::new() })
}

fn mismatch(shapes: &[Shape], first: usize, second: usize, merged: &Column, column: &Column) -> Error {
    let name = |number: usize| shapes.get(number).map_or("?", |shape| shape.file.name.as_str());
    let message = format!("column {:?} has two types in files of one dataset", column.name);
    let detail = format!(
        "It is {} ({}) in {} and {} ({}) in {}.",
        merged.logical,
        merged.engine_type,
        name(first),
        column.logical,
        column.engine_type,
        name(second)
    );
    Error::new(FailureKind::Permanent, "schema.mismatch", message)
        .detail(detail)
        .hint("compare the files of each type by themselves, with a pattern in the path")
}
