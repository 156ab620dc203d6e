//! What the user has chosen, and what each key does.

use ratatui_crossterm::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::command::top::input::Input;
use crate::model::top::screen::{By, Order, Screen};
use crate::render::tui::view::{Filter, Lines};

/// What is open above a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Nothing.
    Nothing,
    /// The help.
    Help,
    /// The time line of a connection, by the module's id.
    TimeLine(u64),
}

/// What is to be done after a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Todo {
    /// Draw.
    Draw,
    /// Collect the lines again, and draw.
    Collect,
    /// Draw everything.
    Redraw,
    /// Open the selected line.
    Open,
    /// Use this filter.
    Filter(String),
    /// Go on, or stand still.
    Pause(bool),
    /// Go to another moment of the capture.
    Go(Go),
    /// Stop the process.
    Stop,
    /// End.
    Quit,
}

/// A way in a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// To the start.
    Start,
    /// To the end.
    End,
    /// So many steps.
    Steps(i64),
    /// To the next event, or the last one before.
    Event(bool),
}

/// The lines of a screen that are in the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    selected: usize,
    first: usize,
}

/// The state of the view.
#[derive(Debug)]
pub struct Ui {
    /// The current screen.
    pub screen: Screen,
    /// What is above it.
    pub over: Over,
    /// What connections are grouped by.
    pub by: By,
    /// The filter.
    pub filter: Filter,
    /// Whether the live view is paused, or the capture is not being played.
    pub paused: bool,
    /// Whether it shows a capture.
    is_capture: bool,
    input: Option<Input>,
    orders: [usize; Screen::ALL.len()],
    reversed: [bool; Screen::ALL.len()],
    /// The places of the screens, of the time line and of the help.
    places: [Place; Screen::ALL.len() + 2],
    /// The screen and the filter before a line was opened.
    before: Option<(Screen, String)>,
}

impl Ui {
    /// The state at the start.
    pub fn new(screen: Screen, sort: Option<Order>, is_capture: bool) -> Self {
        let order = |screen: Screen| {
            let orders = screen.orders();
            let chosen = sort.and_then(|sort| orders.iter().position(|order| *order == sort));
            chosen.unwrap_or(0)
        };
        Self {
            screen,
            over: Over::Nothing,
            by: By::default(),
            filter: Filter::default(),
            paused: is_capture,
            is_capture,
            input: None,
            orders: Screen::ALL.map(order),
            reversed: [false; Screen::ALL.len()],
            places: Default::default(),
            before: None,
        }
    }

    /// The order of the lines, and whether it is reversed.
    pub fn order(&self) -> Option<(Order, bool)> {
        let index = self.screen.index();
        let order = self.screen.orders().get(self.orders[index])?;
        Some((*order, self.reversed[index]))
    }

    fn place(&mut self) -> &mut Place {
        let index = match self.over {
            Over::Nothing => self.screen.index(),
            Over::TimeLine(_) => Screen::ALL.len(),
            Over::Help => Screen::ALL.len() + 1,
        };
        &mut self.places[index]
    }

    /// The window of `page` lines into `total` lines, of which there are `matched`. Moves the window
    /// to the selected line.
    pub fn window(&mut self, total: usize, matched: u64, page: usize) -> Lines {
        let (scrolls, page) = (self.scrolls(), page.max(1));
        let place = self.place();
        place.selected = place.selected.min(total.saturating_sub(1));
        if scrolls {
            // Without a selected line, the window itself moves.
            place.selected = place.selected.min(total.saturating_sub(page));
            place.first = place.selected;
        }
        let lowest = (place.selected + 1).saturating_sub(page);
        let most = total.saturating_sub(page);
        place.first = place
            .first
            .clamp(lowest, place.selected.max(lowest))
            .min(most);
        Lines {
            first: place.first,
            selected: place.selected,
            total,
            matched,
        }
    }

    /// Whether lines are scrolled and not selected.
    fn scrolls(&self) -> bool {
        self.over != Over::Nothing || self.screen == Screen::Findings
    }

