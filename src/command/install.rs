//! `install` and `uninstall`.

use std::io::Write;

use crate::command::activate::{print, warn_discarded};
use crate::error::Result;
use crate::fmt::lang::Lang;
use crate::fmt::text::{Text, text, words};
use crate::module::load;

/// Loads the module, and prints which one in one line.
///
/// # Errors
/// Errors of [`load::install`].
pub fn install(lang: Lang, out: &mut dyn Write) -> Result<()> {
    let loaded = load::install()?;
    let word = match loaded.new {
        true => words!("installed", "已安装"),
        false => words!("already installed", "此前已安装"),
    };
    let version = loaded.version.name;
    let from = loaded.path.map_or(Text::default(), |path| {
        let path = path.display();
        text!(" from {path}", "，来自 {path}")
    });
    let text =
        text!("{word}: module {version}{from}", "{word}：内核模块 {version}{from}"; word, from);
    print(out, lang, &text)
}

/// Unloads the module. Events that no report has printed are discarded, with a warning on stderr.
///
/// # Errors
/// Errors of [`load::uninstall`].
pub fn uninstall(lang: Lang, out: &mut dyn Write) -> Result<()> {
    match load::uninstall()? {
        Some(lost) => {
            warn_discarded(lost);
            print(out, lang, &words!("uninstalled", "已卸载").into())
        }
        None => {
            let text = words!(
                "not installed: the module is not loaded",
                "未安装：内核模块未加载"
            );
            print(out, lang, &text.into())
        }
    }
}
