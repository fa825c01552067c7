//! The screen of a replay.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, LineGauge, Paragraph, Wrap};
use ratatui::{DefaultTerminal, Frame};

use super::pause;
use super::player::{Flow, Player};
use super::steps::{Seen, Steps, View};
use crate::out::{CommandError, change, clean, time};
use crate::paint::{Paint, is_touched, painted};

/// How long a key is waited for when nothing plays.
const IDLE: Duration = Duration::from_millis(250);

/// The most lines that the changes of a commit take up.
const CHANGES_MAX: usize = 8;

const KEYS: &str =
    "→ ← step  PgDn PgUp ten  Home End  : jump  space play  + − speed  ↑ ↓ scroll  q quit";

/// Shows the steps until somebody has seen enough.
pub fn run(steps: &mut Steps<'_>, start: usize, speed: Option<f64>) -> Result<(), CommandError> {
    let mut terminal = ratatui::try_init()?;
    let mut player = Player::new(start, steps.len(), speed);
    let result = show(&mut terminal, steps, &mut player);
    ratatui::try_restore()?;
    result
}

fn show(
    terminal: &mut DefaultTerminal,
    steps: &mut Steps<'_>,
    player: &mut Player,
) -> Result<(), CommandError> {
    let mut scene = Scene::new(steps, player.position)?;
    let mut since = Instant::now();
    loop {
        if scene.position != player.position {
            (scene, since) = (Scene::new(steps, player.position)?, Instant::now());
        }
        terminal.draw(|frame| draw(frame, steps, player, &scene))?;
        let wait = if player.playing {
            until_next(steps, player).saturating_sub(since.elapsed())
        } else {
            IDLE
        };
        if event::poll(wait)? {
            if let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
                && player.key(key, |moment| steps.find(moment)) == Flow::Quit
            {
                return Ok(());
            }
        } else if player.playing {
            player.go(player.position + 1);
        }
    }
}

/// How long the present step is shown.
fn until_next(steps: &Steps<'_>, player: &Player) -> Duration {
    let next = steps.time(player.position + 1).unwrap_or_default();
    pause(steps.time(player.position).unwrap_or(next), next, player.speed)
}

/// What is to be seen at one position.
struct Scene {
    position: usize,
    view: View,
    changes: Vec<Line<'static>>,
    values: Vec<Line<'static>>,
    /// The first line of the values in which something changed.
    first_touched: usize,
}

impl Scene {
    fn new(steps: &mut Steps<'_>, position: usize) -> Result<Scene, CommandError> {
        let view = steps.view(position)?;
        let changes = view.commit.iter().flat_map(|commit| &commit.changes);
        let changes = changes.map(|(topic, logged)| {
            Line::from(vec![
                Span::styled(format!("{topic}@{}  ", logged.version), NUMBER),
                Span::raw(change(logged.change.as_ref())),
            ])
        });
        let changes: Vec<Line<'static>> = changes.collect();
        let (mut values, mut first_touched) = (Vec::new(), None);
        for seen in view.topics.iter().filter(|seen| seen.stateful) {
            value_lines(seen, &mut values, &mut first_touched);
        }
        let first_touched = first_touched.unwrap_or(0);
        Ok(Scene { position, view, changes, values, first_touched })
    }
}

const NUMBER: Style = Style::new().fg(Color::Cyan);
const QUIET: Style = Style::new().add_modifier(Modifier::DIM);
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);

fn value_lines(seen: &Seen, lines: &mut Vec<Line<'static>>, first_touched: &mut Option<usize>) {
    lines.push(Line::from(vec![
        Span::styled(seen.name.to_string(), STRONG),
        Span::styled(format!("  {} at version {}", seen.type_name, seen.version), QUIET),
    ]));
    for line in painted(&seen.before, &seen.after) {
        if is_touched(&line) {
            first_touched.get_or_insert(lines.len());
        }
        lines
            .push(line.into_iter().map(|(paint, text)| Span::styled(text, style(paint))).collect());
    }
    lines.push(Line::default());
}

fn style(paint: Paint) -> Style {
    match paint {
        Paint::Kept => Style::new(),
        Paint::Added => Style::new().fg(Color::Black).bg(Color::Green),
        Paint::Removed => Style::new().fg(Color::Red).add_modifier(Modifier::CROSSED_OUT),
        Paint::Gap => QUIET,
    }
}

