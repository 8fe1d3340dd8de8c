//! What is told in the end: for each workload and figure the median of the rounds of each system, and the ratio to the
//! first system, as a table or as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::percentile::median;

/// One number of one round.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    name: &'static str,
    value: f64,
    summary: Summary,
}

/// How the rounds become one number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Summary {
    Median,
    /// The sum of the rounds.
    Count,
    /// A count that must be 0.
    Fault,
}

impl Figure {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn value(&self) -> f64 {
        self.value
    }

    pub(crate) fn median(name: &'static str, value: f64) -> Self {
        let summary = Summary::Median;
        Self { name, value, summary }
    }

    pub(crate) fn count(name: &'static str, count: u64) -> Self {
        let (value, summary) = (count as f64, Summary::Count);
        Self { name, value, summary }
    }

    pub(crate) fn fault(name: &'static str, count: u64) -> Self {
        let (value, summary) = (count as f64, Summary::Fault);
        Self { name, value, summary }
    }
}

pub(crate) struct Report {
    systems: Vec<&'static str>,
    pub(crate) sections: Vec<Section>,
}

/// One workload.
pub(crate) struct Section {
    title: String,
    rows: Vec<Row>,
    systems: usize,
}

struct Row {
    name: &'static str,
    summary: Summary,
    /// By system, by round.
    rounds: Vec<Vec<f64>>,
}

impl Section {
    pub(crate) fn new(title: String, systems: usize) -> Self {
        let rows = Vec::new();
        Self { title, rows, systems }
    }

    /// Adds a round of the system at `index`.
    pub(crate) fn add(&mut self, index: usize, figures: Vec<Figure>) {
        for figure in figures {
            let found = self.rows.iter().position(|row| row.name == figure.name);
            let place = found.unwrap_or_else(|| {
                self.rows.push(Row {
                    name: figure.name,
                    summary: figure.summary,
                    rounds: vec![Vec::new(); self.systems],
                });
                self.rows.len() - 1
            });
            self.rows[place].rounds[index].push(figure.value);
        }
    }
}

impl Row {
    fn of_system(&self, index: usize) -> Option<f64> {
        let rounds = &self.rounds[index];
        match self.summary {
            Summary::Median => median(rounds),
            Summary::Count | Summary::Fault => Some(rounds.iter().sum()),
        }
    }

    /// The median of the ratios of each round: what drifts between rounds cancels out within one.
    fn ratio(&self, index: usize) -> Option<f64> {
        let pairs = self.rounds[index].iter().zip(&self.rounds[0]);
        let ratios: Vec<f64> = pairs.map(|(own, reference)| own / reference).collect();
        let told = self.summary == Summary::Median;
        median(&ratios).filter(|ratio| told && ratio.is_finite())
    }
}

impl Report {
    pub(crate) fn new(systems: &[&'static str]) -> Self {
        Self { systems: systems.to_vec(), sections: Vec::new() }
    }

    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for section in &self.sections {
            self.write_section(section, &mut text).expect("a String takes all");
        }
        text
    }

    fn write_section(&self, section: &Section, text: &mut String) -> std::fmt::Result {
        write!(text, "\n{:<52}", section.title)?;
        for system in &self.systems {
            write!(text, "{system:>12}")?;
        }
        for system in &self.systems[1..] {
            write!(text, "{:>16}", format!("{system}/{}", self.systems[0]))?;
        }
        writeln!(text)?;
        for row in &section.rows {
            write!(text, "  {:<50}", row.name)?;
            for index in 0..self.systems.len() {
                write!(text, "{:>12}", shown(row.of_system(index)))?;
            }
            for index in 1..self.systems.len() {
                let ratio = row.ratio(index);
                write!(text, "{:>16}", ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")))?;
            }
            writeln!(text)?;
        }
        Ok(())
    }

    pub(crate) fn json(&self) -> Value {
        let workload = |section: &Section| {
            let figures: Map<String, Value> =
                section.rows.iter().map(|row| (row.name.to_owned(), self.json_row(row))).collect();
            json!({ "title": section.title, "figures": figures })
        };
        let workloads: Vec<Value> = self.sections.iter().map(workload).collect();
        json!({ "systems": self.systems, "workloads": workloads })
    }

    fn json_row(&self, row: &Row) -> Value {
        let mut by_system = Map::new();
        for (index, system) in self.systems.iter().enumerate() {
            let mut told = json!({ "value": row.of_system(index), "rounds": row.rounds[index] });
            if let Some(ratio) = row.ratio(index).filter(|_| index > 0) {
                told["ratio"] = json!(ratio);
            }
            by_system.insert((*system).to_owned(), told);
        }
        Value::Object(by_system)
    }

    /// All that must be 0 and is not, in words.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for section in &self.sections {
            for row in section.rows.iter().filter(|row| row.summary == Summary::Fault) {
                for (index, system) in self.systems.iter().enumerate() {
                    let count = row.of_system(index).unwrap_or(0.0);
                    if count != 0.0 {
                        faults.push(format!("{system}: {count} {} ({})", row.name, section.title));
                    }
                }
            }
        }
        faults
    }
}

fn shown(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.fract() == 0.0 || value.abs() >= 1000.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut section = Section::new("work".to_owned(), 2);
        for (limit, volley) in [(10.0, 15.0), (20.0, 24.0), (12.0, 24.0)] {
            section.add(0, vec![Figure::median("cost", limit), Figure::fault("lost", 0)]);
            section.add(1, vec![Figure::median("cost", volley), Figure::fault("lost", 1)]);
        }
        let mut report = Report::new(&["limit", "volley"]);
        report.sections.push(section);
        report
    }

    #[test]
    fn tells_medians_and_the_median_ratio() {
        let cost = &report().json()["workloads"][0]["figures"]["cost"];
        assert_eq!(cost["limit"]["value"], 12.0);
        assert_eq!(cost["volley"]["value"], 24.0);
        assert_eq!(cost["volley"]["ratio"], 1.5);
        assert!(report().table().contains("1.50"));
    }

    #[test]
    fn names_what_must_not_be() {
        assert_eq!(report().faults(), ["volley: 3 lost (work)"]);
    }
}
