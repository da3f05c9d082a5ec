//! What encoders learn of a round, and what is behind them: priors, code books and codings of a user's program.

use candle_core::Tensor;
use dib::{Grants, RateRows, RateTerm, Upload};
use node::{Context, NodeError, Profiler, ProfilerPhase};

use super::Encoders;
use crate::{
    books::BookLesson,
    coded::{Coded, CodedModality, Travels},
    gradient_feedback::GradientFeedback,
    priors::{EntryRows, FeatureGradients, Lesson, backward_from_prior, values},
    returned::Returned,
    round_groups::RoundGroups,
};

/// What of a modality's entries has arrived, and what it costs.
struct Paid<'a> {
    /// By entry, whether anybody has used it.
    used: &'a [bool],
    /// By entry, what a nat of its rate, the mean over its rows, costs. Nobody pays for what nobody used, and what
    /// several used is paid for once.
    costs: &'a [f64],
    /// What it would cost.
    betas: &'a [f64],
    /// Of how many ticks the entries are.
    ticks: usize,
}

impl Encoders {
    /// Backward pass of a part of a round. `betas` has what a nat of rate costs, by receiver.
    pub(crate) fn backward(
        &mut self,
        context: &Context,
        coded: &Coded,
        grants: &Grants,
        feedback: &[GradientFeedback],
        betas: &[f64],
        profiler: &mut Profiler,
    ) -> Result<(), NodeError> {
        let sent: Vec<Vec<(usize, usize)>> = (0..feedback.len()).map(|t| grants.for_receiver(t)).collect();
        profiler.turn_to(ProfilerPhase::Pack);
        let mut upload = Upload::new();
        let mut used = Vec::new();
        for (m, coded) in coded.modalities.iter().enumerate() {
            let Some(coded) = coded else { continue };
            let returned = Returned::new(context, &sent, feedback, m, &coded.entries);
            if !returned.is_empty() {
                let shape = (coded.entries.len() * context.samples(), context.feature_dim());
                upload.add(returned.z_gradient(context, feedback), shape);
                used.push((m, coded, returned));
            }
        }
        for ((m, coded, returned), gradient) in used.into_iter().zip(upload.send(&context.device)?) {
            let used: Vec<bool> =
                (0..coded.entries.len()).map(|entry| !returned.of(entry).is_empty()).collect();
            let betas: Vec<f64> = coded.entries.iter().map(|&(_, t)| betas[t]).collect();
            let cost = |(&used, &beta): (&bool, &f64)| if used { beta } else { 0.0 };
            let costs: Vec<f64> = used.iter().zip(&betas).map(cost).collect();
            let ticks = grants.ticks().count();
            let paid = Paid { used: &used, costs: &costs, betas: &betas, ticks };
            profiler.turn_to(ProfilerPhase::Backward);
            match self.learn_code(context, m, coded, &gradient, &paid)? {
                Some(wanted) => self.backward_from_code(m, coded, wanted)?,
                None => self.backward_with_rate(context, m, coded, &gradient, &paid)?,
            }
        }
        Ok(())
    }

    /// Where a prior, a code book or a coding of a user's program stands between what an encoder puts out and what is
    /// sent: lets it learn, and gives the whole gradient with respect to z, mu or the outputs that it stands behind,
    /// and what the rate wants of standard deviations, if it wants anything. Else none.
    fn learn_code(
        &mut self,
        context: &Context,
        m: usize,
        coded: &CodedModality,
        gradient: &Tensor,
        paid: &Paid<'_>,
    ) -> Result<Option<FeatureGradients>, NodeError> {
        let rows = EntryRows { entries: &coded.entries, rows: context.samples(), d: context.feature_dim() };
        let &Paid { used, costs, ticks, .. } = paid;
        if let Some(priors) = &mut self.priors {
            let noise = match &coded.travels {
                Travels::Dithered(dithered) => Some(dithered.noise.as_slice()),
                _ => None,
            };
            let (features, dz) = (&coded.features, &values(gradient)?);
            let lesson = Lesson { features, noise, dz, weights: costs, used, ticks };
            return priors.learn(context, m, rows, &lesson).map(Some);
        }
        let outputs = &coded.trained().features.z;
        match (&coded.travels, &mut self.books, &self.own) {
            (Travels::Indexed(indexed), Some(books), _) => {
                let lesson = BookLesson { mu: outputs, indexed, dz: &values(gradient)?, used, ticks };
                let to_mu = books.learn(context, m, rows, &lesson)?;
                Ok(Some((to_mu, Vec::new())))
            }
            (Travels::Own(entries), _, Some(own)) => {
                let (outputs, dz) = (values(outputs)?, values(gradient)?);
                let to_outputs = entries.pull_back(context, own, m, rows, (&outputs, &dz), (used, costs))?;
                Ok(Some((to_outputs, Vec::new())))
            }
            _ => Ok(None),
        }
    }

