use super::*;

fn press(ui: &mut Ui, code: KeyCode) -> Todo {
    ui.key(KeyEvent::new(code, KeyModifiers::NONE), 10)
}

fn control(ui: &mut Ui, letter: char) -> Todo {
    let key = KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
    ui.key(key, 10)
}

fn live() -> Ui {
    Ui::new(Screen::Connections, None, false)
}

#[test]
fn screens_have_numbers_and_follow_each_other() {
    let mut ui = live();
    for (digit, screen) in ('1'..='6').zip(Screen::ALL) {
        assert_eq!(press(&mut ui, KeyCode::Char(digit)), Todo::Collect);
        assert_eq!(ui.screen, screen);
    }
    press(&mut ui, KeyCode::Tab);
    assert_eq!(ui.screen, Screen::States);
    press(&mut ui, KeyCode::BackTab);
    assert_eq!(ui.screen, Screen::Findings);
}

#[test]
fn the_window_follows_the_selected_line() {
    let mut ui = live();
    let window = |ui: &mut Ui, code| {
        press(ui, code);
        let lines = ui.window(100, 100, 10);
        (lines.first, lines.selected)
    };
    assert_eq!(window(&mut ui, KeyCode::Down), (0, 1));
    assert_eq!(window(&mut ui, KeyCode::PageDown), (2, 11));
    assert_eq!(window(&mut ui, KeyCode::Up), (2, 10));
    assert_eq!(window(&mut ui, KeyCode::Home), (0, 0));
    assert_eq!(window(&mut ui, KeyCode::Up), (0, 0));
    assert_eq!(window(&mut ui, KeyCode::Char('G')), (90, 99));
    assert_eq!(window(&mut ui, KeyCode::Down), (90, 99));
    // There are fewer lines now, or none.
    assert_eq!(ui.window(95, 95, 10).first, 85);
    assert_eq!(ui.window(0, 0, 10), Lines::default());
    assert_eq!(ui.window(3, 3, 0).total, 3);
}

#[test]
fn lines_that_are_not_selected_are_scrolled() {
    let mut ui = Ui::new(Screen::Findings, None, false);
    press(&mut ui, KeyCode::Down);
    assert_eq!(ui.window(30, 30, 10).first, 1);
    press(&mut ui, KeyCode::End);
    assert_eq!(ui.window(30, 30, 10).first, 20);
    press(&mut ui, KeyCode::Up);
    assert_eq!(ui.window(30, 30, 10).first, 19);
    assert_eq!(ui.window(5, 5, 10).first, 0);
}

#[test]
fn each_screen_has_its_order() {
    let mut ui = Ui::new(Screen::Connections, Some(Order::Bytes), false);
    assert_eq!(ui.order(), Some((Order::Bytes, false)));
    assert_eq!(press(&mut ui, KeyCode::Char('r')), Todo::Collect);
    assert_eq!(ui.order(), Some((Order::Bytes, true)));
    press(&mut ui, KeyCode::Char('1'));
    assert_eq!(ui.order(), Some((Order::Name, false)), "it has no bytes");
    press(&mut ui, KeyCode::Char('4'));
    assert_eq!(ui.order(), Some((Order::Bytes, false)));
    for _ in 0..Screen::Processes.orders().len() {
        press(&mut ui, KeyCode::Char('s'));
    }
    assert_eq!(ui.order(), Some((Order::Bytes, false)), "all the way round");
    press(&mut ui, KeyCode::Char('6'));
    press(&mut ui, KeyCode::Char('s'));
    assert_eq!(ui.order(), None);
}

