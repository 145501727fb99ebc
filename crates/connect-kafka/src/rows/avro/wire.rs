//! The binary form of Avro values.

use super::schema::{NESTING_MAX, Schema, Type, TypeId};

/// Values without bytes in one list, at most: nothing else bounds their number.
const EMPTY_ITEMS_MAX: u64 = 10_000;

/// What is left of a value.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// Items of a list or map that follow each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Items {
    pub(super) count: u64,
    /// Their bytes, where they are given.
    pub(super) bytes: Option<usize>,
}

fn short() -> String {
    "it ends early".to_owned()
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// Refuses bytes behind the end.
    pub(super) fn end(self) -> Result<(), String> {
        match self.rest.len() {
            0 => Ok(()),
            more => Err(format!("{more} bytes are left over")),
        }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(short)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A number in groups of seven bits, the sign in its lowest.
    pub(super) fn long(&mut self) -> Result<i64, String> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && byte > 1 {
                return Err("a number has more than 64 bits".to_owned());
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err("a number has more than 64 bits".to_owned())
    }

    pub(super) fn int(&mut self) -> Result<i32, String> {
        i32::try_from(self.long()?).map_err(|_| "a number has more than 32 bits".to_owned())
    }

    pub(super) fn boolean(&mut self) -> Result<bool, String> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(format!("a truth value is {other}")),
        }
    }

    pub(super) fn float(&mut self) -> Result<f32, String> {
        self.array().map(f32::from_le_bytes)
    }

    pub(super) fn double(&mut self) -> Result<f64, String> {
        self.array().map(f64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], String> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| "a length is negative".to_owned())?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a text is not UTF-8".to_owned())
    }

    /// Months, days and milliseconds.
    pub(super) fn duration(&mut self) -> Result<[u32; 3], String> {
        Ok([self.array()?, self.array()?, self.array()?].map(u32::from_le_bytes))
    }

    /// Which of `count` it is.
    pub(super) fn choice(&mut self, count: usize) -> Result<usize, String> {
        let chosen = self.long()?;
        let index = usize::try_from(chosen).ok().filter(|index| *index < count);
        index.ok_or_else(|| format!("number {chosen} of {count} is chosen"))
    }

    /// The next items of a list or map; none at its end. `empty` says that an item may have no bytes.
    pub(super) fn items(&mut self, empty: bool) -> Result<Option<Items>, String> {
        let count = self.long()?;
        let bytes = if count < 0 {
            let bytes = usize::try_from(self.long()?).map_err(|_| "a length is negative".to_owned())?;
            Some(bytes).filter(|bytes| *bytes <= self.rest.len()).map(Some).ok_or_else(short)?
        } else {
            None
        };
        let count = count.unsigned_abs();
        let possible = if empty { EMPTY_ITEMS_MAX } else { self.rest.len() as u64 };
        if count > possible {
            return Err(format!("a list of {count} items cannot be in {} bytes", self.rest.len()));
        }
        Ok((count > 0).then_some(Items { count, bytes }))
    }

    /// Passes over a value.
    pub(super) fn skip(&mut self, schema: &Schema, id: TypeId, depth: usize) -> Result<(), String> {
        check_depth(depth)?;
        if schema.is_empty(id) {
            return Ok(());
        }
        match schema.get(id) {
            Type::Null => Ok(()),
            Type::Boolean => self.boolean().map(drop),
            Type::Int | Type::Date => self.int().map(drop),
            Type::Time(paritas_model::TimeUnit::Milli) => self.int().map(drop),
            Type::Long | Type::Time(_) | Type::Timestamp { .. } => self.long().map(drop),
            Type::Enum(symbols) => self.choice(symbols.len()).map(drop),
            Type::Float => self.take(4).map(drop),
            Type::Double => self.take(8).map(drop),
            Type::Bytes | Type::Decimal { size: None, .. } => self.bytes().map(drop),
            Type::String | Type::Uuid { fixed: false } => self.text().map(drop),
            Type::Fixed(size) | Type::Decimal { size: Some(size), .. } => self.take(*size).map(drop),
            Type::Uuid { fixed: true } => self.take(16).map(drop),
            Type::Duration => self.take(12).map(drop),
            Type::Union(branches) => {
                let chosen = self.choice(branches.len())?;
                branches.get(chosen).map_or(Ok(()), |branch| self.skip(schema, *branch, depth + 1))
            }
            Type::Record(fields) => fields.iter().try_for_each(|(_, id)| self.skip(schema, *id, depth + 1)),
            Type::Array(item) => self.skip_items(schema, *item, false, depth),
            Type::Map(item) => self.skip_items(schema, *item, true, depth),
        }
    }

    fn skip_items(&mut self, schema: &Schema, item: TypeId, named: bool, depth: usize) -> Result<(), String> {
        while let Some(items) = self.items(!named && schema.is_empty(item))? {
            if let Some(bytes) = items.bytes {
                self.take(bytes)?;
                continue;
            }
            for _ in 0..items.count {
                if named {
                    self.text()?;
                }
                self.skip(schema, item, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Refuses values that are nested without end.
pub(super) fn check_depth(depth: usize) -> Result<(), String> {
    if depth > NESTING_MAX { Err(format!("it is nested more than {NESTING_MAX} deep")) } else { Ok(()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// A number as Avro writes it.
    pub(in super::super) fn long(value: i64) -> Vec<u8> {
        let mut rest = (value << 1 ^ value >> 63) as u64;
        let mut bytes = Vec::new();
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    }

    #[rstest]
    #[case(&[0x00], 0)]
    #[case(&[0x01], -1)]
    #[case(&[0x02], 1)]
    #[case(&[0x7F], -64)]
    #[case(&[0x80, 0x01], 64)]
    #[case(&[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], i64::MAX)]
    #[case(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], i64::MIN)]
    fn numbers_of_the_specification_are_read(#[case] bytes: &[u8], #[case] value: i64) {
        let mut reader = Reader::new(bytes);
        assert_eq!(reader.long().unwrap(), value);
        reader.end().unwrap();
        assert_eq!(long(value), bytes);
    }

    #[rstest]
    #[case(&[])]
    #[case(&[0x80])]
    #[case(&[0xFF; 9])]
    #[case(&[0xFF; 10])]
    #[case(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02])]
    fn numbers_that_are_cut_or_too_long_are_refused(#[case] bytes: &[u8]) {
        assert!(Reader::new(bytes).long().is_err());
    }

    #[test]
    fn lengths_are_never_trusted() {
        let mut huge = long(i64::MAX);
        assert!(Reader::new(&huge).bytes().is_err());
        assert!(Reader::new(&huge).items(false).is_err());
        assert!(Reader::new(&huge).items(true).is_err());
        assert!(Reader::new(&long(-1)).bytes().is_err());
        huge = [long(-1), long(i64::MAX)].concat();
        assert!(Reader::new(&huge).items(false).is_err());
        assert!(Reader::new(&[0x02, 0xFF]).text().is_err());
        assert!(Reader::new(&[2]).boolean().is_err());
        assert!(Reader::new(&long(2)).choice(2).is_err());
        assert!(Reader::new(&long(-1)).choice(2).is_err());
    }

    #[test]
    fn lists_may_say_how_long_they_are() {
        let schema = Schema::parse(r#"{"type":"array","items":"long"}"#).unwrap();
        let items = [long(3), long(1_000)].concat();
        let bytes = [long(-2), long(items.len() as i64), items.clone(), long(2), items, long(0)].concat();
        let mut reader = Reader::new(&bytes);
        reader.skip(&schema, schema.root(), 0).unwrap();
        reader.end().unwrap();
    }

    proptest! {
        #[test]
        fn every_number_comes_back(value: i64) {
            let bytes = long(value);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.long().unwrap(), value);
            prop_assert!(reader.end().is_ok());
        }
    }
}
