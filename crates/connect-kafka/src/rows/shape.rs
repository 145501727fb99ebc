//! Which columns the records of a topic have.

use super::avro::{SCHEMA_BYTES_MAX, Schema as AvroSchema};
use super::field::{COLUMNS_MAX, Field, parse_file};
use super::json::Members;
use super::options::{Extra, Format, RowOptions};
use paritas_connect::{Error, FailureKind, Result};
use paritas_model::{Column, LogicalType, Schema, TimeUnit};
use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

/// The name of the column that a raw value is.
const VALUE: &str = "value";
/// The name of the column that a key of Avro is, where it is no record.
const KEY: &str = "key";

/// What the bytes of a key or value have for columns.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// None.
    Nothing,
    /// Themselves.
    Raw,
    /// Members of a JSON object at the end of a path. A key that has one field may be that value alone.
    Json { fields: Vec<Field>, members: Members, inside: Vec<String>, scalar: bool },
    /// One text.
    Text(Field),
    /// One integer.
    Integer(Field),
    /// Fields of an Avro record, or a value of that name.
    Avro { schema: Arc<AvroSchema>, scalar: &'static str },
}

/// Where a column's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A field of the key.
    Key(usize),
    /// A field of the value.
    Value(usize),
    /// Something else of the record.
    Extra(Extra),
}

/// The columns of a topic.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) key: Part,
    pub(super) value: Part,
    origins: Vec<Origin>,
    schema: Schema,
}

/// Columns that were declared somewhere; read once.
#[derive(Debug, Clone)]
pub(super) struct Declared {
    key: Part,
    /// Nothing where the members of JSON objects are to be found out.
    value: Option<Part>,
}

impl Declared {
    /// Reads the files that the options name.
    ///
    /// # Errors
    /// `config.file` for a file that cannot be read or is no schema.
    pub(super) fn new(options: &RowOptions) -> Result<Self> {
        let value = match options.format {
            Format::Avro => match &options.schema {
                Some(path) => Some(Part::Avro { schema: avro(path)?, scalar: VALUE }),
                None => None,
            },
            Format::Json => match (&options.fields, &options.schema) {
                (Some(fields), _) => Some(json(fields.clone(), options.inside.clone(), true, false)),
                (None, Some(path)) => Some(json(parse_file(&text(path)?)?, options.inside.clone(), true, false)),
                (None, None) => None,
            },
            Format::Raw | Format::Text | Format::Integer => Some(Part::Raw),
        };
        let fields = options.key_fields.clone().unwrap_or_default();
        let key = match (options.key_format(), &options.key_schema, fields.first()) {
            (Some(Format::Avro), Some(path), _) => Part::Avro { schema: avro(path)?, scalar: KEY },
            (Some(Format::Json), _, Some(_)) => {
                let scalar = fields.len() == 1;
                json(fields, Vec::new(), true, scalar)
            }
            (Some(Format::Text), _, Some(field)) => Part::Text(field.clone()),
            (Some(Format::Integer), _, Some(field)) => Part::Integer(field.clone()),
            _ => Part::Nothing,
        };
        Ok(Self { key, value })
    }

    /// Whether records have to be looked at to know their columns.
    pub(super) fn is_open(&self) -> bool {
        self.value.is_none()
    }

    /// The columns; `found` are the members of JSON objects, where they are not declared.
    ///
    /// # Errors
    /// `config.option` where two columns have one name, `schema.unknown` where there is no column.
    pub(super) fn shape(&self, options: &RowOptions, found: Vec<String>) -> Result<Shape> {
        let value = self.value.clone().unwrap_or_else(|| {
            let fields = found.into_iter().map(Field::untyped).collect();
            json(fields, options.inside.clone(), false, false)
        });
        let mut shape = Shape { key: self.key.clone(), value, origins: Vec::new(), schema: Schema::default() };
        for (index, column) in shape.key.columns().into_iter().enumerate() {
            shape.schema.key.push(column.name.clone());
            shape.add(column, Origin::Key(index));
        }
        for (index, column) in shape.value.columns().into_iter().enumerate() {
            shape.add(column, Origin::Value(index));
        }
        for extra in options.extras() {
            shape.add(extra.column(), Origin::Extra(extra));
        }
        shape.check()?;
        Ok(shape)
    }
}

impl Shape {
    fn add(&mut self, column: Column, origin: Origin) {
        self.schema.columns.push(column);
        self.origins.push(origin);
    }

