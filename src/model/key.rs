//! Keys of options: the name, values, default, help, and how a value is parsed and printed, in one
//! place. Parsing, messages, help, `--settings`, completions and the tables of the documentation
//! are generated from them. To add a key, add a [`Key`] to the table of its option.

use std::fmt;
use std::time::Duration;

use crate::fmt::text::{Text, Words, text, words};

/// A parsed value, or a text that describes the problem.
pub type Parsed<T> = std::result::Result<T, Text>;

/// A key of the option with settings `O`.
pub struct Key<O: 'static> {
    /// Name before the `=`.
    pub name: &'static str,
    /// Values that are allowed, and the field that they set.
    pub value: &'static dyn Value<O>,
    /// Value if the key is not given.
    pub initial: Initial,
    /// Description.
    pub help: Words,
}

/// Related keys.
pub struct Group<O: 'static> {
    /// Title of the section in the help. Groups of several options with the same title have the
    /// same keys, which are described once.
    pub title: Words,
    /// The keys.
    pub keys: &'static [Key<O>],
}

/// The keys of an option in the order of the help.
pub type Keys<O> = &'static [Group<O>];

/// Value of a key that is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initial {
    /// This value.
    Value(&'static str),
    /// The default of the settings' type, with this description.
    Words(Words),
}

impl Initial {
    /// The text in the help.
    pub const fn words(self) -> Words {
        match self {
            Self::Value(text) => Words::same(text),
            Self::Words(words) => words,
        }
    }
}

/// Looks up objects that a value may refer to on this host.
pub trait Lookup {
    /// The index of a device, by its name or index, in the namespace `netns` (0: the caller's).
    ///
    /// # Errors
    /// The problem and the remedy, as text.
    fn device(&self, name: &str, netns: u32) -> Parsed<u32>;
    /// The namespace in which devices are looked up: `netns`, or the caller's if that is 0.
    ///
    /// # Errors
    /// The remedy, as text.
    fn netns_of_devices(&self, netns: u32) -> Parsed<u32>;
    /// The inode number of the network namespace with this name, or at this path.
    ///
    /// # Errors
    /// Why there is none, as text.
    fn netns(&self, name: &str) -> Parsed<u32>;
}

/// The context in which values are parsed.
pub struct Context<'a> {
    /// The host for looking up names.
    pub host: &'a dyn Lookup,
    /// All keys that are given, with their values.
    pub given: &'a [(&'static str, &'a str)],
}

impl Context<'_> {
    /// The value of another key as given by the user.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }
}

/// The values of a key, as text and as settings in `O`.
pub trait Value<O>: Sync {
    /// Description of the allowed values.
    fn allowed(&self) -> Text;
    /// Parses the text and sets the value.
    ///
    /// # Errors
    /// The problem with the value, as text.
    fn set(&self, options: &mut O, text: &str, context: &Context) -> Parsed<()>;
    /// The text that would set the current value; `None`: no value is set.
    fn get(&self, options: &mut O) -> Option<String>;
    /// Whether it is set before other keys, because their values depend on it.
    fn comes_first(&self) -> bool {
        false
    }
    /// Whether `|` separates several values.
    fn is_list(&self) -> bool {
        false
    }
    /// Whether each text is a decimal number.
    fn is_number(&self) -> bool {
        false
    }
}

/// A key and its value, as `--settings` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: &'static str,
    /// The value as the user would write it.
    pub value: String,
    /// Whether the key only allows numbers.
    pub is_number: bool,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

/// All keys of an option.
pub fn all<O>(keys: Keys<O>) -> impl Iterator<Item = &'static Key<O>> {
    keys.iter().flat_map(|group| group.keys)
}

/// The pairs that would set the current values.
pub fn pairs<O>(keys: Keys<O>, mut options: O) -> Vec<Pair> {
    let pair = |key: &'static Key<O>| {
        Some(Pair {
            key: key.name,
            value: key.value.get(&mut options)?,
            is_number: key.value.is_number(),
        })
    };
    all(keys).filter_map(pair).collect()
}

/// The pairs as the user would write them.
pub fn joined(pairs: &[Pair]) -> String {
    let texts: Vec<_> = pairs.iter().map(Pair::to_string).collect();
    texts.join(" ")
}