    /// Adds the gradients of an encoder, and of its trunk, given what [`learn_code`](Self::learn_code) gives.
    fn backward_from_code(
        &mut self,
        m: usize,
        coded: &CodedModality,
        wanted: FeatureGradients,
    ) -> Result<(), NodeError> {
        let trunk = self.trunks[m].as_mut().zip(coded.seen.as_ref());
        let at_head = backward_from_prior(&mut self.encoders[m], coded.trained(), wanted, trunk.is_some())?;
        match trunk {
            Some((trunk, seen)) => trunk.backward(seen, &at_head),
            None => Ok(()),
        }
    }

    /// The same where the encoder's own features travel, with the gradient of their rate.
    fn backward_with_rate(
        &mut self,
        context: &Context,
        m: usize,
        coded: &CodedModality,
        gradient: &Tensor,
        paid: &Paid<'_>,
    ) -> Result<(), NodeError> {
        let train = &context.scenario.train;
        let estimator = node::rate_estimator(train.rate_estimator);
        let (encoder, trunk) = (&mut self.encoders[m], self.trunks[m].as_mut().zip(coded.seen.as_ref()));
        let (encoded, way) = (coded.trained(), coded.on_air.way(train.rate_at));
        let backward = |rate: RateTerm<'_>| -> Result<(), NodeError> {
            let Some((trunk, seen)) = trunk else {
                return Ok(encoder.backward_through(way, encoded, gradient, Some(rate))?);
            };
            let at_head = encoder.backward_to_input(way, encoded, gradient, Some(rate))?;
            trunk.backward(seen, &at_head)
        };
        if context.scenario.rates_over_rounds() {
            let groups = RoundGroups::new(&coded.entries);
            let (weights, arrived) = groups.weights(|row| paid.used[row], |row| paid.betas[row]);
            let rows = Some(RateRows { order: &groups.order, paid: arrived.as_deref() });
            return backward(RateTerm { estimator, groups: &groups.sizes, weights: &weights, rows });
        }
        let groups = vec![context.samples(); coded.entries.len()];
        backward(RateTerm { estimator, groups: &groups, weights: paid.costs, rows: None })
    }

    /// Moves the running means of power by a round whose parts were encoded so.
    pub(crate) fn learn_power<'a>(
        &mut self,
        context: &Context,
        parts: impl Iterator<Item = &'a Coded> + Clone,
    ) {
        if let Some(averages) = &mut self.averages {
            averages.learn(context.samples(), parts);
        }
    }

    /// The step of the encoders that took part in a round.
    pub(crate) fn step(&mut self, context: &Context, round: u64) -> Result<(), NodeError> {
        let train = &context.scenario.train;
        let optimizer = node::adamw(train.coding_lr_at(round), train.weight_decay);
        for encoder in &mut self.encoders {
            encoder.network_mut().step(&optimizer)?;
        }
        self.trunks.iter_mut().flatten().try_for_each(|trunk| trunk.step(&optimizer))?;
        let rate = train.prior_lr_at(round);
        self.books.iter_mut().try_for_each(|books| books.step(rate))?;
        match &mut self.priors {
            Some(priors) => priors.step(rate),
            None => Ok(()),
        }
    }
}
