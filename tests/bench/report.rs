//! The table at the end.

/// A measure, what it came to, and what it was to reach.
struct Line {
    measure: String,
    figure: String,
    value: Option<f64>,
    goal: Option<Goal>,
}

/// What a measure is to reach.
#[derive(Clone, Copy)]
pub enum Goal {
    /// At least this.
    Least(f64),
    /// At most this.
    Most(f64),
}

impl Goal {
    fn reached(self, value: f64) -> bool {
        match self {
            Self::Least(least) => value >= least,
            Self::Most(most) => value <= most,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Least(least) => format!(">= {least}"),
            Self::Most(most) => format!("<= {most}"),
        }
    }

    /// How far off, in percent of the goal.
    fn missed_by(self, value: f64) -> f64 {
        let (Self::Least(goal) | Self::Most(goal)) = self;
        ((value - goal) / goal * 100.0).abs()
    }
}

/// Everything measured in one run.
#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
}

impl Report {
    /// Adds a measure that has a goal; `value` is compared with it.
    pub fn goal(&mut self, measure: &str, figure: String, value: f64, goal: Goal) {
        self.lines.push(Line { measure: measure.to_owned(), figure, value: Some(value), goal: Some(goal) });
    }

    /// Adds a measure that is good to know.
    pub fn note(&mut self, measure: &str, figure: String) {
        self.lines.push(Line { measure: measure.to_owned(), figure, value: None, goal: None });
    }

    /// Prints the table, and what was missed.
    pub fn print(&self) {
        println!("\n| measure | figure | ratio or value | target | reached |\n|---|---|---|---|---|");
        let mut missed = Vec::new();
        for line in &self.lines {
            let (mut shown, mut target, mut reached) = (String::new(), String::new(), "");
            if let (Some(value), Some(goal)) = (line.value, line.goal) {
                shown = format!("{value:.2}");
                target = goal.words();
                reached = if goal.reached(value) { "yes" } else { "NO" };
                if !goal.reached(value) {
                    missed.push(format!("{}: {shown}, {target}, off by {:.0} %", line.measure, goal.missed_by(value)));
                }
            }
            println!("| {} | {} | {shown} | {target} | {reached} |", line.measure, line.figure);
        }
        if missed.is_empty() {
            println!("\nEverything was reached.");
        } else {
            println!("\nMissed:\n  {}", missed.join("\n  "));
        }
    }
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How well values tell one kind from another: 0.5 not at all, 1 always. The share of pairs in which that of the first
/// kind is the larger (Mann and Whitney), or the smaller, whichever is more.
pub fn auc(one: &[f64], other: &[f64]) -> f64 {
    let mut wins = 0.0;
    for a in one {
        for b in other {
            wins += if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            };
        }
    }
    let auc = wins / (one.len() * other.len()) as f64;
    auc.max(1.0 - auc)
}
