//! What becomes of what an encoder puts out: values, or symbols by a prior, a code book or a coding of a user's
//! program; and the rates that are counted.

use dib::{Features, Phase};
use node::{Context, NodeError};

use super::{Encoders, plan::Batch};
use crate::{
    books::Indexed,
    coded::Travels,
    dithered::{Dithered, Moment},
    on_air::{OnAir, Sending},
    own::OwnEntries,
    priors::{EntryRows, Priors},
    rates::{GroupRates, RateGroups, Rated, group_rates},
    round_groups::RoundGroups,
    simulated::SimulatedEntries,
};

/// What became of one modality's outputs.
pub(super) struct Made {
    /// As the rate of what is sent is counted with them.
    pub(super) features: Features,
    pub(super) on_air: OnAir,
    pub(super) travels: Travels,
    pub(super) rated: Rated,
}

impl Encoders {
    /// Makes of the features of modality m's encoder, or of its outputs, what is sent.
    pub(super) fn code(
        &self,
        context: &Context,
        batch: &Batch<'_>,
        m: usize,
        rows: EntryRows<'_>,
        features: Features,
    ) -> Result<Made, NodeError> {
        if let Some(priors) = &self.priors {
            let (travels, features) = with_prior(context, batch, priors, m, rows, features)?;
            let is_dithered = matches!(travels, Travels::Dithered(_));
            let found = priors.row_rates(m, rows, &features, is_dithered)?;
            let rated = rated_by_row(context, batch, rows.entries, &found);
            return Ok(Made { features, on_air: OnAir::unchanged(), travels, rated });
        }
        if let Some(own) = &self.own {
            let (entries, features, found) =
                OwnEntries::new(context, own, m, moment(batch), rows, &features.z)?;
            let rated = match batch.served {
                Some(_) => Rated::nothing(),
                None => rated_by_row(context, batch, rows.entries, &found),
            };
            return Ok(Made { features, on_air: OnAir::unchanged(), travels: Travels::Own(entries), rated });
        }
        let (travels, features) = match self.books.as_ref().and_then(|books| books.in_force(batch.phase)) {
            Some(tables) => {
                let (indexed, features) = Indexed::new(context, tables, m, rows, &features.z)?;
                (Travels::Indexed(indexed), features)
            }
            None => (Travels::Values, features),
        };
        let sending = Sending {
            context,
            phase: batch.phase,
            pass: batch.pass,
            // In service nobody asks for the rate of what arrives.
            first_tick: batch.first_tick.filter(|_| batch.served.is_none()),
            modality: m,
            entries: rows.entries,
            groups: batch.groups(context, 0),
            averages: self.averages.as_ref(),
        };
        let on_air = sending.send(&features)?;
        let features = on_air.sent(&features).clone();
        let rated = match batch.served {
            // (17) is of groups of samples, and a batch is none.
            Some(_) => Rated::nothing(),
            None => rated(context, batch, rows.entries, &features, &on_air)?,
        };
        Ok(Made { features, on_air, travels, rated })
    }
}

/// Where draws that both ends know are addressed.
fn moment(batch: &Batch<'_>) -> Moment {
    Moment { phase: batch.phase, first: batch.first_moment, skipped: batch.skipped() }
}

/// What travels of features whose rate is counted against priors: integers, numbers of proposals, or the features.
fn with_prior(
    context: &Context,
    batch: &Batch<'_>,
    priors: &Priors,
    m: usize,
    rows: EntryRows<'_>,
    features: Features,
) -> Result<(Travels, Features), NodeError> {
    if let Some(tables) = priors.in_force(batch.phase) {
        let (dithered, features) = Dithered::new(context, tables, m, moment(batch), rows, &features.z)?;
        return Ok((Travels::Dithered(dithered), features));
    }
    // What nobody gets need not be simulated.
    match priors.shared(batch.phase).filter(|_| batch.first_tick.is_some()) {
        Some(tables) => {
            let at = (m, batch.first_moment);
            let (simulated, features) = SimulatedEntries::new(context, tables, at, rows, &features)?;
            Ok((Travels::Simulated(simulated), features))
        }
        None => Ok((Travels::Values, features)),
    }
}

/// The rates of what is sent, and of what arrives where that is counted.
fn rated(
    context: &Context,
    batch: &Batch<'_>,
    entries: &[(usize, usize)],
    features: &Features,
    on_air: &OnAir,
) -> Result<Rated, NodeError> {
    let (groups, sent) = rates(context, batch, entries, features)?;
    let received = match &on_air.observed {
        Some(observed) => Some(rates(context, batch, entries, &observed.features)?.1),
        None => None,
    };
    Ok(Rated { groups, sent, received })
}

/// The rates of all entries, or of the groups that make them up.
fn rates(
    context: &Context,
    batch: &Batch<'_>,
    entries: &[(usize, usize)],
    features: &Features,
) -> Result<(RateGroups, GroupRates), NodeError> {
    if batch.phase == Phase::Train && context.scenario.rates_over_rounds() {
        let groups = RoundGroups::new(entries);
        let rates = groups.rates(context, features)?;
        return Ok((RateGroups::Round(groups), rates));
    }
    let groups: Vec<Vec<usize>> =
        entries.iter().map(|(tick, _)| context.rate_groups(batch.samples[*tick].len())).collect();
    let estimator = node::rate_estimator(context.scenario.train.rate_estimator);
    let rates = group_rates(context, estimator, features, &groups.concat())?;
    Ok((RateGroups::Own(groups), rates))
}

/// What [`rated`] gives, of what every row adds: it is the row's own, and a group's rate their mean.
fn rated_by_row(context: &Context, batch: &Batch<'_>, entries: &[(usize, usize)], found: &[f64]) -> Rated {
    if batch.phase == Phase::Train && context.scenario.rates_over_rounds() {
        let groups = RoundGroups::new(entries);
        let by_group = groups.order.iter().map(|&row| found[row as usize]).collect();
        return Rated {
            groups: RateGroups::Round(groups),
            sent: GroupRates::Known(by_group),
            received: None,
        };
    }
    let groups: Vec<Vec<usize>> = entries.iter().map(|(tick, _)| vec![batch.samples[*tick].len()]).collect();
    let mut start = 0;
    let mean = |&rows: &usize| {
        let own = &found[start..start + rows];
        start += rows;
        own.iter().sum::<f64>() / rows as f64
    };
    let rates = groups.iter().flatten().map(mean).collect();
    Rated { groups: RateGroups::Own(groups), sent: GroupRates::Known(rates), received: None }
}
