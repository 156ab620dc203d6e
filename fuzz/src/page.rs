//! The page of the device's data.

use diagnose_tools::backend::Backend;
use diagnose_tools::command::html;
use diagnose_tools::command::options::HtmlOptions;
use diagnose_tools::diagnose::Scope;
use diagnose_tools::error::{Error, Result};
use diagnose_tools::host::Host;
use diagnose_tools::render::{self, Style};

use crate::output::assert_text;

/// Writes the page.
pub fn write(
    device: &dyn Backend,
    host: &mut dyn Host,
    scope: Scope,
    style: &Style,
    out: &mut Vec<u8>,
) -> Result<()> {
    let options = HtmlOptions {
        scope,
        ..HtmlOptions::default()
    };
    let page = html::gather(device, host, &options)?;
    render::html::write(out, style, &page).map_err(Error::Write)
}

/// Asserts that all elements are closed in order, and that names of the device are text.
pub fn assert_page(page: &str) {
    // The style sheet has tabs.
    assert_text(&page.replace('\t', ""), false);
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').expect("the end of a tag");
        assert!(!text.contains('>') || tag == "style", "{text}");
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.starts_with('!') || tag.ends_with('/') => {}
            None => open.push(name),
        }
        assert!(
            !["script", "img", "iframe", "link"].contains(&name),
            "{tag}"
        );
    }
    assert!(open.is_empty(), "{open:?}");
}
