//! Keys as DynamoDB has them: one or two attributes, each a string, a number or bytes.

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, KeySchemaElement, ScalarAttributeType,
};

use super::Attributes;
use crate::ReadError;

/// DynamoDB's limits, in bytes.
const LONGEST_PARTITION_KEY: usize = 2048;
const LONGEST_SORT_KEY: usize = 1024;

/// The type of a key attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// A string.
    S,
    /// A number.
    N,
    /// Bytes.
    B,
}

/// The primary key of a table or an index: the names and types of its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableKey {
    partition: (&'static str, KeyType),
    sort: Option<(&'static str, KeyType)>,
}

impl TableKey {
    /// A key of a partition key alone.
    pub const fn partition(name: &'static str, kind: KeyType) -> Self {
        TableKey {
            partition: (name, kind),
            sort: None,
        }
    }

    /// Adds a sort key.
    #[must_use]
    pub const fn sort(self, name: &'static str, kind: KeyType) -> Self {
        TableKey {
            partition: self.partition,
            sort: Some((name, kind)),
        }
    }

    /// The names of its attributes, the partition key first.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.attributes().map(|(name, _)| name)
    }

    /// What CreateTable wants to know of it, so that tests make the table that the function reads.
    ///
    /// # Errors
    /// None that a key can cause: the SDK's builders return one for what is not set.
    pub fn schema(self) -> Result<(Vec<KeySchemaElement>, Vec<AttributeDefinition>), BuildError> {
        use aws_sdk_dynamodb::types::KeyType::{Hash, Range};
        let roles = [Hash, Range];
        let elements = self.attributes().zip(roles).map(|((name, _), role)| {
            let element = KeySchemaElement::builder().attribute_name(name);
            element.key_type(role).build()
        });
        let definitions = self.attributes().map(|(name, kind)| {
            let kind = match kind {
                KeyType::S => ScalarAttributeType::S,
                KeyType::N => ScalarAttributeType::N,
                KeyType::B => ScalarAttributeType::B,
            };
            let definition = AttributeDefinition::builder().attribute_name(name);
            definition.attribute_type(kind).build()
        });
        Ok((
            elements.collect::<Result<_, _>>()?,
            definitions.collect::<Result<_, _>>()?,
        ))
    }

    pub(super) fn sort_name(self) -> Option<&'static str> {
        self.sort.map(|(name, _)| name)
    }

    /// The attributes of an item's key. What DynamoDB would refuse is refused here: of a batch it
    /// would refuse the other keys with it.
    pub(super) fn of(self, key: &ItemKey) -> Result<Attributes, ReadError> {
        match (self.sort, &key.sort) {
            (Some(_), None) => return Err(ReadError::Key("the table has a sort key: give both")),
            (None, Some(_)) => return Err(ReadError::Key("the table has no sort key")),
            _ => {}
        }
        let values = [Some(&key.partition), key.sort.as_ref()];
        let limits = [LONGEST_PARTITION_KEY, LONGEST_SORT_KEY];
        for ((value, (_, kind)), most) in values
            .into_iter()
            .flatten()
            .zip(self.attributes())
            .zip(limits)
        {
            value.check(kind, most)?;
        }
        let named = self.names().zip(values.into_iter().flatten());
        Ok(named
            .map(|(name, value)| (name.to_string(), value.into()))
            .collect())
    }

    /// The key of an item that DynamoDB returned.
    pub(super) fn find(self, item: &Attributes) -> Option<ItemKey> {
        let value = |name: &str| KeyValue::of(item.get(name)?);
        Some(ItemKey {
            partition: value(self.partition.0)?,
            sort: match self.sort {
                Some((name, _)) => Some(value(name)?),
                None => None,
            },
        })
    }

    fn attributes(self) -> impl Iterator<Item = (&'static str, KeyType)> {
        [Some(self.partition), self.sort].into_iter().flatten()
    }
}

/// The value of a key attribute. Made from text, from whole numbers, from a [`Number`] and from
/// bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyValue {
    /// A string.
    S(String),
    /// A number.
    N(Number),
    /// Bytes.
    B(Vec<u8>),
}

impl KeyValue {
    fn check(&self, kind: KeyType, most: usize) -> Result<(), ReadError> {
        let length = match (self, kind) {
            (KeyValue::S(text), KeyType::S) => text.len(),
            (KeyValue::B(bytes), KeyType::B) => bytes.len(),
            (KeyValue::N(_), KeyType::N) => return Ok(()),
            _ => {
                return Err(ReadError::Key(
                    "the key is of another type than the table's",
                ));
            }
        };
        match length {
            0 => Err(ReadError::Key("the key is empty")),
            _ if length > most => Err(ReadError::Key("the key is longer than DynamoDB allows")),
            _ => Ok(()),
        }
    }

    fn of(attribute: &AttributeValue) -> Option<Self> {
        match attribute {
            AttributeValue::S(text) => Some(KeyValue::S(text.clone())),
            AttributeValue::N(number) => Some(KeyValue::N(number.parse().ok()?)),
            AttributeValue::B(bytes) => Some(KeyValue::B(bytes.as_ref().to_vec())),
            _ => None,
        }
    }
}

impl From<&KeyValue> for AttributeValue {
    fn from(value: &KeyValue) -> Self {
        match value {
            KeyValue::S(text) => AttributeValue::S(text.clone()),
            KeyValue::N(number) => AttributeValue::N(number.0.clone()),
            KeyValue::B(bytes) => AttributeValue::B(Blob::new(bytes.clone())),
        }
    }
}

impl From<&str> for KeyValue {
    fn from(text: &str) -> Self {
        KeyValue::S(text.into())
    }
}

