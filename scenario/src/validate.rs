use crate::{Baseline, Credit, GRADIENT_BLOCK_TICKS, Scenario, ScenarioError};

/// Limits that keep a mistyped number from allocating absurd amounts of memory.
pub(crate) const MOST_NODES: usize = 4096;
pub(crate) const LARGEST_FEATURE: usize = 4096;
const MOST_BITS: usize = 16;
const MOST_SAMPLES_PER_ROUND: usize = 1 << 20;

/// The largest share of the training rows that may be held out.
const MOST_HELD_OUT: f64 = 0.9;

/// The largest `train.modality_dropout`: with all entries dropped nothing would be learnt.
const MOST_DROPPED: f64 = 0.99;

/// The largest `train.worst_lr`, in 1 / nat. Far smaller values already give all weight to one receiver.
const MOST_WORST_LR: f64 = 1e3;

impl Scenario {
    /// Checks all values beyond their types. The data set checks the names of modalities and tasks.
    pub(crate) fn validate(&self) -> Result<(), ScenarioError> {
        self.validate_arrays()?;
        self.mmfi.validate()?;
        self.validate_network()?;
        self.validate_models()?;
        self.validate_train()?;
        self.validate_links()?;
        self.validate_channels()?;
        self.validate_selection()?;
        self.validate_sight()?;
        self.validate_coding()?;
        self.validate_multicast()?;
        self.validate_credit()?;
        self.validate_profile()?;
        if self.checkpoint.store.as_ref().is_some_and(|store| store.trim().is_empty()) {
            let what = "is empty; give a folder or the URL of an object store, or leave the key out";
            return Err(ScenarioError::invalid("checkpoint.store", what));
        }
        within_reals("data.hold_out", self.data.hold_out, 0.0, MOST_HELD_OUT)?;
        self.validate_evaluation()
    }

    fn validate_network(&self) -> Result<(), ScenarioError> {
        let network = &self.network;
        within("network.feature_dim", network.feature_dim, 1, LARGEST_FEATURE)?;
        for (k, transmitter) in self.transmitter.iter().enumerate() {
            let count = transmitter.modalities.len();
            within(&format!("modalities of transmitter {k}: their number"), count, 1, MOST_NODES)?;
        }
        if network.limits {
            within("network.receiver_limit (E_t)", network.receiver_limit, 1, self.transmitters())?;
            within("network.transmitter_limit (E_k)", network.transmitter_limit, 1, usize::MAX)?;
        }
        Ok(())
    }

