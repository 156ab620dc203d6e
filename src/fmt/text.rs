//! Text for users in all languages. A message is written once, with its words in each language side
//! by side: [`words!`] if it is fixed, [`text!`] if it has arguments. The compiler checks that none
//! lacks a translation, and that its arguments are the same in all of them.

use crate::fmt::lang::Lang;

/// A fixed text in all languages, made by [`words!`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Words {
    en: &'static str,
    zh: &'static str,
}

impl Words {
    /// For [`words!`], which checks the translation.
    #[doc(hidden)]
    pub const fn new(en: &'static str, zh: &'static str) -> Self {
        Self { en, zh }
    }

    /// A name or a number, the same in all languages.
    pub const fn same(name: &'static str) -> Self {
        Self { en: name, zh: name }
    }

    /// The text in a language.
    pub const fn of(self, lang: Lang) -> &'static str {
        match lang {
            Lang::En => self.en,
            Lang::Zh => self.zh,
        }
    }

    /// The English text.
    pub const fn en(self) -> &'static str {
        self.en
    }
}

/// A text in all languages, made by [`text!`]. It has no `Display`: who prints it names a language,
/// and who puts it into another text names it there as a part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Text {
    en: String,
    zh: String,
}

impl Text {
    /// For [`text!`], which checks the translation.
    #[doc(hidden)]
    pub const fn new(en: String, zh: String) -> Self {
        Self { en, zh }
    }

    /// Names, numbers or the text of a program, the same in all languages.
    pub fn same(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            zh: text.clone(),
            en: text,
        }
    }

    /// The text in a language.
    pub fn of(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::Zh => &self.zh,
        }
    }

    /// The English text.
    pub fn en(&self) -> &str {
        &self.en
    }

    /// The texts, separated by semicolons.
    pub fn joined<'a>(texts: impl IntoIterator<Item = &'a Self> + Clone) -> Self {
        let join = |lang, separator: &str| {
            let texts = texts.clone().into_iter();
            texts
                .map(|text| text.of(lang))
                .collect::<Vec<_>>()
                .join(separator)
        };
        Self::new(join(Lang::En, "; "), join(Lang::Zh, "；"))
    }

    /// Names, separated by commas.
    pub fn list(names: &[String]) -> Self {
        Self::new(names.join(", "), names.join("、"))
    }

    /// This text, and directly after it another one.
    #[must_use]
    pub fn then(mut self, next: impl Into<Self>) -> Self {
        let next = next.into();
        self.en += &next.en;
        self.zh += &next.zh;
        self
    }
}

impl From<Words> for Text {
    fn from(words: Words) -> Self {
        Self::new(words.en.into(), words.zh.into())
    }
}

/// A fixed [`Words`]: the English text, then the Chinese one.
macro_rules! words {
    ($en:literal, $zh:literal $(,)?) => {
        const {
            $crate::fmt::text::check($en, $zh);
            $crate::fmt::text::Words::new($en, $zh)
        }
    };
}
pub(crate) use words;

/// A [`Text`]: the format of the English text, then of the Chinese one, with the same arguments,
/// which are variables. Those that are texts of all languages themselves are named after a
/// semicolon.
macro_rules! text {
    ($en:literal, $zh:literal $(; $($part:ident),+)? $(,)?) => {{
        const _: () = $crate::fmt::text::check($en, $zh);
        let in_language = |lang: $crate::fmt::lang::Lang| {
            $($(let $part = $part.of(lang);)+)?
            match lang {
                $crate::fmt::lang::Lang::En => ::std::format!($en),
                $crate::fmt::lang::Lang::Zh => ::std::format!($zh),
            }
        };
        let (en, zh) = (
            in_language($crate::fmt::lang::Lang::En),
            in_language($crate::fmt::lang::Lang::Zh),
        );
        $crate::fmt::text::Text::new(en, zh)
    }};
}
pub(crate) use text;

/// Checks a translation when it is compiled: the first text is not Chinese, the second one is, and
/// both have the same arguments.
///
/// # Panics
/// A check fails.
#[doc(hidden)]
pub const fn check(en: &str, zh: &str) {
    let (en, zh) = (en.as_bytes(), zh.as_bytes());
    assert!(!has_chinese(en), "the first text is the English one");
    assert!(has_chinese(zh), "the second text is the Chinese one");
    assert!(
        has_arguments_of(zh, en) && has_arguments_of(en, zh),
        "the languages have different arguments"
    );
    assert!(
        !has_english(zh),
        "the Chinese text has English words; a command stands in backquotes"
    );
}

/// Whether the text has a Chinese character: these start with one of six bytes in UTF-8.
const fn has_chinese(text: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        if text[at] >= 0xe4 && text[at] <= 0xe9 {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether each `{…}` of `other` is in `text`.
const fn has_arguments_of(text: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < other.len() {
        if other[at] == b'{' {
            let end = end_of_argument(other, at);
            if !has_part(text, other, at, end) {
                return false;
            }
            at = end;
        }
        at += 1;
    }
    true
}

/// The position of the `}` after `at`.
const fn end_of_argument(text: &[u8], mut at: usize) -> usize {
    while at + 1 < text.len() && text[at] != b'}' {
        at += 1;
    }
    at
}

/// Whether `part[from..=to]` is in `text`.
const fn has_part(text: &[u8], part: &[u8], from: usize, to: usize) -> bool {
    let length = to - from + 1;
    let mut start = 0;
    while start + length <= text.len() {
        let mut same = 0;
        while same < length && text[start + same] == part[from + same] {
            same += 1;
        }
        if same == length {
            return true;
        }
        start += 1;
    }
    false
}

/// Whether two English words follow each other outside of backquotes and arguments.
const fn has_english(text: &[u8]) -> bool {
    let (mut quoted, mut before, mut length, mut is_word) = (false, false, 0, true);
    let mut at = 0;
    while at <= text.len() {
        let byte = if at < text.len() { text[at] } else { b' ' };
        if byte == b'`' {
            quoted = !quoted;
        }
        if byte == b' ' {
            let word = is_word && length > 1;
            if word && before {
                return true;
            }
            (before, length, is_word) = (word, 0, true);
        } else if quoted || !byte.is_ascii_lowercase() {
            is_word = false;
        } else {
            length += 1;
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests;