impl From<&String> for KeyValue {
    fn from(text: &String) -> Self {
        KeyValue::S(text.clone())
    }
}

impl From<String> for KeyValue {
    fn from(text: String) -> Self {
        KeyValue::S(text)
    }
}

impl From<Number> for KeyValue {
    fn from(number: Number) -> Self {
        KeyValue::N(number)
    }
}

impl From<Vec<u8>> for KeyValue {
    fn from(bytes: Vec<u8>) -> Self {
        KeyValue::B(bytes)
    }
}

macro_rules! whole_numbers {
    ($($type:ty)*) => {$(
        impl From<$type> for KeyValue {
            fn from(number: $type) -> Self {
                // Digits are always a number, of at most 20 of them here.
                KeyValue::N(Number(number.to_string()))
            }
        }
    )*};
}

whole_numbers!(u8 u16 u32 u64 i8 i16 i32 i64);

/// A number as DynamoDB has it: a decimal of at most 38 digits, exactly. Equal numbers are equal
/// however they were written.
///
/// ```
/// # use cache_core::dynamodb::Number;
/// let price: Number = "1.50".parse()?;
/// assert_eq!(price, "15E-1".parse()?);
/// assert!("1,5".parse::<Number>().is_err());
/// # Ok::<(), cache_core::dynamodb::NotANumber>(())
/// ```
// Its one way of being written: what DynamoDB returns is compared with what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number(String);

/// What is no number for DynamoDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a number is a decimal of at most 38 digits, from 1E-130 to 9.9E125 or zero")]
pub struct NotANumber;

impl std::str::FromStr for Number {
    type Err = NotANumber;

    fn from_str(text: &str) -> Result<Self, NotANumber> {
        let (text, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().map_err(|_| NotANumber)?),
            None => (text, 0),
        };
        let (sign, text) = match text.strip_prefix('-') {
            Some(text) => ("-", text),
            None => ("", text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotANumber);
        }
        let significant = digits.trim_start_matches('0').trim_end_matches('0');
        if significant.is_empty() {
            return Ok(Number("0".into()));
        }
        let trailing = digits.len() - digits.trim_end_matches('0').len();
        let shift = i32::try_from(trailing)
            .ok()
            .zip(i32::try_from(fraction.len()).ok());
        let exponent = shift.and_then(|(up, down)| exponent.checked_add(up)?.checked_sub(down));
        let exponent = exponent.ok_or(NotANumber)?;
        let length = significant.len() as i32;
        if length > 38 || !(-130..=125).contains(&exponent.saturating_add(length - 1)) {
            return Err(NotANumber);
        }
        Ok(Number(match exponent {
            // Whole numbers as everyone writes them.
            0..=37 if length + exponent <= 38 => {
                format!("{sign}{significant}{}", "0".repeat(exponent as usize))
            }
            _ => format!("{sign}{significant}E{exponent}"),
        }))
    }
}

/// The primary key of an item: the value of its partition key, and of its sort key if the table
/// has one. Made from one value or from two: `"CONFIG"`, `("TENANT#1", 7)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ItemKey {
    partition: KeyValue,
    sort: Option<KeyValue>,
}

impl<T: Into<KeyValue>> From<T> for ItemKey {
    fn from(partition: T) -> Self {
        ItemKey {
            partition: partition.into(),
            sort: None,
        }
    }
}

impl<P: Into<KeyValue>, S: Into<KeyValue>> From<(P, S)> for ItemKey {
    fn from((partition, sort): (P, S)) -> Self {
        ItemKey {
            partition: partition.into(),
            sort: Some(sort.into()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_way_of_being_written() {
        for (given, written) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("007", "7"),
            ("1200", "1200"),
            ("1.2E3", "1200"),
            ("-1.50", "-15E-1"),
            ("+5", "5"),
            ("1E125", "1E125"),
            ("0.001", "1E-3"),
        ] {
            assert_eq!(given.parse::<Number>().unwrap().0, written, "{given}");
        }
        let longest = "9".repeat(38);
        assert_eq!(longest.parse::<Number>().unwrap().0, longest);
    }

    #[test]
    fn what_dynamodb_takes_for_no_number_is_none() {
        let too_long = "9".repeat(39);
        for text in [
            "", "-", ".", "1e", "1,5", "0x1", "NaN", "1E126", "1E-131", &too_long,
        ] {
            assert_eq!(text.parse::<Number>(), Err(NotANumber), "{text}");
        }
        assert!("1E999999999999".parse::<Number>().is_err());
        assert!("1E2147483647".parse::<Number>().is_err());
    }

    #[test]
    fn a_key_has_as_many_parts_as_the_tables() {
        let one = TableKey::partition("PK", KeyType::S);
        let two = one.sort("SK", KeyType::N);
        assert!(one.of(&"a".into()).is_ok());
        assert!(one.of(&("a", 1).into()).is_err());
        assert!(two.of(&"a".into()).is_err());
        let wrong: [ItemKey; 4] = [
            (7, 1).into(),
            ("a", "1").into(),
            ("", 1).into(),
            ("a".repeat(2049), 1).into(),
        ];
        assert!(wrong.iter().all(|key| two.of(key).is_err()));
        assert!(two.of(&("a".repeat(2048), 1).into()).is_ok());
        let bytes = one.sort("SK", KeyType::B);
        assert!(bytes.of(&("a", vec![0; 1024]).into()).is_ok());
        assert!(bytes.of(&("a", vec![0; 1025]).into()).is_err());
        let item = two.of(&("a", 1).into()).unwrap();
        assert_eq!(item["SK"], AttributeValue::N("1".into()));
        assert_eq!(two.find(&item), Some(("a", 1).into()));
    }
}
