//! Texts of reports in English and Chinese. JSON, states and keys are not translated. Errors, the
//! help and other short messages have their words where they are made: [`crate::fmt::text`].

/// One table for all languages, so that no language can lack a text.
macro_rules! texts {
    ($(#[$doc:meta])* $name:ident: $($text:ident: $en:literal, $zh:literal;)*) => {
        $(#[$doc])*
        #[derive(Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is told by its English words")]
        pub struct $name {
            /// The language.
            pub lang: Lang,
            $(pub $text: &'static str,)*
        }
        pub(super) static EN: $name = $name { lang: Lang::En, $($text: $en,)* };
        pub(super) static ZH: $name = $name { lang: Lang::Zh, $($text: $zh,)* };
        #[cfg(test)]
        impl $name {
            fn all(&self) -> Vec<&'static str> {
                vec![$(self.$text,)*]
            }
        }
    };
}

pub mod findings;
pub mod hooks;
pub mod labels;
pub mod page;
pub mod tui;

pub use crate::fmt::lang::Lang;
use crate::render::i18n::labels::Labels;
use crate::render::i18n::page::PageLabels;
use crate::render::i18n::tui::Texts;

impl Lang {
    /// The labels of text reports.
    pub fn labels(self) -> &'static Labels {
        match self {
            Self::En => &labels::EN,
            Self::Zh => &labels::ZH,
        }
    }

    /// The labels of the page.
    pub fn page(self) -> &'static PageLabels {
        match self {
            Self::En => &page::EN,
            Self::Zh => &page::ZH,
        }
    }

    /// The texts of the live view.
    pub fn tui(self) -> &'static Texts {
        match self {
            Self::En => &tui::EN,
            Self::Zh => &tui::ZH,
        }
    }
}
