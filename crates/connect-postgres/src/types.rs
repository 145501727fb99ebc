//! Types as the catalog describes them, and what has to be done to their binary values.

use crate::errors::malformed;
use crate::session::{Session, get};
use paritas_connect::{Context, Error, FailureKind, Result};
use std::collections::{HashMap, HashSet};
use tokio_postgres::types::Oid;

/// Nesting of types inside types, at most; the server itself allows more only in theory.
const DEPTH_MAX: usize = 32;

/// A type of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeInfo {
    pub(crate) oid: Oid,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// As `format_type` writes it without modifiers.
    pub(crate) display: String,
    pub(crate) kind: Kind,
    /// Whether it has a binary send and receive function.
    pub(crate) sends: bool,
    pub(crate) receives: bool,
    /// The schema of an `=` operator of its own outside `pg_catalog`.
    pub(crate) equals_in: Option<String>,
    /// Whether `=` can be used at all.
    pub(crate) comparable: bool,
}

/// What a type is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Base,
    Enum,
    /// Another type with checks, and the modifier that it sets.
    Domain(Oid, i32),
    Array(Oid),
    /// Attribute names and types.
    Composite(Vec<(String, Oid)>),
    Range(Oid),
    /// Of that range type.
    Multirange(Oid),
}

impl TypeInfo {
    /// Types whose binary form holds object numbers of one database.
    fn is_local(&self) -> bool {
        const LOCAL: &[&str] = &[
            "regproc",
            "regprocedure",
            "regoper",
            "regoperator",
            "regclass",
            "regtype",
            "regconfig",
            "regdictionary",
            "regnamespace",
            "regrole",
            "regcollation",
            "regdatabase",
            "aclitem",
        ];
        self.schema == "pg_catalog" && LOCAL.contains(&self.name.as_str())
    }
}

/// All types that some columns need.
#[derive(Debug, Clone, Default)]
pub(crate) struct Types {
    by_oid: HashMap<Oid, TypeInfo>,
}

const QUERY: &str = "SELECT t.oid, n.nspname::text, t.typname::text, format_type(t.oid, NULL), t.typtype::text, \
      CASE WHEN t.typsubscript = 'array_subscript_handler'::regproc THEN t.typelem ELSE 0::oid END, \
      t.typbasetype, t.typtypmod, t.typsend <> 0, t.typreceive <> 0, \
      coalesce((SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid), \
               (SELECT r.rngtypid FROM pg_range r WHERE r.rngmultitypid = t.oid), 0::oid), \
      (SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}') FROM pg_attribute a \
        WHERE a.attrelid = t.typrelid AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped), \
      (SELECT coalesce(array_agg(a.atttypid ORDER BY a.attnum), '{}') FROM pg_attribute a \
        WHERE a.attrelid = t.typrelid AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped), \
      (SELECT o.oprnamespace::regnamespace::text FROM pg_operator o \
        WHERE o.oprname = '=' AND o.oprleft = t.oid AND o.oprright = t.oid \
          AND o.oprnamespace <> 'pg_catalog'::regnamespace LIMIT 1), \
      t.oid NOT IN ('json'::regtype, 'xml'::regtype, 'point'::regtype, 'polygon'::regtype, 'path'::regtype, \
                    'box'::regtype, 'lseg'::regtype, 'line'::regtype, 'circle'::regtype, 'jsonpath'::regtype) \
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = ANY($1)";

impl Types {
    /// Reads these types and everything they are made of.
    pub(crate) async fn load(session: &Session, cx: &Context, oids: impl IntoIterator<Item = Oid>) -> Result<Self> {
        let mut types = Self::default();
        let mut wanted: HashSet<Oid> = oids.into_iter().collect();
        for _ in 0..DEPTH_MAX {
            if wanted.is_empty() {
                return Ok(types);
            }
            let asked: Vec<Oid> = wanted.drain().collect();
            for row in session.query(cx, "read the types", QUERY, &[&asked]).await? {
                let info = info(&row)?;
                types.by_oid.insert(info.oid, info);
            }
            if let Some(oid) = asked.iter().find(|oid| !types.by_oid.contains_key(oid)) {
                return Err(malformed(format!("no description of type {oid}")));
            }
            let parts = asked.iter().filter_map(|oid| types.by_oid.get(oid)).flat_map(parts);
            wanted = parts.filter(|oid| !types.by_oid.contains_key(oid)).collect();
        }
        Err(Error::new(FailureKind::Permanent, "store.unsupported", "types are nested too deeply"))
    }

    /// The description of a loaded type.
    pub(crate) fn get(&self, oid: Oid) -> Result<&TypeInfo> {
        self.by_oid.get(&oid).ok_or_else(|| malformed(format!("a value of the unknown type {oid}")))
    }

