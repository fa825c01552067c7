//! `replay`: steps through a history, forward and back.
//!
//! On a terminal it is a screen of its own; elsewhere, or with `--plain`, each step is printed as text.
//!
//! | module | holds |
//! |---|---|
//! | [`steps`] | the steps, and what each did |
//! | [`player`] | where one is, and what a key does |
//! | [`screen`] | how it looks |
//! | [`plain`] | the same as text |

mod plain;
mod player;
mod screen;
mod steps;

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use topicsync::topic::{Timestamp, TopicName};

use super::Context;
use super::out::CommandError;
use super::source::{Source, topic_name};
use super::when::{HELP, When};
use steps::Steps;

/// The longest that one waits for a step, however long nothing happened.
const PAUSE_MS_MAX: f64 = 1_000.0;

/// The shortest, so that each step is seen.
const PAUSE_MS_MIN: f64 = 10.0;

#[derive(Debug, Args)]
pub struct Replay {
    /// Only these topics; without any, the whole workspace
    #[arg(value_name = "TOPIC", value_parser = topic_name)]
    topics: Vec<TopicName>,
    /// The moment to start at
    #[arg(long, value_name = "MOMENT", default_value = "commit:0", long_help = HELP)]
    at: When,
    /// Play by itself, so many times as fast as it happened; no pause is longer than a second
    #[arg(long, value_name = "TIMES", value_parser = speed)]
    speed: Option<f64>,
    /// Print the steps as text
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    source: Source,
    /// Print JSON, an object for each step in a line
    #[arg(long)]
    json: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok().filter(|it| it.is_finite() && *it > 0.0);
    speed.ok_or_else(|| "a speed is a number above 0".to_owned())
}

impl Replay {
    pub fn run(&self, context: &Context<'_>) -> Result<(), CommandError> {
        let opened = self.source.open(context)?;
        let scope = opened.known_scope(&self.topics)?;
        let mut steps = Steps::new(&*opened.journal, &opened.registry, &scope)?;
        let start = steps.find(self.at.of(&*opened.journal, &self.topics)?);
        if self.plain || self.json || !io::stdout().is_terminal() {
            plain::run(&mut steps, start, self.speed, self.json)
        } else {
            screen::run(&mut steps, start, self.speed)
        }
    }
}

/// How long to wait between two changes, at a speed.
fn pause(before: Timestamp, after: Timestamp, speed: f64) -> Duration {
    let ms = after.0.saturating_sub(before.0) as f64 / speed;
    Duration::from_secs_f64(ms.clamp(PAUSE_MS_MIN, PAUSE_MS_MAX) / 1_000.0)
}
