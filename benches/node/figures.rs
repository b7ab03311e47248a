//! Samples and their table.

use std::time::Duration;

pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) goal: Option<f64>,
    pub(crate) samples: Vec<f64>,
}

impl Figure {
    pub(crate) fn in_ms(name: &'static str, goal_ms: Option<f64>, samples: &[Duration]) -> Self {
        let samples = samples.iter().map(|it| it.as_secs_f64() * 1e3).collect();
        Self { name, unit: "ms", goal: goal_ms, samples }
    }

    pub(crate) fn median(&self) -> f64 {
        self.at(0.5)
    }

    fn at(&self, share: f64) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len() - 1;
        sorted[(last as f64 * share).round() as usize]
    }
}

pub(crate) fn print_table(figures: &[Figure]) {
    let width = figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
    println!("{:<width$}  {:>9}  {:>9}  {:>9}  {:>4}  {:>8}", "figure", "median", "min", "max", "n", "goal");
    for figure in figures {
        let goal = match figure.goal {
            None => String::new(),
            Some(goal) => {
                let verdict = if figure.median() <= goal { "met" } else { "MISSED" };
                format!("≤ {goal} {verdict}")
            }
        };
        let [median, min, max] =
            [0.5, 0.0, 1.0].map(|share| format!("{:.2} {}", figure.at(share), figure.unit));
        println!(
            "{:<width$}  {median:>9}  {min:>9}  {max:>9}  {:>4}  {goal}",
            figure.name,
            figure.samples.len()
        );
    }
}
