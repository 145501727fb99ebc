//! Avro schemas, as far as their values become columns.
//!
//! Types live in one list and refer to each other by their place in it, so that a type may contain itself.
//! Source: Apache Avro specification, version 1.12.

use paritas_model::{Column, LogicalType, TimeUnit};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Bytes of a schema, at most.
pub(crate) const SCHEMA_BYTES_MAX: usize = 4 << 20;
/// Types within types, at most, in a schema and in a value.
pub(super) const NESTING_MAX: usize = 64;
/// Bytes of a value of type `fixed`, at most.
const FIXED_BYTES_MAX: u64 = 1 << 20;

/// The place of a type in its schema.
pub(super) type TypeId = usize;

/// One type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Vec<String>),
    Array(TypeId),
    Map(TypeId),
    Union(Vec<TypeId>),
    Record(Vec<(String, TypeId)>),
    /// A number of `precision` digits with the point before the last `scale`: `Bytes` or `Fixed` underneath.
    Decimal {
        size: Option<usize>,
        precision: u8,
        scale: i8,
    },
    /// `String` underneath, or 16 bytes.
    Uuid {
        fixed: bool,
    },
    Date,
    /// `Int` underneath for milliseconds, or else `Long`.
    Time(TimeUnit),
    Timestamp {
        unit: TimeUnit,
        zoned: bool,
    },
    /// Months, days and milliseconds in 12 bytes.
    Duration,
}

/// A schema.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    types: Vec<Type>,
    /// Types whose values have no bytes.
    empty: Vec<bool>,
    root: TypeId,
}

