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

/// A system as the report knows it.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// Whether its faults are ours: what a peer loses is told, and nothing more.
    pub(crate) ours: bool,
}

/// A system that is not there or a workload that takes too much, and why.
pub(crate) type NotRun = (String, String);

pub(crate) struct Report {
    columns: Vec<Column>,
    not_run: Vec<NotRun>,
    pub(crate) sections: Vec<Section>,
}

/// One workload.
pub(crate) struct Section {
    title: String,
    rows: Vec<Row>,
    systems: usize,
    /// Rounds that came to nothing: of which system, and why.
    failures: Vec<(usize, String)>,
}

struct Row {
    name: &'static str,
    summary: Summary,
    /// By system: the number of a round, and what it came to.
    rounds: Vec<Vec<(u32, f64)>>,
}

impl Section {
    pub(crate) fn new(title: String, systems: usize) -> Self {
        Self { title, rows: Vec::new(), systems, failures: Vec::new() }
    }

    /// Adds a round of the system at `index`.
    pub(crate) fn add(&mut self, index: usize, round: u32, figures: Vec<Figure>) {
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
            self.rows[place].rounds[index].push((round, figure.value));
        }
    }

    /// Notes that a round of the system at `index` came to nothing.
    pub(crate) fn fail(&mut self, index: usize, words: String) {
        self.failures.push((index, words));
    }
}

impl Row {
    fn of_system(&self, index: usize) -> Option<f64> {
        let values: Vec<f64> = self.rounds[index].iter().map(|(_, value)| *value).collect();
        match self.summary {
            _ if values.is_empty() => None,
            Summary::Median => median(&values),
            Summary::Count | Summary::Fault => Some(values.iter().sum()),
        }
    }

    /// The median of the ratios of each round: what drifts between rounds cancels out within one.
    fn ratio(&self, index: usize, reference: usize) -> Option<f64> {
        let of_round = |round: u32| self.rounds[reference].iter().find(|(other, _)| *other == round);
        let pairs = self.rounds[index].iter().filter_map(|(round, own)| Some((own, of_round(*round)?.1)));
        let ratios: Vec<f64> = pairs.map(|(own, reference)| own / reference).collect();
        let told = self.summary == Summary::Median && index != reference;
        median(&ratios).filter(|ratio| told && ratio.is_finite())
    }
}

impl Report {
    pub(crate) fn new(columns: Vec<Column>, not_run: Vec<NotRun>) -> Self {
        Self { columns, not_run, sections: Vec::new() }
    }

    /// Those that others are compared with: the first system, and Nchan.
    fn references(&self) -> impl Iterator<Item = (usize, &'static str)> {
        let named = self.columns.iter().map(|column| column.name).enumerate();
        named.filter(|(index, name)| *index == 0 || name.starts_with("nchan"))
    }

    /// The workload that was measured last.
    pub(crate) fn last_table(&self) -> String {
        let mut text = String::new();
        if let Some(section) = self.sections.last() {
            self.write_section(section, &mut text).expect("a String takes all");
        }
        text
    }

    /// What did not run, a line each.
    pub(crate) fn omissions(&self) -> String {
        self.not_run.iter().map(|(name, why)| format!("\nnot run: {name}: {why}")).chain(["\n".to_owned()]).collect()
    }

    /// A value of each system and its ratio to the first, then the ratios of our own to the other references.
    fn write_section(&self, section: &Section, text: &mut String) -> std::fmt::Result {
        let ours = self.columns.iter().rposition(|column| column.ours).unwrap_or(0);
        let others: Vec<_> = self.references().filter(|(reference, _)| *reference != 0 && ours != 0).collect();
        write!(text, "\n{:<46}", section.title)?;
        for (index, column) in self.columns.iter().enumerate() {
            let width = if index == 0 { 10 } else { 18 };
            write!(text, "{:>width$}", column.name)?;
        }
        for (_, reference) in &others {
            write!(text, "{:>16}", format!("{}/{reference}", self.columns[ours].name))?;
        }
        writeln!(text)?;
        for row in &section.rows {
            write!(text, "  {:<44}", row.name)?;
            for index in 0..self.columns.len() {
                write!(text, "{:>10}", shown(row.of_system(index)))?;
                if index > 0 {
                    let ratio = row.ratio(index, 0).map_or(String::new(), |ratio| format!("x{ratio:.2}"));
                    write!(text, " {ratio:<7}")?;
                }
            }
            for (reference, _) in &others {
                let ratio = row.ratio(ours, *reference).map_or(String::new(), |ratio| format!("x{ratio:.2}"));
                write!(text, "{ratio:>16}")?;
            }
            writeln!(text)?;
        }
        for (index, words) in &section.failures {
            writeln!(text, "  a round of {} came to nothing: {words}", self.columns[*index].name)?;
        }
        Ok(())
    }

