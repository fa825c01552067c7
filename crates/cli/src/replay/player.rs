//! Where a replay is, and what each key does to it. Knows no screen and no clock.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use topicsync::topic::{CommitNumber, Moment, Version};

use crate::when::When;

/// What is to be done after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Stay,
    Quit,
}

/// The state of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Player {
    /// How many commits were played.
    pub position: usize,
    pub len: usize,
    pub playing: bool,
    /// How many times as fast as it happened.
    pub speed: f64,
    /// What was typed so far of where to jump to.
    pub prompt: Option<String>,
    /// What is to be told about the last key.
    pub notice: Option<String>,
    /// By how many lines the value is scrolled down.
    pub scroll: u16,
}

impl Player {
    pub fn new(position: usize, len: usize, speed: Option<f64>) -> Player {
        Player {
            position,
            len,
            playing: speed.is_some(),
            speed: speed.unwrap_or(1.0),
            prompt: None,
            notice: None,
            scroll: 0,
        }
    }

    /// Goes to a position, or as far as there is one.
    pub fn go(&mut self, position: usize) {
        self.position = position.min(self.len);
        self.scroll = 0;
        self.playing &= self.position < self.len;
    }

    /// Takes a key, `find` giving the position of a moment.
    pub fn key(&mut self, key: KeyEvent, find: impl FnOnce(Moment) -> usize) -> Flow {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return Flow::Quit;
        }
        self.notice = None;
        match self.prompt.take() {
            Some(prompt) => self.prompt_key(prompt, key.code, find),
            None => return self.play_key(key.code),
        }
        Flow::Stay
    }

    fn play_key(&mut self, code: KeyCode) -> Flow {
        let position = self.position;
        match code {
            KeyCode::Char('q') => return Flow::Quit,
            KeyCode::Right | KeyCode::Char('l') => self.go(position + 1),
            KeyCode::Left | KeyCode::Char('h') => self.go(position.saturating_sub(1)),
            KeyCode::PageDown => self.go(position + 10),
            KeyCode::PageUp => self.go(position.saturating_sub(10)),
            KeyCode::Home => self.go(0),
            KeyCode::End => self.go(self.len),
            KeyCode::Down | KeyCode::Char('j') => self.scroll = self.scroll.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Char(':' | 'g') => self.prompt = Some(String::new()),
            KeyCode::Char('+' | '=') => self.speed = (self.speed * 2.0).min(1e6),
            KeyCode::Char('-') => self.speed = (self.speed / 2.0).max(1.0 / 64.0),
            KeyCode::Char(' ') => {
                self.playing = !self.playing;
                // At the end there is nothing left to play but all of it again.
                if self.playing && position == self.len {
                    self.position = 0;
                }
            }
            _ => {}
        }
        Flow::Stay
    }

    fn prompt_key(
        &mut self,
        mut prompt: String,
        code: KeyCode,
        find: impl FnOnce(Moment) -> usize,
    ) {
        match code {
            KeyCode::Esc => return,
            KeyCode::Enter => {
                match prompt.trim().parse::<When>() {
                    // The screen counts commits, and asks for one.
                    Ok(When(Moment::Version(Version(number)))) => {
                        self.go(find(Moment::Commit(CommitNumber(number))));
                    }
                    Ok(When(moment)) => self.go(find(moment)),
                    Err(error) => self.notice = Some(error),
                }
                return;
            }
            KeyCode::Backspace => drop(prompt.pop()),
            KeyCode::Char(char) => prompt.push(char),
            _ => {}
        }
        self.prompt = Some(prompt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(player: &mut Player, keys: &[KeyCode]) -> Flow {
        let find = |moment| match moment {
            Moment::Commit(CommitNumber(number)) => number as usize,
            _ => 7,
        };
        let mut flow = Flow::Stay;
        for code in keys {
            flow = player.key(KeyEvent::new(*code, KeyModifiers::NONE), find);
        }
        flow
    }

    #[test]
    fn keys_go_forward_back_and_to_the_ends() {
        use KeyCode::{End, Home, Left, PageDown, Right};
        let mut player = Player::new(0, 20, None);
        for (keys, position) in [
            (&[Right, Right][..], 2),
            (&[Left, Left, Left], 0),
            (&[PageDown, Right], 11),
            (&[End, Right], 20),
            (&[Home], 0),
        ] {
            assert_eq!(press(&mut player, keys), Flow::Stay);
            assert_eq!(player.position, position, "{keys:?}");
        }
        assert_eq!(press(&mut player, &[KeyCode::Esc]), Flow::Stay);
        assert_eq!(press(&mut player, &[KeyCode::Char('q')]), Flow::Quit);
    }

    #[test]
    fn one_jumps_to_a_commit_or_a_time() {
        use KeyCode::{Backspace, Char, Enter, Esc};
        let mut player = Player::new(0, 20, None);
        press(&mut player, &[Char(':'), Char('1'), Char('3'), Char('9'), Backspace, Enter]);
        assert_eq!(player.position, 13);
        press(&mut player, &[Char('g'), Char('x'), Enter]);
        assert!(player.notice.as_ref().unwrap().contains("no moment"));
        assert_eq!((player.position, player.prompt.clone()), (13, None));
        assert_eq!(press(&mut player, &[Char('g'), Char('q'), Esc]), Flow::Stay);
        assert_eq!(player.prompt, None);
    }

    #[test]
    fn playing_stops_at_the_end_and_starts_over() {
        let mut player = Player::new(0, 2, Some(4.0));
        assert!(player.playing);
        player.go(2);
        assert!(!player.playing);
        press(&mut player, &[KeyCode::Char(' '), KeyCode::Char('+')]);
        assert_eq!((player.playing, player.position, player.speed), (true, 0, 8.0));
    }
}
