//! Texts of reports in English and Chinese. JSON, states and keys are not translated. Errors, the
//! help and other short messages have their words where they are made: [`crate::fmt::text`].

pub mod findings;
pub mod hooks;
pub mod labels;
pub mod page;
pub mod tui;

pub use crate::fmt::lang::Lang;
use crate::render::i18n::labels::Labels;

impl Lang {
    /// The labels.
    pub fn labels(self) -> &'static Labels {
        match self {
            Self::En => &labels::EN,
            Self::Zh => &labels::ZH,
        }
    }
}