    fn check(&self) -> Result<()> {
        let columns = &self.schema.columns;
        let mut seen = HashSet::new();
        if let Some(twice) = columns.iter().find(|column| !seen.insert(column.name.as_str())) {
            let message = format!("two columns of the topic are called {:?}", twice.name);
            return Err(Error::new(FailureKind::Permanent, "config.option", message)
                .hint("leave out the field, or what `key_fields` or `with` adds under the same name"));
        }
        match columns.len() {
            0 => Err(Error::new(FailureKind::Permanent, "schema.unknown", "no column of the topic is known")
                .hint("declare the columns, as in fields=id:int64,amount:decimal(38,10)")),
            1..=COLUMNS_MAX => Ok(()),
            more => Err(Error::new(FailureKind::Permanent, "schema.unknown", format!("the topic has {more} columns"))
                .hint(format!("{COLUMNS_MAX} are possible; declare those that matter with `fields`"))),
        }
    }

    /// Columns and key for whoever plans.
    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Everything that decides how a record becomes a row, as one text: the same for the same layout.
    pub(super) fn layout(&self, options: &RowOptions) -> String {
        let (key, value) = (self.key.layout(), self.value.layout());
        format!("{options:?}\n{key}\n{value}\n{:?}\n{:?}", self.origins, self.schema)
    }

    /// Where the values of a column are.
    pub(super) fn origin(&self, name: &str) -> Option<Origin> {
        let index = self.schema.columns.iter().position(|column| column.name == name)?;
        self.origins.get(index).copied()
    }
}

impl Part {
    fn layout(&self) -> String {
        match self {
            Self::Json { fields, members, inside, scalar } => {
                format!("json {fields:?} {} {inside:?} {scalar}", members.is_open())
            }
            Self::Avro { schema, scalar } => format!("avro {schema:?} {scalar}"),
            Self::Nothing | Self::Raw | Self::Text(_) | Self::Integer(_) => format!("{self:?}"),
        }
    }

    fn columns(&self) -> Vec<Column> {
        let one = |field: &Field, what: &str| Column {
            name: field.name.clone(),
            engine_type: format!("{what} {}", field.logical),
            logical: field.logical.clone(),
            nullable: true,
        };
        match self {
            Self::Nothing => Vec::new(),
            Self::Raw => vec![Column {
                name: VALUE.to_owned(),
                engine_type: "bytes".to_owned(),
                logical: LogicalType::Bytes,
                nullable: true,
            }],
            Self::Json { fields, .. } => fields.iter().map(|field| one(field, "JSON")).collect(),
            Self::Text(field) => vec![one(field, "text")],
            Self::Integer(field) => vec![one(field, "integer")],
            Self::Avro { schema, scalar } => schema.columns(scalar),
        }
    }
}

impl Extra {
    fn column(self) -> Column {
        let (engine_type, logical, nullable) = match self {
            Self::Key => ("bytes", LogicalType::Bytes, true),
            Self::Headers => ("headers", LogicalType::Json, false),
            Self::Timestamp => ("timestamp", LogicalType::Timestamp { unit: TimeUnit::Milli, zoned: true }, true),
            Self::Partition => ("partition", LogicalType::Int { bits: 32, signed: true }, false),
            Self::Offset => ("offset", LogicalType::Int { bits: 64, signed: true }, false),
        };
        Column { name: self.name().to_owned(), engine_type: engine_type.to_owned(), logical, nullable }
    }
}

fn json(fields: Vec<Field>, inside: Vec<String>, open: bool, scalar: bool) -> Part {
    let members = Members::new(fields.iter().map(|field| field.name.as_str()), open);
    Part::Json { fields, members, inside, scalar }
}

fn avro(path: &Path) -> Result<Arc<AvroSchema>> {
    let schema = AvroSchema::parse(&text(path)?).map_err(|why| {
        Error::new(FailureKind::Permanent, "config.file", format!("{} is no Avro schema", path.display()))
            .detail(why)
            .hint("write the schema as a schema registry shows it, in JSON")
    })?;
    Ok(Arc::new(schema))
}

/// A file that the options name.
fn text(path: &Path) -> Result<String> {
    let failed = |error: std::io::Error| {
        Error::new(FailureKind::Permanent, "config.file", format!("cannot read {}", path.display()))
            .because(error)
            .hint("check the path of `schema` or `key_schema`; it is a file of this machine")
    };
    let limit = SCHEMA_BYTES_MAX as u64 + 1;
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text)).map_err(failed)?;
    if text.len() > SCHEMA_BYTES_MAX {
        let message = format!("{} is longer than {SCHEMA_BYTES_MAX} bytes", path.display());
        return Err(Error::new(FailureKind::Permanent, "config.file", message).hint("name a file that is a schema"));
    }
    Ok(text)
}
