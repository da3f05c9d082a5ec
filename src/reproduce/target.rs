//! Reproducible tables and figures: those of section VIII and appendix D.

use anyhow::bail;
use serde::Deserialize;

/// A table or a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    /// Five methods by task: HandWritten (a) or MM-Fi (b)
    Table1,
    /// Ratios of learning rates, selection to coding: HandWritten (a) or MM-Fi (b)
    Table2,
    /// Rate and relevance of four methods over beta, HandWritten
    Fig2a,
    /// The same, MM-Fi
    Fig2b,
    /// Training on the information plane, HandWritten
    Fig2c,
    /// The same, MM-Fi
    Fig2d,
    /// The log-likelihood (21) over rounds for each ratio of learning rates, HandWritten
    Fig2e,
    /// The same, MM-Fi
    Fig2f,
    /// The selection over rounds, HandWritten
    Fig3,
    /// The same, MM-Fi
    Fig4,
    /// Without limits at beta = 1e-3: HandWritten or MM-Fi
    Fig5,
    /// Without limits at beta -> 0: HandWritten or MM-Fi
    Fig6,
    /// Without limits, with the sparse prior, gamma = 0.1, HandWritten
    Fig7,
    /// The same, MM-Fi
    Fig8,
    /// All of them for the scenario
    All,
}

/// One of the two data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Half {
    HandWritten,
    MmFi,
}

/// The scenarios of section VIII, as they are shipped.
pub(super) const SHIPPED: [(Half, &str); 2] = [
    (Half::HandWritten, include_str!("../../scenarios/handwritten.toml")),
    (Half::MmFi, include_str!("../../scenarios/mmfi.toml")),
];

use Target::*;

/// All targets in the order of the paper.
const EACH: [Target; 14] =
    [Table1, Table2, Fig2a, Fig2b, Fig2c, Fig2d, Fig2e, Fig2f, Fig3, Fig4, Fig5, Fig6, Fig7, Fig8];

impl Target {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// The data set of a figure that is of one data set only.
    pub(crate) fn half(self) -> Option<Half> {
        match self {
            Fig2a | Fig2c | Fig2e | Fig3 | Fig7 => Some(Half::HandWritten),
            Fig2b | Fig2d | Fig2f | Fig4 | Fig8 => Some(Half::MmFi),
            Table1 | Table2 | Fig5 | Fig6 | All => None,
        }
    }

    /// Whether it shows the selection over the rounds.
    pub(super) fn is_of_selection(self) -> bool {
        matches!(
            self,
            Target::Fig3 | Target::Fig4 | Target::Fig5 | Target::Fig6 | Target::Fig7 | Target::Fig8
        )
    }

    /// Runs of each kind unless --seeds says otherwise.
    pub(crate) fn seeds(self) -> u64 {
        // Figs. 3 and 4 use the runs of Table I.
        if matches!(self, Table1 | Fig3 | Fig4) { 5 } else { 3 }
    }
}

impl Half {
    /// The scenario file's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Half::HandWritten => "handwritten",
            Half::MmFi => "mmfi",
        }
    }
}

/// The data set that these targets need; an error if they need different ones.
pub(crate) fn half_of(targets: &[Target]) -> anyhow::Result<Option<Half>> {
    let mut found: Option<(Target, Half)> = None;
    for &target in targets {
        let Some(half) = target.half() else { continue };
        match found {
            Some((other, of)) if of != half => bail!(
                "{} is of {} and {} of {}: ask for them one after the other",
                other.name(),
                of.name(),
                target.name(),
                half.name()
            ),
            _ => found = Some((target, half)),
        }
    }
    Ok(found.map(|(_, half)| half))
}

/// The requested tables and figures, each once, in the paper's order.
pub(crate) fn each(targets: &[Target], half: Half) -> anyhow::Result<Vec<Target>> {
    let own = |target: &Target| target.half().is_none_or(|own| own == half);
    if let Some(other) = targets.iter().find(|target| !own(target)) {
        bail!(
            "{} is of {}, not of {}: leave out --scenario",
            other.name(),
            other.half().expect("it has one").name(),
            half.name()
        );
    }
    let asked = |target: &Target| targets.contains(&All) || targets.contains(target);
    Ok(EACH.into_iter().filter(|target| own(target) && asked(target)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_panel_belongs_to_one_half_or_to_both() {
        let names = |half| each(&[All], half).unwrap().into_iter().map(Target::name).collect::<Vec<_>>();
        let both = |own: [&'static str; 5]| {
            [&["table1", "table2"], &own[..4], &["fig5", "fig6"], &own[4..]].concat()
        };
        assert_eq!(names(Half::HandWritten), both(["fig2a", "fig2c", "fig2e", "fig3", "fig7"]));
        assert_eq!(names(Half::MmFi), both(["fig2b", "fig2d", "fig2f", "fig4", "fig8"]));
    }

    #[test]
    fn what_is_of_the_other_half_is_refused() {
        let message = each(&[Table1, Fig4], Half::HandWritten).unwrap_err().to_string();
        assert_eq!(message, "fig4 is of mmfi, not of handwritten: leave out --scenario");
        assert!(half_of(&[Fig3, Table1, Fig8]).unwrap_err().to_string().contains("one after the other"));
        assert_eq!(half_of(&[Table1, Fig8]).unwrap(), Some(Half::MmFi));
        assert_eq!(half_of(&[All]).unwrap(), None);
    }
}