    pub(crate) fn json(&self) -> Value {
        let workload = |section: &Section| {
            let figures: Map<String, Value> =
                section.rows.iter().map(|row| (row.name.to_owned(), self.json_row(row))).collect();
            let failures: Vec<Value> = section
                .failures
                .iter()
                .map(|(index, words)| json!({ "system": self.columns[*index].name, "why": words }))
                .collect();
            json!({ "title": section.title, "figures": figures, "failures": failures })
        };
        let workloads: Vec<Value> = self.sections.iter().map(workload).collect();
        let systems: Vec<_> = self.columns.iter().map(|column| column.name).collect();
        let not_run: Map<String, Value> = self.not_run.iter().map(|(name, why)| (name.clone(), json!(why))).collect();
        json!({ "systems": systems, "not_run": not_run, "workloads": workloads })
    }

    fn json_row(&self, row: &Row) -> Value {
        let mut by_system = Map::new();
        for (index, column) in self.columns.iter().enumerate() {
            let rounds: Vec<f64> = row.rounds[index].iter().map(|(_, value)| *value).collect();
            let mut told = json!({ "value": row.of_system(index), "rounds": rounds });
            for (reference, name) in self.references() {
                if let Some(ratio) = row.ratio(index, reference) {
                    told["ratio_to"][name] = json!(ratio);
                }
            }
            by_system.insert(column.name.to_owned(), told);
        }
        Value::Object(by_system)
    }

    /// All of ours that must be 0 and is not, in words.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for section in &self.sections {
            for row in section.rows.iter().filter(|row| row.summary == Summary::Fault) {
                for (index, column) in self.columns.iter().enumerate().filter(|(_, column)| column.ours) {
                    let count = row.of_system(index).unwrap_or(0.0);
                    if count != 0.0 {
                        faults.push(format!("{}: {count} {} ({})", column.name, row.name, section.title));
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

    /// In the second round the third system comes to nothing.
    fn report() -> Report {
        let mut section = Section::new("work".to_owned(), 3);
        for (round, (limit, volley)) in (0..).zip([(10.0, 15.0), (20.0, 24.0), (12.0, 24.0)]) {
            section.add(0, round, vec![Figure::median("cost", limit), Figure::fault("lost", 0)]);
            section.add(1, round, vec![Figure::median("cost", volley), Figure::fault("lost", 1)]);
            if round == 1 {
                section.fail(2, "it has burnt down".to_owned());
            } else {
                section.add(2, round, vec![Figure::median("cost", 30.0), Figure::fault("lost", 7)]);
            }
        }
        let column = |name, ours| Column { name, ours };
        let columns = vec![column("limit", true), column("volley", true), column("nchan-1", false)];
        let mut report = Report::new(columns, vec![("erlang-list".to_owned(), "no erl".to_owned())]);
        report.sections.push(section);
        report
    }

    #[test]
    fn tells_medians_and_the_median_ratio() {
        let cost = &report().json()["workloads"][0]["figures"]["cost"];
        assert_eq!(cost["limit"]["value"], 12.0);
        assert_eq!(cost["volley"]["value"], 24.0);
        assert_eq!(cost["volley"]["ratio_to"]["limit"], 1.5);
        assert!(report().last_table().contains("x1.50"));
    }

    #[test]
    fn compares_rounds_with_the_same_rounds() {
        let cost = &report().json()["workloads"][0]["figures"]["cost"];
        assert_eq!(cost["nchan-1"]["ratio_to"]["limit"], 2.75);
        assert_eq!(cost["volley"]["ratio_to"]["nchan-1"], 0.65);
    }

    #[test]
    fn tells_what_did_not_run() {
        assert!(report().last_table().contains("a round of nchan-1 came to nothing: it has burnt down"));
        assert!(report().omissions().contains("not run: erlang-list: no erl"));
        assert_eq!(report().json()["not_run"]["erlang-list"], "no erl");
    }

    #[test]
    fn names_what_must_not_be_of_ours() {
        assert_eq!(report().faults(), ["volley: 3 lost (work)"]);
    }
}
