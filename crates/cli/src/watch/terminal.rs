//! The terminal while a view has it: taken at the beginning, given back as it was, however the view ends.

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::Rect;
use ratatui::{Frame, TerminalOptions, Viewport};
use std::io::{self, Stdout};
use std::panic;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How long keys are waited for before it is looked whether the view has ended.
const KEYS_EVERY: Duration = Duration::from_millis(50);
/// The size where a terminal does not say it.
const SIZE_DEFAULT: (u16, u16) = (80, 24);

/// Whether a view has the terminal.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// A panic gives the terminal back before it says what it has to say.
static HOOK: Once = Once::new();

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// `q` or Esc.
    Quit,
    /// Ctrl-C, which is no signal while keys are read one by one.
    Interrupt,
    /// The terminal has another size, or the view is to be drawn again.
    Resized,
}

/// The terminal, taken.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    inputs: UnboundedReceiver<Input>,
    ended: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn enter() -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                restore();
                before(info);
            }));
        });
        TAKEN.store(true, Ordering::SeqCst);
        let entered = Self::set_up();
        if entered.is_err() {
            restore();
        }
        entered
    }

    fn set_up() -> io::Result<Self> {
        enable_raw_mode()?;
        // Not by the terminal's own `clear`, which asks where the cursor is: not every terminal answers.
        execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All))?;
        let (width, height) = size();
        let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
        let terminal = Terminal::with_options(CrosstermBackend::new(io::stdout()), TerminalOptions { viewport })?;
        let (sender, inputs) = unbounded_channel();
        let ended = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&ended);
        thread::Builder::new().name("keys".to_owned()).spawn(move || read(&sender, &watched))?;
        Ok(Self { terminal, inputs, ended })
    }

    /// Draws, in the size that the terminal has now.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let (width, height) = size();
        let area = Rect::new(0, 0, width, height);
        if self.terminal.get_frame().area() != area {
            self.terminal.resize(area)?;
        }
        self.terminal.draw(draw)?;
        Ok(())
    }

    /// What somebody does next. A terminal that has gone quits.
    pub(super) async fn input(&mut self) -> Input {
        self.inputs.recv().await.unwrap_or(Input::Quit)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        restore();
    }
}

/// Gives the terminal back, if a view has it.
pub fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Nothing can be done where the terminal has gone.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// Some terminals say that they have no size at all, as those of scripts do.
fn size() -> (u16, u16) {
    let (width, height) = ratatui::crossterm::terminal::size().unwrap_or(SIZE_DEFAULT);
    let or = |own: u16, usual: u16| if own == 0 { usual } else { own };
    (or(width, SIZE_DEFAULT.0), or(height, SIZE_DEFAULT.1))
}

fn read(sender: &UnboundedSender<Input>, ended: &AtomicBool) {
    while !ended.load(Ordering::SeqCst) {
        let input = match event::poll(KEYS_EVERY) {
            Ok(false) => continue,
            Ok(true) => event::read().map(|event| meaning(&event)),
            Err(error) => Err(error),
        };
        let sent = match input {
            Ok(None) => Ok(()),
            Ok(Some(input)) => sender.send(input),
            // The terminal has gone, and the view with it.
            Err(_) => {
                let _ = sender.send(Input::Quit);
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

fn meaning(event: &Event) -> Option<Input> {
    match event {
        Event::Resize(..) | Event::FocusGained => Some(Input::Resized),
        Event::Key(key) if key.kind != KeyEventKind::Release => match key.code {
            KeyCode::Char('c' | 'C') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Input::Interrupt),
            KeyCode::Char('l') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Input::Resized),
            KeyCode::Char('q' | 'Q') | KeyCode::Esc => Some(Input::Quit),
            _ => None,
        },
        _ => None,
    }
}