    fn validate_train(&self) -> Result<(), ScenarioError> {
        let train = &self.train;
        // Training ends with a checkpoint: without a round there would be none.
        within("train.rounds", train.rounds as usize, 1, usize::MAX)?;
        within("train.bits", train.bits as usize, 1, MOST_BITS)?;
        within("train.ticks_per_round", train.ticks_per_round, 1, MOST_SAMPLES_PER_ROUND)?;
        within("train.samples_per_tick", train.samples_per_tick, 1, MOST_SAMPLES_PER_ROUND)?;
        if self.rates_over_rounds() && train.ticks_per_round == 1 {
            let what =
                "is 1 and train.samples_per_tick too; a rate needs two samples: set either to 2 or more";
            return Err(ScenarioError::invalid("train.ticks_per_round", what));
        }
        within(
            "train.ticks_per_round x train.samples_per_tick",
            train.ticks_per_round.saturating_mul(train.samples_per_tick),
            1,
            MOST_SAMPLES_PER_ROUND,
        )?;
        if train.ticks_per_part == 0 || !train.ticks_per_part.is_multiple_of(GRADIENT_BLOCK_TICKS) {
            let what =
                format!("is {}; it must be a multiple of {GRADIENT_BLOCK_TICKS}", train.ticks_per_part);
            return Err(ScenarioError::invalid("train.ticks_per_part", what));
        }
        for (key, value) in [
            ("train.beta", train.beta),
            ("train.entropy_bonus", train.entropy_bonus),
            ("train.gamma", train.gamma),
            ("train.empty_penalty", train.empty_penalty),
            ("train.coding_lr", train.coding_lr),
            ("train.selection_lr", train.selection_lr),
            ("train.prior_lr", train.prior_lr),
            ("train.commitment", train.commitment),
            ("train.weight_decay", train.weight_decay),
            ("train.selection_clip", train.selection_clip),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(ScenarioError::invalid(key, format!("is {value}; it must be 0 or more")));
            }
        }
        for (key, value) in [
            ("train.beta_rise", train.beta_rise),
            ("train.entropy_until", train.entropy_until),
            ("train.cool_down", train.cool_down),
            ("train.worst_memory", train.worst_memory),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(ScenarioError::invalid(key, format!("is {value}; it must be from 0 to 1")));
            }
        }
        within_reals("train.modality_dropout", train.modality_dropout, 0.0, MOST_DROPPED)?;
        within_reals("train.worst_lr", train.worst_lr, 0.0, MOST_WORST_LR)?;
        if train.tells_costs() && self.skips() {
            let what = "is \"worst\", for which nodes wait until they know all costs: set straggler.policy = \"wait\"";
            return Err(ScenarioError::invalid("train.objective", what));
        }
        // Then a receiver's requests are judged by all receivers' costs, but it knows only its own labels' entropy.
        let judges_all = train.tells_costs() && train.credit == Credit::Shared && self.has_selectors();
        if judges_all && train.baseline == Baseline::LabelEntropy {
            let what = "is \"label-entropy\", that of one receiver's labels, but with train.objective = \"worst\" and \
                        train.credit = \"shared\" a request is judged by all receivers' costs: set \"leave-one-out\"";
            return Err(ScenarioError::invalid("train.baseline", what));
        }
        match train.beta_start {
            Some(start) if !(start.is_finite() && start > 0.0) => {
                Err(ScenarioError::invalid("train.beta_start", format!("is {start}; it must be above 0")))
            }
            _ => Ok(()),
        }
    }

    fn validate_evaluation(&self) -> Result<(), ScenarioError> {
        within("evaluation.passes", self.evaluation.passes as usize, 1, 10_000)?;
        within("evaluation.validation_passes", self.evaluation.validation_passes as usize, 1, 10_000)?;
        if self.evaluation.patience > 0 && self.evaluation.every == 0 {
            let what = "ends training by evaluations on validation rows, of which there are none: set evaluation.every";
            return Err(ScenarioError::invalid("evaluation.patience", what));
        }
        self.validate_conditions()?;
        if let Some(samples) = self.evaluation.samples_per_message {
            within("evaluation.samples_per_message", samples, 1, MOST_SAMPLES_PER_ROUND)?;
            let tick = self.train.samples_per_tick;
            if !samples.is_multiple_of(tick) {
                let what = format!("is {samples}; it must be a multiple of train.samples_per_tick, {tick}");
                return Err(ScenarioError::invalid("evaluation.samples_per_message", what));
            }
            if self.evaluates_by_tick() {
                let what =
                    "is for selections that hold for a pass: leave it out, or set evaluation.draw = \"pass\"";
                return Err(ScenarioError::invalid("evaluation.samples_per_message", what));
            }
        }
        within("evaluation.joint_rate_samples", self.evaluation.joint_rate_samples, 2, 20_000)
    }
}

pub(crate) fn within(key: &str, value: usize, low: usize, high: usize) -> Result<(), ScenarioError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let range = if high == usize::MAX { format!("at least {low}") } else { format!("from {low} to {high}") };
    Err(ScenarioError::invalid(key, format!("is {value}; it must be {range}")))
}

/// The same for real numbers.
pub(crate) fn within_reals(key: &str, value: f64, low: f64, high: f64) -> Result<(), ScenarioError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(ScenarioError::invalid(key, format!("is {value}; it must be from {low} to {high}")))
}
