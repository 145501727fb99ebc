//! Amounts in Arrow columns of any numeric type, and in texts.

use arrow_array::cast::AsArray as _;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_schema::DataType;
use paritas_connect::{Error, FailureKind, Result, show_arrow};
use paritas_ledger::{Amount, Decimal};
use paritas_model::Value;

/// One column of a batch.
pub(super) struct Amounts<'a> {
    array: &'a ArrayRef,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    /// Whole numbers, with so many digits of them after the point.
    Whole(i32),
    Wide(i32),
    Text,
    /// Values that lie elsewhere, such as in a dictionary.
    Shown,
}

impl<'a> Amounts<'a> {
    /// The amounts of a column.
    ///
    /// # Errors
    /// `ledger.amount` for a type without exact numbers.
    pub(super) fn of(array: &'a ArrayRef) -> Result<Self> {
        let form = match array.data_type() {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Form::Whole(0),
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => Form::Whole(0),
            DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => {
                Form::Whole((*scale).into())
            }
            DataType::Decimal256(_, scale) => Form::Wide((*scale).into()),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Form::Text,
            DataType::Null => Form::Shown,
            DataType::Dictionary(_, value) if is_exact(value) => Form::Shown,
            DataType::RunEndEncoded(_, field) if is_exact(field.data_type()) => Form::Shown,
            other => {
                let error =
                    Error::new(FailureKind::Permanent, "ledger.amount", format!("{other} has no exact numbers"));
                return Err(error.hint("name a decimal or integer column"));
            }
        };
        Ok(Self { array, form })
    }

    /// The amount of a row; `None` where there is none.
    pub(super) fn at(&self, row: usize) -> Result<Option<Amount>> {
        if self.array.is_null(row) || *self.array.data_type() == DataType::Null {
            return Ok(None);
        }
        let finite =
            |decimal: Option<Decimal>| decimal.map(|decimal| Some(Amount::Finite(decimal))).ok_or_else(missing);
        match self.form {
            Form::Whole(scale) => finite(whole(self.array, row).map(|value| Decimal::new(value, scale))),
            Form::Wide(scale) => {
                let value = primitive::<Decimal256Type>(self.array, row);
                finite(value.map(|value| Decimal::from_le_bytes(&value.to_le_bytes(), scale)))
            }
            Form::Text => parse(text(self.array, row).ok_or_else(missing)?).map(Some),
            Form::Shown => match show_arrow(self.array, row)? {
                Value::Null => Ok(None),
                shown => parse(&shown.to_string()).map(Some),
            },
        }
    }
}

fn is_exact(kind: &DataType) -> bool {
    kind.is_integer() || kind.is_decimal() || matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn missing() -> Error {
    Error::new(FailureKind::Permanent, "internal.canon", "a value is missing from its column")
}

fn primitive<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> Option<T::Native> {
    array.as_primitive_opt::<T>().filter(|values| row < values.len()).map(|values| values.value(row))
}

fn whole(array: &dyn Array, row: usize) -> Option<i128> {
    fn of<T: ArrowPrimitiveType<Native: Into<i128>>>(array: &dyn Array, row: usize) -> Option<i128> {
        primitive::<T>(array, row).map(Into::into)
    }
    match array.data_type() {
        DataType::Int8 => of::<Int8Type>(array, row),
        DataType::Int16 => of::<Int16Type>(array, row),
        DataType::Int32 => of::<Int32Type>(array, row),
        DataType::Int64 => of::<Int64Type>(array, row),
        DataType::UInt8 => of::<UInt8Type>(array, row),
        DataType::UInt16 => of::<UInt16Type>(array, row),
        DataType::UInt32 => of::<UInt32Type>(array, row),
        DataType::UInt64 => of::<UInt64Type>(array, row),
        DataType::Decimal32(..) => of::<Decimal32Type>(array, row),
        DataType::Decimal64(..) => of::<Decimal64Type>(array, row),
        _ => of::<Decimal128Type>(array, row),
    }
}

fn text(array: &dyn Array, row: usize) -> Option<&str> {
    match array.data_type() {
        DataType::Utf8 => array.as_string_opt::<i32>().map(|values| values.value(row)),
        DataType::LargeUtf8 => array.as_string_opt::<i64>().map(|values| values.value(row)),
        _ => array.as_string_view_opt().map(|values| values.value(row)),
    }
}

fn parse(text: &str) -> Result<Amount> {
    text.parse().map_err(|_| {
        Error::new(FailureKind::Permanent, "ledger.amount", "a value is no number")
            .detail(format!("It is {text:?}."))
            .hint("declare the column's type, leave the row out with a condition, or correct it")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use arrow_array::*;
    use arrow_buffer::i256;
    use rstest::rstest;
    use std::sync::Arc;

    fn wide() -> ArrayRef {
        let value = i256::from_string(&"9".repeat(60)).unwrap();
        Arc::new(Decimal256Array::from(vec![Some(value), None]).with_precision_and_scale(70, 2).unwrap())
    }

    fn dictionary() -> ArrayRef {
        let values = Decimal128Array::from(vec![150]).with_precision_and_scale(10, 2).unwrap();
        Arc::new(DictionaryArray::new(Int8Array::from(vec![Some(0), None]), Arc::new(values)))
    }

    #[rstest]
    #[case(Arc::new(Int8Array::from(vec![Some(-128), None])), "-128")]
    #[case(Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])), "18446744073709551615")]
    #[case(Arc::new(Decimal128Array::from(vec![Some(-1050), None]).with_precision_and_scale(18, 2).unwrap()), "-10.50")]
    #[case(Arc::new(Decimal128Array::from(vec![Some(12), None]).with_precision_and_scale(5, -2).unwrap()), "1200")]
    #[case(wide(), &format!("{}.99", "9".repeat(58)))]
    #[case(Arc::new(StringArray::from(vec![Some("1e-3"), None])), "0.001")]
    #[case(Arc::new(StringViewArray::from(vec![Some("12345678901234567890.5"), None])), "12345678901234567890.5")]
    #[case(dictionary(), "1.50")]
    fn amounts_are_read_exactly_from_every_type(#[case] array: ArrayRef, #[case] expected: &str) {
        let amounts = Amounts::of(&array).unwrap();
        match amounts.at(0).unwrap().unwrap() {
            Amount::Finite(decimal) => assert_eq!(decimal.to_string(), expected),
            other => panic!("{other:?}"),
        }
        assert_eq!(amounts.at(1).unwrap(), None);
    }

    #[test]
    fn floats_and_texts_that_are_no_numbers_are_refused() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
        assert_eq!(Amounts::of(&floats).err().unwrap().code(), "ledger.amount");
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["1,50"]));
        let error = Amounts::of(&texts).unwrap().at(0).unwrap_err();
        assert_eq!((error.code(), error.message()), ("ledger.amount", "a value is no number"));
    }
}
