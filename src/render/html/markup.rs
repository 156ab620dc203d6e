//! Writes markup that is both HTML and XML. Names of elements and attributes are constants of this
//! program; all texts and values are escaped.

use std::fmt::{self, Display};
use std::io::{self, Write};

/// The name of an attribute, and its value.
pub type Attr<'a> = (&'static str, &'a dyn Display);

/// Markup that is being written.
pub struct Markup<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Markup<'a> {
    /// Writes to `out`.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self { out }
    }

    /// Writes an element with its content, on lines of its own.
    pub fn element(
        &mut self,
        name: &'static str,
        attrs: &[Attr],
        content: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        self.start(name, attrs)?;
        self.out.write_all(b">")?;
        content(self)?;
        writeln!(self.out, "</{name}>")
    }

    /// Writes an element that has only text.
    pub fn leaf(
        &mut self,
        name: &'static str,
        attrs: &[Attr],
        text: impl Display,
    ) -> io::Result<()> {
        self.start(name, attrs)?;
        self.out.write_all(b">")?;
        self.text(text)?;
        write!(self.out, "</{name}>")
    }

    /// Writes an element that has no content.
    pub fn void(&mut self, name: &'static str, attrs: &[Attr]) -> io::Result<()> {
        self.start(name, attrs)?;
        self.out.write_all(b" />")
    }

    /// Writes text.
    pub fn text(&mut self, text: impl Display) -> io::Result<()> {
        escaped(self.out, &text)
    }

    /// Writes a style sheet of this program.
    pub fn style(&mut self, css: &'static str) -> io::Result<()> {
        writeln!(self.out, "<style>\n{css}</style>")
    }

    fn start(&mut self, name: &'static str, attrs: &[Attr]) -> io::Result<()> {
        write!(self.out, "<{name}")?;
        for (name, value) in attrs {
            write!(self.out, " {name}=\"")?;
            escaped(self.out, value)?;
            self.out.write_all(b"\"")?;
        }
        Ok(())
    }
}

fn escaped(out: &mut dyn Write, value: &dyn Display) -> io::Result<()> {
    let mut escape = Escape { out, error: None };
    match fmt::write(&mut escape, format_args!("{value}")) {
        Ok(()) => Ok(()),
        Err(fmt::Error) => Err(escape
            .error
            .unwrap_or_else(|| io::Error::other("a value could not be formatted"))),
    }
}

/// Escapes what is written to it.
struct Escape<'a> {
    out: &'a mut dyn Write,
    error: Option<io::Error>,
}

impl fmt::Write for Escape<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.out, text).map_err(|error| {
            self.error = Some(error);
            fmt::Error
        })
    }
}

fn escape(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let mut from = 0;
    for (at, char) in text.char_indices() {
        if let Some(instead) = replacement(char) {
            out.write_all(&text.as_bytes()[from..at])?;
            out.write_all(instead.as_bytes())?;
            from = at + char.len_utf8();
        }
    }
    out.write_all(&text.as_bytes()[from..])
}

/// What is written instead of a character: an entity, or an escape sequence if XML has no such
/// character, or if it changes how others look.
fn replacement(char: char) -> Option<String> {
    let entity = match char {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&#39;",
        _ if char.is_control() || is_invisible(char) || is_no_character(char) => {
            return Some(char.escape_default().to_string());
        }
        _ => return None,
    };
    Some(entity.into())
}

/// Characters that change how others look, such as the direction of text.
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

/// Noncharacters, which neither HTML nor XML allows.
fn is_no_character(char: char) -> bool {
    u32::from(char) & 0xfffe == 0xfffe || matches!(char, '\u{fdd0}'..='\u{fdef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Markup) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut Markup::new(&mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn elements_are_closed() {
        let text = written(|m| {
            m.element("p", &[("class", &"a"), ("id", &7)], |m| {
                m.leaf("b", &[], "x")?;
                m.void("br", &[])
            })
        });
        assert_eq!(text, "<p class=\"a\" id=\"7\"><b>x</b><br /></p>\n");
    }

    #[test]
    fn every_text_stays_text() {
        let strange = "<script>alert('x')</script> & \"\u{202e}\u{1}\n\u{fffe}进程é";
        let expected = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; \
                        &quot;\\u{202e}\\u{1}\\n\\u{fffe}进程é";
        assert_eq!(written(|m| m.text(strange)), expected);
        let attribute = written(|m| m.void("p", &[("title", &strange)]));
        assert_eq!(attribute, format!("<p title=\"{expected}\" />"));
    }

    #[test]
    fn an_error_of_the_output_is_returned() {
        let mut room = [0; 5];
        let mut out = &mut room[..];
        let error = Markup::new(&mut out).text("longer").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
}
