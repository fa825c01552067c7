//! What was measured, and the table of it.

use std::fmt::Write;

/// One number of a scenario.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What it counts, with its unit.
    pub name: &'static str,
    pub value: f64,
}

/// What one run of a scenario against one server gave.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub figures: Vec<Figure>,
    /// Processor seconds of the server for a million of what the first figure counts.
    pub cpu_seconds_per_million: Option<f64>,
    /// Share of one core that the server used while it was measured.
    pub server_busy: Option<f64>,
    /// Share of one core that the load used; near 1 it is the load that was measured.
    pub load_busy: Option<f64>,
    pub notes: Vec<String>,
}

impl Outcome {
    /// With these figures, and with these notes added.
    pub fn with(mut self, figures: Vec<Figure>, notes: Vec<String>) -> Self {
        self.figures = figures;
        self.notes.extend(notes);
        self
    }
}

/// A scenario with what each side reached: outcomes of several rounds, or none where it was not run.
#[derive(Debug)]
pub struct Row {
    pub scenario: String,
    pub server: Vec<Outcome>,
    pub relay: Vec<Outcome>,
    pub failures: Vec<String>,
}

const COLUMNS: usize = 9;

/// The table in Markdown, and the notes below it.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| scenario | measure | topicsync | CPU s / million | busy: server, load | relay | CPU s / million \
         | busy: relay, load | topicsync ÷ relay |\n|---|---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in rows {
        add_lines(&mut text, row);
    }
    for row in rows {
        add_notes(&mut text, row);
    }
    text
}

// Writing to a `String` cannot fail, so its results are let go below.

fn add_lines(text: &mut String, row: &Row) {
    let names = figure_names(row);
    if names.is_empty() {
        let says = if row.failures.is_empty() { "not run" } else { "FAILED" };
        let _ = writeln!(text, "| {} | {says} |{}", row.scenario, " |".repeat(COLUMNS - 2));
    }
    for (nth, name) in names.into_iter().enumerate() {
        let server = median_figure(&row.server, name);
        let relay = median_figure(&row.relay, name);
        let ratio = server
            .zip(relay)
            .filter(|&(_, relay)| relay > 0.0)
            .map(|(server, relay)| server / relay);
        let sides = if nth == 0 { [&row.server[..], &row.relay[..]] } else { [&[][..], &[][..]] };
        let [server_cost, relay_cost] = sides.map(|outcomes| {
            cell(median(outcomes.iter().filter_map(|outcome| outcome.cpu_seconds_per_million)))
        });
        let [server_busy, relay_busy] = sides.map(busy_cell);
        let cells = [
            if nth == 0 { row.scenario.clone() } else { String::new() },
            name.to_owned(),
            cell(server),
            server_cost,
            server_busy,
            cell(relay),
            relay_cost,
            relay_busy,
            cell(ratio),
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

fn add_notes(text: &mut String, row: &Row) {
    for (side, outcomes) in [("topicsync", &row.server), ("relay", &row.relay)] {
        let mut notes: Vec<&String> = outcomes.iter().flat_map(|outcome| &outcome.notes).collect();
        notes.dedup();
        for note in notes {
            let _ = write!(text, "\n- {}, {side}: {note}", row.scenario);
        }
    }
    for failure in &row.failures {
        let _ = write!(text, "\n- {} FAILED: {failure}", row.scenario);
    }
}

fn figure_names(row: &Row) -> Vec<&'static str> {
    let first = row.server.first().or(row.relay.first());
    first
        .map(|outcome| outcome.figures.iter().map(|figure| figure.name).collect())
        .unwrap_or_default()
}

fn median_figure(outcomes: &[Outcome], name: &str) -> Option<f64> {
    median(
        outcomes
            .iter()
            .flat_map(|outcome| &outcome.figures)
            .filter(|figure| figure.name == name)
            .map(|f| f.value),
    )
}

fn busy_cell(outcomes: &[Outcome]) -> String {
    let server = median(outcomes.iter().filter_map(|outcome| outcome.server_busy));
    let load = median(outcomes.iter().filter_map(|outcome| outcome.load_busy));
    let percent =
        |share: Option<f64>| share.map_or("–".into(), |share| format!("{:.0} %", share * 100.0));
    if server.is_none() && load.is_none() {
        "–".into()
    } else {
        format!("{}, {}", percent(server), percent(load))
    }
}

/// The middle value; of an even number, the mean of the two in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[length / 2]),
        length => Some((sorted[length / 2 - 1] + sorted[length / 2]) / 2.0),
    }
}

/// Three digits, and a letter for thousands and millions.
fn cell(value: Option<f64>) -> String {
    let digits = |value: f64| match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    };
    match value {
        None => "–".into(),
        Some(value) if value >= 1e6 => format!("{}M", digits(value / 1e6)),
        Some(value) if value >= 1e3 => format!("{}k", digits(value / 1e3)),
        Some(value) => digits(value),
    }
}
