//! Converts the scenario's choices into values of `dib` and `proto` (`scenario` and `dib` are leaves and do not depend
//! on each other).

/// The baseline of the score function.
pub fn baseline(baseline: scenario::Baseline) -> dib::Baseline {
    match baseline {
        scenario::Baseline::LabelEntropy => dib::Baseline::LabelEntropy,
        scenario::Baseline::LeaveOneOut => dib::Baseline::LeaveOneOut,
        scenario::Baseline::None => dib::Baseline::None,
    }
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

/// The estimator of the rate (17); beside a rate against a prior, the estimator of the additional estimate.
pub fn rate_estimator(estimator: scenario::RateEstimator) -> dib::RateEstimator {
    match estimator {
        scenario::RateEstimator::PerDimension | scenario::RateEstimator::Prior => {
            dib::RateEstimator::PerDimension
        }
        scenario::RateEstimator::Joint => dib::RateEstimator::Joint,
    }
}

/// The coding of a run's encoders. For dithered features they output the means.
pub fn coding(train: &scenario::Train) -> dib::Coding {
    match train.coding() {
        scenario::Coding::Gaussian => dib::Coding::Gaussian,
        scenario::Coding::Quantised => dib::Coding::Quantised { bits: train.bits },
        scenario::Coding::Deterministic | scenario::Coding::Dithered => dib::Coding::Deterministic,
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
