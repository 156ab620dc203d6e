//! The language of what a user reads.

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    Zh,
}

impl Lang {
    /// The languages, by their names on the command line.
    pub const NAMES: [(&'static str, Self); 2] = [("en", Self::En), ("zh", Self::Zh)];

    /// The language with this name on the command line.
    pub fn named(name: &str) -> Option<Self> {
        let known = Self::NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, lang)| *lang)
    }

    /// The language according to the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is not empty.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &&str| get(name).filter(|v| !v.is_empty());
        match ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(set) {
            Some(locale) if is_chinese(&locale) => Self::Zh,
            _ => Self::En,
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

    #[test]
    fn the_command_line_names_each() {
        assert_eq!(Lang::named("zh"), Some(Lang::Zh));
        assert_eq!(
            (Lang::named("en"), Lang::named("fr")),
            (Some(Lang::En), None)
        );
    }
}