impl Schema {
    /// Reads a schema in its JSON form.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > SCHEMA_BYTES_MAX {
            return Err(format!("it is longer than {SCHEMA_BYTES_MAX} bytes"));
        }
        let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut parser = Parser { types: Vec::new(), named: HashMap::new() };
        let root = parser.any(&json, "", 0)?;
        let mut schema = Self { types: parser.types, empty: Vec::new(), root };
        schema.empty = schema.find_empty()?;
        Ok(schema)
    }

    pub(super) fn get(&self, id: TypeId) -> &Type {
        self.types.get(id).unwrap_or(&Type::Null)
    }

    pub(super) fn root(&self) -> TypeId {
        self.root
    }

    /// The fields of the record that the schema describes; nothing where it describes something else.
    pub(super) fn fields(&self) -> Option<&[(String, TypeId)]> {
        match self.get(self.root) {
            Type::Record(fields) => Some(fields),
            _ => None,
        }
    }

    /// The columns of its values: the fields of a record, or one of that name.
    pub(crate) fn columns(&self, scalar: &str) -> Vec<Column> {
        let column = |name: &str, id| {
            let logical = self.logical(id);
            let mut engine_type = format!("avro {}", self.name(id));
            if let LogicalType::Decimal { precision, scale } = &logical {
                engine_type.push_str(&format!("({precision},{scale})"));
            }
            Column { name: name.to_owned(), engine_type, logical, nullable: self.nullable(id).1 }
        };
        match self.fields() {
            Some(fields) => fields.iter().map(|(name, id)| column(name, *id)).collect(),
            None => vec![column(scalar, self.root)],
        }
    }

    /// The type of a field, by its place among the columns.
    pub(crate) fn field(&self, index: usize) -> TypeId {
        let field = self.fields().and_then(|fields| fields.get(index));
        field.map_or(self.root, |(_, id)| *id)
    }

    /// The one type beside null of a union of both, with whether null may occur.
    pub(super) fn nullable(&self, id: TypeId) -> (TypeId, bool) {
        let Type::Union(branches) = self.get(id) else { return (id, *self.get(id) == Type::Null) };
        let mut some = branches.iter().filter(|branch| *self.get(**branch) != Type::Null);
        match (some.next(), some.next()) {
            (Some(one), None) => (*one, branches.len() > 1),
            (None, _) => (id, true),
            // Several types in one column: shown as JSON, where null is null.
            (Some(_), Some(_)) => (id, branches.iter().any(|branch| *self.get(*branch) == Type::Null)),
        }
    }

    /// What the values of a type mean as a column.
    pub(super) fn logical(&self, id: TypeId) -> LogicalType {
        use LogicalType as L;
        match self.get(self.nullable(id).0) {
            Type::Null => L::Null,
            Type::Boolean => L::Bool,
            Type::Int => L::Int { bits: 32, signed: true },
            Type::Long => L::Int { bits: 64, signed: true },
            Type::Float => L::Float { bits: 32 },
            Type::Double => L::Float { bits: 64 },
            Type::Bytes => L::Bytes,
            Type::String | Type::Enum(_) => L::Text,
            Type::Fixed(length) => L::FixedBytes { length: u32::try_from(*length).unwrap_or(u32::MAX) },
            Type::Decimal { precision, scale, .. } => L::Decimal { precision: *precision, scale: *scale },
            Type::Uuid { .. } => L::Uuid,
            Type::Date => L::Date,
            Type::Time(unit) => L::Time { unit: *unit },
            Type::Timestamp { unit, zoned } => L::Timestamp { unit: *unit, zoned: *zoned },
            Type::Duration => L::Interval,
            Type::Union(branches) if branches.iter().all(|branch| *self.get(*branch) == Type::Null) => L::Null,
            Type::Array(_) | Type::Map(_) | Type::Union(_) | Type::Record(_) => L::Json,
        }
    }

    /// The name of a type for people.
    pub(super) fn name(&self, id: TypeId) -> &'static str {
        match self.get(self.nullable(id).0) {
            Type::Null => "null",
            Type::Boolean => "boolean",
            Type::Int => "int",
            Type::Long => "long",
            Type::Float => "float",
            Type::Double => "double",
            Type::Bytes => "bytes",
            Type::String => "string",
            Type::Fixed(_) => "fixed",
            Type::Enum(_) => "enum",
            Type::Array(_) => "array",
            Type::Map(_) => "map",
            Type::Union(_) => "union",
            Type::Record(_) => "record",
            Type::Decimal { .. } => "decimal",
            Type::Uuid { .. } => "uuid",
            Type::Date => "date",
            Type::Time(_) => "time",
            Type::Timestamp { zoned: true, .. } => "timestamp",
            Type::Timestamp { .. } => "local-timestamp",
            Type::Duration => "duration",
        }
    }

    /// Whether values of a type have no bytes at all, so that their number is not bounded by those that are there.
    pub(super) fn is_empty(&self, id: TypeId) -> bool {
        self.empty.get(id).copied().unwrap_or_default()
    }

    /// Which types have values without bytes. Refuses records whose fields lead back to them without a choice, as no
    /// value of them has an end, and nesting without end.
    fn find_empty(&self) -> Result<Vec<bool>, String> {
        let mut known = vec![Known::No; self.types.len()];
        for id in 0..self.types.len() {
            self.find_below(id, &mut known, 0)?;
        }
        Ok(known.into_iter().map(|known| known == Known::Empty).collect())
    }

    fn find_below(&self, id: TypeId, known: &mut [Known], depth: usize) -> Result<bool, String> {
        match known.get(id) {
            Some(Known::No) => {}
            Some(Known::Begun) => return Err("a record contains itself, so that no value of it has an end".to_owned()),
            Some(Known::Empty) => return Ok(true),
            _ => return Ok(false),
        }
        if depth > NESTING_MAX {
            return Err(format!("it is nested more than {NESTING_MAX} deep"));
        }
        let mut empty = matches!(self.get(id), Type::Null | Type::Fixed(0));
        if let Type::Record(fields) = self.get(id) {
            mark(known, id, Known::Begun);
            empty = true;
            for (_, field) in fields {
                empty &= self.find_below(*field, known, depth + 1)?;
            }
        }
        mark(known, id, if empty { Known::Empty } else { Known::Full });
        Ok(empty)
    }
}

/// What is known about the values of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    No,
    Begun,
    Empty,
    Full,
}

fn mark(known: &mut [Known], id: TypeId, as_: Known) {
    if let Some(known) = known.get_mut(id) {
        *known = as_;
    }
}

struct Parser {
    types: Vec<Type>,
    /// Named types by their full names.
    named: HashMap<String, TypeId>,
}