/// A field for a value, which may be optional.
pub trait Slot {
    /// Type of the value.
    type Value: Copy;
    /// Sets the value.
    fn put(&mut self, value: Self::Value);
    /// The current value.
    fn held(&self) -> Option<Self::Value>;
}

impl<T: Copy> Slot for Option<T> {
    type Value = T;

    fn put(&mut self, value: T) {
        *self = Some(value);
    }

    fn held(&self) -> Option<T> {
        *self
    }
}

/// Implements [`Slot`] for fields of these types.
macro_rules! slots {
    ($($type:ty),*) => {$(
        impl $crate::model::key::Slot for $type {
            type Value = Self;

            fn put(&mut self, value: Self) {
                *self = value;
            }

            fn held(&self) -> Option<Self> {
                Some(*self)
            }
        }
    )*};
}
pub(crate) use slots;

slots!(bool, u8, u32, u64);

/// A field in whole seconds.
impl Slot for Duration {
    type Value = u64;

    fn put(&mut self, value: u64) {
        *self = Self::from_secs(value);
    }

    fn held(&self) -> Option<u64> {
        Some(self.as_secs())
    }
}

/// A value that is `0` or `1`.
pub struct Flag<O, S>(pub fn(&mut O) -> &mut S);

/// Parses `0` or `1`.
///
/// # Errors
/// The text is neither.
pub fn flag(text: &str) -> Parsed<bool> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(words!("it is not 0 or 1", "不是 0 或 1").into()),
    }
}

impl<O, S: Slot<Value = bool>> Value<O> for Flag<O, S> {
    fn allowed(&self) -> Text {
        words!("0 or 1", "0 或 1").into()
    }

    fn set(&self, options: &mut O, text: &str, _: &Context) -> Parsed<()> {
        (self.0)(options).put(flag(text)?);
        Ok(())
    }

    fn get(&self, options: &mut O) -> Option<String> {
        (self.0)(options).held().map(|on| u8::from(on).to_string())
    }
}

/// A decimal number from `low` to `high`. The field holds the number times `unit`.
pub struct Number<O, S> {
    /// The minimum.
    pub low: u64,
    /// The maximum.
    pub high: u64,
    /// The factor between the number and the field.
    pub unit: u64,
    /// The field that is set.
    pub field: fn(&mut O) -> &mut S,
}

impl<O, S> Number<O, S> {
    /// A number that the field holds unchanged.
    pub const fn new(low: u32, high: u32, field: fn(&mut O) -> &mut S) -> Self {
        Self {
            low: low as u64,
            high: high as u64,
            unit: 1,
            field,
        }
    }
}

/// Up to this many numbers are listed instead of their range.
const FEW: u64 = 3;

impl<O, S: Slot> Value<O> for Number<O, S>
where
    S::Value: TryFrom<u64> + Into<u64>,
{
    fn allowed(&self) -> Text {
        let (low, high) = (self.low, self.high);
        if high == u64::MAX {
            return text!("{low} or more", "{low} 或更大");
        }
        if high - low < FEW {
            return alternatives((low..=high).map(|n| n.to_string()).collect());
        }
        text!("{low} to {high}", "{low} 到 {high}")
    }

    fn set(&self, options: &mut O, text: &str, _: &Context) -> Parsed<()> {
        let number = number_in(text, self.low, self.high)?;
        let value = number.checked_mul(self.unit);
        let value = value.and_then(|n| S::Value::try_from(n).ok());
        (self.field)(options).put(value.ok_or_else(out_of_range)?);
        Ok(())
    }

    fn get(&self, options: &mut O) -> Option<String> {
        let value: u64 = (self.field)(options).held()?.into();
        Some((value / self.unit).to_string())
    }

    fn is_number(&self) -> bool {
        true
    }
}

/// A power of two from `low` to `high`.
pub struct PowerOfTwo<O, S> {
    /// The minimum.
    pub low: u32,
    /// The maximum.
    pub high: u32,
    /// The field that is set.
    pub field: fn(&mut O) -> &mut S,
}

