//! Figures as a table and as JSON.

use serde_json::{Value, json};
use std::fmt;
use std::io::{Write as _, stdout};

/// One number that was measured.
pub(super) struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    /// What it is compared with, in the same unit.
    beside: Option<(&'static str, f64)>,
    target: Option<Target>,
}

#[derive(Clone, Copy)]
enum Target {
    ValueAtMost(f64),
    ValueAtLeast(f64),
    RatioAtMost(f64),
    RatioAtLeast(f64),
}

impl Figure {
    pub(super) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, beside: None, target: None }
    }

    pub(super) fn beside(mut self, what: &'static str, value: f64) -> Self {
        self.beside = Some((what, value));
        self
    }

    pub(super) fn at_most(mut self, limit: f64) -> Self {
        self.target = Some(Target::ValueAtMost(limit));
        self
    }

    pub(super) fn at_least(mut self, limit: f64) -> Self {
        self.target = Some(Target::ValueAtLeast(limit));
        self
    }

    pub(super) fn ratio_at_most(mut self, limit: f64) -> Self {
        self.target = Some(Target::RatioAtMost(limit));
        self
    }

    pub(super) fn ratio_at_least(mut self, limit: f64) -> Self {
        self.target = Some(Target::RatioAtLeast(limit));
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.beside.map(|(_, other)| self.value / other)
    }

    fn met(&self) -> Option<bool> {
        match self.target? {
            Target::ValueAtMost(limit) => Some(self.value <= limit),
            Target::ValueAtLeast(limit) => Some(self.value >= limit),
            Target::RatioAtMost(limit) => self.ratio().map(|ratio| ratio <= limit),
            Target::RatioAtLeast(limit) => self.ratio().map(|ratio| ratio >= limit),
        }
    }

    fn target(&self) -> Option<String> {
        self.target.map(|target| match target {
            Target::ValueAtMost(limit) => format!("≤ {limit} {}", self.unit),
            Target::ValueAtLeast(limit) => format!("≥ {limit} {}", self.unit),
            Target::RatioAtMost(limit) => format!("ratio ≤ {limit}"),
            Target::RatioAtLeast(limit) => format!("ratio ≥ {limit}"),
        })
    }

    fn json(&self) -> Value {
        json!({
            "figure": self.name, "value": self.value, "unit": self.unit,
            "beside": self.beside.map(|(what, value)| json!({"what": what, "value": value})),
            "ratio": self.ratio(), "target": self.target(), "met": self.met(),
        })
    }

    fn cells(&self) -> [String; 6] {
        let beside = self.beside.map(|(what, value)| format!("{} {what}", number(value)));
        let met = self.met().map(|met| if met { "met" } else { "MISSED" }.to_owned());
        [
            self.name.clone(),
            format!("{} {}", number(self.value), self.unit),
            beside.unwrap_or_default(),
            self.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            self.target().unwrap_or_default(),
            met.unwrap_or_default(),
        ]
    }
}

/// What one part measured, and how to understand it.
pub(super) struct Section {
    pub(super) title: String,
    pub(super) figures: Vec<Figure>,
}

/// All figures of a run, and what the machine was doing. Each section is written as soon as it is there, so that it is not
/// lost where a later part cannot be measured.
pub struct Report {
    sections: Vec<Section>,
    load_before: String,
    load_after: String,
}

impl Report {
    pub(super) fn begin() -> Self {
        let load_before = load();
        write(format_args!("{} cores, load before {load_before}\n", cores()));
        Self { sections: Vec::new(), load_before, load_after: String::new() }
    }

    pub(super) fn add(&mut self, section: Section) {
        write(format_args!("\n{section}"));
        self.sections.push(section);
    }

    pub(super) fn end(mut self) -> Self {
        self.load_after = load();
        write(format_args!("\nload after {}\n", self.load_after));
        self
    }

    /// The figures for programs.
    pub fn json(&self) -> Value {
        let sections = self.sections.iter().map(|section| {
            json!({"title": section.title, "figures": section.figures.iter().map(Figure::json).collect::<Vec<_>>()})
        });
        json!({
            "cores": cores(), "load_before": self.load_before, "load_after": self.load_after,
            "sections": sections.collect::<Vec<_>>(),
        })
    }
}

const HEADS: [&str; 6] = ["figure", "measured", "beside it", "ratio", "target", ""];

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 6]> = self.figures.iter().map(Figure::cells).collect();
        let mut widths = HEADS.map(|head| head.chars().count());
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        writeln!(f, "{}", self.title)?;
        line(f, &HEADS.map(str::to_owned), &widths)?;
        line(f, &widths.map(|width| "-".repeat(width)), &widths)?;
        for row in &rows {
            line(f, row, &widths)?;
        }
        Ok(())
    }
}

fn write(text: fmt::Arguments<'_>) {
    stdout().write_fmt(text).expect("somebody who reads");
}

fn line(f: &mut fmt::Formatter<'_>, cells: &[String; 6], widths: &[usize; 6]) -> fmt::Result {
    let padded: Vec<String> =
        cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    writeln!(f, "{}", padded.join("  ").trim_end())
}

/// Three digits are as many as a measurement deserves.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Processes that wanted to run, over the last minute.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_by_the_value_or_by_the_ratio() {
        let figure = || Figure::new("x", 12.0, "ms");
        assert_eq!(figure().met(), None);
        assert_eq!(figure().at_most(12.0).met(), Some(true));
        assert_eq!(figure().at_most(11.9).met(), Some(false));
        assert_eq!(figure().beside("bare", 10.0).ratio_at_most(1.25).met(), Some(true));
        assert_eq!(figure().beside("bare", 9.0).ratio_at_most(1.25).met(), Some(false));
        assert_eq!(figure().at_least(12.0).met(), Some(true));
        assert_eq!(figure().at_least(12.1).met(), Some(false));
        assert_eq!(figure().beside("bare", 2.0).ratio_at_least(6.0).met(), Some(true));
        assert_eq!(figure().beside("bare", 3.0).ratio_at_least(6.0).met(), Some(false));
    }
}
