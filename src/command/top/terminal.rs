//! The terminal: raw mode and the alternate screen, which are left in every case; keys and signals.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, stdin, stdout};
use std::os::fd::AsFd;
use std::panic;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use ratatui_core::layout::Rect;
use ratatui_core::terminal::{Frame, Terminal as Screen};
use ratatui_crossterm::CrosstermBackend;
use ratatui_crossterm::crossterm::cursor::{Hide, Show};
use ratatui_crossterm::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use ratatui_crossterm::crossterm::execute;
use ratatui_crossterm::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use crate::error::{Error, Result};
use crate::fmt::text::{Words, text, words};
use crate::stderr;

/// Signals that end the view, stop it, continue it, or change the size of the terminal.
const SIGNALS: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGTSTP,
    Signal::SIGCONT,
    Signal::SIGWINCH,
];

/// Pause after a part of a key.
const PAUSE: Duration = Duration::from_millis(10);

/// Why a wait ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Wake {
    /// Keys were pressed.
    Keys(Vec<KeyEvent>),
    /// The view is to end: a signal, or the terminal is gone.
    End,
    /// The process is to stop.
    Stop,
    /// The process was stopped, and was continued.
    Continued,
    /// The time has come, or the terminal has another size.
    Time,
}

/// Fails unless a live view can be drawn.
///
/// # Errors
/// [`Error::Usage`]: stdin or stdout is not a terminal, or one that cannot move its cursor.
pub fn require() -> Result<()> {
    let missing = match (stdout().is_terminal(), stdin().is_terminal()) {
        (false, _) => words!("stdout is not a terminal", "标准输出不是终端"),
        (_, false) => words!("stdin is not a terminal", "标准输入不是终端"),
        _ if std::env::var_os("TERM").is_some_and(|term| term == "dumb") => words!(
            "this terminal cannot move its cursor (TERM=dumb)",
            "此终端无法移动光标（TERM=dumb）"
        ),
        _ => return Ok(()),
    };
    Err(Error::Usage(text!(
        "--top: {missing}: use --follow, which prints events line by line",
        "--top：{missing}：请改用 --follow，它逐行输出事件";
        missing
    )))
}

/// The terminal while a live view has it. When this is dropped, it is as it was before.
pub struct Terminal<'a> {
    screen: Screen<CrosstermBackend<BufWriter<&'a File>>>,
    signals: SignalFd,
    taken: SigSet,
}

impl<'a> Terminal<'a> {
    /// Takes the terminal, and the signals of the process.
    ///
    /// # Errors
    /// The terminal or the kernel refuses.
    pub fn new(stdout: &'a File) -> Result<Self> {
        let taken = SIGNALS.into_iter().collect::<SigSet>();
        let failed = |errno: Errno| Error::system(words!("waiting for signals", "等待信号"), errno);
        taken.thread_block().map_err(failed)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&taken, flags).map_err(failed)?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(1 << 16, stdout));
        let screen = Screen::new(backend).map_err(of_terminal)?;
        let terminal = Self {
            screen,
            signals,
            taken,
        };
        restore_on_panic();
        enter().map_err(of_terminal)?;
        Ok(terminal)
    }

    /// Its size.
    ///
    /// # Errors
    /// The terminal does not say.
    pub fn area(&self) -> Result<Rect> {
        let size = self.screen.size().map_err(of_terminal)?;
        Ok(Rect::from((ratatui_core::layout::Position::ORIGIN, size)))
    }

    /// Draws a frame.
    ///
    /// # Errors
    /// Writing to the terminal fails.
    pub fn draw(&mut self, with: impl FnOnce(&mut Frame)) -> Result<()> {
        self.screen.draw(with).map_err(of_terminal)?;
        Ok(())
    }

    /// Draws everything again with the next frame.
    ///
    /// # Errors
    /// Writing to the terminal fails.
    pub fn clear(&mut self) -> Result<()> {
        self.screen.clear().map_err(of_terminal)
    }

    /// Waits for a key, a signal, or a moment.
    ///
    /// # Errors
    /// `poll(2)` fails.
    pub fn wait(&mut self, until: Option<Instant>) -> Result<Wake> {
        let stdin = stdin();
        let mut fds = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, patience(until)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::system(Words::same("poll"), errno)),
        }
        let [signal, input] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        if !signal.is_empty() {
            return Ok(self.signal());
        }
        let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
        if input.intersects(gone) {
            return Ok(Wake::End);
        }
        if input.is_empty() {
            return Ok(Wake::Time);
        }
        let keys = keys().map_err(of_terminal)?;
        if keys.is_empty() {
            // The rest of a key is still to come.
            sleep(PAUSE);
        }
        Ok(Wake::Keys(keys))
    }

    /// Whether the terminal is gone, or a signal says that the view is to end.
    pub fn is_over(&mut self) -> bool {
        matches!(self.wait(Some(Instant::now())), Ok(Wake::End))
    }

    /// The most important of the signals that have arrived.
    fn signal(&mut self) -> Wake {
        let mut wake = Wake::Time;
        while let Ok(Some(info)) = self.signals.read_signal() {
            let signal = i32::try_from(info.ssi_signo).ok();
            let signal = signal.and_then(|number| Signal::try_from(number).ok());
            wake = match (signal, wake) {
                (Some(Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP), _) | (_, Wake::End) => {
                    Wake::End
                }
                (Some(Signal::SIGTSTP), _) => Wake::Stop,
                (Some(Signal::SIGCONT), Wake::Time) => Wake::Continued,
                (_, other) => other,
            };
        }
        wake
    }

    /// Gives the terminal back and stops the process, until it is continued.
    ///
    /// # Errors
    /// The terminal or the kernel refuses.
    pub fn stop(&mut self) -> Result<()> {
        leave();
        raise(Signal::SIGSTOP).map_err(|errno| Error::system(words!("stopping", "暂停"), errno))?;
        self.take_again()
    }

    /// Takes the terminal again after another program had it.
    ///
    /// # Errors
    /// The terminal refuses.
    pub fn take_again(&mut self) -> Result<()> {
        // What another program has set is not what was set before.
        let _ = disable_raw_mode();
        enter().map_err(of_terminal)?;
        self.clear()
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        leave();
        drop(panic::take_hook());
        // Signals that were received must not kill the process now.
        while let Ok(Some(_)) = self.signals.read_signal() {}
        let _ = self.taken.thread_unblock();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, Hide)?;
    stderr::drawn_over(true);
    Ok(())
}

/// Leaves the terminal as it was before, as far as it still exists.
fn leave() {
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    stderr::drawn_over(false);
}

/// The message of a panic is to be readable.
fn restore_on_panic() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        leave();
        print(info);
    }));
}

/// All keys that have arrived.
fn keys() -> io::Result<Vec<KeyEvent>> {
    let mut keys = Vec::new();
    while event::poll(Duration::ZERO)? {
        if let Event::Key(key) = event::read()? {
            if key.kind != KeyEventKind::Release {
                keys.push(key);
            }
        }
    }
    Ok(keys)
}

/// Until a moment, rounded up.
fn patience(until: Option<Instant>) -> PollTimeout {
    let Some(until) = until else {
        return PollTimeout::NONE;
    };
    let left = until.saturating_duration_since(Instant::now());
    let ms = left.as_micros().div_ceil(1_000);
    u16::try_from(ms).unwrap_or(u16::MAX).into()
}

fn of_terminal(error: io::Error) -> Error {
    Error::system(words!("the terminal", "操作终端"), error)
}
