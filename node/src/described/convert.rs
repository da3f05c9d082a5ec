//! Converts the scenario's choices into values of `dib` and `proto` (`scenario` and `dib` are leaves and do not depend
//! on each other).

/// The advantage of each tick of a round by the run's baseline: of its cost, 0 where it took no part. `gains` gives
/// what the node sees of the channel at each tick, as many numbers at every one.
///
/// # Panics
/// If `costs` and `took_part` differ in length.
pub fn advantages(
    baseline: scenario::Baseline,
    costs: &[f64],
    took_part: &[bool],
    label_entropy: f64,
    gains: impl Fn(usize) -> Vec<f32>,
) -> Vec<f64> {
    let kind = match baseline {
        scenario::Baseline::LabelEntropy => dib::Baseline::LabelEntropy,
        scenario::Baseline::LeaveOneOut => dib::Baseline::LeaveOneOut,
        scenario::Baseline::None => dib::Baseline::None,
        scenario::Baseline::Gains => {
            let of_tick = |tick| gains(tick).into_iter().map(f64::from).collect();
            let gains: Vec<Vec<f64>> = (0..costs.len()).map(of_tick).collect();
            return dib::advantages_over_gains(costs, took_part, &gains);
        }
    };
    dib::advantages(kind, costs, took_part, label_entropy)
}

/// The log-probability that the score function differentiates.
pub fn log_probability(kind: scenario::LogProbability) -> dib::LogProbability {
    match kind {
        scenario::LogProbability::Sequence => dib::LogProbability::Sequence,
        scenario::LogProbability::Set => dib::LogProbability::Set,
    }
}

/// Which grants the sparse term counts.
pub fn sparse_term(term: scenario::SparseTerm) -> dib::SparseTerm {
    match term {
        scenario::SparseTerm::Own => dib::SparseTerm::Own,
        scenario::SparseTerm::Global => dib::SparseTerm::Global,
    }
}

/// Which nodes share the input u of selectors, and how often it is drawn.
pub fn common_randomness(kind: scenario::CommonRandomness) -> dib::CommonRandomness {
    match kind {
        scenario::CommonRandomness::Common => dib::CommonRandomness::Common,
        scenario::CommonRandomness::Fixed => dib::CommonRandomness::Fixed,
        scenario::CommonRandomness::Private => dib::CommonRandomness::Private,
    }
}

/// The estimator of the rate (17); beside a rate against a prior, the estimator of the additional estimate.
pub fn rate_estimator(estimator: scenario::RateEstimator) -> dib::RateEstimator {
    match estimator {
        scenario::RateEstimator::PerDimension | scenario::RateEstimator::Prior => {
            dib::RateEstimator::PerDimension
        }
        scenario::RateEstimator::Joint => dib::RateEstimator::Joint,
    }
}

/// The kind of a run's encoders. For features that are dithered or coded by a code book they output the means.
///
/// # Errors
/// If a coding of a user's program, which says how many outputs there are for a value, cannot be made.
pub fn encoder_kind(scenario: &scenario::Scenario) -> Result<dib::EncoderKind, scenario::ScenarioError> {
    Ok(match scenario.train.coding() {
        scenario::Coding::Gaussian => dib::EncoderKind::Gaussian,
        scenario::Coding::Quantised => dib::EncoderKind::Quantised { bits: scenario.train.bits },
        scenario::Coding::Deterministic | scenario::Coding::Dithered | scenario::Coding::CodeBook => {
            dib::EncoderKind::Deterministic
        }
        scenario::Coding::Own => {
            let own =
                super::own_coding::added_coding(scenario, randomness::Seed::from_number(scenario.seed))?;
            dib::EncoderKind::Outputs { each: own.map_or(1, |own| own.outputs()) }
        }
    })
}

/// How features are cut for a code book.
pub fn code_shape(scenario: &scenario::Scenario) -> dib::coding::CodeShape {
    let (d, train) = (scenario.network.feature_dim, &scenario.train);
    dib::coding::CodeShape { d, groups: train.code_groups, bits: train.code_bits }
}

/// As what the gradients of features travel.
pub fn gradient_element(coding: scenario::GradientCoding) -> proto::v1::ElementType {
    match coding {
        scenario::GradientCoding::F32 => proto::v1::ElementType::F32,
        scenario::GradientCoding::Bf16 => proto::v1::ElementType::Bf16,
        scenario::GradientCoding::Int8 => proto::v1::ElementType::Int8,
    }
}

/// To what they are rounded; none if they are not.
pub fn rounding(coding: scenario::GradientCoding) -> Option<dib::coding::Rounding> {
    match coding {
        scenario::GradientCoding::F32 => None,
        scenario::GradientCoding::Bf16 => Some(dib::coding::Rounding::Bf16),
        scenario::GradientCoding::Int8 => Some(dib::coding::Rounding::Int8),
    }
}

/// The optimizer with a learning rate and a weight decay.
pub fn adamw(rate: f64, decay: f64) -> dib::AdamW {
    dib::AdamW { decay, ..dib::AdamW::new(rate) }
}

/// A node's record of its files, as a message to the coordinator.
pub fn files(files: Vec<data::DataFile>) -> Vec<proto::v1::DataFile> {
    let file = |file: data::DataFile| proto::v1::DataFile {
        name: file.name,
        test: file.split == data::Split::Test,
        rows: file.rows as u64,
        sha256: file.sha256.to_vec().into(),
    };
    files.into_iter().map(file).collect()
}