fn draw(frame: &mut Frame<'_>, steps: &Steps<'_>, player: &Player, scene: &Scene) {
    let changes = scene.changes.len().clamp(1, CHANGES_MAX) as u16;
    let [top, line, changes, values, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(changes + 1),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(headline(steps, player, scene), top);
    frame.render_widget(gauge(player), line);
    draw_changes(frame, scene, changes);
    draw_values(frame, player, scene, values);
    frame.render_widget(footer(player), bottom);
}

fn headline(steps: &Steps<'_>, player: &Player, scene: &Scene) -> Line<'static> {
    let position = format!("  {} of {}", player.position, player.len);
    let Some(commit) = &scene.view.commit else {
        let topics = steps.topics().len();
        let words = format!("before the first commit, {topics} topics");
        return Line::from(vec![Span::styled(words, STRONG), Span::styled(position, QUIET)]);
    };
    let mut spans = vec![
        Span::styled(format!("commit {}", commit.number), STRONG),
        Span::styled(format!("  {}", time(commit.time)), QUIET),
        Span::raw(format!("  client {}", commit.author)),
        Span::styled(position, QUIET),
    ];
    if let Some(mark) = &commit.action {
        let words = match &mark.reverses {
            None => format!("  action {}", clean(&mark.id)),
            Some(it) if it.redo => format!("  redoes commit {}", it.commit),
            Some(it) => format!("  undoes commit {}", it.commit),
        };
        spans.push(Span::styled(words, Style::new().fg(Color::Yellow)));
    }
    Line::from(spans)
}

fn gauge(player: &Player) -> LineGauge<'static> {
    let ratio = player.position as f64 / player.len.max(1) as f64;
    let label = if player.playing {
        format!("playing ×{}", player.speed)
    } else {
        format!("paused ×{}", player.speed)
    };
    LineGauge::default()
        .ratio(ratio.clamp(0.0, 1.0))
        .label(label)
        .filled_symbol("━")
        .unfilled_symbol("─")
        .filled_style(Style::new().fg(Color::Cyan))
        .unfilled_style(QUIET)
}

fn draw_changes(frame: &mut Frame<'_>, scene: &Scene, area: Rect) {
    let mut lines = scene.changes.clone();
    if lines.len() > CHANGES_MAX {
        let more = lines.len() - (CHANGES_MAX - 1);
        lines.truncate(CHANGES_MAX - 1);
        lines.push(Line::styled(format!("… {more} more"), QUIET));
    }
    let block = Block::new().borders(Borders::TOP).border_style(QUIET).title("changes ");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_values(frame: &mut Frame<'_>, player: &Player, scene: &Scene, area: Rect) {
    let height = area.height.saturating_sub(1) as usize;
    // What changed is in sight, with what is about it.
    let shown = if scene.first_touched < height {
        0
    } else {
        scene.first_touched.saturating_sub(height / 3)
    };
    let last = scene.values.len().saturating_sub(1);
    let from = (shown + player.scroll as usize).min(last);
    let block = Block::new().borders(Borders::TOP).border_style(QUIET).title("values ");
    let lines: Vec<Line<'static>> = scene.values.iter().skip(from).take(height).cloned().collect();
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), area);
}

fn footer(player: &Player) -> Line<'static> {
    match (&player.prompt, &player.notice) {
        (Some(prompt), _) => Line::from(vec![
            Span::styled("jump to a commit or time, or head: ", STRONG),
            Span::raw(format!("{prompt}▏")),
        ]),
        (None, Some(notice)) => Line::styled(notice.clone(), Style::new().fg(Color::Red)),
        (None, None) => Line::styled(KEYS, QUIET),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use topicsync::replay::{Scope, open_export};
    use topicsync::topic::{CommitNumber, Moment};
    use topicsync::types::Registry;

    use super::*;

    #[test]
    fn a_step_shows_who_did_what_and_what_became_of_it() {
        let mut history: &[u8] = include_bytes!("../../../../examples/regression/history.jsonl");
        let registry = Registry::default();
        let journal = open_export(&mut history, &registry, &mut |_| {}).unwrap();
        let scope = Scope::of(&journal, |_| true).unwrap();
        let mut steps = Steps::new(&journal, &registry, &scope).unwrap();
        let mut screen = |position: usize| {
            let player = Player::new(position, steps.len(), None);
            let scene = Scene::new(&mut steps, position).unwrap();
            let mut terminal = Terminal::new(TestBackend::new(100, 20)).unwrap();
            terminal.draw(|frame| draw(frame, &steps, &player, &scene)).unwrap();
            terminal.backend().to_string()
        };
        let undo = screen(18);
        for words in [
            "commit 18  2025-11-24T12:31:39.700Z  client 1  18 of 28  undoes commit 15",
            "board/layers@5  move from=0 to=2",
            "board/nodes  dict at version 11",
            "\"river\": {\"label\": \"River\", \"x\": 310, \"y\": 310},",
        ] {
            assert!(undo.contains(words), "{words}:\n{undo}");
        }
        assert!(screen(0).contains("before the first commit, 5 topics"));
        assert!(screen(28).contains("The water cycle, in a picture"));
        assert_eq!(steps.find(Moment::Commit(CommitNumber(9))), 9);
    }
}
