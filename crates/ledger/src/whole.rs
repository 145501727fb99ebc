//! Whole numbers of any size, in a machine word of 128 bits as long as they fit.

use crate::{Malformed, take, take_array};
use num_bigint::{BigInt, Sign};
use std::cmp::Ordering;

/// A whole number. Equal numbers may be held in either form.
#[derive(Debug, Clone)]
pub(crate) enum Whole {
    Small(i128),
    // Boxed: few numbers are, and every group holds several.
    Big(Box<BigInt>),
}

impl Whole {
    fn big(&self) -> BigInt {
        match self {
            Self::Small(small) => BigInt::from(*small),
            Self::Big(big) => (**big).clone(),
        }
    }

    /// The smallest form that holds it.
    pub(crate) fn of(big: BigInt) -> Self {
        i128::try_from(&big).map_or_else(|_| Self::Big(Box::new(big)), Self::Small)
    }

    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Self::Small(small) => *small == 0,
            Self::Big(big) => big.sign() == Sign::NoSign,
        }
    }

    pub(crate) fn is_negative(&self) -> bool {
        match self {
            Self::Small(small) => *small < 0,
            Self::Big(big) => big.sign() == Sign::Minus,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        if let (Self::Small(a), Self::Small(b)) = (&*self, other)
            && let Some(sum) = a.checked_add(*b)
        {
            *self = Self::Small(sum);
            return;
        }
        *self = Self::of(self.big() + other.big());
    }

    pub(crate) fn negated(&self) -> Self {
        match self {
            Self::Small(small) => small.checked_neg().map_or_else(|| Self::of(-self.big()), Self::Small),
            Self::Big(big) => Self::of(-(**big).clone()),
        }
    }

    /// Times ten to the `power`.
    pub(crate) fn shifted(&self, power: u32) -> Self {
        if self.is_zero() || power == 0 {
            return self.clone();
        }
        if let Self::Small(small) = self
            && let Some(product) = 10_i128.checked_pow(power).and_then(|ten| small.checked_mul(ten))
        {
            return Self::Small(product);
        }
        Self::of(self.big() * BigInt::from(10).pow(power))
    }

    pub(crate) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Small(a), Self::Small(b)) => a.cmp(b),
            (a, b) => a.big().cmp(&b.big()),
        }
    }

    /// The digits without a sign.
    pub(crate) fn digits(&self) -> String {
        match self {
            Self::Small(small) => small.unsigned_abs().to_string(),
            Self::Big(big) => big.magnitude().to_string(),
        }
    }

    /// From decimal digits alone.
    pub(crate) fn from_digits(digits: &str) -> Option<Self> {
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.is_empty() {
            return None;
        }
        match digits.parse::<i128>() {
            Ok(small) => Some(Self::Small(small)),
            Err(_) => BigInt::parse_bytes(digits.as_bytes(), 10).map(Self::of),
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Small(_) => 0,
            Self::Big(big) => size_of::<BigInt>() + usize::try_from(big.bits() / 8).unwrap_or(usize::MAX / 2) + 16,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Small(small) => {
                out.push(0);
                out.extend_from_slice(&small.to_le_bytes());
            }
            Self::Big(big) => {
                let bytes = big.to_signed_bytes_le();
                out.push(1);
                out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
                out.extend_from_slice(&bytes);
            }
        }
    }

    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let [form] = take_array(bytes)?;
        match form {
            0 => Ok(Self::Small(i128::from_le_bytes(take_array(bytes)?))),
            1 => {
                let length = usize::try_from(u64::from_le_bytes(take_array(bytes)?)).map_err(|_| Malformed)?;
                Ok(Self::of(BigInt::from_signed_bytes_le(take(bytes, length)?)))
            }
            _ => Err(Malformed),
        }
    }
}