    /// Handles a key; `page` is the number of lines in the window.
    pub fn key(&mut self, key: KeyEvent, page: usize) -> Todo {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return self.control(key.code);
        }
        if self.input.is_some() {
            return self.typing(key.code);
        }
        match key.code {
            KeyCode::Char('q') => Todo::Quit,
            KeyCode::Esc => self.back(),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.help(),
            KeyCode::Char(' ' | 'p') => Todo::Pause(!self.paused),
            KeyCode::Left | KeyCode::Right | KeyCode::Char('[' | ']') if self.is_capture => go(key),
            KeyCode::Home if self.is_capture => Todo::Go(Go::Start),
            KeyCode::End if self.is_capture => Todo::Go(Go::End),
            code => self.movement(code, page),
        }
    }

    fn control(&mut self, code: KeyCode) -> Todo {
        match code {
            KeyCode::Char('c') => Todo::Quit,
            KeyCode::Char('z') => Todo::Stop,
            KeyCode::Char('l') => Todo::Redraw,
            KeyCode::Char('u') if self.input.is_some() => {
                self.edit(|input| *input = Input::default())
            }
            _ => Todo::Draw,
        }
    }

    fn movement(&mut self, code: KeyCode, page: usize) -> Todo {
        let place = self.place();
        let at = &mut place.selected;
        match code {
            KeyCode::Up | KeyCode::Char('k') => *at = at.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => *at = at.saturating_add(1),
            KeyCode::PageUp => *at = at.saturating_sub(page),
            KeyCode::PageDown => *at = at.saturating_add(page),
            KeyCode::Home | KeyCode::Char('g') => *at = 0,
            KeyCode::End | KeyCode::Char('G') => *at = usize::MAX,
            code => return self.choice(code),
        }
        Todo::Draw
    }

    fn choice(&mut self, code: KeyCode) -> Todo {
        match code {
            KeyCode::Tab => self.show(self.screen.after(1)),
            KeyCode::BackTab => self.show(self.screen.after(Screen::ALL.len() - 1)),
            KeyCode::Char(digit @ '1'..='6') => {
                let index = digit as usize - '1' as usize;
                self.show(Screen::ALL[index])
            }
            _ if self.over != Over::Nothing => Todo::Draw,
            KeyCode::Char('s') => self.sort(),
            KeyCode::Char('r') => {
                let reversed = &mut self.reversed[self.screen.index()];
                *reversed = !*reversed;
                Todo::Collect
            }
            KeyCode::Char('c') if self.screen == Screen::Processes => {
                self.by = self.by.other();
                *self.place() = Place::default();
                Todo::Collect
            }
            KeyCode::Char('/' | 'f') => {
                self.input = Some(Input::new(&self.filter.applied));
                self.edit(|_| ())
            }
            KeyCode::Enter => Todo::Open,
            _ => Todo::Draw,
        }
    }

    /// Goes to another screen.
    pub fn show(&mut self, screen: Screen) -> Todo {
        (self.over, self.screen) = (Over::Nothing, screen);
        Todo::Collect
    }

    fn sort(&mut self) -> Todo {
        let (index, orders) = (self.screen.index(), self.screen.orders());
        if !orders.is_empty() {
            self.orders[index] = (self.orders[index] + 1) % orders.len();
            *self.place() = Place::default();
        }
        Todo::Collect
    }

    fn help(&mut self) -> Todo {
        self.over = match self.over {
            Over::Help => Over::Nothing,
            _ => Over::Help,
        };
        *self.place() = Place::default();
        Todo::Collect
    }

    /// Opens the time line of a connection.
    pub fn open(&mut self, conn: u64) {
        self.over = Over::TimeLine(conn);
        *self.place() = Place::default();
    }

    /// Goes to the connections that a line stands for; [`Ui::back`] returns from there.
    pub fn open_connections(&mut self, filter: String) -> Todo {
        let before = (self.screen, self.filter.applied.clone());
        self.before.get_or_insert(before);
        self.screen = Screen::Connections;
        *self.place() = Place::default();
        Todo::Filter(filter)
    }

    /// Closes what is open, or ends.
    fn back(&mut self) -> Todo {
        if self.over != Over::Nothing {
            self.over = Over::Nothing;
            return Todo::Collect;
        }
        if let Some((screen, filter)) = self.before.take() {
            self.screen = screen;
            return Todo::Filter(filter);
        }
        match self.filter.applied.is_empty() {
            true => Todo::Quit,
            false => Todo::Filter(String::new()),
        }
    }

    fn typing(&mut self, code: KeyCode) -> Todo {
        match code {
            KeyCode::Enter => {
                self.before = None;
                let text = self.input.as_ref().map(Input::text);
                Todo::Filter(text.unwrap_or_default())
            }
            KeyCode::Esc => {
                self.done_typing();
                Todo::Draw
            }
            code => self.edit(|input| input.key(code)),
        }
    }

    /// Changes the text that is being typed; an error is about the text before.
    fn edit(&mut self, with: impl FnOnce(&mut Input)) -> Todo {
        if let Some(input) = &mut self.input {
            with(input);
            self.filter.typed = Some((input.text(), input.cursor()));
            self.filter.error = None;
        }
        Todo::Draw
    }

    fn done_typing(&mut self) {
        self.input = None;
        (self.filter.typed, self.filter.error) = (None, None);
    }

    /// A filter is in force.
    pub fn applied(&mut self, text: &str) {
        self.done_typing();
        if self.filter.applied != text {
            self.filter.applied = text.trim().to_owned();
            let places = self.places.iter_mut();
            places.for_each(|place| *place = Place::default());
        }
    }

    /// A text is no filter.
    pub fn refused(&mut self, text: &str, error: String) {
        let input = self.input.get_or_insert_with(|| Input::new(text));
        self.filter.typed = Some((input.text(), input.cursor()));
        self.filter.error = Some(error);
    }
}

fn go(key: KeyEvent) -> Todo {
    let many = if key.modifiers.contains(KeyModifiers::SHIFT) {
        10
    } else {
        1
    };
    Todo::Go(match key.code {
        KeyCode::Left => Go::Steps(-many),
        KeyCode::Right => Go::Steps(many),
        KeyCode::Char('[') => Go::Event(false),
        _ => Go::Event(true),
    })
}

#[cfg(test)]
mod tests;