impl Parser {
    fn add(&mut self, kind: Type) -> TypeId {
        self.types.push(kind);
        self.types.len() - 1
    }

    fn any(&mut self, json: &Value, namespace: &str, depth: usize) -> Result<TypeId, String> {
        if depth > NESTING_MAX {
            return Err(format!("it is nested more than {NESTING_MAX} deep"));
        }
        match json {
            Value::String(name) => self.by_name(name, namespace),
            Value::Array(branches) => self.union(branches, namespace, depth),
            Value::Object(object) => self.object(object, namespace, depth),
            _ => Err("a type is neither a name, nor a list, nor an object".to_owned()),
        }
    }

    fn by_name(&mut self, name: &str, namespace: &str) -> Result<TypeId, String> {
        if let Some(kind) = primitive(name) {
            return Ok(self.add(kind));
        }
        let full = full_name(name, namespace);
        // A name without a namespace is looked for in the enclosing one first.
        let found = self.named.get(&full).or_else(|| self.named.get(name)).copied();
        found.ok_or_else(|| format!("there is no type {name:?}"))
    }

    fn union(&mut self, branches: &[Value], namespace: &str, depth: usize) -> Result<TypeId, String> {
        let mut ids = Vec::with_capacity(branches.len());
        for branch in branches {
            if branch.is_array() {
                return Err("a union stands inside a union".to_owned());
            }
            ids.push(self.any(branch, namespace, depth + 1)?);
        }
        if ids.is_empty() {
            return Err("a union has no branches".to_owned());
        }
        Ok(self.add(Type::Union(ids)))
    }

