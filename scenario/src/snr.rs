use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};

/// A number of dB, or a range from which every tick draws one, uniform in dB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SnrDb {
    /// Always this value.
    Fixed(f64),
    /// From the first to the second value.
    Range(f64, f64),
}

impl SnrDb {
    /// The smallest and the largest possible value.
    pub fn ends(self) -> [f64; 2] {
        match self {
            SnrDb::Fixed(snr_db) => [snr_db, snr_db],
            SnrDb::Range(low, high) => [low, high],
        }
    }

    /// Whether it is drawn from a range.
    pub fn is_range(self) -> bool {
        matches!(self, SnrDb::Range(..))
    }
}

impl Serialize for SnrDb {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            SnrDb::Fixed(snr_db) => serializer.serialize_f64(snr_db),
            SnrDb::Range(low, high) => [low, high].serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for SnrDb {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrTwo)
    }
}

struct NumberOrTwo;

impl<'de> Visitor<'de> for NumberOrTwo {
    type Value = SnrDb;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number of dB, or the two ends of a range")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<SnrDb, E> {
        Ok(SnrDb::Fixed(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<SnrDb, E> {
        Ok(SnrDb::Fixed(value as f64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut ends: A) -> Result<SnrDb, A::Error> {
        let mut values: Vec<f64> = Vec::new();
        while let Some(value) = ends.next_element()? {
            values.push(value);
        }
        match values[..] {
            [low, high] => Ok(SnrDb::Range(low, high)),
            _ => Err(A::Error::invalid_length(values.len(), &self)),
        }
    }
}
