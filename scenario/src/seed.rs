//! A seed in TOML, whose integers end at 2^63 - 1: larger ones are quoted.

use serde::{Deserializer, Serializer, de::Visitor};

pub(crate) fn serialize<S: Serializer>(seed: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    match i64::try_from(*seed) {
        Ok(seed) => serializer.serialize_i64(seed),
        Err(_) => serializer.collect_str(seed),
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(Seed)
}

struct Seed;

impl Visitor<'_> for Seed {
    type Value = u64;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (last, plain) = (u64::MAX, i64::MAX);
        write!(formatter, "u64, a seed from 0 to {last}; beyond {plain} in quotes")
    }

    fn visit_u64<E>(self, seed: u64) -> Result<u64, E> {
        Ok(seed)
    }

    fn visit_i64<E: serde::de::Error>(self, seed: i64) -> Result<u64, E> {
        let unexpected = || E::invalid_value(serde::de::Unexpected::Signed(seed), &self);
        u64::try_from(seed).map_err(|_| unexpected())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
        text.parse().map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}
