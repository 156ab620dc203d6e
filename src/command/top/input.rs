//! A line of text that is being typed.

use ratatui_crossterm::crossterm::event::KeyCode;

/// Longest text in characters.
const MOST: usize = 1_000;

/// The text, and the place in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    text: Vec<char>,
    cursor: usize,
}

impl Input {
    /// A text, with the cursor at its end.
    pub fn new(text: &str) -> Self {
        let text: Vec<_> = text.chars().collect();
        let cursor = text.len();
        Self { text, cursor }
    }

    /// The text.
    pub fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// Characters before the cursor.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Handles a key.
    pub fn key(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(c) if !c.is_control() && self.text.len() < MOST => {
                self.text.insert(self.cursor, c);
                self.cursor += 1;
            }
            KeyCode::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.cursor);
            }
            KeyCode::Delete if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right => self.cursor = (self.cursor + 1).min(self.text.len()),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_edited() {
        let mut input = Input::new("port=8");
        for code in [
            KeyCode::Char('0'),
            KeyCode::Home,
            KeyCode::Char('l'),
            KeyCode::Delete,
            KeyCode::Char('p'),
            KeyCode::End,
            KeyCode::Right,
            KeyCode::Backspace,
            KeyCode::Char('9'),
            KeyCode::Char('\n'),
            KeyCode::Left,
        ] {
            input.key(code);
        }
        assert_eq!((input.text().as_str(), input.cursor()), ("lport=89", 7));
    }

    #[test]
    fn a_text_has_a_most() {
        let mut input = Input::default();
        (0..2 * MOST).for_each(|_| input.key(KeyCode::Char('全')));
        assert_eq!(input.text().chars().count(), MOST);
        (0..3 * MOST).for_each(|_| input.key(KeyCode::Backspace));
        assert_eq!(input.text(), "");
    }
}