impl<O, S: Slot<Value = u32>> Value<O> for PowerOfTwo<O, S> {
    fn allowed(&self) -> Text {
        let (low, high) = (self.low, self.high);
        text!(
            "a power of two from {low} to {high}",
            "{low} 到 {high} 之间的 2 的幂"
        )
    }

    fn set(&self, options: &mut O, text: &str, _: &Context) -> Parsed<()> {
        let number = number_in(text, self.low.into(), self.high.into())?;
        let number = u32::try_from(number).map_err(|_| out_of_range())?;
        if !number.is_power_of_two() {
            let above = number.next_power_of_two();
            let below = above / 2;
            return Err(text!(
                "it is not a power of two, the nearest are {below} and {above}",
                "不是 2 的幂，最接近的是 {below} 和 {above}"
            ));
        }
        (self.field)(options).put(number);
        Ok(())
    }

    fn get(&self, options: &mut O) -> Option<String> {
        (self.field)(options).held().map(|n| n.to_string())
    }

    fn is_number(&self) -> bool {
        true
    }
}

/// One of a few names.
pub struct Choice<O, S, T: 'static> {
    /// What the names are, with an article.
    pub what: Words,
    /// The names and their values.
    pub names: &'static [(&'static str, T)],
    /// The field that is set.
    pub field: fn(&mut O) -> &mut S,
}

impl<O, T, S> Value<O> for Choice<O, S, T>
where
    T: Copy + PartialEq + Sync,
    S: Slot<Value = T>,
{
    fn allowed(&self) -> Text {
        alternatives(self.names.iter().map(|(name, _)| (*name).into()).collect())
    }

    fn set(&self, options: &mut O, text: &str, _: &Context) -> Parsed<()> {
        let known = self.names.iter().find(|(name, _)| *name == text);
        let what = self.what;
        let (_, value) = known.ok_or_else(|| text!("it is not {what}", "不是{what}"; what))?;
        (self.field)(options).put(*value);
        Ok(())
    }

    fn get(&self, options: &mut O) -> Option<String> {
        let value = (self.field)(options).held()?;
        let known = self.names.iter().find(|(_, v)| *v == value);
        known.map(|(name, _)| (*name).to_owned())
    }

    fn is_number(&self) -> bool {
        let digits = |name: &str| name.bytes().all(|b| b.is_ascii_digit());
        self.names.iter().all(|(name, _)| digits(name))
    }
}

/// A value that cannot be combined with another key.
pub struct Without<V> {
    /// The value.
    pub value: V,
    /// The name of the other key.
    pub other: &'static str,
    /// Why they cannot be combined.
    pub reason: Words,
}

impl<O, V: Value<O>> Value<O> for Without<V> {
    fn allowed(&self) -> Text {
        let (value, other) = (self.value.allowed(), self.other);
        text!("{value}, not with {other}", "{value}，不能与 {other} 同时使用"; value)
    }

    fn set(&self, options: &mut O, text: &str, context: &Context) -> Parsed<()> {
        self.value.set(options, text, context)?;
        match context.given(self.other) {
            Some(_) => Err(self.reason.into()),
            None => Ok(()),
        }
    }

    fn get(&self, options: &mut O) -> Option<String> {
        self.value.get(options)
    }

    fn is_number(&self) -> bool {
        self.value.is_number()
    }
}

/// Joins names as `a, b or c`.
fn alternatives(mut names: Vec<String>) -> Text {
    let last = names.pop().unwrap_or_default();
    match names.is_empty() {
        true => Text::same(last),
        false => {
            let names = Text::list(&names);
            text!("{names} or {last}", "{names} 或 {last}"; names)
        }
    }
}

/// Parses a decimal number: digits only.
///
/// # Errors
/// The problem, as text.
pub fn number(text: &str) -> Parsed<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(words!("it is not a number", "不是数字").into());
    }
    text.parse().map_err(|_| out_of_range())
}

fn number_in(text: &str, low: u64, high: u64) -> Parsed<u64> {
    match number(text)? {
        n if (low..=high).contains(&n) => Ok(n),
        _ => Err(out_of_range()),
    }
}

/// The problem of a number that is too large or too small.
pub(crate) fn out_of_range() -> Text {
    words!("it is out of range", "超出范围").into()
}