#[test]
fn the_ways_out() {
    let mut ui = live();
    assert_eq!(press(&mut ui, KeyCode::Char('q')), Todo::Quit);
    assert_eq!(control(&mut ui, 'c'), Todo::Quit);
    assert_eq!(control(&mut ui, 'z'), Todo::Stop);
    assert_eq!(control(&mut ui, 'l'), Todo::Redraw);
    press(&mut ui, KeyCode::Char('?'));
    assert_eq!(ui.over, Over::Help);
    assert_eq!(press(&mut ui, KeyCode::Esc), Todo::Collect);
    ui.open(7);
    assert_eq!(ui.over, Over::TimeLine(7));
    press(&mut ui, KeyCode::Esc);
    ui.applied("port=80");
    assert_eq!(press(&mut ui, KeyCode::Esc), Todo::Filter(String::new()));
    ui.applied("");
    assert_eq!(press(&mut ui, KeyCode::Esc), Todo::Quit);
}

#[test]
fn an_opened_line_is_left_to_where_it_was() {
    let mut ui = Ui::new(Screen::States, None, false);
    ui.applied("port=80");
    let todo = ui.open_connections("port=80 state=LISTEN".into());
    assert_eq!(todo, Todo::Filter("port=80 state=LISTEN".into()));
    ui.applied("port=80 state=LISTEN");
    assert_eq!(ui.screen, Screen::Connections);
    assert_eq!(press(&mut ui, KeyCode::Esc), Todo::Filter("port=80".into()));
    assert_eq!(ui.screen, Screen::States);
}

#[test]
fn while_a_filter_is_typed_letters_are_letters() {
    let mut ui = live();
    press(&mut ui, KeyCode::Char('/'));
    for letter in "q?1 s".chars() {
        assert_eq!(press(&mut ui, KeyCode::Char(letter)), Todo::Draw);
    }
    assert_eq!(ui.filter.typed, Some(("q?1 s".into(), 5)));
    assert_eq!(press(&mut ui, KeyCode::Enter), Todo::Filter("q?1 s".into()));
    ui.refused("q?1 s", "no".into());
    assert_eq!(ui.filter.error.as_deref(), Some("no"));
    press(&mut ui, KeyCode::Backspace);
    assert_eq!(ui.filter.error, None, "the error was about another text");
    control(&mut ui, 'u');
    assert_eq!(ui.filter.typed, Some((String::new(), 0)));
    assert_eq!(press(&mut ui, KeyCode::Esc), Todo::Draw);
    assert_eq!(
        (ui.filter.typed.clone(), ui.screen),
        (None, Screen::Connections)
    );
}

#[test]
fn a_capture_has_keys_of_time() {
    let mut ui = Ui::new(Screen::States, None, true);
    let shift = KeyEvent::new(KeyCode::Left, KeyModifiers::SHIFT);
    assert_eq!(ui.key(shift, 10), Todo::Go(Go::Steps(-10)));
    for (code, go) in [
        (KeyCode::Right, Go::Steps(1)),
        (KeyCode::Home, Go::Start),
        (KeyCode::End, Go::End),
        (KeyCode::Char('['), Go::Event(false)),
        (KeyCode::Char(']'), Go::Event(true)),
    ] {
        assert_eq!(press(&mut ui, code), Todo::Go(go));
    }
    assert_eq!(press(&mut ui, KeyCode::Char(' ')), Todo::Pause(false));
    assert_eq!(press(&mut live(), KeyCode::Left), Todo::Draw);
    assert_eq!(press(&mut live(), KeyCode::Char('p')), Todo::Pause(true));
}

/// Any keys in any order are handled.
#[test]
fn no_keys_do_harm() {
    let mut random = fastrand::Rng::with_seed(5);
    let codes = [
        KeyCode::Tab,
        KeyCode::Esc,
        KeyCode::Enter,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::PageDown,
        KeyCode::PageUp,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::Backspace,
        KeyCode::F(1),
        KeyCode::Null,
    ];
    for is_capture in [false, true] {
        let mut ui = Ui::new(Screen::States, None, is_capture);
        for _ in 0..20_000 {
            let code = match random.bool() {
                true => codes[random.usize(..codes.len())],
                false => KeyCode::Char(random.char(' '..'\u{ff}')),
            };
            press(&mut ui, code);
            let (total, page) = (random.usize(..30), random.usize(..12));
            let lines = ui.window(total, total as u64, page);
            assert!(lines.first <= lines.selected && lines.selected <= total.max(1));
        }
    }
}