    fn object(&mut self, object: &Map<String, Value>, namespace: &str, depth: usize) -> Result<TypeId, String> {
        let kind = match object.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            Some(inner) => return self.any(inner, namespace, depth + 1),
            None => return Err("an object has no type".to_owned()),
        };
        match kind {
            "record" | "error" => return self.record(object, namespace, depth),
            "enum" | "fixed" => return self.named(kind, object, namespace),
            "array" | "map" => {
                let member = if kind == "array" { "items" } else { "values" };
                let inner = object.get(member).ok_or_else(|| format!("a type {kind} has no {member}"))?;
                let inner = self.any(inner, namespace, depth + 1)?;
                return Ok(self.add(if kind == "array" { Type::Array(inner) } else { Type::Map(inner) }));
            }
            _ => {}
        }
        match primitive(kind) {
            Some(kind) => Ok(self.add(logical(&kind, object).unwrap_or(kind))),
            None => self.by_name(kind, namespace),
        }
    }

    fn define(&mut self, object: &Map<String, Value>, namespace: &str) -> Result<(String, String), String> {
        let name = object.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| "a named type has no name".to_owned())?;
        let own = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        let full = full_name(name, own);
        if primitive(&full).is_some() || self.named.contains_key(&full) {
            return Err(format!("the type {full:?} is defined twice"));
        }
        let inside = full.rsplit_once('.').map_or("", |(inside, _)| inside).to_owned();
        Ok((full, inside))
    }

    fn named(&mut self, kind: &str, object: &Map<String, Value>, namespace: &str) -> Result<TypeId, String> {
        let (full, _) = self.define(object, namespace)?;
        let made = if kind == "enum" {
            let symbols = object.get("symbols").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let symbols: Option<Vec<String>> = symbols.iter().map(|s| s.as_str().map(str::to_owned)).collect();
            let symbols = symbols.filter(|symbols| !symbols.is_empty());
            Type::Enum(symbols.ok_or_else(|| format!("the enum {full:?} has no symbols"))?)
        } else {
            let size = object.get("size").and_then(Value::as_u64).filter(|size| *size <= FIXED_BYTES_MAX);
            let size = size.ok_or_else(|| format!("the size of {full:?} is no number up to {FIXED_BYTES_MAX}"))?;
            let fixed = Type::Fixed(usize::try_from(size).unwrap_or_default());
            logical(&fixed, object).unwrap_or(fixed)
        };
        let id = self.add(made);
        self.named.insert(full, id);
        Ok(id)
    }

    fn record(&mut self, object: &Map<String, Value>, namespace: &str, depth: usize) -> Result<TypeId, String> {
        let (full, inside) = self.define(object, namespace)?;
        // Known before its fields, which may mention it.
        let id = self.add(Type::Record(Vec::new()));
        self.named.insert(full.clone(), id);
        let listed = object.get("fields").and_then(Value::as_array);
        let listed = listed.ok_or_else(|| format!("the record {full:?} has no fields"))?;
        let mut fields: Vec<(String, TypeId)> = Vec::with_capacity(listed.len());
        let mut seen = std::collections::HashSet::new();
        for field in listed {
            let name = field.get("name").and_then(Value::as_str);
            let name = name.ok_or_else(|| format!("a field of {full:?} has no name"))?;
            if !seen.insert(name) {
                return Err(format!("the record {full:?} has two fields {name:?}"));
            }
            let kind = field.get("type").ok_or_else(|| format!("the field {name:?} of {full:?} has no type"))?;
            let kind = self.any(kind, &inside, depth + 1)?;
            fields.push((name.to_owned(), kind));
        }
        if let Some(record) = self.types.get_mut(id) {
            *record = Type::Record(fields);
        }
        Ok(id)
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn primitive(name: &str) -> Option<Type> {
    Some(match name {
        "null" => Type::Null,
        "boolean" => Type::Boolean,
        "int" => Type::Int,
        "long" => Type::Long,
        "float" => Type::Float,
        "double" => Type::Double,
        "bytes" => Type::Bytes,
        "string" => Type::String,
        _ => return None,
    })
}

/// The logical type over a type. One that is not known, or not possible, is to be ignored by the specification.
fn logical(kind: &Type, object: &Map<String, Value>) -> Option<Type> {
    let time = |unit| Some(Type::Time(unit));
    let timestamp = |unit, zoned| Some(Type::Timestamp { unit, zoned });
    match (object.get("logicalType").and_then(Value::as_str)?, kind) {
        ("decimal", Type::Bytes) => decimal(None, object),
        ("decimal", Type::Fixed(size)) => decimal(Some(*size), object),
        ("uuid", Type::String) => Some(Type::Uuid { fixed: false }),
        ("uuid", Type::Fixed(16)) => Some(Type::Uuid { fixed: true }),
        ("date", Type::Int) => Some(Type::Date),
        ("time-millis", Type::Int) => time(TimeUnit::Milli),
        ("time-micros", Type::Long) => time(TimeUnit::Micro),
        ("timestamp-millis", Type::Long) => timestamp(TimeUnit::Milli, true),
        ("timestamp-micros", Type::Long) => timestamp(TimeUnit::Micro, true),
        ("timestamp-nanos", Type::Long) => timestamp(TimeUnit::Nano, true),
        ("local-timestamp-millis", Type::Long) => timestamp(TimeUnit::Milli, false),
        ("local-timestamp-micros", Type::Long) => timestamp(TimeUnit::Micro, false),
        ("local-timestamp-nanos", Type::Long) => timestamp(TimeUnit::Nano, false),
        ("duration", Type::Fixed(12)) => Some(Type::Duration),
        _ => None,
    }
}

/// A decimal that a column can have.
fn decimal(size: Option<usize>, object: &Map<String, Value>) -> Option<Type> {
    let number = |name: &str| object.get(name).and_then(Value::as_u64).and_then(|number| u8::try_from(number).ok());
    let precision = number("precision").filter(|precision| (1..=76).contains(precision))?;
    let scale = if object.contains_key("scale") { number("scale")? } else { 0 };
    let scale = i8::try_from(scale).ok().filter(|_| scale <= precision)?;
    Some(Type::Decimal { size, precision, scale })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn columns(text: &str) -> String {
        let schema = Schema::parse(text).unwrap();
        let fields = schema.fields().unwrap();
        let shown = fields.iter().map(|(name, id)| {
            let null = if schema.nullable(*id).1 { "?" } else { "" };
            format!("{name}:{}{null}", schema.logical(*id))
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    fn record(fields: &str) -> String {
        format!(r#"{{"type":"record","name":"r","namespace":"n","fields":[{fields}]}}"#)
    }

    #[rstest]
    #[case(r#"{"name":"a","type":"long"},{"name":"b","type":["null","string"],"default":null}"#, "a:int64 b:text?")]
    #[case(
        r#"{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":10}}"#,
        "a:decimal(38,10)"
    )]
    #[case(
        r#"{"name":"a","type":[{"type":"fixed","name":"d","size":8,"logicalType":"decimal","precision":18},"null"]}"#,
        "a:decimal(18,0)?"
    )]
    #[case(r#"{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":99}}"#, "a:bytes")]
    #[case(r#"{"name":"a","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"b","type":{"type":"long","logicalType":"local-timestamp-nanos"}}"#, "a:timestamp(us, UTC) b:timestamp(ns)")]
    #[case(r#"{"name":"a","type":{"type":"string","logicalType":"uuid"}},{"name":"b","type":{"type":"int","logicalType":"date"}}"#, "a:uuid b:date")]
    #[case(r#"{"name":"a","type":{"type":"int","logicalType":"made-up"}}"#, "a:int32")]
    #[case(r#"{"name":"a","type":{"type":"enum","name":"e","symbols":["X","Y"]}},{"name":"b","type":"n.e"},{"name":"c","type":"e"}"#, "a:text b:text c:text")]
    #[case(r#"{"name":"a","type":{"type":"array","items":"int"}},{"name":"b","type":["int","string"]},{"name":"c","type":"null"}"#, "a:json b:json c:null?")]
    #[case(r#"{"name":"next","type":["null","r"]}"#, "next:json?")]
    #[case(r#"{"name":"a","type":{"type":{"type":"long"}}}"#, "a:int64")]
    fn fields_become_columns(#[case] fields: &str, #[case] shown: &str) {
        assert_eq!(columns(&record(fields)), shown);
    }

    #[rstest]
    #[case("")]
    #[case("1")]
    #[case("\"nothing\"")]
    #[case("[]")]
    #[case(r#"[["null"]]"#)]
    #[case(r#"{"type":"record","name":"r"}"#)]
    #[case(r#"{"type":"record","fields":[]}"#)]
    #[case(r#"{"type":"record","name":"r","fields":[{"name":"a"}]}"#)]
    #[case(r#"{"type":"record","name":"r","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#)]
    #[case(r#"{"type":"record","name":"r","fields":[{"name":"a","type":"r"}]}"#)]
    #[case(r#"{"type":"enum","name":"e","symbols":[]}"#)]
    #[case(r#"{"type":"fixed","name":"f","size":-1}"#)]
    #[case(r#"{"type":"fixed","name":"f","size":99999999999}"#)]
    #[case(r#"{"type":"array"}"#)]
    #[case(r#"{"type":"record","name":"int","fields":[]}"#)]
    fn what_is_no_schema_is_refused(#[case] text: &str) {
        assert!(Schema::parse(text).is_err());
    }

    #[test]
    fn types_without_bytes_are_known_however_they_are_built() {
        // Twice as many values in each layer, and all of them without a byte.
        let mut layers = r#"{"type":"record","name":"r0","fields":[{"name":"a","type":"null"}]}"#.to_owned();
        for index in 1..40 {
            let below = index - 1;
            layers = format!(
                r#"{{"type":"record","name":"r{index}","fields":[{{"name":"a","type":{layers}}},{{"name":"b","type":"r{below}"}}]}}"#
            );
        }
        let schema = Schema::parse(&layers).unwrap();
        assert!(schema.is_empty(schema.root()));
        let schema = Schema::parse(&record(r#"{"name":"a","type":["null"]}"#)).unwrap();
        assert!(!schema.is_empty(schema.root()));
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let deep = format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(100), "}".repeat(100));
        assert!(Schema::parse(&deep).is_err());
        let mut chain = String::from("\"int\"");
        for index in 0..100 {
            chain = format!(r#"{{"type":"record","name":"r{index}","fields":[{{"name":"a","type":{chain}}}]}}"#);
        }
        assert!(Schema::parse(&chain).is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[\\[\\]{}\",: a-z0-9]{0,60}") {
            let _ = Schema::parse(&text);
        }
    }
}