    /// The type under all domains, and the modifier that holds for it.
    pub(crate) fn base(&self, oid: Oid, modifier: i32) -> Result<(&TypeInfo, i32)> {
        let mut info = self.get(oid)?;
        let mut modifier = modifier;
        for _ in 0..DEPTH_MAX {
            let Kind::Domain(base, sets) = info.kind else { return Ok((info, modifier)) };
            modifier = if modifier < 0 { sets } else { modifier };
            info = self.get(base)?;
        }
        Err(malformed("a domain over itself"))
    }

    /// Whether values have to be selected as text: their binary form means something in one
    /// database only, or does not exist.
    pub(crate) fn as_text(&self, oid: Oid) -> bool {
        self.as_text_within(oid, DEPTH_MAX)
    }

    /// A type and everything it is made of.
    pub(crate) fn within(&self, oid: Oid) -> Vec<Oid> {
        let mut all = vec![oid];
        let mut next = 0;
        while let Some(info) = all.get(next).and_then(|oid| self.by_oid.get(oid)) {
            next += 1;
            let new: Vec<Oid> = parts(info).into_iter().filter(|part| !all.contains(part)).collect();
            all.extend(new);
        }
        all
    }

    fn as_text_within(&self, oid: Oid, depth: usize) -> bool {
        let Some(info) = self.by_oid.get(&oid) else { return true };
        if depth == 0 || !info.sends || info.is_local() {
            return true;
        }
        parts(info).into_iter().any(|part| self.as_text_within(part, depth - 1))
    }

    /// The structure of a type by names, equal on two servers exactly when binary values mean the
    /// same. `None` for types that are told apart by their name alone.
    pub(crate) fn shape(&self, oid: Oid) -> Option<String> {
        let text = self.as_text(oid);
        let shape = self.shape_within(oid, DEPTH_MAX);
        match (text, shape) {
            (true, Some(shape)) => Some(format!("{shape} as text")),
            (true, None) => self.by_oid.get(&oid).map(|info| format!("{} as text", info.display)),
            (false, shape) => shape,
        }
    }

    fn shape_within(&self, oid: Oid, depth: usize) -> Option<String> {
        let info = self.by_oid.get(&oid)?;
        let depth = depth.checked_sub(1)?;
        let part = |oid: Oid| {
            let name = || self.by_oid.get(&oid).map_or_else(String::new, |part| part.display.clone());
            self.shape_within(oid, depth).unwrap_or_else(name)
        };
        match &info.kind {
            Kind::Base | Kind::Enum => None,
            Kind::Domain(base, _) => self.shape_within(*base, depth),
            Kind::Array(element) => self.shape_within(*element, depth).map(|shape| format!("{shape}[]")),
            Kind::Composite(fields) => {
                let fields: Vec<String> = fields.iter().map(|(name, oid)| format!("{name} {}", part(*oid))).collect();
                Some(format!("{}({})", info.display, fields.join(", ")))
            }
            Kind::Range(of) | Kind::Multirange(of) if info.schema != "pg_catalog" => {
                Some(format!("{}<{}>", info.display, part(*of)))
            }
            Kind::Range(_) | Kind::Multirange(_) => None,
        }
    }
}

/// The types that a type is made of.
fn parts(info: &TypeInfo) -> Vec<Oid> {
    match &info.kind {
        Kind::Base | Kind::Enum => Vec::new(),
        Kind::Domain(oid, _) | Kind::Array(oid) | Kind::Range(oid) | Kind::Multirange(oid) => vec![*oid],
        Kind::Composite(fields) => fields.iter().map(|(_, oid)| *oid).collect(),
    }
}

fn info(row: &tokio_postgres::Row) -> Result<TypeInfo> {
    let kind: String = get(row, 4)?;
    let (element, base, modifier): (Oid, Oid, i32) = (get(row, 5)?, get(row, 6)?, get(row, 7)?);
    let of: Oid = get(row, 10)?;
    let kind = match kind.as_str() {
        "e" => Kind::Enum,
        "d" => Kind::Domain(base, modifier),
        "r" => Kind::Range(of),
        "m" => Kind::Multirange(of),
        "c" => {
            let (names, types): (Vec<String>, Vec<Oid>) = (get(row, 11)?, get(row, 12)?);
            Kind::Composite(names.into_iter().zip(types).collect())
        }
        _ if element != 0 => Kind::Array(element),
        _ => Kind::Base,
    };
    Ok(TypeInfo {
        oid: get(row, 0)?,
        schema: get(row, 1)?,
        name: get(row, 2)?,
        display: get(row, 3)?,
        kind,
        sends: get(row, 8)?,
        receives: get(row, 9)?,
        equals_in: get(row, 13)?,
        comparable: get(row, 14)?,
    })
}
