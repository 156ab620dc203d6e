//! Texts of reports in English and Chinese. JSON, states, keys and errors are not translated.

pub mod findings;
mod hooks;
pub mod labels;
pub mod page;
pub mod tui;

use crate::render::i18n::labels::Labels;

/// A language of text reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    Zh,
}

impl Lang {
    /// The language according to the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is not empty.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &&str| get(name).filter(|v| !v.is_empty());
        match ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(set) {
            Some(locale) if is_chinese(&locale) => Self::Zh,
            _ => Self::En,
        }
    }

    /// The labels.
    pub fn labels(self) -> &'static Labels {
        match self {
            Self::En => &labels::EN,
            Self::Zh => &labels::ZH,
        }
    }
}

fn is_chinese(locale: &str) -> bool {
    let language = locale
        .split(['_', '.', '@', '-'])
        .next()
        .unwrap_or_default();
    language.eq_ignore_ascii_case("zh")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lang(variables: &[(&str, &str)]) -> Lang {
        Lang::from_env(|name| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn the_locale_chooses() {
        assert_eq!(lang(&[]), Lang::En);
        assert_eq!(lang(&[("LANG", "zh_CN.UTF-8")]), Lang::Zh);
        assert_eq!(lang(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")]), Lang::En);
        assert_eq!(lang(&[("LANG", "zh_CN"), ("LC_ALL", "")]), Lang::Zh);
        assert_eq!(
            lang(&[("LC_MESSAGES", "zh"), ("LANG", "en_US.UTF-8")]),
            Lang::Zh
        );
        assert_eq!(lang(&[("LANG", "zha_CN")]), Lang::En);
    }
}
